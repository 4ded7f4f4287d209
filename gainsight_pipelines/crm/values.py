"""How a CRM's field values become the values of an Account: domains, numbers, dates, times.

Both CRMs let people type into fields, so everything here is tolerant: what cannot be read is None, never an error.
Which field a value comes from is fields.py's matter.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from gainsight_pipelines.text import visible

logger = logging.getLogger(__name__)

_WEB_SCHEME = re.compile(r"(?:https?:)?/{1,3}", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_MILLISECONDS = re.compile(r"-?\d{5,15}", re.ASCII)
_LARGEST_EXPONENT = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def normalise_domain(website: str | None) -> str | None:
    """The bare domain of a web address as people type it: `https://www.Acme.com:8080/about` is `acme.com`.

    Lower case, without scheme, `www.`, port, path and trailing dots; international names in punycode (IDNA 2008, as
    browsers do it). E-mail addresses, IP addresses, host names without a dot and whatever else is no domain are None.
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


def parse_number(value: object) -> Decimal | None:
    """A number from what an API or a person wrote: 12, 12.5, "12.5", "1,200.50", "1e6"; else None.

    Beyond 10^30 (or nearer to zero than 10^-30) it is taken for a slip.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    text = str(value).strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    elif not _PLAIN.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if abs(number.adjusted()) <= _LARGEST_EXPONENT else None


def parse_date(value: object) -> date | None:
    """A calendar day from `YYYY-MM-DD`, an ISO time (its day in UTC) or epoch milliseconds; else None.

    HubSpot keeps a date as midnight UTC of that day.
    """
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if len(text) == len("YYYY-MM-DD") and not text.isdigit():
        try:
            return date.fromisoformat(text)
        except ValueError:
            return None
    moment = parse_time(text)
    return moment.date() if moment else None


def parse_time(value: object) -> datetime | None:
    """An instant in UTC from an ISO time (without offset: UTC) or epoch milliseconds; else None."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    try:
        if _MILLISECONDS.fullmatch(text):
            return _EPOCH + timedelta(milliseconds=int(text))
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_or_none(value: object) -> str | None:
    """The text of a value, trimmed; None when there is nothing but blanks."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value).strip() or None


class UnreadableValues:
    """Counts values that could not be read, and tells of them once: field and count, never the value."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def number(self, field: str | None, value: object) -> Decimal | None:
        """parse_number, counting what isn't blank and cannot be read."""
        parsed = parse_number(value)
        self._note(field, "a number", value, parsed)
        return parsed

    def day(self, field: str | None, value: object) -> date | None:
        """parse_date, counting what isn't blank and cannot be read."""
        parsed = parse_date(value)
        self._note(field, "a date", value, parsed)
        return parsed

    def report(self, crm: str) -> None:
        """Logs one warning per field and forgets the counts."""
        for (field, kind), count in sorted(self._counts.items()):
            logger.warning("%s: %d values of account field %s are not %s and stay empty", crm, count, field, kind)
        self._counts.clear()

    def _note(self, field: str | None, kind: str, value: object, parsed: object) -> None:
        if field and parsed is None and value is not None and str(value).strip():
            self._counts[field, kind] += 1


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
