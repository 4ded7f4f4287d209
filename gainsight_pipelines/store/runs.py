"""The record of each run (`sync_run`), and the objects whose cadence is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gainsight_pipelines import __version__
from gainsight_pipelines.store.metrics import KEEP_TOTALS

WORTH_RETRYING = "worth_retrying"
"""Key in `sync_run.details` of a failed run: a later run may succeed."""

FAILED_AS = "failed_as"
"""Key in `sync_run.details` of a failed run: a heading of docs/troubleshooting.md, or a code of its own."""


def start_run(connection: psycopg.Connection, run_id: str, name: str, started_at: datetime) -> None:
    """Inserts the row of a run that has just begun."""
    connection.execute(
        """INSERT INTO sync_run (run_id, object, status, started_at, product_version)
           VALUES (%s, %s, 'running', %s, %s)
           ON CONFLICT (run_id, object) DO UPDATE
           SET status = 'running', started_at = excluded.started_at, finished_at = NULL, error = NULL""",
        (run_id, name, started_at, __version__),
    )


DIED = "The run was killed, or its machine went down. The next run goes on from its last page."
END_DEAD: LiteralString = f"""UPDATE sync_run SET status = 'failed', finished_at = now(), error = '{DIED}',
    details = details || '{{"{WORTH_RETRYING}": true}}'"""


def end_abandoned(connection: psycopg.Connection, name: str, run_id: str) -> None:
    """Marks earlier unfinished runs of the object as failed: the holder of the object's lease knows they are dead."""
    connection.execute(f"{END_DEAD} WHERE object = %s AND status = 'running' AND run_id <> %s", (name, run_id))


def end_dead_run(connection: psycopg.Connection, run_id: str, name: str) -> None:
    """Marks a pull as failed whose process is known to be gone."""
    connection.execute(f"{END_DEAD} WHERE run_id = %s AND object = %s AND status = 'running'", (run_id, name))


def unfinished_runs(connection: psycopg.Connection, *, before: datetime) -> list[tuple[str, str]]:
    """Run and object of unfinished runs that began before a time."""
    return connection.execute(
        "SELECT run_id, object FROM sync_run WHERE status = 'running' AND started_at < %s", (before,)
    ).fetchall()


def update_run(connection: psycopg.Connection, run_id: str, name: str, values: Mapping[str, Any]) -> None:
    """Sets columns of the run's row; dictionaries become jsonb."""
    from psycopg import sql

    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)) for column in values
    )
    parameters = {key: Jsonb(value) if isinstance(value, dict) else value for key, value in values.items()}
    connection.execute(
        sql.SQL("UPDATE sync_run SET {} WHERE run_id = %(_run)s AND object = %(_object)s").format(assignments),
        {**parameters, "_run": run_id, "_object": name},
    )


@dataclass(frozen=True, slots=True)
class Run:
    """A row of `sync_run`, for progress and the banner."""

    run_id: str
    object: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    window_from: datetime | None
    records_read: int
    rows_written: int
    rows_unchanged: int
    rows_matched: int
    rows_unmatched: dict[str, int]
    records_rejected: int
    values_unreadable: int
    rows_relinked: int
    is_truncated: bool
    calls: dict[str, int]
    details: dict[str, Any]
    error: str | None


RUN_COLUMNS: LiteralString = (
    "run_id, object, status, started_at, finished_at, window_from, records_read, rows_written, rows_unchanged, "
    "rows_matched, rows_unmatched, records_rejected, values_unreadable, rows_relinked, is_truncated, calls, details, "
    "error"
)


def find_run(connection: psycopg.Connection, run_id: str, name: str) -> Run | None:
    """The row of one run, if it has begun."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        cursor.execute(f"SELECT {RUN_COLUMNS} FROM sync_run WHERE run_id = %s AND object = %s", (run_id, name))
        return cursor.fetchone()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run since a tick, for the decision whether to retry."""

    status: str
    ended_at: datetime
    is_final: bool
    """A permanent failure."""


