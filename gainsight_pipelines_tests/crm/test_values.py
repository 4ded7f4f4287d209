from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.crm.values import (
    UnreadableValues,
    normalise_domain,
    parse_date,
    parse_number,
    parse_time,
    text_or_none,
)

NO_DOMAINS = [
    *("", " ", "n/a", "-", "...", "localhost", "unknown", "http://", "http://[", "a..b", "acme.c", "-a.com"),
    *("10.0.0.1", "1.2.3.4:80", "http://[::1]/", "ftp://acme.com", "acme com", "acme.com;", "acme.com, acme.de"),
    *("joe@acme.com", "mailto:joe@acme.com", "user:secret@acme.com", f"{'a' * 64}.com"),
]
WORD = st.text("abcXYZ019-ü", min_size=1, max_size=9)
ADDRESSES = st.builds(
    "{}{}{}.{}{}".format,
    st.sampled_from(["", "http://", "HTTPS://", "//"]),
    st.sampled_from(["", "www.", "WWW."]),
    WORD,
    st.sampled_from(["com", "CO.UK", "de"]),
    st.sampled_from(["", "/", ":8080/x", ".", "?q=a.b"]),
)


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("https://www.Acme.com:8080/about?x=1#y", "acme.com"),
        ("acme.com.", "acme.com"),
        ("  WWW.ACME.CO.UK/x ", "acme.co.uk"),
        ("http:/acme.com", "acme.com"),
        ("//acme.com", "acme.com"),
        ("http:\\\\acme.com\\x", "acme.com"),
        ("www.com", "www.com"),
        ("www2.acme.com", "www2.acme.com"),
        ("www.acme.com / www.acme.de", "acme.com"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("straße.de", "xn--strae-oqa.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ]
    + [(junk, None) for junk in (None, *NO_DOMAINS)],
)
def test_normalise_domain(website: str | None, domain: str | None) -> None:
    assert normalise_domain(website) == domain


@given(st.text(max_size=60) | ADDRESSES)
def test_a_domain_is_plain_and_stable(website: str) -> None:
    domain = normalise_domain(website)
    if domain is not None:
        assert domain.isascii()
        assert domain == domain.lower()
        assert "." in domain
        assert not set(domain) & set(" /:@?#%")
        assert normalise_domain(domain) == domain
        assert normalise_domain(f"https://www.{domain.upper()}:443/") == domain


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (12, Decimal(12)),
        (12.5, Decimal("12.5")),
        (Decimal("120000.10"), Decimal("120000.10")),
        (" 12.50 ", Decimal("12.50")),
        ("1,200,300.5", Decimal("1200300.5")),
        ("-7", Decimal(-7)),
        ("1.2E7", Decimal("1.2E7")),
    ]
    + [
        (junk, None)
        for junk in (None, "", "n/a", "12,5", "1.2.3", "NaN", "inf", float("inf"), True, [1], "٣", "1e9999", "1e40")
    ],
)
def test_parse_number(value: object, number: Decimal | None) -> None:
    assert parse_number(value) == number


@given(st.decimals(-(10**20), 10**20, places=4))
def test_numbers_survive_as_text(number: Decimal) -> None:
    assert parse_number(str(number)) == number


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2026-05-01", date(2026, 5, 1)),
        (" 2026-05-01 ", date(2026, 5, 1)),
        ("1777593600000", date(2026, 5, 1)),
        (1777593600000, date(2026, 5, 1)),
        ("2026-05-01T23:30:00.000+0000", date(2026, 5, 1)),
        ("2026-05-01T23:30:00-02:00", date(2026, 5, 2)),
        ("-86400000", date(1969, 12, 31)),
    ]
    + [(junk, None) for junk in (None, "", "soon", "2026-13-01", "01/05/2026", "9" * 15, "0.5", True, 1.5)],
)
def test_parse_date(value: object, day: date | None) -> None:
    assert parse_date(value) == day


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_both_of_hubspots_dates_are_the_same_day(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert parse_date(day.isoformat()) == parse_date(str(int(midnight.timestamp() * 1000))) == day


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-03-03T11:59:58.000+0000", datetime(2026, 3, 3, 11, 59, 58, tzinfo=UTC)),
        ("2026-03-03T11:59:58.123Z", datetime(2026, 3, 3, 11, 59, 58, 123000, UTC)),
        ("2026-03-03T11:59:58", datetime(2026, 3, 3, 11, 59, 58, tzinfo=UTC)),
        ("1772539198123", datetime(2026, 3, 3, 11, 59, 58, 123000, UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        (None, None),
        ("x", None),
    ],
)
def test_parse_time(value: object, moment: datetime | None) -> None:
    assert parse_time(value) == moment


def test_text_or_none() -> None:
    assert list(map(text_or_none, (" a ", " ", None, 7))) == ["a", None, None, "7"]
    assert text_or_none({"a": 1}) is None


def test_unreadable_values_are_counted_and_told_once_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    values = UnreadableValues()
    with caplog.at_level(logging.WARNING):
        assert values.number("ARR__c", "12") == 12
        assert values.number("ARR__c", "twelve") is None
        assert values.number("ARR__c", "dozen") is None
        assert values.number("ARR__c", " ") is None
        assert values.day("Renewal__c", "soon") is None
        values.report("Salesforce")
        values.report("Salesforce")
    assert caplog.messages == [
        "Salesforce: 2 values of account field ARR__c are not a number and stay empty",
        "Salesforce: 1 values of account field Renewal__c are not a date and stay empty",
    ]
