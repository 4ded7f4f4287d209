"""The state of the gate as of the last check of the primary CRM: one row, shared by all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the primary CRM is available.

    `reason`: a code of the data contract; `message`: the reason as a sentence, with what to do. `accounts`: the number
    of live accounts after the last refresh, if the CRM responded. `since`: when this reason began; `checked_at`: the
    time of the last check.
    """

    is_open: bool
    reason: str
    message: str
    accounts: int | None
    since: datetime
    checked_at: datetime


COLUMNS = "is_open, reason, message, accounts, since, checked_at"


def find_gate(connection: psycopg.Connection) -> Gate | None:
    """The gate as of the last check; None if it was never checked."""
    with connection.cursor(row_factory=class_row(Gate)) as cursor:
        return cursor.execute(f"SELECT {COLUMNS} FROM crm_gate").fetchone()


def save_gate(connection: psycopg.Connection, gate: Gate) -> Gate:
    """Stores the result of a check; returns it with the time at which this reason began."""
    with connection.cursor(row_factory=class_row(Gate)) as cursor:
        cursor.execute(
            f"""INSERT INTO crm_gate AS g ({COLUMNS}, closed_since)
                VALUES (%s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (only_row) DO UPDATE
                SET is_open = excluded.is_open, reason = excluded.reason, message = excluded.message,
                    accounts = excluded.accounts, checked_at = excluded.checked_at,
                    closed_since = least(excluded.closed_since,
                                         CASE WHEN NOT g.is_open AND NOT excluded.is_open THEN g.closed_since END),
                    since = least(excluded.since, CASE WHEN g.reason = excluded.reason THEN g.since END)
                RETURNING {COLUMNS}""",
            (
                *(gate.is_open, gate.reason, gate.message, gate.accounts, gate.since, gate.checked_at),
                None if gate.is_open else gate.since,
            ),
        )
        found = cursor.fetchone()
    assert found is not None
    return found
