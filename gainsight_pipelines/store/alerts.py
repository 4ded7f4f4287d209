"""Which alerts are firing, and the messages still to be delivered. Shared by all processes that evaluate the rules.

The process that inserts or deletes an alert's row queues its messages in the same transaction, and a message belongs
for a while to the process that claims it. Each message is therefore sent once, and by another process if the first one
dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from gainsight_pipelines.store.runs import FAILED_AS, WORTH_RETRYING

TENANT = ""
"""The object of an alert that concerns all objects."""

RECENT_RUNS = 60


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that completed or failed. `rows`: written or seen, matched or not."""

    run_id: str
    object: str
    status: str
    started_at: datetime
    records_read: int
    records_rejected: int
    is_truncated: bool
    rows_matched: int
    rows: int
    failed_as: str | None
    is_worth_retrying: bool
    error: str | None


RECENT: LiteralString = """
SELECT recent.* FROM unnest(%(names)s::text[]) AS name CROSS JOIN LATERAL (
    SELECT run_id, object, status, started_at, records_read, records_rejected, is_truncated, rows_matched,
           (rows_matched
            + coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(rows_unmatched)), 0))::bigint AS rows,
           details ->> %(failed_as)s AS failed_as,
           coalesce((details -> %(worth_retrying)s)::boolean, false) AS is_worth_retrying, error
    FROM sync_run WHERE object = name AND status IN ('completed', 'failed')
    ORDER BY started_at DESC LIMIT %(limit)s
) AS recent ORDER BY recent.object, recent.started_at DESC
"""


def recent_runs(connection: psycopg.Connection, names: Sequence[str]) -> dict[str, list[EndedRun]]:
    """The latest completed and failed runs of each object, newest first."""
    found: dict[str, list[EndedRun]] = {name: [] for name in names}
    parameters = {
        "names": list(names),
        "failed_as": FAILED_AS,
        "worth_retrying": WORTH_RETRYING,
        "limit": RECENT_RUNS,
    }
    with connection.cursor(row_factory=class_row(EndedRun)) as cursor:
        for run in cursor.execute(RECENT, parameters):
            found[run.object].append(run)
    return found


@dataclass(frozen=True, slots=True)
class Noted:
    """Notes of a completed run that people should see."""

    object: str
    started_at: datetime
    schema_drift: Any
    unmapped_categories: dict[str, int] | None
    values_unreadable: int


def noted_since(connection: psycopg.Connection, names: Sequence[str], since: datetime) -> list[Noted]:
    """The completed runs of these objects since then that have notes, oldest first."""
    with connection.cursor(row_factory=class_row(Noted)) as cursor:
        return cursor.execute(
            """SELECT object, started_at, nullif(details -> 'schema_drift', '{}') AS schema_drift,
                      details -> 'unmapped_categories' AS unmapped_categories, values_unreadable
               FROM sync_run
               WHERE object = ANY(%s) AND started_at >= %s AND status = 'completed'
                 AND (values_unreadable > 0 OR details -> 'schema_drift' NOT IN ('{}', '[]', 'null')
                      OR details -> 'unmapped_categories' NOT IN ('{}', 'null'))
               ORDER BY started_at""",
            (list(names), since),
        ).fetchall()


def gate_closed_since(connection: psycopg.Connection) -> datetime | None:
    """Since when the gate has been closed, for whatever reasons; None: it is open, or was never checked."""
    row = connection.execute("SELECT coalesce(closed_since, since) FROM crm_gate WHERE NOT is_open").fetchone()
    return row[0] if row else None


