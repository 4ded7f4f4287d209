"""Small looks at what is stored, for people: samples and totals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

SAMPLE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "company": ("gsid", "name", "account_id", "match_method", "unmatched_reason", "modified_at"),
    "activity": ("activity_type", "subject", "occurred_at", "account_id", "match_method", "unmatched_reason"),
    "usage_metric": ("metric", "dimension", "value", "observed_at", "account_id", "unmatched_reason"),
}
"""What a sample shows of each table: no free text, which may be long or private."""

OBJECT_COLUMN = {"company": None, "activity": "source_object", "usage_metric": "object"}


def unmatched_totals(connection: psycopg.Connection, gainsight_object: str) -> dict[str, int]:
    """How many stored records of an object have no account, by reason."""
    return dict(
        connection.execute(
            "SELECT reason, count(*) FROM gainsight.unmatched_record WHERE object = %s GROUP BY reason",
            (gainsight_object,),
        ).fetchall()
    )


def sample_rows(
    connection: psycopg.Connection, table: str, gainsight_object: str, size: int = 5
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and a few rows that changed last."""
    columns = SAMPLE_COLUMNS[table]
    column = OBJECT_COLUMN[table]
    mine = (
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(gainsight_object)) if column else sql.SQL("true")
    )
    query = sql.SQL("SELECT {columns} FROM gainsight.{table} WHERE {mine} LIMIT {size}").format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=sql.Identifier(table),
        mine=mine,
        size=sql.Literal(size),
    )
    return columns, connection.execute(query).fetchall()
