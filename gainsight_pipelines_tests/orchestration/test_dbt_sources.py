"""dbt sources: each is mapped to its asset, even if several share a table. Typed views become staging models."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from dagster_dbt import DagsterDbtTranslator

from gainsight_pipelines.cli.dbt import dbt_sources_command
from gainsight_pipelines.errors import SettingsError, UsageError
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.company import COMPANY
from gainsight_pipelines.objects.record import RECORD
from gainsight_pipelines.orchestration.build import load_gainsight_asset_specs
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.views import NUMBER, TEXT, TEXTS, Column, Source, bring_up_to_date
from gainsight_pipelines_tests.orchestration.test_definitions import SETTINGS

NAMES = ("nps__gc", "csat__gc")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    surveys = {"mode": "multiple", "objects": [{"object": name} for name in NAMES]}
    found = tmp_path / "gainsight.yaml"
    more = {"activity": {}, "surveys": surveys, "objects": [{"object": "thing__gc"}], "store": {"schema": "cs"}}
    found.write_text(yaml.safe_dump(SETTINGS | more))
    return found


def printed(path: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "raw",
        "prefix": None,
        "key_prefix": "",
        "is_delivered": False,
        "into": None,
    } | options
    assert dbt_sources_command(**given, path=path) == 0
    (source,) = yaml.safe_load(capsys.readouterr().out)["sources"]
    assert isinstance(source, dict)
    return source


def keys_of(source: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The asset keys that dagster-dbt reads from the source tables' metadata; without it, keys would be made up."""
    find = DagsterDbtTranslator().get_asset_key
    return {
        table["name"]: tuple(find({"resource_type": "source", "source_name": source["name"], **table}).path)
        for table in source["tables"]
        if "config" in table
    }


def test_each_asset_is_a_source_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = printed(path, capsys)
    assert (source["name"], source["schema"]) == ("raw", "{{ var('gainsight_schema', 'cs') }}")
    tables = {table["name"]: table for table in source["tables"]}
    assert len(tables) == len(source["tables"]), "dbt takes a name once"
    keys = keys_of(source)
    assets = {spec.key.path[-1]: tuple(spec.key.path) for spec in load_gainsight_asset_specs(path)}
    assert set(keys.values()) == {key for name, key in assets.items() if not name.endswith("_by_day")}
    assert len(set(keys.values())) == len(keys), "dagster-dbt takes a key once"
    nps, csat = tables["survey_nps__gc"], tables["survey_csat__gc"]
    assert nps["identifier"] == csat["identifier"] == "activity"
    assert nps["config"]["meta"]["rows"] == "source_object = 'nps__gc'"
    assert [column["name"] for column in nps["columns"]] == list(RELATIONS["activity"].columns)


