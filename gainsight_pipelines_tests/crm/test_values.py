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
def test_a_normalised_domain_stays_the_same(website: str) -> None:
    domain = normalise_domain(website)
    if domain is not None:
        assert domain.isascii()
        assert domain == domain.lower()
        assert "." in domain
        assert not set(domain) & set(" /:@?#%")
        assert normalise_domain(domain) == domain
        assert normalise_domain(f"https://www.{domain.upper()}:443/") == domain


def test_values_are_parsed_as_gainsight_values_are() -> None:
    values = UnreadableValues()
    assert values.number("ARR__c", "1,200,300.5") == Decimal("1200300.5")
    assert values.day("Renewal__c", "1777593600000") == values.day("Renewal__c", "2026-05-01") == date(2026, 5, 1)
    assert values.day("Renewal__c", "20260131") == date(2026, 1, 31)
    assert parse_time("2026-03-03T11:59:58.123+0000") == datetime(2026, 3, 3, 11, 59, 58, 123000, UTC)
    assert parse_time("1772539198123") == datetime(2026, 3, 3, 11, 59, 58, 123000, UTC)
    assert parse_time("0001-01-01T00:00:00+14:00") is parse_time("x") is parse_time(None) is None


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_both_of_hubspots_dates_are_the_same_day(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    values = UnreadableValues()
    assert values.day("x", day.isoformat()) == values.day("x", str(int(midnight.timestamp() * 1000))) == day


def test_text_or_none() -> None:
    assert list(map(text_or_none, (" a ", " ", None, 7))) == ["a", None, None, "7"]
    assert text_or_none({"a": 1}) is None


def test_unreadable_values_are_counted_and_reported_once_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    values = UnreadableValues()
    with caplog.at_level(logging.WARNING):
        assert values.number("ARR__c", "12") == 12
        assert values.number("ARR__c", "twelve") is None
        assert values.number("ARR__c", "dozen") is None
        assert values.number("ARR__c", " ") is None
        assert [values.day("Renewal__c", odd) for odd in ("soon", "45000", "2026", 1769817600)] == [None] * 4
        values.report("Salesforce")
        values.report("Salesforce")
    assert caplog.messages == [
        "Salesforce: 2 values of account field ARR__c are not a number and stay empty",
        "Salesforce: 4 values of account field Renewal__c are not a date and stay empty",
    ]
