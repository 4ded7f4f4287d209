"""A clock for tests: it tells the machine's time, and records waits instead of sleeping."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class RecordingClock:
    """A clock that doesn't wait; ``sleeps`` holds the seconds of each call."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
