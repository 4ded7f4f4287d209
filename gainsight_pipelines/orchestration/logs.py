"""A pull's progress as events of its run, which the UI shows wherever compute logs go.

Events are kept forever, so there are few: the lines of the first seconds, then at growing intervals.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.logs import subject

FIRST_SECONDS, LONGEST_SECONDS = 5.0, 600.0
"""Seconds before the first event, and the longest interval; in between it doubles."""


class Log(Protocol):
    """A step's log, whose lines become events."""

    def info(self, msg: object, /) -> None:
        """Logs a line."""


class _Events(logging.Handler):
    def __init__(self, log: Log, run_id: str, clock: Clock) -> None:
        super().__init__(logging.INFO)
        self._log, self._run_id, self._clock = log, run_id, clock
        self._wait = FIRST_SECONDS
        self._next = clock.monotonic() + self._wait

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock.monotonic()
        if now >= self._next and subject().get("run_id") == self._run_id:
            self._wait = min(2 * self._wait, LONGEST_SECONDS)
            self._next = now + self._wait
            self._log.info(record.getMessage())


@contextmanager
def progress_in_events(log: Log, run_id: str, clock: Clock) -> Iterator[None]:
    """Turns some of what the package logs about a run into events of that run."""
    logger, handler = logging.getLogger("gainsight_pipelines"), _Events(log, run_id, clock)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
