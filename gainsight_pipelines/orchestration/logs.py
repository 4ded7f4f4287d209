"""A pull's progress among the events of its run, where the UI shows it wherever compute logs go.

Each event is kept, so there are few: the lines at hand after some seconds, then after ever longer times.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.logs import subject

FIRST_SECONDS, LONGEST_SECONDS = 5.0, 600.0
"""Before the first event, and between two at the most; in between the time doubles."""


class Log(Protocol):
    """A step's log, whose lines become events."""

    def info(self, msg: object, /) -> None:
        """Keeps a line."""


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
    """Lets what the package logs about a run, now and then, be an event of it."""
    logger, handler = logging.getLogger("gainsight_pipelines"), _Events(log, run_id, clock)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