def test_each_table_of_the_contract_is_a_source_table_mapped_to_its_asset(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = printed(path, capsys)
    assert [table["name"] for table in source["tables"]][: len(RELATIONS)] == list(RELATIONS)
    keys = keys_of(source)
    assert keys["account"] == ("crm", "account")
    assert keys["usage_metric"] == ("gainsight", "product_usage")
    assert not keys.keys() & {"record", "sync_run", "product_usage", "account_360"}


def test_dbt_freshness_follows_the_last_pull_and_the_dagster_policy(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = {table["name"]: table.get("config", {}) for table in printed(path, capsys)["tables"]}
    policies: dict[str, Any] = {spec.key.path[-1]: spec.freshness_policy for spec in load_gainsight_asset_specs(path)}
    for name, pull in (("company", "company"), ("usage_metric", "product_usage"), ("survey_nps__gc",) * 2):
        windows = configs[name]["freshness"]
        assert windows["error_after"] == {"count": hours(policies[pull].fail_window), "period": "hour"}
        assert windows["warn_after"]["count"] - hours(policies[pull].warn_window) in (0, 1)
        assert configs[name]["loaded_at_query"].endswith(f"status = 'completed' and object = '{pull}'")
    often = min(configs[name]["freshness"]["error_after"]["count"] for name in ("company", "activity", "usage_metric"))
    assert configs["account"]["freshness"]["error_after"]["count"] == often
    assert "object" not in configs["account"]["loaded_at_query"].partition("where")[2]


def hours(window: Any) -> int:
    return int(window.to_timedelta() / timedelta(hours=1))


def test_keys_are_those_of_the_own_project(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys_of(printed(path, capsys, key_prefix="cs/raw"))["company"] == ("cs", "raw", "gainsight", "company")
    assert keys_of(printed(path, capsys, prefix="acme"))["account"] == ("acme", "crm", "account")
    with pytest.raises(UsageError, match="letters, digits and _"):
        printed(path, capsys, prefix="a-b")


def test_delivered_tables_are_source_tables_of_their_deliveries(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match="name no warehouse"):
        printed(path, capsys, is_delivered=True)
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(settings | {"delivery": {"destination": "duckdb", "dataset": "crm_data"}}))
    source = printed(path, capsys, is_delivered=True, key_prefix="cs")
    assert source["schema"] == "{{ var('gainsight_schema', 'crm_data') }}"
    delivered = ("account", "company", "activity", "usage_metric", "record", "company_attributes", "thing__gc")
    assert keys_of(source) == {name: ("cs", "delivery", name) for name in delivered}
    assert [table["name"] for table in source["tables"]] == [*RELATIONS, "company_attributes", "thing__gc"]
    assert all(set(table.get("config", {})) <= {"meta"} for table in source["tables"]), "sync_run isn't there"
    tables = ["activity", "sync_run"]
    path.write_text(yaml.safe_dump(settings | {"delivery": {"destination": "duckdb", "tables": tables}}))
    source = printed(path, capsys, is_delivered=True)
    assert keys_of(source) == {name: ("delivery", name) for name in tables}
    [fresh] = [table["name"] for table in source["tables"] if "freshness" in table.get("config", {})]
    assert fresh == "activity"


def test_typed_views_become_staging_models_beside_the_sources(
    path: Path,
    store: Store,
    connection: psycopg.Connection,
    lease: Lease,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path.write_text(path.read_text().replace("schema: cs", "schema: gainsight"))
    monkeypatch.setenv(DATABASE_VARIABLE, store.url)
    columns = [Column("Name", TEXT, "Its name"), Column("Worth", NUMBER, "Worth"), Column("Tags", TEXTS, "Tags")]
    for name, table, json in (("thing__gc", RECORD, "attributes"), ("company_attributes", COMPANY, "attributes")):
        bring_up_to_date(connection, lease, Source(name, table, name, json), columns, fits, "r")
    folder = tmp_path / "models"
    for _ in range(2):  # the second time, it overwrites its own files
        assert dbt_sources_command(name="gainsight", prefix=None, key_prefix="", into=folder, path=path) == 0
    assert {each.name for each in folder.iterdir()} == {
        "gainsight_sources.yml",
        "stg_gainsight__thing__gc.sql",
        "stg_gainsight__company_attributes.sql",
        "stg_gainsight__views.yml",
    }
    thing = (folder / "stg_gainsight__thing__gc.sql").read_text()
    assert "{{ gainsight_pipelines.beside(source('gainsight', 'thing__gc'), 'thing__gc') }}" in thing
    assert thing.endswith("where deleted_at is null\n")
    assert "{{ gainsight_pipelines.json_list('tags') }} as tags" in thing
    company = (folder / "stg_gainsight__company_attributes.sql").read_text()
    assert "source('gainsight', 'company'), 'company_attributes'" in company
    models = yaml.safe_load((folder / "stg_gainsight__views.yml").read_text())["models"]
    described = {
        model["name"]: {column["name"]: column["description"] for column in model["columns"]} for model in models
    }
    assert "Its name" in described["stg_gainsight__thing__gc"]["name"]
    (folder / "stg_gainsight__thing__gc.sql").write_text("select 1")
    with pytest.raises(UsageError, match="This command did not write"):
        dbt_sources_command(name="gainsight", prefix=None, key_prefix="", into=folder, path=path)
    assert (folder / "stg_gainsight__thing__gc.sql").read_text() == "select 1"
