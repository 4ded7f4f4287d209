"""The code location: it loads anywhere, has what the settings enable, and loads with invalid settings too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from gainsight_pipelines.orchestration.build import build_gainsight_definitions

SETTINGS: dict[str, Any] = {
    "gainsight": {"base_url": "https://tenant.gainsightcloud.com"},
    "primary_crm": {"kind": "salesforce"},
    "company": {},
    "activity": {"enabled": False},
    "surveys": {"objects": [{"object": "survey_response"}]},
    "product_usage": {"object": "usage__gc"},
}

LOAD = """
import json, socket
def refuse(*arguments): raise AssertionError("something was called, or asked for the time")
socket.socket.connect = refuse
from gainsight_pipelines.clock import SystemClock
SystemClock.now = refuse
from gainsight_pipelines.definitions import defs
specs = {spec.key.to_user_string(): spec.description for spec in defs.resolve_all_asset_specs()}
print(json.dumps(specs))
"""


def built(folder: Path, settings: dict[str, Any]) -> dg.Definitions:
    path = folder / "gainsight.yaml"
    path.write_text(yaml.safe_dump(settings))
    return build_gainsight_definitions(path)


def keys(definitions: dg.Definitions) -> set[str]:
    return {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}


def test_loads_without_settings_environment_network_or_database(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    specs = json.loads(done.stdout)
    assert set(specs) == {"crm/account"}
    assert "gainsight.yaml" in specs["crm/account"]
    assert "Warning" not in done.stderr


def test_each_enabled_object_has_an_asset_a_job_and_a_schedule(tmp_path: Path) -> None:
    """Requirement B1: objects that aren't enabled don't appear."""
    definitions = built(tmp_path, SETTINGS)
    names = {"company", "survey_survey_response", "product_usage"}
    assert keys(definitions) == {
        "crm/account",
        "gainsight/survey_survey_response_by_day",
        *(f"gainsight/{name}" for name in names),
    }
    assert definitions.executor is None, "the host's own holds"
    repository = definitions.get_repository_def()
    crons = {each.job_name: (each.cron_schedule, each.execution_timezone) for each in repository.schedule_defs}
    assert crons == {
        "gainsight_pull_company": ("5 5 * * *", "UTC"),
        "gainsight_pull_survey_survey_response": ("35 5 * * *", "UTC"),
        "gainsight_pull_product_usage": ("50 5 * * 1", "UTC"),
    }
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}


def test_cron_and_time_zone_can_be_set(tmp_path: Path) -> None:
    settings = SETTINGS | {"schedules": {"timezone": "Europe/Berlin", "company": "0 7 * * *"}}
    schedules = built(tmp_path, settings).get_repository_def().schedule_defs
    assert {each.execution_timezone for each in schedules} == {"Europe/Berlin"}
    assert [each.cron_schedule for each in schedules if each.job_name == "gainsight_pull_company"] == ["0 7 * * *"]


def test_a_schedule_says_why_it_ignores_the_settings(tmp_path: Path) -> None:
    broken = {"schedules": {"timezone": "Mars", "company": "0 7 * * *"}}
    for each in built(tmp_path, SETTINGS | broken).get_repository_def().schedule_defs:
        assert "timezone" in str(each.description)
        assert "documented cadence" in str(each.description)


def test_definitions_are_the_same_in_every_process_and_on_every_day(tmp_path: Path) -> None:
    """A code server keeps its definitions for weeks, while each run loads them again."""
    (tmp_path / "gainsight.yaml").write_text(yaml.safe_dump(SETTINGS))
    load = (
        LOAD + "\nfor asset in defs.resolve_all_asset_specs():\n    print(asset.partitions_def, asset.freshness_policy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", load], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    specs, *shown = done.stdout.splitlines()
    assert "gainsight/survey_survey_response_by_day" in json.loads(specs)
    assert any("2020-01-01" in line for line in shown)


def test_the_configured_first_day_is_the_first_partition(tmp_path: Path) -> None:
    surveys = {"objects": [{"object": "survey_response"}], "first_day": "2024-02-29"}
    specs = built(tmp_path, SETTINGS | {"surveys": surveys}).resolve_all_asset_specs()
    (days,) = [each.partitions_def for each in specs if each.partitions_def is not None]
    assert days.get_first_partition_key() == "2024-02-29"


def test_an_object_may_have_the_longest_possible_name(tmp_path: Path) -> None:
    """Dagster refuses tags of 64 characters, so tags are shortened; names with the same beginning stay distinct."""
    names = [f"usage_{'x' * 60}_{end}" for end in "ab"]
    surveys = {"mode": "multiple", "objects": [{"object": name} for name in names]}
    definitions = built(tmp_path, SETTINGS | {"surveys": surveys})
    assert len(definitions.get_repository_def().schedule_defs) == 4
    specs = definitions.resolve_all_asset_specs()
    tags = {each.tags["gainsight_object"] for each in specs if each.key.path[-1] in [f"survey_{n}" for n in names]}
    assert len(tags) == 2


def test_a_misspelled_section_is_reported_on_the_assets(tmp_path: Path) -> None:
    definitions = built(tmp_path, SETTINGS | {"compnay": {}})
    (account,) = [each for each in definitions.resolve_all_asset_specs() if each.key.path == ["crm", "account"]]
    assert "compnay" in str(account.description)


@pytest.mark.parametrize(
    "broken",
    [{"surveys": {"lookback_days": 90}}, {"schedules": {"timezone": "Mars"}}, {"common": {"owners": ["a'b@x.co"]}}],
)
def test_an_invalid_section_affects_no_other_asset(tmp_path: Path, broken: dict[str, Any]) -> None:
    """Requirement W5."""
    definitions = built(tmp_path, SETTINGS | broken)
    assert {"gainsight/company", "gainsight/product_usage"} <= keys(definitions)
    assert any(key.startswith("gainsight/survey") for key in keys(definitions))
    assert len(definitions.get_repository_def().schedule_defs) == 3
