"""Times and cron expressions as people say them: "3 min ago", "in 2 h", "daily at 05:05"."""

from __future__ import annotations

from datetime import datetime, timedelta

EVERY_DAY = ["*", "*", "*"]
_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKDAYS = {
    "*": "daily",
    "1-5": "weekdays",
    "mon-fri": "weekdays",
    **{key: f"weekly on {name}" for number, name in enumerate(_NAMES) for key in (str(number), name[:3].casefold())},
}
"""Text by a cron expression's weekday field."""


def ago(moment: datetime, now: datetime) -> str:
    """Time since a moment: `5 min ago`."""
    minutes = _minutes(now - moment)
    return "just now" if minutes < 1 else f"{_span(minutes)} ago"


def until(moment: datetime, now: datetime) -> str:
    """Time until a moment: `in 5 min`."""
    minutes = _minutes(moment - now)
    return "in less than a minute" if minutes < 1 else f"in {_span(minutes)}"


def _minutes(span: timedelta) -> int:
    return max(0, int(span.total_seconds() // 60))


def _span(minutes: int) -> str:
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


def cadence(cron: str) -> str:
    """A cron expression as text; unchanged if it is too complex."""
    parts = cron.split()
    if len(parts) != 5:
        return cron
    minute, hour, *days = parts
    if (step := _step(minute)) and hour == "*" and days == EVERY_DAY:
        return f"every {step} min"
    if not minute.isdecimal():
        return cron
    if days == EVERY_DAY and hour == "*":
        return "hourly"
    if days == EVERY_DAY and (step := _step(hour)):
        return f"every {step} h"
    on = _days(*days)
    return f"{on} at {int(hour):02}:{int(minute):02}" if hour.isdecimal() and on else cron


def _step(text: str) -> str:
    """The number of */4."""
    step = text.removeprefix("*/")
    return step if text.startswith("*/") and step.isdecimal() else ""


def _days(day: str, month: str, weekday: str) -> str:
    """The days of a cron expression as text; "" if they are too complex."""
    if month != "*" or "*" not in (day, weekday):
        return ""
    if day != "*":
        return f"monthly on day {int(day)}" if day.isdecimal() else ""
    if weekday.casefold() in WEEKDAYS:
        return WEEKDAYS[weekday.casefold()]
    return ""