def firing(connection: psycopg.Connection) -> dict[tuple[str, str], tuple[datetime, datetime]]:
    """The firing alerts: rule and object → when the problem started, when the message was sent."""
    return {
        (rule, name): (since, at)
        for rule, name, since, at in connection.execute("SELECT rule, object, since, told_at FROM alert")
    }


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a message."""

    title: str
    body: str


def begin(
    connection: psycopg.Connection, rule: str, name: str, since: datetime, text: Text, targets: int, now: datetime
) -> bool:
    """Records an alert and queues a message for each target; False: it was already recorded."""
    with connection.transaction():
        row = connection.execute(
            """INSERT INTO alert (rule, object, since, told_at) VALUES (%s, %s, %s, %s)
               ON CONFLICT (rule, object) DO NOTHING RETURNING 1""",
            (rule, name, since, now),
        ).fetchone()
        if row is not None:
            _leave(connection, rule, name, text, targets, now, is_recovery=False)
    return row is not None


def end(connection: psycopg.Connection, rule: str, name: str, text: Text, targets: int, now: datetime) -> bool:
    """Removes an alert and queues the recovery messages; False: it was not recorded."""
    with connection.transaction():
        row = connection.execute(
            "DELETE FROM alert WHERE rule = %s AND object = %s RETURNING 1", (rule, name)
        ).fetchone()
        if row is not None:
            _leave(connection, rule, name, text, targets, now, is_recovery=True)
    return row is not None


def _leave(
    connection: psycopg.Connection,
    rule: str,
    name: str,
    text: Text,
    targets: int,
    now: datetime,
    *,
    is_recovery: bool,
) -> None:
    connection.execute(
        """INSERT INTO alert_message (rule, object, is_recovery, target, title, body, made_at, due_at)
           SELECT %s, %s, %s, target, %s, %s, %s, %s FROM generate_series(1, %s) AS target""",
        (rule, name, is_recovery, text.title, text.body, now, now, targets),
    )


@dataclass(frozen=True, slots=True)
class Message:
    """A message to deliver now. `attempts`: including this one."""

    message_id: int
    target: int
    is_recovery: bool
    title: str
    body: str
    made_at: datetime
    attempts: int


CLAIM: LiteralString = """
UPDATE alert_message SET attempts = attempts + 1, due_at = %(until)s
WHERE message_id = (
    SELECT m.message_id FROM alert_message m
    WHERE m.due_at <= %(now)s AND NOT EXISTS (
        SELECT FROM alert_message earlier
        WHERE earlier.message_id < m.message_id AND earlier.target = m.target
          AND earlier.rule = m.rule AND earlier.object = m.object)
    ORDER BY m.message_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING message_id, target, is_recovery, title, body, made_at, attempts
"""


def claim(connection: psycopg.Connection, now: datetime, lease: timedelta) -> Message | None:
    """Claims the next due message for `lease`. The end of an alert never comes before its start."""
    with connection.cursor(row_factory=class_row(Message)) as cursor:
        return cursor.execute(CLAIM, {"now": now, "until": now + lease}).fetchone()


def put_off(connection: psycopg.Connection, message: Message, problem: str, until: datetime) -> None:
    """Schedules another attempt for a message that could not be delivered."""
    connection.execute(
        "UPDATE alert_message SET due_at = %s, problem = %s WHERE message_id = %s",
        (until, problem, message.message_id),
    )


def settle(connection: psycopg.Connection, message: Message, outcome: str) -> None:
    """Removes a message and counts it as `delivered` or `failed`."""
    connection.execute(
        """WITH gone AS (DELETE FROM alert_message WHERE message_id = %s RETURNING 1)
           INSERT INTO alert_total AS t (outcome, value) SELECT %s, count(*) FROM gone HAVING count(*) > 0
           ON CONFLICT (outcome) DO UPDATE SET value = t.value + excluded.value""",
        (message.message_id, outcome),
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """An undelivered message. `problem`: of the last attempt."""

    rule: str
    object: str
    target: int
    made_at: datetime
    attempts: int
    problem: str | None


def waiting(connection: psycopg.Connection) -> list[Waiting]:
    """The undelivered messages, oldest first."""
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(
            "SELECT rule, object, target, made_at, attempts, problem FROM alert_message ORDER BY message_id"
        ).fetchall()


def totals(connection: psycopg.Connection) -> dict[str, int]:
    """The numbers of `delivered` and `failed` messages."""
    return {"delivered": 0, "failed": 0} | dict(connection.execute("SELECT outcome, value FROM alert_total").fetchall())
