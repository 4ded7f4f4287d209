"""A clock for tests that depend on the time of day: it shows the time that the test sets."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock


class StandingClock:
    """A clock that only `sleep` moves; `slept` holds the seconds of each call."""

    def __init__(self, now: datetime) -> None:
        self.time = now
        self.slept: list[float] = []
        self._lock = Lock()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.time = max(self.time, self.time + timedelta(seconds=seconds))
