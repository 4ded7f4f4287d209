"""Refuses poolers that pass a connection on after each transaction.

A session's state (its schema, staged rows, a sweep's ids) would then belong to another client.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.store.connection import Store, ask

LOOKS = 3
PID = sql.SQL("SELECT pg_backend_pid()")


def check_pooling(store: Store, first: psycopg.Connection) -> None:
    """Checks that this connection to the store keeps its server process.

    Without a pooler, the process is the one announced when connecting, and no further check is needed.

    Raises:
        PermanentError: the pooler pools transactions or statements.
        TransientError: it has no second connection.
    """
    kept = ask(first, PID, variable=store.variable)
    if kept == str(first.info.backend_pid):
        return
    with store.connect("pooling") as second:
        if not all(_keeps(kept, first, second, store.variable) for _ in range(LOOKS)):
            raise PermanentError(
                "The pooler in front of the database uses transaction pooling, and pulls need sessions.",
                f"Set pool_mode to session for it, or point {store.variable} at PostgreSQL directly.",
            )


def _keeps(process: str, first: psycopg.Connection, second: psycopg.Connection, variable: str) -> bool:
    """Whether the first connection keeps its server process while the second one has its own."""
    try:
        with second.transaction():
            others = ask(second, PID, variable=variable)
            return others != process and ask(first, PID, variable=variable) == process
    except psycopg.errors.ProtocolViolation:  # statement pooling: there are no transactions
        return False
