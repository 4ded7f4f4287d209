"""The tenant's API quota, shared by every process on this database: our share of it is never overdrawn.

Gainsight allows 100 synchronous calls a minute and 50,000 a day, in fixed windows by the wall clock, to everybody in
the company together ("Company API" and "Custom Object API" documentation). So one row per window is all that is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import RateLimited
from gainsight_pipelines.store.connection import Store

CALLS_PER_MINUTE, CALLS_PER_DAY = 100, 50_000
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
logger = logging.getLogger("gainsight_pipelines")

COUNT = """
INSERT INTO api_quota AS q (window_start, window_seconds, calls) VALUES (%s, %s, 1)
ON CONFLICT (window_start, window_seconds) DO UPDATE SET calls = q.calls + 1 WHERE q.calls < %s
RETURNING calls
"""
FORGET = "DELETE FROM api_quota WHERE window_start < %s"


@dataclass(frozen=True, slots=True)
class Quota:
    """Lets calls through as long as our share of the tenant's quota lasts.

    `share` is a fraction of the limits, above 0 and up to 1. `say` takes a sentence when something is waited for.
    """

    store: Store
    clock: Clock
    share: float
    say: Callable[[str], None] = logger.info

    def __call__(self, kind: str) -> None:
        """Counts one call that is about to be made; waits for the next minute when this one's share is used up.

        Raises:
            RateLimited: today's share is used up.
        """
        while not self._counted():
            now = self.clock.now()
            wait = (_start(now, MINUTE) + MINUTE - now).total_seconds()
            self.say(f"waiting {wait:.0f} s: this minute's share of Gainsight's API quota is used up ({kind})")
            self.clock.sleep(wait)

    def used_today(self) -> int:
        """Calls of today (UTC) that went through here."""
        with self.store.connect("quota") as connection:
            return calls_of_day(connection, self.clock.now())

    def _counted(self) -> bool:
        now = self.clock.now()
        minute, day = _start(now, MINUTE), _start(now, DAY)
        per_minute, per_day = self._share_of(CALLS_PER_MINUTE), self._share_of(CALLS_PER_DAY)
        with self.store.connect("quota") as connection, connection.transaction():
            if connection.execute(COUNT, (day, DAY.total_seconds(), per_day)).fetchone() is None:
                raise RateLimited(
                    f"Today's share of Gainsight's API quota ({per_day:,} calls) is used up.",
                    "Run again after 00:00 UTC, or raise `gainsight.quota_share`.",
                    retry_after=(day + DAY - now).total_seconds(),
                )
            counted = connection.execute(COUNT, (minute, MINUTE.total_seconds(), per_minute)).fetchone()
            if counted is None:
                # The call is not made yet: the day's count is taken back.
                raise psycopg.Rollback
            if counted[0] == 1:
                connection.execute(FORGET, (day - DAY,))
        return counted is not None

    def _share_of(self, limit: int) -> int:
        return max(1, int(limit * self.share))


def calls_of_day(connection: psycopg.Connection, moment: datetime) -> int:
    """Calls to Gainsight, by everybody on this database, on the day (UTC) of a moment."""
    return _calls(connection, moment, DAY)


def calls_of_minute(connection: psycopg.Connection, moment: datetime) -> int:
    """Calls to Gainsight, by everybody on this database, in the minute of a moment."""
    return _calls(connection, moment, MINUTE)


def _calls(connection: psycopg.Connection, moment: datetime, window: timedelta) -> int:
    row = connection.execute(
        "SELECT calls FROM api_quota WHERE window_start = %s AND window_seconds = %s",
        (_start(moment, window), window.total_seconds()),
    ).fetchone()
    return int(row[0]) if row else 0


def _start(moment: datetime, length: timedelta) -> datetime:
    """The beginning of the window that a moment lies in."""
    seconds = int(moment.timestamp() // length.total_seconds() * length.total_seconds())
    return datetime.fromtimestamp(seconds, UTC)
