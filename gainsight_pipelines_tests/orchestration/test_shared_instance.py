"""A shared Dagster instance: runs of other code locations and tenants are never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.identity import LOCATION_TAG, PULL_TAG, STORE_TAG
from gainsight_pipelines.orchestration.purge import Limits, purge
from gainsight_pipelines.store import runs
from gainsight_pipelines_tests.orchestration.running import Located
from gainsight_pipelines_tests.orchestration.test_sensors import age_gate, requested, stop_schedule, watch_since
from gainsight_pipelines_tests.pulling import Pulling, pulling_on

pytestmark = [pytest.mark.usefixtures("hours_from_a_tick"), pytest.mark.ticks]


@dg.asset(key=["gainsight", "stg_activity"])
def staged() -> None: ...


@dg.asset(key=["gainsight"])
def one_part() -> None: ...


@dg.asset(key=["gainsight", "company", "mart"])
def mart() -> None: ...


@dg.job
def pull_orders() -> None:
    @dg.op
    def read() -> None: ...

    read()


FOREIGN = dg.Definitions(assets=[staged, one_part, mart], jobs=[pull_orders], executor=dg.in_process_executor)


def begun(instance: dg.DagsterInstance, job: dg.JobDefinition, minutes_ago: float = 9, **options: Any) -> dg.DagsterRun:
    """A run of this job with the status STARTED in Dagster."""
    run = instance.create_run_for_job(job, **options)
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name)
    instance.report_dagster_event(event, run.run_id, timestamp=at.timestamp())
    return run


def status(located: Located, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = located.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_no_run_of_another_location_is_reported_as_dead(located: Located) -> None:
    every = FOREIGN.resolve_implicit_global_asset_job_def()
    strangers = [
        begun(located.instance, FOREIGN.resolve_job_def("pull_orders")),
        *(begun(located.instance, every, asset_selection=frozenset({asset.key})) for asset in (staged, one_part, mart)),
    ]
    located.sense()
    assert [status(located, run) for run in strangers] == [dg.DagsterRunStatus.STARTED] * 4


def joined(located: Located) -> dg.Definitions:
    """Our definitions with another team's asset downstream of ours."""

    @dg.asset(deps=[["gainsight", "company"]])
    def scores() -> None: ...

    return dg.Definitions.merge(
        located.definitions,
        dg.Definitions(assets=[scores], jobs=[dg.define_asset_job("scored", ["gainsight/company", "scores"])]),
    )


def test_a_run_that_goes_on_with_other_assets_is_alive(located: Located) -> None:
    run = begun(located.instance, joined(located).resolve_job_def("scored"))
    with located.pulling.store.connect("test") as connection:
        runs.start_run(connection, run.run_id, "company", datetime.now(UTC) - timedelta(minutes=9))
        runs.update_run(connection, run.run_id, "company", {"status": "completed", "finished_at": datetime.now(UTC)})
    located.sense()
    assert status(located, run) == dg.DagsterRunStatus.STARTED


def test_a_step_ended_in_sight_of_its_executor_does_not_fail_the_run(located: Located) -> None:
    """The multiprocess executor outlives the process of our step, and goes on with other teams' steps."""
    run = begun(located.instance, joined(located).resolve_job_def("scored"))
    with located.pulling.store.connect("test") as connection:
        runs.start_run(connection, run.run_id, "company", datetime.now(UTC) - timedelta(minutes=9))
    step = {"job_name": "scored", "step_key": "gainsight__company"}
    located.instance.report_dagster_event(
        DagsterEvent(event_type_value=DagsterEventType.STEP_START.value, **step), run.run_id
    )
    crashed = StepFailureData(error=None, user_failure_data=None)
    located.instance.report_dagster_event(
        DagsterEvent(event_type_value=DagsterEventType.STEP_FAILURE.value, event_specific_data=crashed, **step),
        run.run_id,
    )
    located.sense()
    assert status(located, run) == dg.DagsterRunStatus.STARTED
    assert located.pulling.query("SELECT status FROM sync_run") == [("failed",)]


@pytest.fixture
def other_tenant(located: Located, postgres_server: EmbeddedServer) -> Iterator[Pulling]:
    """Another tenant with objects of the same names, in another database."""
    with pulling_on(postgres_server, located.pulling.sandbox) as other:
        yield other


