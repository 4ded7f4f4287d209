"""The last delivery of each table to a warehouse, as `status` shows it. Nothing depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Place:
    """A table in a warehouse."""

    destination: str
    dataset: str
    relation: str


@dataclass(frozen=True, slots=True)
class LastDelivery:
    """The last delivery of a table or view.

    Attributes:
        relation: its name.
        run_id: of Dagster's run, or of the command.
        started_at: when it began.
        finished_at: when it ended; None: it is under way, or was killed.
        delivered_at: when one last completed.
        rows_sent: by that one.
        bytes_sent: by that one.
        error: why the last one failed; None: it didn't.
    """

    relation: str
    run_id: str
    started_at: datetime
    finished_at: datetime | None
    delivered_at: datetime | None
    rows_sent: int | None
    bytes_sent: int | None
    error: str | None


def begun(connection: psycopg.Connection, place: Place, run_id: str) -> None:
    """Notes that a delivery has begun."""
    connection.execute(
        """INSERT INTO delivery (destination, dataset, relation, run_id, started_at) VALUES (%s, %s, %s, %s, now())
           ON CONFLICT (destination, dataset, relation)
           DO UPDATE SET run_id = excluded.run_id, started_at = now(), finished_at = NULL, error = NULL""",
        (place.destination, place.dataset, place.relation, run_id),
    )


def completed(connection: psycopg.Connection, place: Place, rows: int, size: int) -> None:
    """Notes that it is done."""
    connection.execute(
        """UPDATE delivery SET finished_at = now(), delivered_at = now(), rows_sent = %s, bytes_sent = %s
           WHERE (destination, dataset, relation) = (%s, %s, %s)""",
        (rows, size, place.destination, place.dataset, place.relation),
    )


def failed(connection: psycopg.Connection, place: Place, error: str) -> None:
    """Notes that it failed, and why."""
    connection.execute(
        """UPDATE delivery SET finished_at = now(), error = %s
           WHERE (destination, dataset, relation) = (%s, %s, %s)""",
        (error, place.destination, place.dataset, place.relation),
    )


def last(connection: psycopg.Connection, destination: str, dataset: str) -> list[LastDelivery]:
    """The last delivery of each table there, by name."""
    with connection.cursor(row_factory=class_row(LastDelivery)) as cursor:
        return cursor.execute(
            """SELECT relation, run_id, started_at, finished_at, delivered_at, rows_sent, bytes_sent, error
               FROM delivery WHERE destination = %s AND dataset = %s ORDER BY relation""",
            (destination, dataset),
        ).fetchall()
