"""The version of each object's data: another one whenever a row is added, changed, matched anew or marked deleted.

It moves in the transaction that changes the rows. Who reads the data tells by it whether anything is new.
"""

from __future__ import annotations

import psycopg


def bump(connection: psycopg.Connection, name: str) -> None:
    """Gives the data of a pull another version, in the open transaction.

    Versions grow, and begin with the time: after `reset --all` none comes back that was there before.
    """
    connection.execute(
        """INSERT INTO data_version AS v (object, version)
           VALUES (%s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
           ON CONFLICT (object) DO UPDATE SET version = greatest(v.version + 1, excluded.version)""",
        (name,),
    )


def version_of(connection: psycopg.Connection, name: str) -> int | None:
    """The version of a pull's data; None: it never stored a row."""
    row = connection.execute("SELECT version FROM data_version WHERE object = %s", (name,)).fetchone()
    return int(row[0]) if row else None
