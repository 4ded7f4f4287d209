"""Parses values of CRM fields into those of an Account: domains, numbers, dates.

People type into fields of both CRMs, so an unreadable value becomes None and never an error; the parsing itself is in
`gainsight_pipelines.values`. Which field holds which value is decided in fields.py.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlsplit

from gainsight_pipelines.text import visible
from gainsight_pipelines.values import parse_date, parse_datetime, parse_number

Read = TypeVar("Read")

logger = logging.getLogger(__name__)

_WEB_SCHEME = re.compile(r"(?:https?:)?/{1,3}", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")


def normalise_domain(website: str | None) -> str | None:
    """The bare domain of a web address as people type it: `https://www.Acme.com:8080/about` is `acme.com`.

    Lower case, without scheme, `www.`, port, path and trailing dots; international names in punycode (IDNA 2008, as
    browsers do it). Email addresses, IP addresses, host names without a dot and other texts give None.
    """
    text = visible(website or "").replace("\\", "/")
    match = _WEB_SCHEME.match(text)
    text = text[match.end() :] if match else text
    try:
        authority = urlsplit("//" + text).netloc
    except ValueError:
        return None
    host = re.sub(r":\d*$", "", authority.strip())
    if "@" in host or not host:
        return None
    host = _ascii(host).strip(".").lower()
    host = re.sub(r"^(?:www\.)+(?=[^.]+\.)", "", host)
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253 or _is_address(host):
        return None
    return host if all(map(_LABEL.fullmatch, labels)) and _TOP_LEVEL.fullmatch(labels[-1]) else None


def parse_time(value: object) -> datetime | None:
    """The datetime of a value; None if it can't be read."""
    try:
        return parse_datetime(value)
    except ValueError:
        return None


def text_or_none(value: object) -> str | None:
    """The text of a value, trimmed; None if it is blank."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value).strip() or None


class UnreadableValues:
    """Counts unreadable values, and reports them once: field and count, never the value."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def number(self, field: str | None, value: object) -> Decimal | None:
        """The value as a number; an unreadable one is counted and None."""
        return self._read(parse_number, field, "a number", value)

    def day(self, field: str | None, value: object) -> date | None:
        """The value as a day (HubSpot stores midnight UTC); an unreadable one is counted and None."""
        return self._read(parse_date, field, "a date", value)

    def report(self, crm: str) -> None:
        """Logs one warning per field and resets the counts."""
        for (field, kind), count in sorted(self._counts.items()):
            logger.warning("%s: %d values of account field %s are not %s and stay empty", crm, count, field, kind)
        self._counts.clear()

    def _read(self, parse: Callable[[object], Read | None], field: str | None, kind: str, value: object) -> Read | None:
        try:
            return parse(value)
        except ValueError:
            if field:
                self._counts[field, kind] += 1
            return None


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna

    try:
        return idna.encode(host.strip("."), uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
