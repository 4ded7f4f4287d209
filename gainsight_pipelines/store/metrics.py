"""The numbers that Prometheus scrapes, each question answered in milliseconds on tables of millions of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg.rows import class_row

COUNTERS: LiteralString = """
CROSS JOIN LATERAL (
    VALUES ('runs', 1), ('records_read', records_read), ('rows_written', rows_written),
           ('records_rejected', records_rejected), ('values_unreadable', values_unreadable),
           ('bytes_received', bytes_received),
           ('seconds', coalesce(ceil(extract(epoch FROM finished_at - started_at)), 0)::bigint)
    UNION ALL SELECT 'calls_' || key, value::bigint FROM jsonb_each_text(calls)
) AS counted (counter, value)
"""
"""What a row of `sync_run` adds to the totals."""

TOTALS: LiteralString = """
WITH ended AS (SELECT * FROM sync_run WHERE finished_at IS NOT NULL)
SELECT object, status, counter, sum(value)::bigint AS value
FROM (
    SELECT object, status, counter, value
    FROM (
        SELECT object, status, count(*) AS runs, sum(records_read) AS records_read, sum(rows_written) AS rows_written,
               sum(records_rejected) AS records_rejected, sum(values_unreadable) AS values_unreadable,
               sum(bytes_received) AS bytes_received,
               sum(ceil(extract(epoch FROM finished_at - started_at))) AS seconds
        FROM ended GROUP BY object, status
    ) AS summed
    CROSS JOIN LATERAL (
        VALUES ('runs', runs), ('records_read', records_read), ('rows_written', rows_written),
               ('records_rejected', records_rejected), ('values_unreadable', values_unreadable),
               ('bytes_received', bytes_received), ('seconds', seconds)
    ) AS counted (counter, value)
    UNION ALL SELECT object, status, 'calls_' || key, times * value::bigint
    FROM (SELECT object, status, calls, count(*) AS times FROM ended GROUP BY object, status, calls) AS called
    CROSS JOIN LATERAL jsonb_each_text(calls)
    UNION ALL SELECT object, status, counter, value FROM run_total
) AS every GROUP BY object, status, counter ORDER BY object, status, counter
"""
"""Summed before it is told apart by counter: a year has tens of thousands of runs."""

KEEP_TOTALS: LiteralString = f"""
INSERT INTO run_total AS t (object, status, counter, value)
SELECT object, status, counter, sum(value) FROM gone {COUNTERS} GROUP BY object, status, counter
ON CONFLICT (object, status, counter) DO UPDATE SET value = t.value + excluded.value
"""
"""Adds rows of `sync_run` that are deleted (`gone`) to the totals: a counter that falls would be read as a restart."""

UNMATCHED: LiteralString = """
SELECT 'company' AS object, unmatched_reason AS reason, count(*)
FROM company WHERE account_id IS NULL AND deleted_at IS NULL GROUP BY unmatched_reason
UNION ALL SELECT source_object, unmatched_reason, count(*)
FROM activity WHERE account_id IS NULL AND deleted_at IS NULL GROUP BY source_object, unmatched_reason
UNION ALL SELECT object, unmatched_reason, count(*)
FROM usage_metric WHERE account_id IS NULL AND deleted_at IS NULL GROUP BY object, unmatched_reason
UNION ALL SELECT object, unmatched_reason, count(*)
FROM record WHERE unmatched_reason IS NOT NULL AND deleted_at IS NULL GROUP BY object, unmatched_reason
ORDER BY object, reason
"""
"""The counts of the view `unmatched_record`, from indexes only."""

PROGRESS: LiteralString = """
WITH RECURSIVE named (object) AS (
    SELECT min(object) FROM sync_run
    UNION ALL SELECT (SELECT min(object) FROM sync_run r WHERE r.object > n.object)
    FROM named n WHERE n.object IS NOT NULL
)
SELECT object, last.status, last.started_at, last.finished_at, completed.started_at AS completed_at
FROM named
CROSS JOIN LATERAL (
    SELECT status, started_at, finished_at FROM sync_run r
    WHERE r.object = named.object AND status <> 'skipped' ORDER BY started_at DESC LIMIT 1
) AS last
LEFT JOIN LATERAL (
    SELECT started_at FROM sync_run r
    WHERE r.object = named.object AND status = 'completed' ORDER BY started_at DESC LIMIT 1
) AS completed ON true
ORDER BY object
"""
"""Goes from object to object in the index, and to each one's newest runs, instead of reading all runs."""

TABLES: LiteralString = """
SELECT c.relname, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r' ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of one counter over all runs of an object that ended with one status, deleted runs included."""

    object: str
    status: str
    counter: str
    value: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an object has been read. `completed_at`: the start of its last completed run."""

    object: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    completed_at: datetime | None


def totals(connection: psycopg.Connection) -> list[Total]:
    """The counters of all runs that ever ended."""
    with connection.cursor(row_factory=class_row(Total)) as cursor:
        return cursor.execute(TOTALS).fetchall()


def progress(connection: psycopg.Connection) -> list[Progress]:
    """The last run of each object, and its last completed one; attempts that found another run don't count."""
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        return cursor.execute(PROGRESS).fetchall()


def unmatched(connection: psycopg.Connection) -> list[tuple[str, str, int]]:
    """Object, reason and number of the stored records without an account."""
    return connection.execute(UNMATCHED).fetchall()


def table_sizes(connection: psycopg.Connection) -> list[tuple[str, int, int]]:
    """Name, estimated rows, and bytes including indexes, of each of our tables."""
    return connection.execute(TABLES).fetchall()