def test_runs_of_another_tenant_are_left_alone(located: Located, other_tenant: Pulling, tmp_path: Any) -> None:
    """`pulling_on` has put the other tenant's database into the environment; the test puts ours back."""
    theirs = Located(other_tenant, tmp_path / "other", located.instance)
    theirs.folder.mkdir()
    done = theirs.run("company").dagster_run
    pulling = begun(
        located.instance, theirs.definitions.resolve_job_def("gainsight_pull_company"), tags=tags_of(located, done)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAINSIGHT_PIPELINES_DATABASE_URL", located.pulling.store.url)
        watch_since(located, timedelta(days=9))
        located.sense()
        age_gate(located, timedelta(minutes=6))
        assert "gainsight_pull_company" in requested(located.sense()), "the other's run is none of ours"
        later = datetime.now(UTC) + timedelta(seconds=1)
        assert purge(located.instance, located.pulling.store, Limits(later), is_dry=False).dagster_runs == 0
    assert status(located, pulling) == dg.DagsterRunStatus.STARTED
    assert status(located, done) == dg.DagsterRunStatus.SUCCESS


def tags_of(located: Located, run: dg.DagsterRun) -> Mapping[str, str]:
    found = located.instance.get_run_by_id(run.run_id)
    assert found is not None
    return {name: found.tags[name] for name in (PULL_TAG, STORE_TAG)}


def test_purge_keeps_other_runs_and_shared_ones(located: Located) -> None:
    every = FOREIGN.resolve_implicit_global_asset_job_def()
    kept = {
        FOREIGN.resolve_job_def("pull_orders").execute_in_process(instance=located.instance).run_id,
        every.execute_in_process(instance=located.instance).run_id,
        joined(located).resolve_job_def("scored").execute_in_process(instance=located.instance).run_id,
    }
    old, last = located.run("company").run_id, located.run("company").run_id
    later = Limits(datetime.now(UTC) + timedelta(seconds=1))
    done = purge(located.instance, located.pulling.store, later, is_dry=False)
    assert done.dagster_runs == 1
    assert located.instance.get_run_by_id(old) is None
    assert set(located.instance.get_run_ids()) == kept | {last}


def test_a_run_that_fails_before_its_first_step_is_purged_too(located: Located) -> None:
    """Two runs launched by hand: ours is purged, that of another location with the same job names is kept."""
    located.origin = RegisteredCodeLocationOrigin("ours")
    repository = located.definitions.get_repository_def().name
    made = {}
    for location in ("ours", "theirs"):
        run = begun(
            located.instance,
            located.definitions.resolve_job_def("gainsight_pull_company"),
            tags={PULL_TAG: "company", LOCATION_TAG: f"{repository}@{location}"},
        )
        located.instance.report_run_failed(run, "The run worker could not be launched.")
        made[location] = run.run_id
    located.sense()
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert purge(located.instance, located.pulling.store, Limits(later), is_dry=False).dagster_runs == 1
    assert located.instance.get_run_ids() == [made["theirs"]]


def test_an_asset_materialized_without_its_job_is_recognised(located: Located) -> None:
    """The Materialize button in the UI runs Dagster's implicit job, not one of ours."""
    job = located.definitions.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["gainsight", name]) for name in ("company", "activity")]
    result = job.execute_in_process(instance=located.instance, asset_selection=keys)
    run = located.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert {"activity", "company"} <= set(run.tags[PULL_TAG].split(","))
    assert run.tags[STORE_TAG]


def test_a_schedule_stopped_in_another_location_has_no_effect_here(located: Located) -> None:
    watch_since(located, timedelta(days=9))
    located.origin = RegisteredCodeLocationOrigin("ours")
    located.sense()
    age_gate(located, timedelta(minutes=6))
    repository = located.definitions.get_repository_def()
    stop_schedule(located.instance, repository, "gainsight_pull_company_schedule", location="former")
    assert "gainsight_pull_company" in requested(located.sense())
    stop_schedule(located.instance, repository, "gainsight_pull_company_schedule", location="ours")
    assert "gainsight_pull_company" not in requested(located.sense())
