"""Values as tenants show them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.gainsight.values import (
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
        ("1/31/2026", datetime(2026, 1, 31, tzinfo=UTC)),
        ("20260131", datetime(2026, 1, 31, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1000, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
        ("", None),
        ("   ", None),
        (None, None),
    ],
)
def test_dates_in_every_form(value, expected):
    assert parse_datetime(value) == expected


@pytest.mark.parametrize(
    "value",
    ["soon", "2026-02-30", "31-01-2026", "13-13-2026", "10000-01-01", 10**18, -(10**18), math.inf, math.nan, True, [],
     {}, "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "1" * 400],
)  # fmt: skip
def test_dates_that_can_t_be_read(value):
    with pytest.raises(ValueError, match=r"date|year"):
        parse_datetime(value)


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_any_instant_in_any_zone_and_form(instant, minutes):
    assert parse_datetime(instant.isoformat()) == instant
    assert parse_datetime(instant) == instant
    milliseconds = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    since = (milliseconds - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_datetime(since) == parse_datetime(float(since)) == milliseconds
    if datetime(2, 1, 1, tzinfo=UTC) < instant < datetime(9998, 1, 1, tzinfo=UTC):
        local = instant.astimezone(timezone(timedelta(minutes=minutes)))
        assert parse_datetime(local.isoformat()) == instant
        assert parse_datetime(local) == instant


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(), st.lists(st.integers())))
def test_anything_is_a_value_none_or_a_value_error(value):
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
        (math.nan, None),
        (math.inf, None),
        ("NaN", None),
        ("Infinity", None),
    ],
)
def test_numbers(value, expected):
    assert parse_number(value) == expected


@pytest.mark.parametrize("value", ["many", "1,2", True, []])
def test_no_numbers(value):
    with pytest.raises(ValueError, match="number"):
        parse_number(value)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_decimal_in_a_string_stays_as_it_is(number):
    assert parse_number(str(number)) == number


def test_booleans():
    assert [parse_boolean(value) for value in (True, "true", "Yes", 1, "1")] == [True] * 5
    assert [parse_boolean(value) for value in (False, "FALSE", "no", 0, 0.0)] == [False] * 5
    assert [parse_boolean(value) for value in (None, "", " ")] == [None] * 3
    with pytest.raises(ValueError, match="neither"):
        parse_boolean("maybe")
    with pytest.raises(ValueError, match="neither"):
        parse_boolean(2)
