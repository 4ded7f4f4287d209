"""`build_gainsight_definitions` in a shared code location: nothing clashes, and teams can customise the assets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gainsight_pipelines.orchestration.build import build_gainsight_definitions, load_gainsight_asset_specs
from gainsight_pipelines.orchestration.identity import PULL_TAG
from gainsight_pipelines.orchestration.translator import DagsterGainsightTranslator, GainsightAssetProps
from gainsight_pipelines_tests.orchestration.test_definitions import SETTINGS


def keys(definitions: dg.Definitions) -> set[str]:
    return {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}


@dg.job
def sync_all() -> None:
    @dg.op
    def nothing() -> None: ...

    nothing()


@dg.asset(key=["mart", "scores"], deps=[["gainsight", "activity"]])
def scores() -> None: ...


HOST = dg.Definitions(
    assets=[scores],
    jobs=[sync_all],
    resources={"store": object(), "primary_crm": object()},
    executor=dg.multiprocess_executor,
)


def test_two_tenants_merge_with_other_definitions() -> None:
    both = [build_gainsight_definitions(SETTINGS, prefix=prefix) for prefix in ("gainsight", "acme")]
    merged = dg.Definitions.merge(HOST, *both)
    assert merged.executor is dg.multiprocess_executor
    repository = merged.get_repository_def()
    assert {"sync_all", "gainsight_sync_all", "acme_sync_all", "acme_pull_company"} <= set(repository.job_names)
    assert {"gainsight/company", "acme/gainsight/company", "crm/account", "acme/crm/account"} <= keys(merged)
    pools = {asset.op.pool for asset in merged.get_repository_def().assets_defs_by_key.values() if asset.is_executable}
    assert {"gainsight_company", "acme_company"} <= pools


class Ours(DagsterGainsightTranslator):
    def get_asset_spec(self, props: GainsightAssetProps) -> dg.AssetSpec:
        spec = super().get_asset_spec(props)
        return spec.replace_attributes(
            key=spec.key.with_prefix("raw"),
            group_name="customer_success",
            owners=["team:data"],
            tags={"tier": "1"},
            automation_condition=dg.AutomationCondition.on_cron("0 6 * * *"),
        )


def test_the_translator_decides_keys_but_required_attributes_are_kept() -> None:
    definitions = build_gainsight_definitions(SETTINGS, translator=Ours())
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert all(key.startswith("raw/") for key in specs)
    company = specs["raw/gainsight/company"]
    assert company.group_name == "customer_success"
    assert company.owners == ["team:data"]
    assert company.automation_condition is not None
    assert [dep.asset_key.to_user_string() for dep in company.deps] == ["raw/crm/account"]
    assert company.tags["tier"] == "1"
    assert company.tags[PULL_TAG] == "company"
    job = definitions.resolve_job_def("gainsight_pull_company")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == {"raw/gainsight/company"}


@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")
def test_all_specs_can_be_mapped() -> None:
    definitions = build_gainsight_definitions(SETTINGS).map_asset_specs(
        func=lambda spec: spec.replace_attributes(owners=["team:cs"])
    )
    assert {tuple(spec.owners) for spec in definitions.resolve_all_asset_specs()} == {("team:cs",)}


@pytest.mark.parametrize(
    ("schedules", "statuses", "sensor"),
    [
        ("running", {dg.DefaultScheduleStatus.RUNNING}, dg.DefaultSensorStatus.RUNNING),
        ("stopped", {dg.DefaultScheduleStatus.STOPPED}, dg.DefaultSensorStatus.STOPPED),
        ("none", set(), dg.DefaultSensorStatus.RUNNING),
    ],
)
def test_schedules_can_be_running_stopped_or_absent(
    schedules: Any, statuses: set[dg.DefaultScheduleStatus], sensor: dg.DefaultSensorStatus
) -> None:
    definitions = build_gainsight_definitions(SETTINGS, schedules=schedules)
    repository = definitions.get_repository_def()
    assert {each.default_status for each in repository.schedule_defs} == statuses
    assert repository.get_sensor_def("gainsight_gate").default_status == sensor
    (company,) = [spec for spec in definitions.resolve_all_asset_specs() if spec.key.path[-1] == "company"]
    assert company.metadata["gainsight_pipelines/cron"] == "5 5 * * *"
    assert company.metadata["gainsight_pipelines/timezone"] == "UTC"


def test_selected_pulls_exist_and_unknown_ones_are_reported() -> None:
    definitions = build_gainsight_definitions(SETTINGS, select=["company", "surveys", "activity"])
    assert keys(definitions) == {
        "crm/account",
        "gainsight/company",
        "gainsight/survey_survey_response",
        "gainsight/survey_survey_response_by_day",
    }
    (account,) = [spec for spec in definitions.resolve_all_asset_specs() if spec.key.path == ["crm", "account"]]
    assert "`select` names activity" not in str(account.description), "it has a section, disabled on purpose"
    misspelt = build_gainsight_definitions(SETTINGS, select=["compnay"])
    (account,) = misspelt.resolve_all_asset_specs()
    assert "`select` names compnay" in str(account.description)


def test_specs_can_be_loaded_for_a_location_that_only_reads(tmp_path: Path) -> None:
    specs = load_gainsight_asset_specs(SETTINGS, translator=Ours(), io_manager_key="frames")
    assert {spec.key.to_user_string() for spec in specs} == keys(
        build_gainsight_definitions(SETTINGS, translator=Ours())
    )
    assert {spec.metadata["dagster/io_manager_key"] for spec in specs} == {"frames"}
    dg.Definitions(assets=[*specs, scores], resources={"frames": dg.mem_io_manager}).get_repository_def()


def test_missing_and_invalid_settings_break_no_code_location(tmp_path: Path) -> None:
    for settings in (tmp_path / "none.yaml", {"gainsight": 7, "company": {"attributes": 7}, "primary_crm": "x"}):
        merged = dg.Definitions.merge(HOST, build_gainsight_definitions(settings))
        assert {"mart/scores", "crm/account"} <= keys(merged)


def test_an_invalid_prefix_says_what_it_takes() -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        build_gainsight_definitions(SETTINGS, prefix="my-tenant")
