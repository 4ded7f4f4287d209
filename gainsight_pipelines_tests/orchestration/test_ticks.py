"""Ticks at clock changes: the catch-up uses the same ticks as Dagster's scheduler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.orchestration.ticks import DagsterCadence
from gainsight_pipelines.settings import settings_of
from gainsight_pipelines_tests.orchestration.test_definitions import SETTINGS
from gainsight_pipelines_tests.scheduling.ticking import assert_ticks_of_dagster

CHANGES = [
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
]


@pytest.mark.parametrize("cron", ["20 */4 * * *", "*/20 * * * *", "30 2 * * *", "50 5 * * 1"])
@pytest.mark.parametrize(("timezone", "change"), CHANGES)
def test_ticks_are_those_of_the_scheduler(cron: str, timezone: str, change: datetime) -> None:
    """At a change of half an hour, as on Lord Howe Island, other iterators return different ticks."""
    assert_ticks_of_dagster(DagsterCadence(cron, timezone), cron, timezone, change)


def test_a_tenants_definitions_use_them() -> None:
    """On Lord Howe Island, clocks go back by half an hour; other iterators then omit the morning's tick."""
    settings = settings_of(SETTINGS | {"schedules": {"timezone": "Australia/Lord_Howe", "company": "20 */4 * * *"}})
    tick = datetime(2026, 4, 4, 17, 50, tzinfo=UTC)
    ours = Tenant(GainsightResource(), settings).cadence("company")
    assert ours.next(tick - timedelta(minutes=1)) == tick
    assert isinstance(ours, DagsterCadence)
