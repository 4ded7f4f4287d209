"""The data contract: the database, its comments, the documentation and the bulk writer agree."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import get_type_hints

import psycopg

from gainsight_pipelines.objects.registry import TABLES
from gainsight_pipelines.store import contract
from gainsight_pipelines.store.tables import LINK_COLUMNS, Json

INTERNAL = {"run_total", "tenant", "company_link", "object_schema", "api_quota", "schema_version", "watched_object"} | {
    "store",
    "lease",
    "api_pause",
    "object_view",
    "object_column",
    "data_version",
    "delivery",
    "alert",
    "alert_message",
    "alert_total",
}
"""Tables that are not part of the contract."""


def test_the_database_matches_the_contract(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        """SELECT c.relname, c.relkind, obj_description(c.oid), a.attname, format_type(a.atttypid, a.atttypmod),
                  col_description(c.oid, a.attnum)
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v')
           ORDER BY c.relname, a.attnum"""
    ).fetchall()
    found: dict[str, tuple[str, str, dict[str, tuple[str, str]]]] = {}
    for name, kind, meaning, column, data_type, column_meaning in rows:
        if name not in INTERNAL:
            found.setdefault(name, (kind, meaning, {}))[2][column] = (data_type, column_meaning)
    assert found == {
        name: ("v" if relation.is_view else "r", relation.meaning, dict(relation.columns))
        for name, relation in contract.RELATIONS.items()
    }
    for name, relation in contract.RELATIONS.items():
        assert list(found[name][2]) == list(relation.columns), f"order of the columns of {name}"


TYPES = {"text": str, "numeric": Decimal, "timestamp with time zone": datetime, "jsonb": Json, "text[]": list[str]}


def test_row_types_match_the_tables(connection: psycopg.Connection) -> None:
    """A row type has a field for each column that a pull fills, of its type, and optional if the column is nullable."""
    for table in TABLES:
        found = connection.execute(
            """SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
               WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped""",
            (f"gainsight.{table.name}",),
        ).fetchall()
        made = {"first_seen_at", "changed_at", "deleted_at", "run_id", *LINK_COLUMNS}
        expected = {name: TYPES[kind] if is_needed else TYPES[kind] | None for name, kind, is_needed in found}
        assert get_type_hints(table.row) == {name: kind for name, kind in expected.items() if name not in made}


def test_the_bulk_writer_uses_existing_columns() -> None:
    for table in TABLES:
        columns = contract.RELATIONS[table.name].columns
        assert set(table.columns) | set(LINK_COLUMNS) <= set(columns)
        assert table.columns[: len(table.key)] == table.key
        assert {table.company_column, table.id_column} <= set(columns)
