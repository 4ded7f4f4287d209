"""dbt staging models: the live rows of a table or typed view, in types that warehouses share.

Generated as text, for the dbt package (the data contract's tables) and for users' projects (their typed views). Macros
of the package `gainsight_pipelines` handle the differences between databases.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from gainsight_pipelines.orchestration.dbt_sources import as_yaml, delivered, source_table_of
from gainsight_pipelines.store.views import ViewOfObject

Columns = Mapping[str, tuple[str, str]]
"""Name → (PostgreSQL type, meaning)."""

DELETED = "deleted_at"

MARK = "-- Written by `gainsight-pipelines dbt-sources --into`, which overwrites it.\n"

JSON = "{{ 'jsonb' if target.type == 'postgres' else 'json' }}"

EXPRESSIONS: Mapping[str, tuple[Callable[[str], str], str]] = {
    "numeric": (lambda column: f"{{{{ gainsight_pipelines.exact('{column}') }}}} as {column}", "numeric(38,9)"),
    "text[]": (lambda column: f"{{{{ gainsight_pipelines.json_list('{column}') }}}} as {column}", JSON),
    "jsonb": (lambda column: column, JSON),
}
"""By PostgreSQL type: how a column is selected, and its type afterwards. Other columns are selected unchanged."""


def staging_sql(relation: str, columns: Columns, *, left_out: Sequence[str] = (DELETED,), before: str = "") -> str:
    """The SQL of a staging model.

    Args:
        relation: what it selects from: Jinja.
        columns: of the table or view.
        left_out: columns that are NULL in every live row; rows with a value in any of them are excluded.
        before: lines at the beginning.
    """
    gone = [column for column in left_out if column in columns]
    selected = [_selected(column, kind) for column, (kind, _) in columns.items() if column not in gone]
    where = "\n    and ".join(f"{column} is null" for column in gone)
    return (
        f"{before}select\n    "
        + ",\n    ".join(selected)
        + f"\nfrom {relation}\n"
        + (f"where {where}\n" if where else "")
    )


def staging_properties(
    model: str, description: str, columns: Columns, *, left_out: Sequence[str] = (DELETED,)
) -> dict[str, Any]:
    """Its entry in a properties file, without tests."""
    return {
        "name": model,
        "description": description,
        "columns": [
            {"name": column, "description": meaning, "data_type": _staged_type(kind)}
            for column, (kind, meaning) in columns.items()
            if column not in left_out
        ],
    }


def view_files(
    specs: Sequence[dg.AssetSpec], views: Sequence[ViewOfObject], source: str, *, is_delivered: bool = False
) -> dict[str, str]:
    """The staging models of typed views: file name → text.

    Args:
        specs: of the assets.
        views: the typed views.
        source: the name of the source.
        is_delivered: only the delivered ones, which are source tables themselves.
    """
    files, properties, deliveries = {}, [], delivered(specs)
    for view in views:
        if is_delivered and view.pull not in deliveries:
            continue
        table = view.pull if is_delivered else source_table_of(specs, view.pull, view.table)
        relation = f"{{{{ gainsight_pipelines.beside(source('{source}', '{table}'), '{view.name}') }}}}"
        columns = {name: (kind, meaning) for name, kind, meaning in view.columns}
        model = f"stg_gainsight__{view.name}"
        files[f"{model}.sql"] = staging_sql(relation, columns, before=MARK)
        entry = staging_properties(model, f"Live records of {view.gainsight_object}, a column for each field.", columns)
        for column in entry["columns"]:
            if column["name"] == "gsid":
                column["data_tests"] = ["not_null", "unique"]
        properties.append(entry)
    if properties:
        files["stg_gainsight__views.yml"] = MARK.replace("--", "#") + as_yaml({"version": 2, "models": properties})
    return files


def _selected(column: str, kind: str) -> str:
    if kind in EXPRESSIONS:
        return EXPRESSIONS[kind][0](column)
    return column


def _staged_type(kind: str) -> str:
    return EXPRESSIONS[kind][1] if kind in EXPRESSIONS else kind
