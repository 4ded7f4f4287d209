"""dbt's sources for the assets: a YAML file whose sources dagster-dbt takes for these very assets."""

from io import StringIO
from typing import Any

import dagster as dg
from ruamel.yaml import YAML

from gainsight_pipelines.orchestration.tenant import OBJECT, OBJECT_COLUMN, TABLE
from gainsight_pipelines.store.contract import RELATIONS

HEADER = """\
# dbt's sources, as `gainsight-pipelines dbt-sources` prints them. Each meets its Dagster asset by
# `meta.dagster.asset_key`. Where several assets share a table, `meta.rows` says which rows are whose.
"""


def dbt_sources(specs: list[dg.AssetSpec], schema: str, name: str) -> str:
    """The text of a `sources.yml`.

    Args:
        specs: of the assets, as `load_gainsight_asset_specs` gives them.
        schema: where the tables lie.
        name: of the source.
    """
    tables = [_table(spec) for spec in specs if TABLE in spec.metadata and spec.partitions_def is None]
    names = [table["name"] for table in tables]
    # A by-day asset fills the same rows as the pull beside it: dbt needs them once.
    tables = [table for table in tables if table["name"].removesuffix("_by_day") not in set(names) - {table["name"]}]
    sources = {"version": 2, "sources": [{"name": name, "schema": schema, "tables": tables}]}
    writer, text = YAML(typ="safe", pure=True), StringIO()
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared as None alone
    writer.width = 120
    writer.dump(sources, text)
    return HEADER + text.getvalue()


def _table(spec: dg.AssetSpec) -> dict[str, Any]:
    table = str(spec.metadata[TABLE])
    relation = RELATIONS[table]
    meta: dict[str, Any] = {"dagster": {"asset_key": list(spec.key.path)}}
    if OBJECT_COLUMN in spec.metadata:
        meta["rows"] = f"{spec.metadata[OBJECT_COLUMN]} = '{spec.metadata[OBJECT]}'"
    return {
        "name": spec.key.path[-1],
        "identifier": table,
        "description": relation.meaning,
        "config": {"meta": meta},
        "columns": [
            {"name": column, "description": meaning, "data_type": kind}
            for column, (kind, meaning) in relation.columns.items()
        ],
    }
