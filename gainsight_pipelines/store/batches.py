"""Many stored rows changed at once: chosen in one look, and changed in batches that each commit by themselves.

So nothing is locked for long, and readers of changes see each row soon after its `changed_at`. What a batch changed
isn't chosen again: who is cut off goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from gainsight_pipelines.store import data_versions
from gainsight_pipelines.store.leases import Lease, TookTooLong

ROWS = 20_000
"""Some 0.75 s of work."""


def change(
    connection: psycopg.Connection,
    lease: Lease,
    name: str,
    key: Sequence[str],
    chosen: sql.Composable,
    parameters: Sequence[Any],
    assignments: sql.Composable,
    run_id: str,
) -> int:
    """Changes rows of a table in batches; returns how many.

    Args:
        connection: outside of a transaction.
        lease: what entitles to write there.
        name: the table.
        key: its key columns.
        chosen: a SELECT of the rows to change: the key columns, and what the assignments take.
        parameters: the SELECT's.
        assignments: what is set, out of the table's columns (`t`) and what was chosen (`p`).
        run_id: left on the rows that change.
    """
    connection.execute("DROP TABLE IF EXISTS pending_change")
    statement = sql.SQL("CREATE TEMP TABLE pending_change AS SELECT row_number() OVER () AS number, c.* FROM ({}) c")
    rows = psycopg.ClientCursor(connection).execute(statement.format(chosen), parameters).rowcount
    if rows > ROWS:
        connection.execute("CREATE INDEX ON pending_change (number)")
        connection.execute("ANALYZE pending_change")
    update = sql.SQL(
        """UPDATE {table} t SET {assignments}, changed_at = now(), run_id = %s
           FROM pending_change p WHERE p.number > %s AND p.number <= %s AND {same}"""
    ).format(
        table=sql.Identifier(name),
        assignments=assignments,
        same=sql.SQL(" AND ").join(sql.SQL("t.{0} = p.{0}").format(sql.Identifier(column)) for column in key),
    )
    return in_batches(
        connection, lease, rows, lambda first, last: connection.execute(update, (run_id, first, last)).rowcount
    )


def in_batches(
    connection: psycopg.Connection, lease: Lease, rows: int, write: Callable[[int, int], int], *, size: int = ROWS
) -> int:
    """Has numbered rows written, each batch in a transaction of its own; one that takes too long is halved.

    What the lease is for has another version of its data with each batch that changed any.

    Args:
        connection: outside of a transaction.
        lease: what entitles to write.
        rows: how many there are, numbered from 1.
        write: writes those after the first number up to the second, and returns how many it wrote.
        size: of a batch, to begin with.

    Raises:
        TookTooLong: a single row does.
    """
    done = written = 0
    while done < rows:
        last = min(done + size, rows)
        try:
            with lease.writing(connection):
                count = write(done, last)
                if count:
                    data_versions.bump(connection, lease.name)
        except TookTooLong:
            if last - done == 1:
                raise
            size = (last - done) // 2
            continue
        done, written = last, written + count
    return written
