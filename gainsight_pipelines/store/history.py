"""What earlier runs show about an object: match rates, notes, unreadable values, age of the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from gainsight_pipelines.store.scopes import Pull, peek
from gainsight_pipelines.store.tables import Table

TRAILING_RUNS = 20
LEAST_ROWS, LARGEST_DROP = 20, 0.1
"""A match rate counts from this many rows on, and is bad if it is this much below that of the trailing runs."""

REMEMBERED = timedelta(days=7)
"""How long schema drift or an unmapped category is reported after the run that found it."""


@dataclass(frozen=True, slots=True)
class MatchRates:
    """Matched and total rows: of the last run that read any, and of the runs before it."""

    matched: int
    rows: int
    matched_before: int
    rows_before: int

    @property
    def is_good(self) -> bool:
        """Whether the last run matched about as well as those before it."""
        if self.rows < LEAST_ROWS or not self.rows_before:
            return True
        return self.matched_before / self.rows_before - self.matched / self.rows <= LARGEST_DROP


MATCH_RATES: LiteralString = """
WITH counted AS (
    SELECT started_at, rows_matched AS matched,
           rows_matched + coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(rows_unmatched)), 0) AS rows
    FROM sync_run WHERE object = %s AND status = 'completed'
), latest AS (
    SELECT *, row_number() OVER (ORDER BY started_at DESC) AS number FROM counted WHERE rows > 0
    ORDER BY started_at DESC LIMIT %s
)
SELECT coalesce(sum(matched) FILTER (WHERE number = 1), 0)::bigint,
       coalesce(sum(rows) FILTER (WHERE number = 1), 0)::bigint,
       coalesce(sum(matched) FILTER (WHERE number > 1), 0)::bigint,
       coalesce(sum(rows) FILTER (WHERE number > 1), 0)::bigint
FROM latest
"""


def match_rates(connection: psycopg.Connection, name: str, trailing: int) -> MatchRates:
    """The match rates of the last completed run that read anything, and of up to `trailing` runs before it."""
    row = connection.execute(MATCH_RATES, (name, trailing + 1)).fetchone()
    assert row is not None
    return MatchRates(*row)


def details_since(connection: psycopg.Connection, name: str, key: str, since: datetime) -> list[tuple[datetime, Any]]:
    """The values of a key in `sync_run.details` of completed runs, with the runs' start; oldest first."""
    return connection.execute(
        """SELECT started_at, details -> %(key)s FROM sync_run
           WHERE object = %(name)s AND status = 'completed' AND started_at >= %(since)s
             AND details -> %(key)s NOT IN ('{}', '[]', 'null')
           ORDER BY started_at""",
        {"key": key, "name": name, "since": since},
    ).fetchall()


def unreadable_values(connection: psycopg.Connection, table: Table, gainsight_object: str) -> dict[str, int]:
    """The number of an object's live rows with an unreadable value, by Gainsight field; most frequent first."""
    query = sql.SQL(
        """SELECT field, count(*) FROM {table} t, jsonb_object_keys(t.unreadable) AS field
           WHERE {mine} AND t.unreadable IS NOT NULL AND t.deleted_at IS NULL
           GROUP BY field ORDER BY count(*) DESC, field"""
    ).format(table=sql.Identifier(table.name), mine=table.mine(gainsight_object))
    return dict(connection.execute(query).fetchall())


def last_completed_run(connection: psycopg.Connection, name: str) -> tuple[bool, dict[str, Any]] | None:
    """Whether the last completed run was cut off by its limit, and its details."""
    return connection.execute(
        """SELECT is_truncated, details FROM sync_run WHERE object = %s AND status = 'completed'
           ORDER BY started_at DESC LIMIT 1""",
        (name,),
    ).fetchone()


def newest_data(connection: psycopg.Connection, name: str, table: Table, gainsight_object: str) -> datetime | None:
    """When an object's stored data last changed in Gainsight: by the cursor, or else by the rows."""
    read_up_to = peek(connection, name, Pull).modified_at
    if read_up_to is not None:
        return read_up_to
    dates = ("modified_at", table.date_column) if table.date_column else ("modified_at",)
    query = sql.SQL("SELECT greatest({newest}) FROM {table} t WHERE {mine} AND deleted_at IS NULL").format(
        newest=sql.SQL(", ").join(sql.SQL("max({})").format(sql.Identifier(name)) for name in dates),
        table=sql.Identifier(table.name),
        mine=table.mine(gainsight_object),
    )
    row = connection.execute(query).fetchone()
    return row[0] if row else None
