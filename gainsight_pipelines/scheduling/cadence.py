"""When each object is due by itself: the documented cadences, or the cron expressions that the settings put in place.

Companies daily, activities every four hours, surveys daily, product usage weekly. Times are computed here for people
(`status`) and for what was missed; the ticks themselves are Dagster's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from gainsight_pipelines.settings import SchedulesSettings, Settings, section_of

CADENCES: Mapping[str, str] = {
    "company": "5 5 * * *",
    "activity": "20 */4 * * *",
    "surveys": "35 5 * * *",
    "product_usage": "50 5 * * 1",
}
"""Cron by section of the settings, apart from each other within the hour."""

SURVEY_SPREAD = 12
"""Minutes over which several survey objects are spread, so that they don't start together."""

LOOKED_AT = 10
"""Ticks among which the longest interval is looked for."""


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

    def longest_interval(self, now: datetime) -> timedelta:
        """The longest time between two ticks of those around `now`: over the weekend, for a cadence of weekdays."""
        ticks = [self.latest(now)]
        while len(ticks) <= LOOKED_AT:
            ticks.append(self.next(ticks[-1]))
        return max(later - earlier for earlier, later in pairwise(ticks))

    def _tick(self, start: datetime, *, is_reverse: bool) -> datetime:
        from cronsim import CronSim

        return next(CronSim(self.cron, start.astimezone(ZoneInfo(self.timezone)), reverse=is_reverse)).astimezone(UTC)


def cadence_of(settings: Settings, name: str) -> Cadence:
    """The cadence of one pull.

    A broken `schedules` section leaves the documented ones: the settings' errors say so, and the pulls go on.
    """
    schedules = SchedulesSettings() if "schedules" in settings.errors else settings.schedules
    section = section_of(name)
    return Cadence(getattr(schedules, section) or _documented(section, name), schedules.timezone)


def _documented(section: str, name: str) -> str:
    """The documented cadence; each survey object has a minute of its own, the same on every machine."""
    cron = CADENCES[section]
    if section != "surveys":
        return cron
    minute, rest = cron.split(" ", 1)
    offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % SURVEY_SPREAD
    return f"{int(minute) + offset} {rest}"
