"""Old runs are purged with their events, except runs that the UI or the catch-up needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunsTable

from gainsight_pipelines.orchestration.identity import LOCATION_TAG, step_tags
from gainsight_pipelines.orchestration.purge import Limits, Purged, purge
from gainsight_pipelines_tests.orchestration.running import NAMES, Located


def test_old_runs_are_deleted_except_the_last_successful_one_of_each_object(located: Located) -> None:
    ids = [located.run("company").run_id for _ in range(2)]
    located.pulling.sandbox.switch(crm_down=True)
    ids.append(located.run("company").run_id)
    later = datetime.now(UTC) + timedelta(seconds=1)
    store = located.pulling.store
    assert purge(located.instance, store, Limits(later), is_dry=True) == Purged(2, 1, 0)
    assert set(located.instance.get_run_ids()) == set(ids)
    assert purge(located.instance, store, Limits(later), is_dry=False) == Purged(2, 1, 0)
    assert list(located.instance.get_run_ids()) == [ids[1]]
    event = located.instance.get_latest_materialization_event(dg.AssetKey(["gainsight", "company"]))
    assert event is not None
    assert event.run_id == ids[1]
    assert located.pulling.query("SELECT run_id FROM sync_run ORDER BY started_at") == [(ids[1],), (ids[2],)]


def test_materialized_days_stay_materialized_and_hide_no_regular_run(located: Located) -> None:
    """If a day's event were deleted, Dagster would show the day as missing, and a backfill would read it again."""
    name = "survey_survey_response"
    regular = located.run(name).run_id
    key = dg.AssetKey(["gainsight", f"{name}_by_day"])
    job = located.definitions.resolve_implicit_global_asset_job_def()
    days = [f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}" for ago in (40, 39)]
    for day in days:
        tags = {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
        assert job.execute_in_process(instance=located.instance, asset_selection=[key], tags=tags).success
    located.pulling.sandbox.switch(crm_down=True)
    gated = job.execute_in_process(
        instance=located.instance, asset_selection=[key], tags=tags, raise_on_error=False
    ).run_id
    purge(located.instance, located.pulling.store, Limits(datetime.now(UTC) + timedelta(seconds=1)), is_dry=False)
    assert located.instance.get_materialized_partitions(key) == set(days)
    assert located.instance.has_run(regular)
    assert not located.instance.has_run(gated)


def test_recent_and_running_runs_are_kept(located: Located) -> None:
    located.run("company")
    located.instance.create_run_for_job(located.definitions.resolve_job_def("gainsight_pull_company"))
    week_ago = Limits(datetime.now(UTC) - timedelta(days=8))
    assert purge(located.instance, located.pulling.store, week_ago, is_dry=False) == Purged(0, 0, 0)
    assert len(located.instance.get_runs(dg.RunsFilter())) == 2


HERE = "__repository__@here"


def stillborn(located: Located, job: str, location: str = HERE, **more: Any) -> str:
    """A run without any step, failed by default, as when the code location doesn't load."""
    tags = {LOCATION_TAG: location, **more.pop("tags", {})}
    definition = more.pop("definition", None) or located.definitions.resolve_job_def(job)
    run = located.instance.create_run_for_job(
        definition, tags=tags, status=more.pop("status", dg.DagsterRunStatus.FAILURE), **more
    )
    return run.run_id


def began_at(instance: dg.DagsterInstance, runs: set[str], moment: datetime) -> None:
    """Moves the creation of these runs to an earlier moment, with SQL because Dagster has no function for it."""
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    with storage.connect() as connection:
        connection.execute(
            RunsTable.update().where(RunsTable.c.run_id.in_(runs)).values(create_timestamp=moment.replace(tzinfo=None))
        )


def retain(located: Located, *, is_dry: bool = False) -> dict[str, Any]:
    """Runs the retention job; returns what it deleted, from its metadata."""
    config = {"ops": {"gainsight_delete_old": {"config": {"dry_run": is_dry}}}}
    done = located.definitions.resolve_job_def(NAMES.retention).execute_in_process(
        instance=located.instance, run_config=config, tags={LOCATION_TAG: HERE}
    )
    assert done.success
    (event,) = [each for each in done.all_events if each.is_successful_output]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def test_nothing_is_deleted_unless_the_settings_enable_it(located: Located) -> None:
    repository = located.definitions.get_repository_def()
    assert not repository.has_job(NAMES.retention)
    located.pulling.content["retention"] = {}
    assert not located.definitions.get_repository_def().has_job(NAMES.retention)
    located.pulling.content["retention"] = {"enabled": True}
    repository = located.definitions.get_repository_def()
    schedule = repository.get_schedule_def(f"{NAMES.retention}_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "40 3 * * *"


def test_retention_deletes_what_is_old_of_this_tenant_and_nobody_elses(located: Located) -> None:
    located.pulling.content["retention"] = {"enabled": True, "runs_days": 8, "rejected_days": 30}
    old = datetime.now(UTC) - timedelta(days=40)

    @dg.asset(key=["theirs", "orders"])
    def orders() -> None: ...

    @dg.job
    def their_job() -> None: ...

    ours = dg.AssetKey(["gainsight", "company"])
    both = dg.Definitions.merge(located.definitions, dg.Definitions(assets=[orders]))
    every = both.resolve_implicit_global_asset_job_def()
    company = NAMES.job("company")
    gone = {
        stillborn(located, company, tags=step_tags("company")),
        stillborn(located, company, tags=step_tags("company"), status=dg.DagsterRunStatus.CANCELED),
        stillborn(located, "", definition=every, asset_selection=frozenset({ours})),
    }
    stays = {
        stillborn(located, company, "__repository__@another", tags=step_tags("company")),
        stillborn(located, company, tags=step_tags("company"), status=dg.DagsterRunStatus.STARTED),
        stillborn(located, "", definition=every, asset_selection=frozenset({ours, orders.key})),
        stillborn(located, "", definition=every, asset_selection=frozenset({orders.key})),
        stillborn(located, "", definition=every),
        stillborn(located, "", definition=their_job),
        stillborn(located, "", definition=their_job, tags=step_tags("company")),
    }
    began_at(located.instance, gone | stays, old)
    located.pulling.query_and_commit(
        """INSERT INTO rejected_record (object, payload_hash, payload, reason, run_id, last_seen_at)
           VALUES ('company', 'old', '{}', 'no Gsid', 'r', %s), ('company', 'new', '{}', 'no Gsid', 'r', now())""",
        (old,),
    )
    expected = {"dagster_runs": 3, "sync_runs": 0, "rejected_records": 1}
    assert retain(located, is_dry=True) == expected | {"dry_run": True}
    assert gone | stays <= set(located.instance.get_run_ids())
    assert retain(located) == expected | {"dry_run": False}
    left = set(located.instance.get_run_ids())
    assert stays <= left
    assert not gone & left
    assert located.pulling.query("SELECT payload_hash FROM rejected_record") == [("new",)]
    assert retain(located)["dagster_runs"] == 0
