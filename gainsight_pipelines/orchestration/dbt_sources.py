"""dbt's sources for the assets: a YAML file whose sources dagster-dbt maps to these very assets.

Each table and view of the data contract is a source table, mapped to its asset, if it has one, by
`meta.dagster.asset_key`. Assets that share a table (survey objects, further objects) are additional source tables.
Source tables with an asset also have a freshness: by the end of the last pull in `sync_run`, late when Dagster says so.
"""

import math
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import dagster as dg
from ruamel.yaml import YAML

from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.orchestration.tenant import DELIVERED, OBJECT, OBJECT_COLUMN, TABLE
from gainsight_pipelines.store.contract import RELATIONS

HEADER = """\
# dbt's sources, as printed by `gainsight-pipelines dbt-sources`. `meta.dagster.asset_key` maps each to its Dagster
# asset. Where several assets share a table, `meta.rows` says which rows are whose.
"""

TYPED_VIEW = "A typed view of the store, with a column per field."

RUNS = "sync_run"
"""The table that freshness is computed from."""

OF_A_TABLE = {definition.table.name: name for name, definition in DEFINITIONS.items() if definition.rows is None}
"""The only pull of a table, by table."""


def dbt_sources(specs: Sequence[dg.AssetSpec], schema: str, name: str, *, is_delivered: bool = False) -> str:
    """The text of a `sources.yml`.

    Args:
        specs: of the assets, from `load_gainsight_asset_specs`.
        schema: the schema of the tables, unless dbt's variable `gainsight_schema` overrides it.
        name: of the source.
        is_delivered: the tables are those in the warehouse, and their assets the deliveries.
    """
    main, others = _by_table(specs)
    policies = [policy for spec in (*main.values(), *others.values()) if (policy := _policy(spec)) is not None]
    often = min(policies, key=lambda policy: policy.fail_window.to_timedelta(), default=None)
    configs = {
        # The accounts have no pull of their own: every pull refreshes them.
        table: _config(spec, name, None if _policy(spec) else often)
        for table, spec in main.items()
    }
    if is_delivered:
        deliveries = delivered(specs)
        configs = {
            table: (configs.get(table, {}) if RUNS in deliveries else {}) | _meta(spec)
            for table, spec in deliveries.items()
        }
    tables = [_table(table, table, configs.get(table)) for table in RELATIONS]
    if is_delivered:
        views = [view for view in configs if view not in RELATIONS]
        tables += [{"name": view, "description": TYPED_VIEW, "config": configs[view]} for view in views]
    else:
        for source_table, spec in others.items():
            rows = f"{spec.metadata[OBJECT_COLUMN]} = '{spec.metadata[OBJECT]}'"
            tables.append(_table(source_table, str(spec.metadata[TABLE]), _config(spec, name), rows))
    source = {
        "name": name,
        "database": "{{ var('gainsight_database', target.database) }}",
        "schema": f"{{{{ var('gainsight_schema', '{schema}') }}}}",
        "tables": tables,
    }
    return HEADER + as_yaml({"version": 2, "sources": [source]})


def delivered(specs: Sequence[dg.AssetSpec]) -> dict[str, dg.AssetSpec]:
    """The deliveries, by the table or typed view that they deliver."""
    return {str(spec.metadata[DELIVERED]): spec for spec in specs if DELIVERED in spec.metadata}


def prefixed(specs: Sequence[dg.AssetSpec], parts: Sequence[str]) -> list[dg.AssetSpec]:
    """The specs with keys as a project has them that puts these parts before each."""
    return [spec.replace_attributes(key=dg.AssetKey([*parts, *spec.key.path])) for spec in specs]


def source_table_of(specs: Sequence[dg.AssetSpec], pull: str, table: str) -> str:
    """The source table with a pull's rows: its own, or the whole table."""
    others = _by_table(specs)[1]
    return next((name for name, spec in others.items() if spec.key.path[-1] == pull), table)


def as_yaml(document: Any) -> str:
    """A document in YAML's block style."""
    writer, text = YAML(typ="safe", pure=True), StringIO()
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared as None alone
    writer.width = 120
    writer.dump(document, text)
    return text.getvalue()


def _by_table(specs: Sequence[dg.AssetSpec]) -> tuple[dict[str, dg.AssetSpec], dict[str, dg.AssetSpec]]:
    """The assets that have a table alone, by table; those that share one, by the names of their source tables."""
    main: dict[str, dg.AssetSpec] = {}
    others: dict[str, dg.AssetSpec] = {}
    for spec in specs:
        # A by-day asset fills the same rows as its pull: dbt needs them once.
        if TABLE not in spec.metadata or spec.partitions_def is not None:
            continue
        table, own = str(spec.metadata[TABLE]), spec.key.path[-1]
        if own == OF_A_TABLE.get(table) or (own == table and OBJECT not in spec.metadata):
            main[table] = spec
        else:
            others[f"{own}_object" if own in RELATIONS else own] = spec
    names = {*others}
    return main, {own: spec for own, spec in others.items() if own.removesuffix("_by_day") not in names - {own}}


def _table(name: str, table: str, config: dict[str, Any] | None, rows: str | None = None) -> dict[str, Any]:
    relation = RELATIONS[table]
    if config is not None and rows is not None:
        config["meta"]["rows"] = rows
    return {
        "name": name,
        **({"identifier": table} if name != table else {}),
        "description": relation.meaning,
        **({"config": config} if config is not None else {}),
        "columns": columns_of(relation.columns),
    }


def columns_of(columns: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """Columns in dbt's YAML form."""
    return [{"name": column, "description": meaning, "data_type": kind} for column, (kind, meaning) in columns.items()]


def _config(spec: dg.AssetSpec, source: str, borrowed: Any = None) -> dict[str, Any]:
    """Key and freshness. `borrowed`: the policy of other assets, whose runs bring this one's rows."""
    config = _meta(spec)
    policy = borrowed or _policy(spec)
    if policy is None:
        return config
    whose = "" if borrowed else f" and object = '{spec.key.path[-1]}'"
    config["freshness"] = {"warn_after": _hours(policy.warn_window), "error_after": _hours(policy.fail_window)}
    runs = f"{{{{ source('{source}', '{RUNS}') }}}} where status = 'completed'{whose}"
    config["loaded_at_query"] = f"select max(finished_at) from {runs}"  # noqa: S608 - of names that are ours
    return config


def _meta(spec: dg.AssetSpec) -> dict[str, Any]:
    return {"meta": {"dagster": {"asset_key": list(spec.key.path)}}}


def _policy(spec: dg.AssetSpec) -> Any:
    """The freshness policy; None: the asset has none that depends on the age of its last run."""
    policy = spec.freshness_policy
    return policy if getattr(policy, "warn_window", None) and getattr(policy, "fail_window", None) else None


def _hours(window: Any) -> dict[str, Any]:
    return {"count": math.ceil(window.to_timedelta().total_seconds() / 3600), "period": "hour"}
