"""dbt on a warehouse: in dagster-dbt, the example project's models are downstream of the deliveries."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml
from dagster_dbt import dbt_assets

from gainsight_pipelines.cli.dbt import dbt_sources_command
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.company import COMPANY
from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.views import TEXT, Column, Source, bring_up_to_date
from gainsight_pipelines_tests.dbt.environment import Dbt, of_postgres
from gainsight_pipelines_tests.dbt.generated import EXAMPLE, EXAMPLE_SETTINGS, PACKAGE

pytestmark = pytest.mark.timeout(300)


def test_models_of_delivered_tables_are_downstream_of_the_deliveries_alone(
    store: Store, connection: psycopg.Connection, lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, store.url)
    view = Source("company_attributes", COMPANY, "company", "attributes")
    bring_up_to_date(connection, lease, view, [Column("Name", TEXT, "Name")], fits, "r")
    settings = tmp_path / "gainsight.yaml"
    delivery = {"delivery": {"destination": "duckdb", "dataset": "gainsight"}}
    settings.write_text(yaml.safe_dump(yaml.safe_load(EXAMPLE_SETTINGS.read_text()) | delivery))

    project = tmp_path / "analytics"
    shutil.copytree(EXAMPLE / "analytics", project, ignore=shutil.ignore_patterns("dbt_packages", "target", "logs"))
    (project / "packages.yml").write_text(yaml.safe_dump({"packages": [{"local": str(PACKAGE)}]}))
    described = yaml.safe_load((project / "dbt_project.yml").read_text())
    described["vars"]["gainsight_survey_sources"] = []
    (project / "dbt_project.yml").write_text(yaml.safe_dump(described))
    into = project / "models" / "gainsight"
    dbt_sources_command(name="gainsight", prefix=None, key_prefix="", into=into, path=settings, is_delivered=True)
    dbt = Dbt(tmp_path / "dbt", of_postgres(store.url), project)
    for command in ("deps", "parse"):
        done = dbt.run(command)
        assert done.returncode == 0, done.stdout

    @dbt_assets(manifest=dbt.artifact("manifest"))
    def models() -> Iterator[Any]:
        yield from ()

    ours = build_gainsight_definitions(settings)
    assert upstream(ours)["delivery/activity"] == {"gainsight/activity", "gainsight/survey_survey_response"}
    every = upstream(dg.Definitions.merge(ours, dg.Definitions(assets=[models])))
    tables = ("account", "company", "activity", "company_attributes")
    assert {name: every[f"stg_gainsight__{name}"] for name in tables} == {name: {f"delivery/{name}"} for name in tables}
    pulls = {name for name in upstream(ours) if not name.startswith("delivery/")}
    assert not [name for name, deps in every.items() if name not in upstream(ours) and deps & pulls]


def upstream(definitions: dg.Definitions) -> dict[str, set[str]]:
    """The upstream assets of each asset."""
    return {
        spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps}
        for spec in definitions.resolve_all_asset_specs()
    }
