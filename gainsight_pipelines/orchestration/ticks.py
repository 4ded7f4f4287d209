"""Ticks by Dagster's own iterator: what a schedule starts and what is caught up are the same ticks, to the second.

The two would differ where the clocks change, most of all where by half an hour, and a pull would start twice. `status`
shows times by `scheduling.cadence`, which spares it the import of Dagster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster._utils.schedules import schedule_execution_time_iterator

from gainsight_pipelines.scheduling.cadence import Cadence

SPARE = timedelta(hours=3)
"""More than any change of the clocks makes the longest interval longer."""


@dataclass(frozen=True, slots=True)
class DagsterCadence(Cadence):
    """A cadence whose ticks Dagster counts."""

    def latest(self, now: datetime) -> datetime:
        """The last tick at or before `now`, in UTC."""
        latest = None
        # Forward, as the scheduler goes: backward Dagster has other ticks where clocks change by half an hour.
        for tick in self._from(now - self.longest_interval - SPARE):
            if tick > now:
                break
            latest = tick
        assert latest is not None  # the settings take no expression without a tick
        return latest

    def next(self, now: datetime) -> datetime:
        """The first tick after `now`, in UTC."""
        return next(tick for tick in self._from(now) if tick > now)

    def _from(self, start: datetime) -> Iterator[datetime]:
        ticks = schedule_execution_time_iterator(start.timestamp(), self.cron, self.timezone)
        return (tick.astimezone(UTC) for tick in ticks)