def attempts_since(connection: psycopg.Connection, name: str, moment: datetime) -> list[Attempt]:
    """The runs of an object since a time, except those that found another run; oldest first."""
    with connection.cursor(row_factory=class_row(Attempt)) as cursor:
        cursor.execute(
            """SELECT status, coalesce(finished_at, started_at) AS ended_at,
                      status = 'failed' AND NOT coalesce((details -> %s)::boolean, false) AS is_final
               FROM sync_run WHERE object = %s AND started_at >= %s AND status <> 'skipped'
               ORDER BY started_at""",
            (WORTH_RETRYING, name, moment),
        )
        return cursor.fetchall()


def last_completed(connection: psycopg.Connection) -> dict[str, datetime]:
    """The start of each object's last completed run."""
    return dict(
        connection.execute(
            "SELECT object, max(started_at) FROM sync_run WHERE status = 'completed' GROUP BY object"
        ).fetchall()
    )


def last_gated(connection: psycopg.Connection) -> datetime | None:
    """The start of the last run that found the primary CRM unavailable."""
    row = connection.execute("SELECT max(started_at) FROM sync_run WHERE status = 'gated'").fetchone()
    return row[0] if row else None


def watch_objects(connection: psycopg.Connection, names: list[str], now: datetime) -> dict[str, datetime]:
    """Since when the cadence of each of these objects has been watched; new ones are watched from now on."""
    return dict(
        connection.execute(
            """WITH new AS (
                   INSERT INTO watched_object (object, watched_since)
                   SELECT name, %(now)s FROM unnest(%(names)s::text[]) AS name
                   ON CONFLICT (object) DO NOTHING RETURNING object, watched_since
               )
               SELECT object, watched_since FROM new
               UNION SELECT object, watched_since FROM watched_object WHERE object = ANY(%(names)s)""",
            {"names": names, "now": now},
        ).fetchall()
    )


def watched_since(connection: psycopg.Connection) -> dict[str, datetime]:
    """Since when the cadence of each watched object has been watched."""
    return dict(connection.execute("SELECT object, watched_since FROM watched_object").fetchall())


def note_stopped(connection: psycopg.Connection, stopped: list[str]) -> None:
    """Records which schedules a person stopped, for readers that can't query Dagster."""
    connection.execute(
        """UPDATE watched_object SET is_stopped = object = ANY(%(stopped)s)
           WHERE is_stopped <> (object = ANY(%(stopped)s))""",
        {"stopped": stopped},
    )


def stopped_objects(connection: psycopg.Connection) -> set[str]:
    """The objects whose schedules were stopped at the gate sensor's last tick."""
    return {name for (name,) in connection.execute("SELECT object FROM watched_object WHERE is_stopped")}


PURGE: LiteralString = """
FROM sync_run r WHERE finished_at < %s AND EXISTS (
    SELECT FROM sync_run later
    WHERE later.object = r.object AND later.started_at > r.started_at AND later.status = 'completed')
"""


def purge_runs(connection: psycopg.Connection, before: datetime, *, is_dry: bool) -> int:
    """Deletes (or only counts) the rows of runs that ended before a time, except each object's last completed one."""
    if is_dry:
        row = connection.execute(f"SELECT count(*) {PURGE}", (before,)).fetchone()
        return int(row[0]) if row else 0
    row = connection.execute(
        f"WITH gone AS (DELETE {PURGE} RETURNING r.*), kept AS ({KEEP_TOTALS}) SELECT count(*) FROM gone", (before,)
    ).fetchone()
    return int(row[0]) if row else 0


def latest_runs(connection: psycopg.Connection) -> dict[str, Run]:
    """The last run of each object; attempts that found another run don't count."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        cursor.execute(
            f"""SELECT DISTINCT ON (object) {RUN_COLUMNS} FROM sync_run WHERE status <> 'skipped'
                ORDER BY object, started_at DESC"""
        )
        return {run.object: run for run in cursor}
