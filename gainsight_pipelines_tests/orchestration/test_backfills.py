"""Backfills of survey windows in Dagster: a range of days in one run, each day with its own numbers (S8)."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines_tests.orchestration.running import failure_of
from gainsight_pipelines_tests.pulling import Pulling
from gainsight_pipelines_tests.waiting import wait_until

KEY = dg.AssetKey(["gainsight", "survey_survey_response_by_day"])
RANGE = "dagster/asset_partition_range_"


@pytest.fixture
def instance() -> Any:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def backfill(
    pulling: Pulling, folder: Path, instance: dg.DagsterInstance, first: str, last: str, **config: Any
) -> dg.ExecuteInProcessResult:
    """Runs what a backfill from the UI launches for a range of days."""
    path = folder / "gainsight.yaml"
    path.write_text(yaml.safe_dump(pulling.content))
    definitions = build_gainsight_definitions(path)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[KEY],
        tags={f"{RANGE}start": first, f"{RANGE}end": last},
        run_config={"ops": {"gainsight__survey_survey_response_by_day": {"config": config}}},
        raise_on_error=False,
    )


def responses_by_day(pulling: Pulling) -> Counter[str]:
    truth = pulling.truth("survey_response").values()
    return Counter(datetime.fromisoformat(each["dated_at"]).astimezone(UTC).date().isoformat() for each in truth)


def materialized(instance: dg.DagsterInstance) -> dict[str, int]:
    """The rows read, by materialized day."""
    records = instance.fetch_materializations(KEY, limit=1000).records
    found = {}
    for record in records:
        assert record.asset_materialization is not None
        found[str(record.partition_key)] = int(str(record.asset_materialization.metadata["rows_read"].value))
    return found


def test_a_range_of_days_is_one_run_with_a_materialization_per_day(
    pulling: Pulling, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    expected = responses_by_day(pulling)
    days = sorted(expected)[-12:]
    result = backfill(pulling, tmp_path, instance, days[0], days[-1])
    assert result.success
    read = materialized(instance)
    assert {day: count for day, count in read.items() if count} == {day: expected[day] for day in days}
    assert min(read) == days[0]
    assert max(read) == days[-1]
    ((stored,),) = pulling.query("SELECT count(*) FROM activity")
    assert stored == sum(expected[day] for day in days)


def test_days_after_the_limit_stay_missing(pulling: Pulling, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    expected = responses_by_day(pulling)
    days = sorted(expected)[-12:]
    failed = backfill(pulling, tmp_path, instance, days[0], days[-1], response_limit=expected[days[0]] + 1)
    assert not failed.success
    description = failed.filter_events(lambda event: event.is_step_failure)[0].step_failure_data.user_failure_data
    assert description is not None
    assert "was reached on" in str(description.description)
    assert days[0] in materialized(instance)
    assert days[-1] not in materialized(instance)
    assert backfill(pulling, tmp_path, instance, days[0], days[-1], response_limit=100_000).success
    assert days[-1] in materialized(instance)


def test_a_closed_gate_stops_backfills_too(pulling: Pulling, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pulling.sandbox.switch(crm_down=True)
    days = sorted(responses_by_day(pulling))[-2:]
    assert not backfill(pulling, tmp_path, instance, days[0], days[-1]).success
    assert pulling.sandbox.calls()["totals"].get("gainsight", 0) == 0
    assert materialized(instance) == {}


def test_a_backfill_waits_until_another_run_has_pulled_the_object(
    pulling: Pulling, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Several runs of a backfill start at once if the host's instance sets no limit for pools."""
    expected = responses_by_day(pulling)
    day = max(expected)
    name = "survey_survey_response"
    with ThreadPoolExecutor(1) as pool:
        with object_lease(pulling.store, name, "another"):
            waiting = pool.submit(backfill, pulling, tmp_path, instance, day, day)
            wait_until(lambda: pulling.query("SELECT status FROM sync_run") == [("skipped",)], 30)
            assert materialized(instance) == {}
        assert waiting.result(30).success
    assert materialized(instance) == {day: expected[day]}


def test_a_backfill_waits_no_longer_than_configured(
    pulling: Pulling, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    day = max(responses_by_day(pulling))
    with object_lease(pulling.store, "survey_survey_response", "another"):
        result = backfill(pulling, tmp_path, instance, day, day, wait_minutes=0)
    assert "Another run has pulled the object for 0:00:00" in str(failure_of(result).description)
    assert "wait_minutes" in str(failure_of(result).description)
