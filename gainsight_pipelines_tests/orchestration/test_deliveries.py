"""Deliveries in Dagster: assets downstream of the pulls, which run after changes and never make a pull fail."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from gainsight_pipelines.orchestration.build import build_gainsight_definitions, load_gainsight_asset_specs
from gainsight_pipelines.orchestration.identity import PULL_TAG, STORE_TAG
from gainsight_pipelines_tests.orchestration.running import Located, failure_of
from gainsight_pipelines_tests.orchestration.test_build import HOST, Ours
from gainsight_pipelines_tests.orchestration.test_definitions import LOAD, SETTINGS

DELIVERING = SETTINGS | {
    "activity": {},
    "objects": [{"object": "call_to_action"}],
    "delivery": {"destination": "snowflake"},
}

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of dlt and its libraries


def specs_of(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def upstream(spec: dg.AssetSpec) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in spec.deps}


def test_each_table_and_typed_view_is_an_asset_downstream_of_its_pulls() -> None:
    definitions = build_gainsight_definitions(DELIVERING)
    found = {key: upstream(spec) for key, spec in specs_of(definitions).items() if key.startswith("delivery/")}
    assert found == {
        "delivery/account": {"crm/account"},
        "delivery/company": {"gainsight/company"},
        "delivery/activity": {"gainsight/activity", "gainsight/survey_survey_response"},
        "delivery/usage_metric": {"gainsight/product_usage"},
        "delivery/record": {"gainsight/call_to_action"},
        "delivery/company_attributes": {"gainsight/company"},
        "delivery/call_to_action": {"gainsight/call_to_action"},
    }
    repository = definitions.get_repository_def()
    assert repository.get_sensor_def("gainsight_deliver_changes").default_status == dg.DefaultSensorStatus.RUNNING
    job = definitions.resolve_job_def("gainsight_deliver")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == set(found)
    assert not [key for key in specs_of(build_gainsight_definitions(SETTINGS)) if "delivery" in key], (
        "only if asked for"
    )


def test_the_host_decides_on_keys_tables_and_automation() -> None:
    settings = DELIVERING | {"delivery": {"destination": "bigquery", "tables": ["account_360", "activity"]}}
    tenants = [
        build_gainsight_definitions(settings, translator=Ours(), schedules="stopped"),
        build_gainsight_definitions(settings, prefix="acme", schedules="none", select=["activity"]),
    ]
    merged = dg.Definitions.merge(HOST, *tenants)
    repository, specs = merged.get_repository_def(), specs_of(merged)
    assert upstream(specs["raw/delivery/account_360"]) >= {"raw/crm/account", "raw/gainsight/company"}
    ours = specs["raw/delivery/activity"]
    assert (ours.group_name, ours.tags["tier"], ours.kinds) == ("customer_success", "1", {"dlt", "bigquery"})
    assert ours.automation_condition == dg.AutomationCondition.on_cron("0 6 * * *"), "the translator's own"
    assert upstream(specs["acme/delivery/activity"]) == {"acme/gainsight/activity"}
    assert specs["acme/delivery/activity"].automation_condition is not None, "for the host's sensor"
    sensors = {each.name: each.default_status for each in repository.sensor_defs}
    assert sensors["gainsight_deliver_changes"] == dg.DefaultSensorStatus.STOPPED
    assert "acme_deliver_changes" not in sensors
    alone = load_gainsight_asset_specs(settings, io_manager_key="frames")
    assert {"dagster/io_manager_key" in spec.metadata for spec in alone if "delivery" in spec.key.path} == {False}


def test_broken_settings_show_on_the_assets_and_stop_nothing_else() -> None:
    specs = specs_of(build_gainsight_definitions(DELIVERING | {"delivery": {"dataset": "cs"}}))
    assert "destination" in str(specs["delivery/activity"].description)
    assert "broken" not in str(specs["gainsight/activity"].description)


def test_loading_imports_no_dlt_and_without_it_a_run_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "gainsight.yaml").write_text(json.dumps(DELIVERING))
    without = "import sys; sys.modules['dlt'] = None\n"  # as if dlt weren't installed
    program = f"{without}{LOAD}\nprint([name for name in sys.modules if name.startswith('dlt.')])\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    specs, imported = done.stdout.splitlines()
    assert "delivery/activity" in json.loads(specs)
    assert imported == "[]"


@pytest.fixture
def delivering(located: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Located:
    """A code location that delivers to a DuckDB file."""
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "w.duckdb"))
    located.pulling.content["delivery"] = {"destination": "duckdb", "dataset": "cs", "tables": ["account", "activity"]}
    return located


def deliver(located: Located, **options: Any) -> dg.ExecuteInProcessResult:
    job = located.definitions.resolve_job_def("gainsight_deliver")
    return job.execute_in_process(instance=located.instance, raise_on_error=False, **options)


def test_a_run_delivers_and_says_what(delivering: Located, tmp_path: Path) -> None:
    assert delivering.run("activity").success
    result = deliver(delivering)
    assert result.success
    [done] = [each for each in result.get_asset_materialization_events() if each.asset_key.path[-1] == "activity"]
    metadata = {name: value.value for name, value in done.materialization.metadata.items()}
    with duckdb.connect(str(tmp_path / "w.duckdb")) as there:
        count = there.execute("SELECT count(*) FROM cs.activity").fetchone()
    assert count == (metadata["rows_sent"],) == (len(delivering.pulling.truth("activity_timeline")),)
    assert metadata["bytes_sent"] > 0
    assert metadata["dagster/table_name"] == "cs.activity"
    [store_id] = delivering.pulling.query("SELECT store_id::text FROM store")
    assert result.dagster_run.tags[PULL_TAG] == "delivery"
    assert delivering.instance.get_run_by_id(result.run_id).tags[STORE_TAG] == store_id[0]  # type: ignore[union-attr]
    again = deliver(delivering, run_config={"ops": {"delivery__activity": {"config": {"full": True}}}})
    [done] = [each for each in again.get_asset_materialization_events() if each.asset_key.path[-1] == "activity"]
    assert done.materialization.metadata["sent"].value == "whole"


def test_a_delivery_that_fails_says_why_and_fails_no_pull(delivering: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    result = deliver(delivering, asset_selection=[dg.AssetKey(["delivery", "activity"])])
    assert "DESTINATION__DUCKDB__CREDENTIALS isn't set" in str(failure_of(result).description)
    assert delivering.run("activity").success
    # A view that no pull has created yet isn't a failure.
    delivering.pulling.content["delivery"]["tables"] = ["company_attributes"]
    assert deliver(delivering).success


def test_deliveries_run_when_pulls_have_brought_changes_and_hourly_after_a_failure(
    delivering: Located, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(cursor: Any = None, later: timedelta = timedelta(0)) -> tuple[set[str], Any]:
        definitions = delivering.definitions
        keys = [dg.AssetKey(["delivery", name]) for name in ("account", "activity")]
        result = dg.evaluate_automation_conditions(
            definitions,
            delivering.instance,
            dg.AssetSelection.assets(*keys),
            cursor=cursor,
            evaluation_time=datetime.now(UTC) + later,
        )
        return {key.path[-1] for key in keys if result.get_num_requested(key)}, result.cursor

    _, cursor = asked()
    assert delivering.run("activity").success
    wanted, cursor = asked(cursor)
    assert wanted == {"account", "activity"}, "though the survey's pull, which fills the same table, never ran"
    assert deliver(delivering).success
    wanted, cursor = asked(cursor)
    assert wanted == set()
    assert delivering.run("activity").success
    wanted, cursor = asked(cursor)
    assert wanted == set(), "the pull brought nothing new"
    delivering.pulling.query_and_commit("UPDATE account SET name = 'Other', crm_modified_at = NULL")
    delivering.pulling.query_and_commit("DELETE FROM sync_cursor WHERE object = 'account'")
    assert delivering.run("activity").success
    wanted, cursor = asked(cursor)
    assert wanted == {"account"}
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    assert not deliver(delivering).success
    wanted, cursor = asked(cursor)
    assert wanted == set()
    wanted, _ = asked(cursor, timedelta(hours=1))
    assert wanted == {"account", "activity"}
