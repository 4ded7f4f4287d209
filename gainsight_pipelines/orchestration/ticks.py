"""Ticks from Dagster's own iterator, so that schedules and catch-up agree on them to the second.

They would differ at clock changes, especially of half an hour, and a pull would start twice. `status` shows times from
`scheduling.cadence`, which doesn't import Dagster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster._utils.schedules import schedule_execution_time_iterator

from gainsight_pipelines.scheduling.cadence import Cadence

SPARE = timedelta(hours=3)
"""More than any clock change lengthens the longest interval."""


@dataclass(frozen=True, slots=True)
class DagsterCadence(Cadence):
    """A cadence with Dagster's ticks."""

    def latest(self, now: datetime) -> datetime:
        """The last tick at or before `now`, in UTC."""
        latest = None
        # Forward, like the scheduler: backward Dagster gives other ticks at clock changes of half an hour.
        for tick in self._from(now - self.longest_interval - SPARE):
            if tick > now:
                break
            latest = tick
        assert latest is not None  # the settings accept no expression without a tick
        return latest

    def next(self, now: datetime) -> datetime:
        """The first tick after `now`, in UTC."""
        return next(tick for tick in self._from(now) if tick > now)

    def _from(self, start: datetime) -> Iterator[datetime]:
        ticks = schedule_execution_time_iterator(start.timestamp(), self.cron, self.timezone)
        return (tick.astimezone(UTC) for tick in ticks)
