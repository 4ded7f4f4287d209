"""Metadata of assets and materializations: table, columns, lineage, numbers, unmatched records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.orchestration.instance import CONFIGURATION
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines_tests.orchestration.running import Located
from gainsight_pipelines_tests.pulling import Pulling

LAST_CHANGED = "SELECT changed_at FROM activity ORDER BY changed_at DESC LIMIT 5"

PERSON = dg.AssetKey(["gainsight", "person"])

TABLES = {
    "crm/account": "account",
    "gainsight/company": "company",
    "gainsight/activity": "activity",
    "gainsight/survey_survey_response": "activity",
    "gainsight/survey_survey_response_by_day": "activity",
    "gainsight/product_usage": "usage_metric",
}


def definitions_of(pulling: Pulling, folder: Path) -> dg.Definitions:
    path = folder / "gainsight.yaml"
    path.write_text(yaml.safe_dump(pulling.content))
    return build_gainsight_definitions(path)


def test_each_asset_has_table_columns_and_lineage_from_the_data_contract(pulling: Pulling, tmp_path: Path) -> None:
    specs = {spec.key.to_user_string(): spec for spec in definitions_of(pulling, tmp_path).resolve_all_asset_specs()}
    assert specs.keys() == TABLES.keys()
    for key, spec in specs.items():
        table = TABLES[key]
        assert spec.metadata["dagster/table_name"] == f"gainsight.{table}"
        columns = spec.metadata["dagster/column_schema"].columns
        assert {each.name: (each.type, each.description) for each in columns} == dict(RELATIONS[table].columns)
        upstream = {dep.asset_key.to_user_string() for dep in spec.deps}
        assert upstream == (set() if key == "crm/account" else {"crm/account"})


def test_a_materialization_shows_numbers_lineage_and_unmatched_records(pulling: Pulling, tmp_path: Path) -> None:
    """Requirements M4 and S3, in the metadata that the UI shows."""
    pulling.content["surveys"]["response_limit"] = 20
    job = definitions_of(pulling, tmp_path).resolve_job_def("gainsight_pull_survey_survey_response")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    (event,) = result.asset_materializations_for_node("gainsight__survey_survey_response")
    shown: dict[str, Any] = {name: value.value for name, value in event.metadata.items()}
    assert shown["rows_read"] == 20 == shown["matched"] + shown["unmatched"]
    assert shown["response_limit_reached"] is True
    reasons = dict(pulling.query("SELECT reason, count(*) FROM unmatched_record GROUP BY reason"))
    table = {row.data["reason"]: row.data["rows"] for row in shown["unmatched_by_reason"].records}
    assert reasons and table == reasons
    assert "subject" not in {each.name for each in shown["sample"].schema.columns}
    sampled = [row.data["changed_at"] for row in shown["sample"].records]
    assert len(sampled) == 5
    assert sampled == [str(at) for (at,) in pulling.query(LAST_CHANGED)]
    assert shown["details"]["unmatched_examples"].keys() == reasons.keys()
    (source,) = shown["dagster/column_lineage"].deps_by_column["account_id"]
    assert (source.asset_key.to_user_string(), source.column_name) == ("crm/account", "account_id")


def test_a_materialization_shows_the_columns_of_the_typed_view(located: Located) -> None:
    """The view is in the schema that the settings name; the UI shows its columns in the asset's overview."""
    located.pulling.content |= {"objects": [{"object": "person"}], "store": {"schema": "cs"}}
    result = located.run("person")
    (event,) = [each for each in result.get_asset_materialization_events() if each.asset_key == PERSON]
    shown = event.materialization.metadata
    assert shown["view"].value == "cs.person"
    columns = {column.name: column for column in shown["dagster/column_schema"].value.columns}
    assert next(iter(columns)) == "account_id"
    assert all(column.description for column in columns.values())
    assert (columns["email"].type, columns["email"].description) == ("text", "Email (Email).")


def test_a_run_stores_its_events_without_printing_each(located: Located, capfd: pytest.CaptureFixture[str]) -> None:
    """The terminal of `dev` and the compute log show our progress, without a line of Dagster's for each event."""
    ours = yaml.safe_load(CONFIGURATION.read_text())
    job = located.definitions.resolve_job_def("gainsight_pull_company")
    with dg.instance_for_test(overrides={"python_logs": ours.get("python_logs", {})}) as instance:
        result = job.execute_in_process(instance=instance)
        kept = {each.dagster_event.event_type for each in instance.all_logs(result.run_id) if each.dagster_event}
    assert {dg.DagsterEventType.STEP_START, dg.DagsterEventType.ASSET_MATERIALIZATION} <= kept
    assert " DEBUG " not in capfd.readouterr().err


def test_settings_corrected_after_the_load_apply_to_the_next_run(located: Located) -> None:
    good = located.pulling.content["company"]
    located.pulling.content["company"] = good | {"attributes": 7}
    job = located.definitions.resolve_job_def("gainsight_pull_company")
    located.pulling.content["company"] = good
    assert located.definitions
    result = job.execute_in_process(instance=located.instance, raise_on_error=False)
    assert result.success
    (event,) = result.asset_materializations_for_node("gainsight__company")
    assert event.metadata["rows_read"].value
