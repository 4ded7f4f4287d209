"""The tenant's API quota, shared by all processes on this database, so that our share is never exceeded.

Gainsight allows a company 100 synchronous calls a minute and 50,000 a day in all, in fixed windows of wall-clock time
("Company API" and "Custom Object API" documentation). One row per window is therefore enough.

Other tools use the quota too. When Gainsight refuses one process a call, all processes on the store pause until the
time it named; then one of them tries first, so that they don't all run into the next refusal.
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
PROBED_FOR = timedelta(seconds=3)
"""How long a single call goes first after a pause; the caller's next call tells the others that it succeeded."""

LONGEST_PAUSE = timedelta(minutes=2)
"""Longer pauses are an error that says until when."""

logger = logging.getLogger("gainsight_pipelines")

COUNT = """
INSERT INTO api_quota AS q (window_start, window_seconds, calls) VALUES (%s, %s, 1)
ON CONFLICT (window_start, window_seconds) DO UPDATE SET calls = q.calls + 1 WHERE q.calls < %s
RETURNING calls
"""
FORGET = "DELETE FROM api_quota WHERE window_start < %s"


PAUSE = """
INSERT INTO api_pause AS p (until) VALUES (%s)
ON CONFLICT (only_row) DO UPDATE
SET until = CASE WHEN p.is_probe THEN excluded.until ELSE greatest(p.until, excluded.until) END, is_probe = false
"""
PROBE = "UPDATE api_pause SET until = %s, is_probe = true WHERE until <= %s"
ANSWERED = "DELETE FROM api_pause WHERE is_probe"


@dataclass(slots=True)
class Quota:
    """Lets calls through while our share of the tenant's quota lasts.

    `share`: a fraction of the limits, above 0, up to 1. `say`: receives a sentence when something is waited for.
    """

    store: Store
    clock: Clock
    share: float
    say: Callable[[str], None] = logger.info
    _is_probing: bool = False
    """Whether other processes wait for our call, the first one after a pause."""

    def __call__(self, kind: str) -> None:
        """Counts one call that is about to be made; waits if Gainsight or our share allows none now.

        Raises:
            RateLimited: today's share is used up, or Gainsight's pause is longer than we wait.
        """
        while (wait := self._wait(kind)) is not None:
            self.clock.sleep(wait)

    def refused(self, seconds: float) -> None:
        """Records that Gainsight refused a call: no process on this store makes one for so many seconds."""
        self._is_probing = False
        with self.store.connect("quota") as connection:
            connection.execute(PAUSE, (self.clock.now() + timedelta(seconds=seconds),))

    def used_today(self) -> int:
        """The calls of today (UTC) that were counted here."""
        with self.store.connect("quota") as connection:
            return calls_of_day(connection, self.clock.now())

    def _wait(self, kind: str) -> float | None:
        """Seconds to wait before checking again; None: the call is counted and may be made."""
        with self.store.connect("quota") as connection:
            now = self.clock.now()
            if (paused := self._paused(connection, now)) is not None:
                wait, is_probed = paused
                if not is_probed:
                    self.say(f"waiting {wait:.0f} s: Gainsight refused a call, its API quota is used up ({kind})")
                return wait
            if not self._counted(connection, now):
                self._is_probing = False  # no call is made now, so it tells the others nothing
                wait = (_start(now, MINUTE) + MINUTE - now).total_seconds()
                self.say(f"waiting {wait:.0f} s: this minute's share of Gainsight's API quota is used up ({kind})")
                return wait
        return None

    def _paused(self, connection: psycopg.Connection, now: datetime) -> tuple[float, bool] | None:
        """How long to wait, and whether only for another process's first call; None: go ahead."""
        if self._is_probing:
            connection.execute(ANSWERED)
            self._is_probing = False
        row = connection.execute("SELECT until, is_probe FROM api_pause").fetchone()
        if row is None:
            return None
        left = row[0] - now
        if left > LONGEST_PAUSE:
            raise RateLimited(
                f"Gainsight wants no calls until {row[0]:%Y-%m-%d %H:%M:%S} UTC: its API quota is used up.",
                "Run again after that, or find out which other tool uses the quota.",
                retry_after=left.total_seconds(),
            )
        if left > timedelta(0):
            return left.total_seconds(), row[1]
        self._is_probing = connection.execute(PROBE, (now + PROBED_FOR, now)).rowcount == 1
        return None if self._is_probing else (PROBED_FOR.total_seconds(), True)

    def _counted(self, connection: psycopg.Connection, now: datetime) -> bool:
        minute, day = _start(now, MINUTE), _start(now, DAY)
        per_minute, per_day = self._share_of(CALLS_PER_MINUTE), self._share_of(CALLS_PER_DAY)
        with connection.transaction():
            if connection.execute(COUNT, (day, DAY.total_seconds(), per_day)).fetchone() is None:
                raise RateLimited(
                    f"Today's share of Gainsight's API quota ({per_day:,} calls) is used up.",
                    "Run again after 00:00 UTC, or raise `gainsight.quota_share`.",
                    retry_after=(day + DAY - now).total_seconds(),
                )
            counted = connection.execute(COUNT, (minute, MINUTE.total_seconds(), per_minute)).fetchone()
            if counted is None:
                # The call isn't made yet: undo the day's count.
                raise psycopg.Rollback
            if counted[0] == 1:
                connection.execute(FORGET, (day - DAY,))
        return counted is not None

    def _share_of(self, limit: int) -> int:
        return max(1, int(limit * self.share))


def calls_of_day(connection: psycopg.Connection, moment: datetime) -> int:
    """The calls to Gainsight by all processes on this database, on the day (UTC) of a moment."""
    return _calls(connection, moment, DAY)


def calls_of_minute(connection: psycopg.Connection, moment: datetime) -> int:
    """The calls to Gainsight by all processes on this database, in the minute of a moment."""
    return _calls(connection, moment, MINUTE)


def _calls(connection: psycopg.Connection, moment: datetime, window: timedelta) -> int:
    row = connection.execute(
        "SELECT calls FROM api_quota WHERE window_start = %s AND window_seconds = %s",
        (_start(moment, window), window.total_seconds()),
    ).fetchone()
    return int(row[0]) if row else 0


def _start(moment: datetime, length: timedelta) -> datetime:
    """The start of the window that contains a moment."""
    seconds = int(moment.timestamp() // length.total_seconds() * length.total_seconds())
    return datetime.fromtimestamp(seconds, UTC)
