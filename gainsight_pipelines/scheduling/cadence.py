"""Cadences: the documented cron expression of each object, or the one from the settings.

Ticks are computed here for people (`status`, the settings page). What starts runs uses Dagster's own iterator
(`orchestration/ticks.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.settings import SchedulesSettings, Settings

LOOKED_FROM = datetime(2021, 1, 1)  # noqa: DTZ001 - a Friday on the wall clock: the first gap may be a weekend
LOOKED_FOR, LEAST_TICKS, MOST_TICKS = timedelta(days=400), 10, 1500
"""The search for the longest interval: its length, and the number of ticks it covers."""

LOOKED_FOR_ALIKE = timedelta(days=2)
"""Its length if all days are alike."""

AMBIGUOUS = timedelta(hours=2)
"""Clocks never change by more."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A cron expression of five fields in an IANA time zone."""

    cron: str
    timezone: str

    def latest(self, now: datetime) -> datetime:
        """The last tick at or before `now`, in UTC."""
        return self._tick(now + timedelta(microseconds=1), is_reverse=True)

    def next(self, now: datetime) -> datetime:
        """The first tick after `now`, in UTC."""
        return self._tick(now, is_reverse=False)

    @property
    def longest_interval(self) -> timedelta:
        """The longest time between two ticks by the wall clock; for a cadence of weekdays, over the weekend.

        Depends on the cron expression only, not on today's date.
        """
        return _longest_interval(self.cron)

    def _tick(self, start: datetime, *, is_reverse: bool) -> datetime:
        from cronsim import CronSim

        # Starts a little earlier, since the tick of an hour that occurs twice is moved.
        far = start + AMBIGUOUS if is_reverse else start - AMBIGUOUS
        for found in CronSim(self.cron, far.astimezone(ZoneInfo(self.timezone)), reverse=is_reverse):
            tick = self._second_time(found).astimezone(UTC)
            if tick < start if is_reverse else tick > start:
                return tick
        raise AssertionError(self.cron)  # the settings accept no expression without a tick

    def _second_time(self, tick: datetime) -> datetime:
        """The tick as Dagster has it: a fixed hour that occurs twice ticks the second time."""
        is_every_hour = self.cron.split()[1].startswith("*")
        return tick if is_every_hour else tick.replace(fold=1)


@lru_cache(maxsize=256)
def _longest_interval(cron: str) -> timedelta:
    from cronsim import CronSim

    are_days_alike = cron.split()[2:] == ["*", "*", "*"]
    length = LOOKED_FOR_ALIKE if are_days_alike else LOOKED_FOR
    longest, last, count = timedelta(0), None, 0
    for tick in CronSim(cron, LOOKED_FROM):
        if last is not None:
            longest = max(longest, tick - last)
        last, count = tick, count + 1
        if count > MOST_TICKS or (count > LEAST_TICKS and tick - LOOKED_FROM > length):
            break
    return longest


def cadence_of(settings: Settings, name: str) -> Cadence:
    """The cadence of one pull.

    If the `schedules` section is invalid, the documented cadences apply: the pulls go on, and the settings' errors are
    reported elsewhere.
    """
    schedules = SchedulesSettings() if "schedules" in settings.errors else settings.schedules
    section = settings.section_of(name)
    return Cadence(schedules.cron_of(section, name) or _documented(section, name), schedules.timezone)


def _documented(section: str, name: str) -> str:
    """The documented cadence. The pulls of a section each get their own minute, the same on every machine."""
    definition = DEFINITIONS[section]
    if not definition.spread_minutes:
        return definition.cron
    minute, rest = definition.cron.split(" ", 1)
    offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % definition.spread_minutes
    return f"{int(minute) + offset} {rest}"
