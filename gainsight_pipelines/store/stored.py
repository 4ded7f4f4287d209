"""Which records are stored, for reads that go by them."""

from __future__ import annotations

from datetime import datetime

import psycopg
from psycopg import sql

from gainsight_pipelines.store.tables import Table


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
