"""The gate sensor: it records the gate's history, catches up, and ends dead runs (requirement G3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import text

from gainsight_pipelines.scheduling import gate
from gainsight_pipelines.store import runs
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines_tests.orchestration.running import NAMES, Located

pytestmark = [pytest.mark.usefixtures("hours_from_a_tick"), pytest.mark.ticks]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed gate is checked every second; missed pulls are caught up once it has been open for five seconds."""
    monkeypatch.setenv(gate.SECONDS_VARIABLE, "1")


def evaluations(result: dg.SensorResult) -> list[tuple[bool, str]]:
    found = []
    for event in result.asset_events:
        assert isinstance(event, dg.AssetCheckEvaluation)
        found.append((event.passed, str(event.metadata["reason"].value)))
    return found


def age_gate(located: Located, span: timedelta) -> None:
    """Moves the gate's last check, and the start of its state, into the past."""
    with located.pulling.store.connect("test") as connection:
        connection.execute(
            "UPDATE crm_gate SET since = since - %(span)s, checked_at = checked_at - %(span)s", {"span": span}
        )


def watch_since(located: Located, span: timedelta) -> None:
    with located.pulling.store.connect("test") as connection:
        names = list(located.pulling.settings.object_names())
        runs.watch_objects(connection, names, datetime.now(UTC) - span)


def requested(result: dg.SensorResult) -> set[str]:
    return {str(request.job_name) for request in result.run_requests or ()}


def test_the_gate_check_has_one_evaluation_per_change(located: Located) -> None:
    assert evaluations(located.sense()) == [(True, "open")]
    assert evaluations(located.sense()) == []
    located.pulling.sandbox.switch(crm_down=True)
    assert evaluations(located.sense()) == [], "it looks again after five minutes"
    age_gate(located, timedelta(minutes=6))
    closed = located.sense()
    assert evaluations(closed) == [(False, "not_answering")]
    assert "closed for 0 min" in str(closed.skip_reason)
    located.pulling.sandbox.switch(crm_down=False, crm_reject=True)
    age_gate(located, timedelta(minutes=2))
    assert evaluations(located.sense()) == [(False, "rejected")]
    located.pulling.sandbox.switch(crm_reject=False)
    age_gate(located, timedelta(minutes=2))
    assert evaluations(located.sense()) == [(True, "open")]


def test_a_gated_run_triggers_a_check_at_once(located: Located) -> None:
    located.sense()
    located.pulling.sandbox.switch(crm_down=True)
    assert not located.run("company").success
    assert evaluations(located.sense()) == [(False, "not_answering")]


def test_missed_pulls_are_requested_once_the_gate_has_stayed_open(located: Located) -> None:
    watch_since(located, timedelta(days=9))
    located.pulling.sandbox.switch(crm_down=True)
    assert requested(located.sense()) == set()
    located.pulling.sandbox.switch(crm_down=False)
    age_gate(located, timedelta(minutes=2))
    assert requested(located.sense()) == set(), "it has only just come back: it may flap"
    age_gate(located, timedelta(minutes=6))
    expected = {NAMES.job(name) for name in located.pulling.settings.object_names()}
    assert requested(located.sense()) == expected
    assert located.run("company").success
    assert requested(located.sense()) == expected - {"gainsight_pull_company"}


def test_running_and_stopped_pulls_are_not_requested(located: Located) -> None:
    watch_since(located, timedelta(days=9))
    located.sense()
    age_gate(located, timedelta(minutes=6))
    made_run(located, "activity")
    repository = located.definitions.get_repository_def()
    stop_schedule(located.instance, repository, "gainsight_pull_product_usage_schedule")
    names = {NAMES.job(name) for name in located.pulling.settings.object_names()}
    assert requested(located.sense()) == names - {"gainsight_pull_activity", "gainsight_pull_product_usage"}
    with located.pulling.store.connect("test") as connection:
        assert runs.stopped_objects(connection) == {"product_usage"}


def test_a_run_that_was_never_launched_blocks_nothing(located: Located) -> None:
    """If the process that created a run is killed before the launch, nothing will ever launch the run."""
    watch_since(located, timedelta(days=9))
    located.sense()
    age_gate(located, timedelta(minutes=6))
    made_run(located, "activity")
    assert "gainsight_pull_activity" not in requested(located.sense())
    storage = located.instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    with storage.connect() as connection:
        connection.execute(text("UPDATE runs SET create_timestamp = '2026-01-01 00:00:00'"))
    assert "gainsight_pull_activity" in requested(located.sense())


def stop_schedule(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, name: str, *, location: str = "test"
) -> None:
    """Stores the state that the switch in the UI stores."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteInstigatorOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData

    origin = RemoteInstigatorOrigin(
        repository_origin=RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), repository.name),
        instigator_name=name,
    )
    data = ScheduleInstigatorData("* * * * *")
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, data))


def made_run(located: Located, name: str, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
    """Creates a run of a pull's job as Dagster does: with the tags of the job and the request."""
    job = located.definitions.resolve_job_def(NAMES.job(name))
    return located.instance.create_run_for_job(job, tags={**job.run_tags, **(tags or {})})


