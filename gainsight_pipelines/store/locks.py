"""Advisory locks: one pull per object at a time, one refresh of the accounts at a time, whoever starts them.

Each lock is held on an autocommit connection of its own, never one from a pool: a pool would hand the lock on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from gainsight_pipelines.errors import ObjectBusy
from gainsight_pipelines.store.connection import Store, translated_errors


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is held for as long as its connection lives."""

    connection: psycopg.Connection
    name: str

    def confirm(self) -> None:
        """Raises `TransientError` when the lock was lost with its connection: somebody else may be pulling by now."""
        with translated_errors():
            self.connection.execute("SELECT")


@contextmanager
def object_lock(store: Store, name: str, run_id: str) -> Iterator[Lock]:
    """Takes the lock of an object for the length of the block.

    Raises:
        ObjectBusy: another run holds it.
    """
    with store.connect(f"pull {name} {run_id}") as connection:
        key = f"gainsight_pipelines pull {name}"
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
        if row is None or not row[0]:
            raise ObjectBusy(f"`{name}` is being pulled by {_holder(connection, name, run_id)}.", "Wait for it to end.")
        yield Lock(connection, name)


@contextmanager
def account_lock(store: Store, run_id: str) -> Iterator[Lock]:
    """Takes the lock of the account table, waiting for a refresh under way."""
    with store.connect(f"accounts {run_id}") as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('gainsight_pipelines accounts', 0))")
        yield Lock(connection, "account")


def is_locked(connection: psycopg.Connection, name: str) -> bool:
    """Whether some run pulls the object at this moment, wherever it runs."""
    key = f"gainsight_pipelines pull {name}"
    row = connection.execute(
        """SELECT EXISTS (
               SELECT FROM pg_locks, hashtextextended(%s, 0) AS key
               WHERE locktype = 'advisory' AND granted AND objsubid = 1
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND ((classid::bigint << 32) | objid::bigint) = key)""",
        (key,),
    ).fetchone()
    return bool(row and row[0])


def _holder(connection: psycopg.Connection, name: str, asker: str) -> str:
    row = connection.execute(
        """SELECT run_id, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM sync_run
           WHERE object = %s AND status = 'running' AND run_id <> %s ORDER BY started_at DESC LIMIT 1""",
        (name, asker),
    ).fetchone()
    return f"run {row[0]} since {row[1]} UTC" if row else "another run that has just started"
