"""Poolers in front of the database: those that hand a connection on after each transaction are refused.

What a session holds (its schema, staged rows, what a sweep has seen) would be another's after that.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.store.connection import Store, ask

LOOKS = 3
PID = sql.SQL("SELECT pg_backend_pid()")


def check_pooling(store: Store) -> None:
    """Sees that a connection keeps its server process.

    Directly at the server it is the one that the server named when connecting, and nothing more is asked.

    Raises:
        PermanentError: the pooler pools transactions or statements.
        TransientError: it has no second connection.
    """
    with store.connect("pooling") as first:
        kept = ask(first, PID, variable=store.variable)
        if kept == str(first.info.backend_pid):
            return
        with store.connect("pooling") as second:
            if not all(_keeps(kept, first, second, store.variable) for _ in range(LOOKS)):
                raise PermanentError(
                    "The pooler in front of the database pools transactions, and a pull needs a session.",
                    f"Set pool_mode to session for it, or point {store.variable} at PostgreSQL itself.",
                )


def _keeps(process: str, first: psycopg.Connection, second: psycopg.Connection, variable: str) -> bool:
    """Whether the first connection still has its server process while the second has one for itself."""
    try:
        with second.transaction():
            others = ask(second, PID, variable=variable)
            return others != process and ask(first, PID, variable=variable) == process
    except psycopg.errors.ProtocolViolation:  # statements are pooled: there are no transactions
        return False
