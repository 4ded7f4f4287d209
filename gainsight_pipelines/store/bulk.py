"""Bulk upserts: rows are copied into a temporary table, and one statement inserts or updates only what differs.

If none of a page's rows is stored yet, as in a first load, COPY writes directly to the table, at little more than half
the cost. A few keys are looked up to decide; if another key exists after all, the table's index rejects the page, which
is then upserted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg import sql

from gainsight_pipelines.store.copying import copy_rows
from gainsight_pipelines.store.tables import LINK_COLUMNS, Table

FEW_ROWS = 100
"""Smaller pages are not worth the lookup."""

KEYS_TO_LOOK_UP = 16


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a write: rows inserted or changed, and unchanged ones."""

    written: int
    unchanged: int


def prepare(connection: psycopg.Connection, table: Table) -> None:
    """Creates the temporary table that `upsert` fills; it is emptied at the end of each transaction."""
    connection.execute(
        sql.SQL(
            "CREATE TEMP TABLE {staged} ON COMMIT DELETE ROWS AS SELECT {columns} FROM {table} WITH NO DATA"
        ).format(
            staged=staged(table),
            columns=_names((*table.columns, *LINK_COLUMNS)),
            table=sql.Identifier(table.name),
        )
    )


def upsert(connection: psycopg.Connection, table: Table, rows: Iterable[tuple[Any, ...]], run_id: str) -> Written:
    """Writes rows (the table's columns, then the link columns) in the open transaction. No key may occur twice."""
    page = list(rows)
    if len(table.key) == 1 and _insert(connection, table, page, run_id):
        return Written(written=len(page), unchanged=0)
    copy_rows(connection, staged(table), table, page)
    written = connection.execute(_upsert_statement(table), {"run_id": run_id}).rowcount
    return Written(written=written, unchanged=len(page) - written)


def _insert(connection: psycopg.Connection, table: Table, page: Sequence[tuple[Any, ...]], run_id: str) -> bool:
    """Copies rows directly into their table if all are new; otherwise writes nothing and returns False."""
    if len(page) < FEW_ROWS:
        return False
    keys = [row[0] for row in page[:: max(1, len(page) // KEYS_TO_LOOK_UP)]]
    found = connection.execute(
        sql.SQL("SELECT now(), EXISTS (SELECT FROM {} WHERE {} = ANY(%s))").format(
            sql.Identifier(table.name), sql.Identifier(table.key[0])
        ),
        (keys,),
    ).fetchone()
    assert found is not None
    now, is_any_stored = found
    if is_any_stored:
        return False
    columns = _names((*table.columns, *LINK_COLUMNS, "changed_at", "run_id"))
    target = sql.SQL("{} ({})").format(sql.Identifier(table.name), columns)
    more = (now, run_id)
    try:
        with connection.transaction():
            copy_rows(connection, target, table, (row + more for row in page), ("timestamptz", "text"))
    except psycopg.errors.UniqueViolation:
        return False
    return True


def write_staged(connection: psycopg.Connection, table: Table, run_id: str) -> Written:
    """Upserts the rows that the transaction has put into the temporary table."""
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(staged(table))).fetchone()
    assert row is not None
    written = connection.execute(_upsert_statement(table), {"run_id": run_id}).rowcount
    return Written(written=written, unchanged=int(row[0]) - written)


def mark_missing_parts(
    connection: psycopg.Connection, table: Table, gainsight_object: str, record_ids: Sequence[str], run_id: str
) -> int:
    """Marks rows as deleted if their record was just read and staged without that part."""
    assert table.part_column is not None
    return connection.execute(
        sql.SQL(
            """UPDATE {table} t SET deleted_at = now(), changed_at = now(), run_id = %s
               WHERE {mine} AND t.{id} = ANY(%s) AND t.deleted_at IS NULL
                 AND NOT EXISTS (SELECT FROM {staged} s WHERE s.{id} = t.{id} AND s.{part} = t.{part})"""
        ).format(
            table=sql.Identifier(table.name),
            mine=table.mine(gainsight_object),
            id=sql.Identifier(table.id_column),
            part=sql.Identifier(table.part_column),
            staged=staged(table),
        ),
        (run_id, list(record_ids)),
    ).rowcount


def staged(table: Table) -> sql.Identifier:
    """The temporary table for rows before they are upserted."""
    return sql.Identifier(f"staged_{table.name}")


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _new_value(table: Table, column: str) -> sql.Composed:
    how = "coalesce(excluded.{0}, t.{0})" if column in table.kept_columns else "excluded.{0}"
    return sql.SQL(how).format(sql.Identifier(column))


@cache
def _upsert_statement(table: Table) -> sql.Composed:
    columns = (*table.columns, *LINK_COLUMNS)
    values = [column for column in columns if column not in table.key]
    current = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in values)
    new = sql.SQL(", ").join(_new_value(table, column) for column in values)
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), _new_value(table, column))
        for column in (*values, "changed_at", "run_id")
    )
    # A deleted row that is read again is live again.
    return sql.SQL(
        """INSERT INTO {table} AS t ({columns}, changed_at, run_id)
           SELECT {columns}, now(), %(run_id)s FROM {staged}
           ON CONFLICT ({key}) DO UPDATE SET {assignments}, deleted_at = NULL
           WHERE t.deleted_at IS NOT NULL OR ({current}) IS DISTINCT FROM ({new})"""
    ).format(
        table=sql.Identifier(table.name),
        columns=_names(columns),
        staged=staged(table),
        key=_names(table.key),
        assignments=assignments,
        current=current,
        new=new,
    )
