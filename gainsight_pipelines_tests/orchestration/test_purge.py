"""Old runs go, with their events; what the UI and the catch-up rely on stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from gainsight_pipelines.orchestration.purge import purge
from gainsight_pipelines_tests.orchestration.running import Located


def test_old_runs_go_and_the_last_successful_one_of_each_object_stays(located: Located) -> None:
    ids = [located.run("company").run_id for _ in range(2)]
    located.pulling.sandbox.switch(crm_down=True)
    ids.append(located.run("company").run_id)
    later = datetime.now(UTC) + timedelta(seconds=1)
    store = located.pulling.store
    assert purge(located.instance, store, later, is_dry=True) == {"dagster_runs": 2, "sync_runs": 1}
    assert set(located.instance.get_run_ids()) == set(ids)
    assert purge(located.instance, store, later, is_dry=False) == {"dagster_runs": 2, "sync_runs": 1}
    assert list(located.instance.get_run_ids()) == [ids[1]]
    event = located.instance.get_latest_materialization_event(dg.AssetKey(["gainsight", "company"]))
    assert event is not None
    assert event.run_id == ids[1]
    assert located.pulling.query("SELECT run_id FROM sync_run ORDER BY started_at") == [(ids[1],), (ids[2],)]


def test_days_that_were_read_stay_marked_and_hide_no_regular_run(located: Located) -> None:
    """A day is marked by its event: with it gone the UI would have the day as missing, and read it again."""
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
    purge(located.instance, located.pulling.store, datetime.now(UTC) + timedelta(seconds=1), is_dry=False)
    assert located.instance.get_materialized_partitions(key) == set(days)
    assert located.instance.has_run(regular)
    assert not located.instance.has_run(gated)


def test_what_is_young_or_under_way_stays(located: Located) -> None:
    located.run("company")
    located.instance.create_run_for_job(located.definitions.resolve_job_def("gainsight_pull_company"))
    nothing = {"dagster_runs": 0, "sync_runs": 0}
    assert (
        purge(located.instance, located.pulling.store, datetime.now(UTC) - timedelta(days=8), is_dry=False) == nothing
    )
    assert len(located.instance.get_runs(dg.RunsFilter())) == 2
