"""When each object is due by itself: its documented cadence, or the cron expression that the settings put in place.

Times are computed here for people (`status`, the settings page). Who starts runs asks Dagster's own iterator instead
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
"""Where the longest interval is looked for: from when, for how long, and among how many ticks."""

AMBIGUOUS = timedelta(hours=2)
"""No change of the clocks is longer."""


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
        """The longest time between two ticks, on the wall clock: over the weekend, for a cadence of weekdays.

        By the cron expression alone: the same today and tomorrow.
        """
        return _longest_interval(self.cron)

    def _tick(self, start: datetime, *, is_reverse: bool) -> datetime:
        from cronsim import CronSim

        # From a little further off, as the tick of an hour that the clocks go through twice is moved.
        far = start + AMBIGUOUS if is_reverse else start - AMBIGUOUS
        for found in CronSim(self.cron, far.astimezone(ZoneInfo(self.timezone)), reverse=is_reverse):
            tick = self._second_time(found).astimezone(UTC)
            if tick < start if is_reverse else tick > start:
                return tick
        raise AssertionError(self.cron)  # the settings take no expression without a tick

    def _second_time(self, tick: datetime) -> datetime:
        """The tick as Dagster has it: at a fixed hour that comes twice, the second time."""
        is_every_hour = self.cron.split()[1].startswith("*")
        return tick if is_every_hour else tick.replace(fold=1)


@lru_cache(maxsize=256)
def _longest_interval(cron: str) -> timedelta:
    from cronsim import CronSim

    longest, last, count = timedelta(0), None, 0
    for tick in CronSim(cron, LOOKED_FROM):
        if last is not None:
            longest = max(longest, tick - last)
        last, count = tick, count + 1
        if count > MOST_TICKS or (count > LEAST_TICKS and tick - LOOKED_FROM > LOOKED_FOR):
            break
    return longest


def cadence_of(settings: Settings, name: str) -> Cadence:
    """The cadence of one pull.

    A broken `schedules` section leaves the documented ones: the settings' errors say so, and the pulls go on.
    """
    schedules = SchedulesSettings() if "schedules" in settings.errors else settings.schedules
    section = settings.section_of(name)
    return Cadence(schedules.cron_of(section, name) or _documented(section, name), schedules.timezone)


def _documented(section: str, name: str) -> str:
    """The documented cadence; where a section has several pulls, each has a minute of its own, on every machine."""
    definition = DEFINITIONS[section]
    if not definition.spread_minutes:
        return definition.cron
    minute, rest = definition.cron.split(" ", 1)
    offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % definition.spread_minutes
    return f"{int(minute) + offset} {rest}"
