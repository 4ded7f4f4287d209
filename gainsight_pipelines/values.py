"""Parses values from APIs and people: dates, numbers, booleans, hosts. Shared by Gainsight and both CRMs.

Tolerant where the public documentation and production clients contradict each other (epoch milliseconds or ISO, "" for
a missing date, numbers as strings). Strict where a value is ambiguous: it raises ValueError and never guesses. Nothing
here knows about records, fields or HTTP.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address

from gainsight_pipelines.text import visible

LARGEST, SMALLEST = 30, -1000
"""Exponents of ten: no count has more digits, and neither JSON nor PostgreSQL has smaller numbers."""

USUAL = 10**15
"""Smaller whole numbers need no check of their digits."""

FEWEST_MILLISECONDS, MOST_MILLISECONDS = 10**11, 10**14
"""Epoch milliseconds have 12 to 14 digits (1973 to 5138). Fewer: seconds, a spreadsheet's day number, a year."""

FIRST_COMPACT_DAY, LAST_COMPACT_DAY = 19_000_101, 20_991_231

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SEPARATORS = frozenset({"", "T", " "})
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_DIGITS = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_MONTH_FIRST = re.compile(r"(\d{1,2})-(\d{1,2})-(\d{4})(.*)", re.ASCII | re.DOTALL)
_SPACED_OFFSET = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$|[zZ]$)")
_COMPACT_ISO = re.compile(r"\d{4}(?:\d{4}|W\d{2}\d?)(?:T[\dZ:.,+-]+)?", re.ASCII)
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


def parse_datetime(value: object) -> datetime | None:
    """Parses a date-time into an aware datetime in UTC.

    Accepts epoch milliseconds of 12 to 14 digits (the Company and Custom Object API pages: "shown in epoch format") as
    number or string, any form of ISO 8601 (production clients parse it), ``YYYY-MM-DD``, ``YYYYMMDD``, ``MM-DD-YYYY``
    (a sample on the Company API page), "" and None. A time without an offset is taken as UTC.

    Raises:
        ValueError: not a date, or outside the years 0001 to 9999.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return _parse_text(visible(value))
        if not _is_extended(value):
            return _parse_text(visible(value))
        return parsed if parsed.tzinfo is UTC else _in_utc(parsed)
    if isinstance(value, bool):
        raise ValueError("a boolean is not a date")  # noqa: TRY004 - one error for all that can't be read
    if isinstance(value, int | float | Decimal):
        return _parse_number(value)
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError(f"a {type(value).__name__} is not a date")


def parse_date(value: object) -> date | None:
    """Parses a calendar day: the UTC day of any value that :func:`parse_datetime` accepts.

    Raises:
        ValueError: as :func:`parse_datetime`.
    """
    instant = parse_datetime(value)
    if instant is None:
        return None
    if isinstance(value, str) and _is_extended(text := visible(value)):
        # A day with a time and an offset names its day as written; converting to UTC could change it.
        return date.fromisoformat(text[:10])
    return instant.date()


def parse_number(value: object) -> Decimal | None:
    """Parses a number exactly. Accepts strings too: CSV exports and some tenants send them.

    12, 12.5, "12.5", "1,200.50", "1e6"; "" and None are None.

    Raises:
        ValueError: not a number, or more than 30 digits before the decimal point.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise ValueError("a boolean is not a number")  # noqa: TRY004 - as above
    if isinstance(value, int):
        if -USUAL < value < USUAL:
            return Decimal(value)
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        text = visible(value)
        if not text:
            return None
        number = _number_of(text)
    else:
        raise ValueError(f"a {type(value).__name__} is not a number")  # noqa: TRY004 - as above
    if not number.is_finite() or (number and not SMALLEST <= number.adjusted() <= LARGEST):
        raise ValueError("the number is too large")
    return number


def parse_boolean(value: object) -> bool | None:
    """Parses a boolean: JSON booleans, 0 and 1, true/false and yes/no in any case; "" and None are None.

    Raises:
        ValueError: none of these.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = visible(value).casefold()
        if not word:
            return None
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
    raise ValueError("neither true nor false")


def whole_second(instant: datetime) -> datetime:
    """The datetime, truncated to the second."""
    return instant.replace(microsecond=0) if instant.microsecond else instant


def _parse_text(text: str) -> datetime | None:
    if not text:
        return None
    if _DIGITS.fullmatch(text):
        return _parse_number(Decimal(text))
    month_first = _MONTH_FIRST.fullmatch(text)
    if month_first:
        month, day, year, rest = month_first.groups()
        text = f"{year}-{int(month):02d}-{int(day):02d}{rest}"
    text = _SPACED_OFFSET.sub("", text)
    if text.endswith("z"):
        text = text[:-1] + "Z"
    if _is_extended(text) or _COMPACT_ISO.fullmatch(text):
        try:
            return _in_utc(datetime.fromisoformat(text))
        except ValueError:
            pass
    raise ValueError("the text is not a date")


def _is_extended(text: str) -> bool:
    """Whether a text has the form YYYY-MM-DD, alone or before a time. Python accepts any separator before the time."""
    return text[4:5] == text[7:8] == "-" and text[10:11] in _SEPARATORS


def _parse_number(value: float | Decimal) -> datetime:
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("the number is not a date")
    if FEWEST_MILLISECONDS <= (value if value >= 0 else -value) < MOST_MILLISECONDS:
        # Integer arithmetic: a float of seconds loses digits, and datetime.fromtimestamp depends on the platform.
        microseconds = value * 1000 if isinstance(value, int) else int(Decimal(str(value)) * 1000)
        return EPOCH + timedelta(microseconds=microseconds)
    if FIRST_COMPACT_DAY <= value <= LAST_COMPACT_DAY and value == int(value):
        year, rest = divmod(int(value), 10_000)
        try:
            return datetime(year, *divmod(rest, 100), tzinfo=UTC)
        except ValueError:
            pass
    raise ValueError("the number is not a date: epoch milliseconds have 12 to 14 digits")


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    if instant.tzinfo is UTC:
        return instant
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the date lies outside the years 0001 to 9999") from None


def _number_of(text: str) -> Decimal:
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    elif not _NUMBER.fullmatch(text):
        raise ValueError("the text is not a number")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("the text is not a number") from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost or a name below it, 127.0.0.0/8 or ::1."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        name = host.casefold()
        return name == "localhost" or name.endswith(".localhost")
