"""dbt's sources: each meets its asset, also where several assets share a table."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gainsight_pipelines.cli.dbt import dbt_sources_command
from gainsight_pipelines.orchestration.build import load_gainsight_asset_specs
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines_tests.orchestration.test_definitions import SETTINGS


def test_each_asset_is_a_source_table_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surveys = {"mode": "multiple", "objects": [{"object": name} for name in ("nps__gc", "csat__gc")]}
    path = tmp_path / "gainsight.yaml"
    path.write_text(yaml.safe_dump(SETTINGS | {"activity": {}, "surveys": surveys, "store": {"schema": "cs"}}))
    assert dbt_sources_command(name="raw", path=path) == 0
    (source,) = yaml.safe_load(capsys.readouterr().out)["sources"]
    assert (source["name"], source["schema"]) == ("raw", "cs")
    tables = {table["name"]: table for table in source["tables"]}
    assert len(tables) == len(source["tables"]), "dbt takes a name once"
    keys = [tuple(table["config"]["meta"]["dagster"]["asset_key"]) for table in source["tables"]]
    assets = {spec.key.path[-1]: tuple(spec.key.path) for spec in load_gainsight_asset_specs(path)}
    assert set(keys) == {key for name, key in assets.items() if not name.endswith("_by_day")}
    assert len(set(keys)) == len(keys), "dagster-dbt takes a key once"
    nps, csat = tables["survey_nps__gc"], tables["survey_csat__gc"]
    assert nps["identifier"] == csat["identifier"] == tables["activity"]["identifier"] == "activity"
    assert nps["config"]["meta"]["rows"] == "source_object = 'nps__gc'"
    assert [column["name"] for column in nps["columns"]] == list(RELATIONS["activity"].columns)
