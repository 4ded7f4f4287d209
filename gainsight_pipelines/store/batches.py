"""Updates of many stored rows: selected once, then changed in batches that commit separately.

Locks are held briefly, and readers of changes see each row soon after its `changed_at`. An interrupted update goes on
with the remaining rows, since changed rows are not selected again.
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
    """Changes rows of a table in batches; returns their number.

    Args:
        connection: outside a transaction.
        lease: the lease that permits the change.
        name: the table.
        key: its key columns.
        chosen: a SELECT of the rows to change: the key columns, and the values for the assignments.
        parameters: of the SELECT.
        assignments: what to set, from the table's columns (`t`) and the selected ones (`p`).
        run_id: stored on the changed rows.
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
    """Writes numbered rows in batches, each in its own transaction; a batch that takes too long is halved.

    Each batch that changes rows bumps the data version of the lease's object.

    Args:
        connection: outside a transaction.
        lease: the lease that permits the change.
        rows: the number of rows, numbered from 1.
        write: writes the rows after the first number up to the second; returns how many it wrote.
        size: the initial batch size.

    Raises:
        TookTooLong: even a single row takes too long.
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
