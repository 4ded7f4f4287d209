"""Parsing dates, numbers and booleans as APIs send them and people type them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.values import (
    parse_boolean,
    parse_date,
    parse_datetime,
    parse_number,
)

TEN = datetime(2026, 1, 31, 10, tzinfo=UTC)
INSTANTS = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1769853600000, TEN),
        (1769853600000.0, TEN),
        ("1769853600000", TEN),
        ("1769853600123", TEN + timedelta(milliseconds=123)),
        ("2026-01-31T10:00:00Z", TEN),
        ("2026-01-31T10:00:00z", TEN),
        ("2026-01-31T10:00:00.000Z", TEN),
        ("2026-01-31T10:00:00.5+0000", TEN + timedelta(milliseconds=500)),
        ("2026-01-31T10:00:00.123456789Z", TEN + timedelta(microseconds=123456)),
        ("2026-01-31T12:00:00+02:00", TEN),
        ("2026-01-31T12:00:00+0200", TEN),
        ("2026-01-31 10:00:00", TEN),
        ("2026-01-31 10:00:00 +0000", TEN),
        ("2026-01-31T10:00", TEN),
        (" 2026-01-31T10:00:00Z ", TEN),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("01-31-2026", datetime(2026, 1, 31, tzinfo=UTC)),
        ("20260131", datetime(2026, 1, 31, tzinfo=UTC)),
        (20260131, datetime(2026, 1, 31, tzinfo=UTC)),
        ("20260131T100000Z", TEN),
        ("\u200b2026-01-31\ufeff", datetime(2026, 1, 31, tzinfo=UTC)),
        ("100000000000", datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (99_999_999_999_999, datetime(5138, 11, 16, 9, 46, 39, 999000, UTC)),
        (-100_000_000_000, datetime(1966, 10, 31, 14, 13, 20, tzinfo=UTC)),
        (date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
        ("", None),
        ("   ", None),
        (None, None),
    ],
)
def test_parses_dates_in_every_form(value, expected):
    assert parse_datetime(value) == expected


@pytest.mark.parametrize(
    "value",
    ["2026", 2026, "45000", 45000, "1769817600", 1769817600, 1769817600.5, 0, -1000, "20261331", 20260230, 1.5,
     "9" * 15, "1/31/2026", "2026-01", "2026-01-31x10:00", "2026-01-31110:00", "20260131 10:00", Decimal("NaN"),
     "soon", "2026-02-30", "31-01-2026", "13-13-2026", "10000-01-01", 10**18, -(10**18), math.inf, math.nan, True, [],
     {}, "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "1" * 400],
)  # fmt: skip
def test_rejects_other_dates(value):
    with pytest.raises(ValueError, match=r"date|year"):
        parse_datetime(value)


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_parses_any_instant_in_any_zone_and_form(instant, minutes):
    assert parse_datetime(instant.isoformat()) == instant
    assert parse_datetime(instant) == instant
    milliseconds = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    since = (milliseconds - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if 12 <= len(str(abs(since))) <= 14:
        assert parse_datetime(since) == parse_datetime(float(since)) == parse_datetime(str(since)) == milliseconds
    if datetime(2, 1, 1, tzinfo=UTC) < instant < datetime(9998, 1, 1, tzinfo=UTC):
        local = instant.astimezone(timezone(timedelta(minutes=minutes)))
        assert parse_datetime(local.isoformat()) == instant
        assert parse_datetime(local) == instant


@given(st.integers() | st.integers(-(10**16), 10**16), st.booleans())
def test_a_number_is_milliseconds_of_12_to_14_digits_a_compact_day_or_rejected(number, is_text):
    value = str(number) if is_text else number
    if 12 <= len(str(abs(number))) <= 14:
        assert parse_datetime(value) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)
        return
    try:
        found = parse_datetime(value)
    except ValueError:
        return
    assert found is not None
    assert f"{found:%Y%m%d}" == str(number)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(), st.lists(st.integers())))
def test_any_input_gives_a_value_none_or_a_value_error(value):
    for parse in (parse_datetime, parse_date, parse_number, parse_boolean):
        try:
            parsed = parse(value)
        except ValueError:
            continue
        if isinstance(parsed, datetime):
            assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31", date(2026, 1, 31)),
        ("2026-01-31T00:30:00+05:00", date(2026, 1, 31)),
        (1769853600000, date(2026, 1, 31)),
        ("03-22-2018", date(2018, 3, 22)),
        ("20180322", date(2018, 3, 22)),
        (" 2026-01-31 ", date(2026, 1, 31)),
        ("1777593600000", date(2026, 5, 1)),
        ("", None),
    ],
)
def test_days(value, expected):
    assert parse_date(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (22, Decimal(22)),
        (0.1, Decimal("0.1")),
        ("1,234,567.50", Decimal("1234567.50")),
        (" 12.5 ", Decimal("12.5")),
        ("", None),
        (None, None),
        ("\u200b", None),
        ("\uff11\uff12", Decimal(12)),
        ("-7", Decimal(-7)),
        ("1.2E7", Decimal("1.2E7")),
        ("5.", Decimal(5)),
        (".5", Decimal("0.5")),
        (5e-324, Decimal("5e-324")),
        (10**30, Decimal(10**30)),
    ],
)
def test_numbers(value, expected):
    assert parse_number(value) == expected


@pytest.mark.parametrize(
    "value",
    ["many", "1,2", True, [], "1_000", "12,5", "1.2.3", "45 min", "N/A", "$5", "20%", "1 000", "٣", "NaN", "Infinity",
     math.nan, math.inf, "1e9999", "1e-9999", "1e40", 10**40, Decimal("sNaN")],
)  # fmt: skip
def test_rejects_other_numbers(value):
    with pytest.raises(ValueError, match="number"):
        parse_number(value)


@given(
    st.decimals(-(10**30), 10**30, allow_nan=False)
    | st.floats(-1e30, 1e30, allow_nan=False)
    | st.integers(-(10**30), 10**30)
)
def test_any_number_is_kept_exactly_even_from_a_string(number):
    assert parse_number(number) == parse_number(str(number)) == Decimal(str(number))


@given(st.integers(-(10**12), 10**12), st.integers(0, 999))
def test_thousands_may_be_grouped(whole, fraction):
    assert parse_number(f"{whole:,}.{fraction}") == Decimal(f"{whole}.{fraction}")


def test_booleans():
    assert [parse_boolean(value) for value in (True, "true", "Yes", 1, "1")] == [True] * 5
    assert [parse_boolean(value) for value in (False, "FALSE", "no", 0, 0.0)] == [False] * 5
    assert [parse_boolean(value) for value in (None, "", " ")] == [None] * 3
    with pytest.raises(ValueError, match="neither"):
        parse_boolean("maybe")
    with pytest.raises(ValueError, match="neither"):
        parse_boolean(2)
