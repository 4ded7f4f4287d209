"""Which records are stored, for reads that go by them; what of them; and under which name of their object."""

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
    """Gsids of an object's stored records, in their order.

    Args:
        connection: where they are stored.
        table: in which table; it has a date.
        gainsight_object: whose.
        before: only those that happened before this, or at no known time; None: all.
        after: only Gsids after this one.
        at_most: how many.
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
    """The rows of records of an object, by key and column; JSON as Python has it."""
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
    """A row with what is stored of the columns that nothing is said of, and of such keys in its columns of JSON."""
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
    """Puts an object's rows under another spelling of its name; returns how many there are.

    Rows of both spellings: where they are of the same record, the live one stays.
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
