"""The dbt package's files: generated files are current, and repeated facts agree."""

from __future__ import annotations

import re

import yaml

import gainsight_pipelines
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines_tests.dbt.generated import MODELS, PACKAGE, STAGED, files
from gainsight_pipelines_tests.test_project import pinned

PROJECT = yaml.safe_load((PACKAGE / "dbt_project.yml").read_text("utf-8"))


def test_sources_and_staging_models_are_those_of_the_data_contract() -> None:
    meant = files()
    assert {path: path.read_text("utf-8") for path in meant} == meant, (
        "run: python -m gainsight_pipelines_tests.dbt.generated"
    )
    there = {path for path in MODELS.rglob("*") if path.is_file() and "marts" not in path.parts}
    assert there == {path for path in meant if MODELS in path.parents}


def test_each_table_of_the_contract_is_staged() -> None:
    assert set(STAGED) == {name for name, relation in RELATIONS.items() if not relation.is_view}
    for table, staged in STAGED.items():
        named = {*staged.key, *staged.never_empty, *staged.values}
        assert named <= set(RELATIONS[table].columns), table


def test_the_package_is_of_the_products_version() -> None:
    assert PROJECT["version"] == gainsight_pipelines.__version__


def test_each_variable_that_models_read_is_one_of_the_packages() -> None:
    known = {*PROJECT["vars"]["gainsight_pipelines"], "gainsight_database"}
    read = set()
    for path in PACKAGE.rglob("*"):
        if path.suffix in (".sql", ".yml") and "target" not in path.relative_to(PACKAGE).parts:
            read |= set(re.findall(r"(?<!env_)var\('(\w+)'", path.read_text("utf-8")))
    assert read == known


def test_the_lock_has_what_the_tests_deliver_with() -> None:
    """dbt and we need the same version of DuckDB to read the same file. The other versions may differ."""
    dbt, ours = pinned("dbt/requirements.lock"), pinned("requirements-dev.lock")
    assert {"dbt-core", "dbt-postgres", "dbt-duckdb"} <= dbt.keys()
    assert dbt["duckdb"] == ours["duckdb"]
