"""Compares the ticks of a cadence with those of Dagster's scheduler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dagster._utils.schedules import schedule_execution_time_iterator

from gainsight_pipelines.scheduling.cadence import Cadence


def assert_ticks_of_dagster(cadence: Cadence, cron: str, timezone: str, change: datetime) -> None:
    """Asserts that the 12 ticks from five hours before `change` equal Dagster's, with both `next` and `latest`."""
    start = change - timedelta(hours=5)
    scheduler = schedule_execution_time_iterator(start.timestamp(), cron, timezone)
    expected = [next(scheduler).astimezone(UTC) for _ in range(12)]
    found = [cadence.next(start - timedelta(seconds=1))]
    while len(found) < 12:
        found.append(cadence.next(found[-1]))
    assert found == expected
    assert [cadence.latest(tick) for tick in expected] == expected
    assert [cadence.latest(tick - timedelta(seconds=1)) for tick in expected[1:]] == expected[:-1]
