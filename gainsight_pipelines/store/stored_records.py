"""Queries on stored records: their ids by date, their rows, and renaming their object."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from gainsight_pipelines.store.batches import change
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.rejected import to_json
from gainsight_pipelines.store.tables import Table
from gainsight_pipelines.text import name_key


def dated_before(
    connection: psycopg.Connection,
    table: Table,
    gainsight_object: str,
    before: datetime | None,
    *,
    after: str | None,
    at_most: int,
) -> list[str]:
    """The GSIDs of an object's stored records, in order.

    Args:
        connection: to the store.
        table: the table, which has a date.
        gainsight_object: the object.
        before: only records from before this time, or without a date; None: all.
        after: only GSIDs after this one.
        at_most: the maximum number.
    """
    assert table.date_column is not None
    rows = connection.execute(
        sql.SQL(
            """SELECT {id} FROM {table} t
               WHERE {mine} AND deleted_at IS NULL
                 AND (%(before)s::timestamptz IS NULL OR {date} IS NULL OR {date} < %(before)s)
                 AND (%(after)s::text IS NULL OR {id} > %(after)s)
               ORDER BY {id} LIMIT %(at_most)s"""
        ).format(
            id=sql.Identifier(table.id_column),
            table=sql.Identifier(table.name),
            mine=table.mine(gainsight_object),
            date=sql.Identifier(table.date_column),
        ),
        {"before": before, "after": after, "at_most": at_most},
    ).fetchall()
    return [row[0] for row in rows]


def stored_rows(
    connection: psycopg.Connection, table: Table, gainsight_object: str, ids: Collection[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of an object's records, by key and column; JSON as Python objects."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            sql.SQL("SELECT {columns} FROM {table} t WHERE {mine} AND {id} = ANY(%s)").format(
                columns=sql.SQL(", ").join(map(sql.Identifier, table.columns)),
                table=sql.Identifier(table.name),
                mine=table.mine(gainsight_object),
                id=sql.Identifier(table.id_column),
            ),
            (list(ids),),
        )
        return {tuple(row[column] for column in table.key): row for row in cursor}


def completed(
    table: Table, row: tuple[Any, ...], former: Mapping[str, Any], columns: Iterable[str], keys: Collection[str]
) -> tuple[Any, ...]:
    """The row, completed with the stored values of omitted columns, and of omitted keys in JSON columns."""
    assert isinstance(row, table.row)
    changes: dict[str, Any] = {column: former[column] for column in columns}
    for column in table.json_columns:
        kept = former[column] if isinstance(former[column], dict) else {}
        said = getattr(row, column)
        kept = {key: value for key, value in kept.items() if name_key(key) in keys}
        if kept:
            changes[column] = to_json(kept | (orjson.loads(said) if said else {}))
    return row._replace(**changes)


def rename_object(
    connection: psycopg.Connection, lease: Lease, table: Table, former: str, now: str, run_id: str
) -> int:
    """Changes the spelling of an object's name on its rows; returns their number.

    If both spellings have a row of the same record, the live one is kept.
    """
    if table.object_column is None:
        return 0
    names = {
        "table": sql.Identifier(table.name),
        "key": table.keys(),
        "object": sql.Identifier(table.object_column),
        "same": sql.SQL(" AND ").join(
            sql.SQL("t.{0} = o.{0}").format(sql.Identifier(column))
            for column in table.key
            if column != table.object_column
        ),
    }
    with lease.writing(connection):
        if table.object_column in table.key:
            connection.execute(
                sql.SQL(
                    """DELETE FROM {table} t USING {table} o
                       WHERE {same}
                         AND ((t.{object}, o.{object}) = (%(now)s, %(former)s) AND t.deleted_at IS NOT NULL
                              OR (t.{object}, o.{object}) = (%(former)s, %(now)s) AND o.deleted_at IS NULL)"""
                ).format(**names),
                {"former": former, "now": now},
            )
        connection.execute(
            """DELETE FROM custom_field c USING custom_field o
               WHERE c.entity = %(entity)s AND c.source_object = %(former)s AND o.source_object = %(now)s
                 AND (o.entity, o.name) = (c.entity, c.name)""",
            {"entity": table.name, "former": former, "now": now},
        )
        connection.execute(
            "UPDATE custom_field SET source_object = %s WHERE entity = %s AND source_object = %s",
            (now, table.name, former),
        )
    chosen = sql.SQL("SELECT {key}, %s::text AS renamed FROM {table} t WHERE t.{object} = %s").format(**names)
    renamed = sql.SQL("{object} = p.renamed").format(**names)
    return change(connection, lease, table.name, table.key, chosen, (now, former), renamed, run_id)
