"""Usage rows that are read whole: staged, named, and swapped in by one transaction. Readers never see a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from gainsight_pipelines.store import bulk
from gainsight_pipelines.store.bulk import Written
from gainsight_pipelines.store.tables import LINK_COLUMNS, USAGE_METRIC

COLUMNS = (*USAGE_METRIC.columns, *LINK_COLUMNS)

# Rows that nothing tells apart get an ordinal, in the order of what they hold: the same whatever order they come in.
NAMED = sql.SQL(
    """INSERT INTO staged_usage_metric ({columns})
       SELECT object, record_id || CASE WHEN ordinal > 1 THEN '-' || ordinal ELSE '' END, {rest}
       FROM (SELECT *, row_number() OVER (PARTITION BY object, record_id, metric
                                          ORDER BY value, secondary::text, observed_at) AS ordinal
             FROM snapshot_usage_metric) s"""
).format(
    columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
    rest=sql.SQL(", ").join(map(sql.Identifier, COLUMNS[2:])),
)


def prepare(connection: psycopg.Connection) -> None:
    """Makes the table that a snapshot is collected in; it is this connection's own and goes with it."""
    connection.execute("DROP TABLE IF EXISTS snapshot_usage_metric")
    connection.execute(
        sql.SQL("CREATE TEMP TABLE snapshot_usage_metric AS SELECT {} FROM usage_metric WITH NO DATA").format(
            sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        )
    )


def add(connection: psycopg.Connection, rows: Iterable[Sequence[Any]], *, is_restart: bool) -> int:
    """Adds rows to the snapshot; a read that begins anew throws away what was collected before."""
    if is_restart:
        connection.execute("TRUNCATE snapshot_usage_metric")
    added = 0
    with connection.cursor() as cursor, cursor.copy("COPY snapshot_usage_metric FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
            added += 1
    return added


def compare(connection: psycopg.Connection, gainsight_object: str) -> tuple[int, int]:
    """Rows of the snapshot, and live stored rows that it would take the place of: those within its dates."""
    row = connection.execute(
        """WITH span AS (SELECT count(*) AS rows, min(observed_at) AS first, max(observed_at) AS last
                         FROM snapshot_usage_metric)
           SELECT span.rows,
                  (SELECT count(*) FROM usage_metric
                   WHERE object = %s AND deleted_at IS NULL
                     AND (span.rows = 0 OR observed_at IS NULL OR observed_at BETWEEN span.first AND span.last))
           FROM span""",
        (gainsight_object,),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def swap(connection: psycopg.Connection, gainsight_object: str, run_id: str) -> tuple[Written, int]:
    """Puts the snapshot in the place of the stored rows within its dates, as part of the open transaction.

    Returns:
        What was written, and how many rows are gone. Rows outside the snapshot's dates stay: the object may show the
        last weeks alone.
    """
    connection.execute(NAMED)
    written = bulk.write_staged(connection, USAGE_METRIC, run_id)
    gone = connection.execute(
        """WITH span AS (SELECT count(*) AS rows, min(observed_at) AS first, max(observed_at) AS last
                         FROM staged_usage_metric)
           UPDATE usage_metric t SET deleted_at = now(), changed_at = now(), run_id = %s
           FROM span
           WHERE t.object = %s AND t.deleted_at IS NULL
             AND (span.rows = 0 OR t.observed_at IS NULL OR t.observed_at BETWEEN span.first AND span.last)
             AND NOT EXISTS (SELECT FROM staged_usage_metric s
                             WHERE s.object = t.object AND s.record_id = t.record_id AND s.metric = t.metric)""",
        (run_id, gainsight_object),
    ).rowcount
    return written, gone
