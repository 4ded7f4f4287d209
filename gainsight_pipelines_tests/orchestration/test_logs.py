"""A pull's progress in the events of its own run: frequent at first, then rarer."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from gainsight_pipelines.logs import about
from gainsight_pipelines.orchestration.logs import LONGEST_SECONDS, progress_in_events
from gainsight_pipelines_tests.clocks import StandingClock

logger = logging.getLogger("gainsight_pipelines")


class Kept:
    """Stands in for a step's log, and keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, msg: object, /) -> None:
        self.lines.append(str(msg))


def test_progress_becomes_few_events(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gainsight_pipelines")
    clock, log = StandingClock(datetime(2026, 3, 1, tzinfo=UTC)), Kept()
    with about(run_id="r1"), progress_in_events(log, "r1", clock):
        for second in range(3600):
            logger.info("%d s", second)
            with about(run_id="r2"):
                logger.info("of another run")
            clock.sleep(1)
    logger.info("after it")
    seconds = [int(line.removesuffix(" s")) for line in log.lines]
    assert seconds[:4] == [5, 15, 35, 75]
    assert len(seconds) < 15 and seconds[-1] > 3600 - LONGEST_SECONDS - 1
