"""The version of each object's data, which changes whenever rows are added, changed, rematched or marked deleted.

It changes in the same transaction as the rows. Readers compare it to see whether anything is new.
"""

from __future__ import annotations

import psycopg


def bump(connection: psycopg.Connection, name: str) -> None:
    """Increases the version of a pull's data, in the open transaction.

    Versions only grow and start from the time, so that none occurs again after `reset --all`.
    """
    connection.execute(
        """INSERT INTO data_version AS v (object, version)
           VALUES (%s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
           ON CONFLICT (object) DO UPDATE SET version = greatest(v.version + 1, excluded.version)""",
        (name,),
    )


def version_of(connection: psycopg.Connection, name: str) -> int | None:
    """The version of a pull's data; None: it has never stored a row."""
    row = connection.execute("SELECT version FROM data_version WHERE object = %s", (name,)).fetchone()
    return int(row[0]) if row else None
