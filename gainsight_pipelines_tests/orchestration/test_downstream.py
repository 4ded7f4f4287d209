"""Downstream assets load DataFrames, and run only if data have changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from gainsight_pipelines import GainsightFramesIOManager, load_gainsight_asset_specs, on_changed_data
from gainsight_pipelines.store.views import typed_columns
from gainsight_pipelines_tests.orchestration.running import Located, failure_of

ACTIVITY = ["gainsight", "activity"]
SURVEY = ["gainsight", "survey_survey_response"]


def load(located: Located, key: list[str], *, partition: str | None = None, **narrowed: Any) -> pd.DataFrame:
    """The DataFrame that a downstream asset gets in a run of its own."""
    given: list[pd.DataFrame] = []

    @dg.asset(
        ins={"rows": dg.AssetIn(key, metadata=narrowed)},
        partitions_def=dg.DailyPartitionsDefinition("2020-01-01") if partition else None,
    )
    def downstream(rows: Any) -> None:
        given.append(rows)

    host = dg.Definitions.merge(
        located.definitions,
        dg.Definitions(assets=[downstream], jobs=[dg.define_asset_job("downstream_job", [downstream])]),
    )
    job = host.resolve_job_def("downstream_job")
    result = job.execute_in_process(instance=located.instance, partition_key=partition, raise_on_error=False)
    if not result.success:
        raise failure_of(result)
    return given[0]


@pytest.fixture
def pulled(located: Located) -> Located:
    located.pulling.content["activity"]["initial_lookback_days"] = None
    for name in ("activity", "survey_survey_response"):
        assert located.run(name).success
    return located


def test_a_frame_has_the_rows_of_its_asset_with_their_types(pulled: Located) -> None:
    frame = load(pulled, ACTIVITY)
    truth = pulled.pulling.truth("activity_timeline")
    assert set(frame["activity_id"]) == set(truth), "and none of the survey's, which are in the same table"
    dtypes = {
        name: str(frame.dtypes[name]) for name in ("activity_id", "occurred_at", "changed_at", "duration_minutes")
    }
    assert dtypes["activity_id"] == "string"
    assert dtypes["occurred_at"] == dtypes["changed_at"] == "datetime64[us, UTC]"
    assert dtypes["duration_minutes"] in ("Int64", "Float64"), "whole numbers and none at all in one column"
    survey = load(pulled, SURVEY, columns=["activity_id", "score", "custom_fields"], decimals="decimal")
    assert set(survey["activity_id"]) <= set(pulled.pulling.truth("survey_response"))
    assert {type(score) for score in survey["score"].dropna()} == {Decimal}


def test_a_frame_can_be_narrowed_by_columns_times_and_deletion(pulled: Located) -> None:
    everything = load(pulled, ACTIVITY)
    middle = everything["occurred_at"].median().to_pydatetime()
    since = load(pulled, ACTIVITY, columns=["occurred_at"], since=middle.isoformat())
    until = load(pulled, ACTIVITY, columns=["occurred_at"], until=middle.isoformat())
    assert list(since.columns) == ["occurred_at"]
    assert since["occurred_at"].min() >= middle > until["occurred_at"].max()
    assert len(since) + len(until) == len(everything.dropna(subset=["occurred_at"]))
    pulled.pulling.query_and_commit(
        "UPDATE activity SET deleted_at = now() WHERE activity_id = %s", (everything["activity_id"][0],)
    )
    assert len(load(pulled, ACTIVITY)) == len(everything) - 1
    assert len(load(pulled, ACTIVITY, with_deleted=True)) == len(everything)


def test_a_partition_gets_the_rows_of_its_days(pulled: Located) -> None:
    everything = load(pulled, ACTIVITY)["occurred_at"].dropna()
    day = everything.max().date()
    frame = load(pulled, ACTIVITY, partition=day.isoformat())
    assert 0 < len(frame) == sum(everything.dt.date == day)


def test_jsonb_keys_become_columns_on_request(pulled: Located) -> None:
    fields = '{"Region": "EMEA", "Seats": 3}'
    pulled.pulling.query_and_commit(
        "UPDATE activity SET custom_fields = %s WHERE source_object = 'survey_response'", (fields,)
    )
    frame = load(pulled, SURVEY, columns=["activity_id"], expand=["custom_fields"])
    assert list(frame.columns) == ["activity_id", "custom_fields.Region", "custom_fields.Seats"]
    assert set(frame["custom_fields.Region"]) == {"EMEA"}
    assert str(frame.dtypes["custom_fields.Seats"]) == "int64"


def test_a_missing_column_is_reported_with_the_existing_ones(pulled: Located) -> None:
    with pytest.raises(dg.Failure, match=r"activity has no column acount_id.*It has: .*account_id"):
        load(pulled, ACTIVITY, columns=["acount_id"])
    with pytest.raises(dg.Failure, match="'soon' is not a time"):
        load(pulled, ACTIVITY, since="soon")


def test_an_object_without_its_own_table_is_loaded_from_its_typed_view(located: Located) -> None:
    located.pulling.content["objects"] = [{"object": "call_to_action"}]
    assert located.run("call_to_action").success
    key = ["gainsight", "call_to_action"]
    frame = load(located, key)
    truth = located.pulling.truth("call_to_action")
    assert set(frame["gsid"]) == set(truth)
    with located.pulling.store.connect("test") as connection:
        columns = {name: kind for name, kind, _ in typed_columns(connection, "call_to_action")}
    assert list(frame.columns) == list(columns)
    assert {str(frame.dtypes[name]) for name, kind in columns.items() if kind.startswith("timestamp")} == {
        "datetime64[us, UTC]"
    }
    assert {str(frame.dtypes[name]) for name, kind in columns.items() if kind == "boolean"} == {"boolean"}
    with pytest.raises(dg.Failure, match="call_to_action has no usual time column"):
        load(located, key, since="2026-01-01")
    latest = frame["modified_at"].max()
    recent = load(located, key, columns=["gsid"], since=latest.isoformat(), time_column="modified_at")
    assert list(recent["gsid"]) == list(frame.loc[frame["modified_at"] == latest, "gsid"])


def test_another_location_reads_a_frame_by_the_specs_alone(pulled: Located) -> None:
    path = pulled.folder / "gainsight.yaml"
    given: list[pd.DataFrame] = []

    @dg.asset(ins={"rows": dg.AssetIn(ACTIVITY)})
    def downstream(rows: Any) -> None:
        given.append(rows)

    elsewhere = dg.Definitions(
        assets=[*load_gainsight_asset_specs(path, io_manager_key="frames"), downstream],
        jobs=[dg.define_asset_job("read", [downstream])],
        resources={"frames": GainsightFramesIOManager(settings_path=str(path))},
    )
    assert elsewhere.resolve_job_def("read").execute_in_process(instance=pulled.instance).success
    assert len(given[0]) == len(pulled.pulling.truth("activity_timeline"))


def test_downstream_assets_run_only_if_data_have_changed(located: Located) -> None:
    @dg.asset(deps=[ACTIVITY], automation_condition=on_changed_data())
    def careful() -> None: ...

    @dg.asset(deps=[ACTIVITY], automation_condition=dg.AutomationCondition.eager())
    def hasty() -> None: ...

    def asked(cursor: Any = None) -> tuple[set[str], Any]:
        host = dg.Definitions.merge(located.definitions, dg.Definitions(assets=[careful, hasty]))
        result = dg.evaluate_automation_conditions(
            host, located.instance, dg.AssetSelection.assets(careful, hasty), cursor=cursor
        )
        return {key.key.path[-1] for key in (careful, hasty) if result.get_num_requested(key.key)}, result.cursor

    assert located.run("activity").success
    dg.materialize([careful, hasty], instance=located.instance)
    _, cursor = asked()
    assert located.run("activity").success
    wanted, cursor = asked(cursor)
    assert wanted == {"hasty"}
    gsid = next(iter(located.pulling.truth("activity_timeline")))
    recent = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    located.pulling.sandbox.edit(
        {"object": "activity_timeline", "gsid": gsid, "values": {"Subject": "Another", "ActivityDate": recent}}
    )
    assert located.run("activity").success
    wanted, _ = asked(cursor)
    assert "careful" in wanted
