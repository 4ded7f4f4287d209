"""How the values of a Gainsight record become Python values: dates, numbers, booleans.

Tolerant in what comes in, since the public documents and the clients in production contradict each other (epoch
milliseconds or ISO, "" for an absent date, numbers as strings). Nothing here knows about records, fields or HTTP.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

LARGEST_DIGIT, SMALLEST_DIGIT = 1000, -1000
"""Powers of ten: PostgreSQL's numeric takes more digits than anybody counts with, JSON's numbers fewer."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DIGITS = re.compile(r"[+-]?\d+(\.\d+)?")
_COMPACT_DAY = re.compile(r"(?:19|20)\d{6}")
_MONTH_FIRST = re.compile(r"(\d{1,2})[-/](\d{1,2})[-/](\d{4})(.*)", re.DOTALL)
_SPACED_OFFSET = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$|[zZ]$)")
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


def parse_datetime(value: object) -> datetime | None:
    """A date-time of a record as an aware instant in UTC.

    Takes epoch milliseconds (the Company and Custom Object API pages: "shown in epoch format") as number or string,
    ISO 8601 in any form (what clients in production parse), ``YYYY-MM-DD``, ``MM-DD-YYYY`` (a sample of the Company API
    page), "" and None. A time without an offset is taken for UTC.

    Raises:
        ValueError: it can't be read, or lies outside the years 0001 to 9999.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return _parse_other_text(value.strip())
        if _DIGITS.fullmatch(value):  # fromisoformat also takes 20260131 and 2026W05: digits alone need a closer look
            return _parse_other_text(value)
        return _in_utc(parsed)
    if isinstance(value, bool):
        raise ValueError("a boolean is no date")  # noqa: TRY004 - one error for all that can't be read
    if isinstance(value, int | float | Decimal):
        return _from_milliseconds(value)
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError(f"a {type(value).__name__} is no date")


def parse_date(value: object) -> date | None:
    """A calendar day: the day in UTC of whatever :func:`parse_datetime` takes.

    Raises:
        ValueError: as :func:`parse_datetime`.
    """
    instant = parse_datetime(value)
    if instant is None:
        return None
    if isinstance(value, str) and not _DIGITS.fullmatch(value.strip()):
        # A day with a time and an offset names its day as written; converting to UTC could move it.
        try:
            return datetime.fromisoformat(value.strip()).date()
        except ValueError:
            pass
    return instant.date()


def parse_number(value: object) -> Decimal | None:
    """A number, exactly as it was shown; numbers in strings too (CSV exports and some tenants give strings).

    "", None and numbers that are no numbers (NaN, infinities) are None.

    Raises:
        ValueError: the text is no number.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise ValueError("a boolean is no number")  # noqa: TRY004 - as above
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        return _number_of(text)
    raise ValueError(f"a {type(value).__name__} is no number")


def parse_boolean(value: object) -> bool | None:
    """A yes or no: JSON booleans, 0 and 1, and the words for them in any case; "" and None are None.

    Raises:
        ValueError: it is none of these.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().casefold()
        if not word:
            return None
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
    raise ValueError("neither true nor false")


def whole_second(instant: datetime) -> datetime:
    """The second in which an instant lies (its beginning)."""
    return instant.replace(microsecond=0) if instant.microsecond else instant


def _parse_other_text(text: str) -> datetime | None:
    if not text:
        return None
    if _COMPACT_DAY.fullmatch(text):  # as milliseconds it would be the first evening of 1970
        return _in_utc(datetime.strptime(text, "%Y%m%d"))  # noqa: DTZ007 - made aware by _in_utc
    if _DIGITS.fullmatch(text):
        return _from_milliseconds(Decimal(text))
    month_first = _MONTH_FIRST.fullmatch(text)
    if month_first:
        month, day, year, rest = month_first.groups()
        text = f"{year}-{int(month):02d}-{int(day):02d}{rest}"
    text = _SPACED_OFFSET.sub("", text)
    if text.endswith("z"):
        text = text[:-1] + "Z"
    try:
        return _in_utc(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError("the text is no date that can be read") from None


def _from_milliseconds(value: float | Decimal) -> datetime:
    try:
        # In integers: a float of seconds loses the last digits, and datetime.fromtimestamp depends on the platform.
        microseconds = value * 1000 if isinstance(value, int) else int(Decimal(str(value)) * 1000)
        return EPOCH + timedelta(microseconds=microseconds)
    except (OverflowError, ValueError, ArithmeticError):
        raise ValueError("the number is no date within the years 0001 to 9999") from None


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    if instant.tzinfo is UTC:
        return instant
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the date lies outside the years 0001 to 9999") from None


def _number_of(text: str) -> Decimal | None:
    try:
        number = Decimal(text.replace(",", "") if _is_grouped(text) else text)
    except InvalidOperation:
        raise ValueError("the text is no number") from None
    if not number.is_finite():
        return None
    if number and not SMALLEST_DIGIT <= number.adjusted() <= LARGEST_DIGIT:
        raise ValueError("the number is far beyond what anything counts")
    return number


def _is_grouped(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) is not None