def started_run(located: Located, minutes_ago: float, name: str = "company") -> dg.DagsterRun:
    """A run with the status STARTED in Dagster, without a process."""
    run = made_run(located, name)
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name)
    located.instance.report_dagster_event(event, run.run_id, timestamp=at.timestamp())
    with located.pulling.store.connect("test") as connection:
        runs.start_run(connection, run.run_id, name, at)
    return run


def status_of(located: Located, run: dg.DagsterRun) -> tuple[Any, ...]:
    found = located.instance.get_run_by_id(run.run_id)
    assert found is not None
    return (
        found.status,
        *located.pulling.query("SELECT status FROM sync_run WHERE run_id = %s", (run.run_id,))[0],
    )


def test_a_dead_run_is_reported_as_failed(located: Located) -> None:
    run = started_run(located, minutes_ago=3)
    located.sense()
    assert status_of(located, run) == (dg.DagsterRunStatus.FAILURE, "failed")


def test_a_running_or_new_run_is_not_declared_dead(located: Located) -> None:
    alive, young = started_run(located, minutes_ago=300), started_run(located, minutes_ago=0.5, name="activity")
    with object_lease(located.pulling.store, "company", alive.run_id):
        located.sense()
    assert status_of(located, alive) == (dg.DagsterRunStatus.STARTED, "running")
    assert status_of(located, young) == (dg.DagsterRunStatus.STARTED, "running")


def test_the_record_of_a_run_that_dagster_found_dead_is_ended(located: Located) -> None:
    """If the record stayed `running` until the next pull, nothing would catch up, and `status` would show it."""
    run, days = started_run(located, minutes_ago=3), started_run(located, minutes_ago=3, name="survey_survey_response")
    located.pulling.query_and_commit(
        "UPDATE sync_run SET object = %s WHERE run_id = %s", ("survey_survey_response_by_day", days.run_id)
    )
    for each in (run, days):
        located.instance.report_run_failed(each)
    with object_lease(located.pulling.store, "survey_survey_response", days.run_id):
        located.sense()
    assert status_of(located, run) == (dg.DagsterRunStatus.FAILURE, "failed")
    assert status_of(located, days) == (dg.DagsterRunStatus.FAILURE, "running"), "its object is being pulled"
    located.sense()
    assert status_of(located, days) == (dg.DagsterRunStatus.FAILURE, "failed")


def test_a_dead_run_is_caught_up(located: Located) -> None:
    watch_since(located, timedelta(days=9))
    located.sense()
    age_gate(located, timedelta(minutes=6))
    started_run(located, minutes_ago=3)
    assert "gainsight_pull_company" not in requested(located.sense()), "its end has only just been noticed"
    with located.pulling.store.connect("test") as connection:
        connection.execute("UPDATE sync_run SET finished_at = finished_at - interval '6 min'")
    assert "gainsight_pull_company" in requested(located.sense())


def failed_before_its_record(located: Located, request: dg.RunRequest, minutes_ago: float) -> None:
    """A requested run that failed before its process reached the pull."""
    run = made_run(located, str(request.job_name).removeprefix("gainsight_pull_"), request.tags)
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_FAILURE.value, job_name=run.job_name)
    located.instance.report_dagster_event(event, run.run_id, timestamp=at.timestamp())


def test_a_run_that_failed_without_a_record_is_requested_again(located: Located) -> None:
    """The second request needs another run key: Dagster accepts each key once, even if its run fails."""
    watch_since(located, timedelta(days=9))
    located.sense()
    age_gate(located, timedelta(minutes=60))

    def request() -> dg.RunRequest | None:
        asked = located.sense().run_requests or ()
        return next((each for each in asked if each.job_name == "gainsight_pull_company"), None)

    first = request()
    assert first is not None
    failed_before_its_record(located, first, minutes_ago=4)
    assert request() is None, "it waits as after any attempt"
    for run in located.instance.get_run_ids():
        located.instance.delete_run(run)
    failed_before_its_record(located, first, minutes_ago=6)
    second = request()
    assert second is not None
    assert second.run_key != first.run_key


@pytest.mark.usefixtures("quick")
def test_a_gate_that_cannot_be_evaluated_says_why(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gate.SECONDS_VARIABLE, "soon")
    assert "1 to 3600" in str(located.sense().skip_reason)
    monkeypatch.setenv(gate.SECONDS_VARIABLE, "1")
    monkeypatch.setenv("GAINSIGHT_PIPELINES_DATABASE_URL", "postgresql:///nowhere?host=/nonexistent")
    result = located.sense()
    assert "The database can't be reached" in str(result.skip_reason)
    assert requested(result) == set()
