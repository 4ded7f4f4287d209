"""Rows whose record no longer exists in Gainsight: marked with `deleted_at`, never removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from gainsight_pipelines.store.batches import change
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.tables import Table

NOW = sql.SQL("deleted_at = now()")


def mark_logged(
    connection: psycopg.Connection,
    lease: Lease,
    table: Table,
    gainsight_object: str,
    deleted: Mapping[str, datetime | None],
    run_id: str,
) -> int:
    """Marks rows whose record Gainsight logged as deleted, unless the record changed after that.

    Args:
        connection: outside a transaction.
        lease: the lease that permits the change.
        table: the table of the rows.
        gainsight_object: the object, where several share the table.
        deleted: GSID → time of deletion.
        run_id: stored on the rows.
    """
    chosen = sql.SQL(
        """SELECT {key}, l.deleted_on
           FROM {table} t JOIN unnest(%s::text[], %s::timestamptz[]) AS l (id, deleted_on) ON t.{id} = l.id
           WHERE {mine} AND t.deleted_at IS NULL
             AND (t.modified_at IS NULL OR l.deleted_on IS NULL OR t.modified_at <= l.deleted_on)"""
    ).format(**_names(table, gainsight_object))
    parameters = (list(deleted), list(deleted.values()))
    deleted_at = sql.SQL("deleted_at = coalesce(p.deleted_on, now())")
    marked = change(connection, lease, table.name, table.key, chosen, parameters, deleted_at, run_id)
    forget_companies(connection, table)
    return marked


def prepare_sweep(connection: psycopg.Connection) -> None:
    """Creates the temporary table of the ids that a sweep sees."""
    connection.execute("DROP TABLE IF EXISTS seen_record")
    connection.execute("CREATE TEMP TABLE seen_record (id text)")


def note_seen(connection: psycopg.Connection, ids: Iterable[str], *, is_restart: bool) -> None:
    """Records the ids that a sweep has seen; a restarted sweep drops the earlier ones."""
    if is_restart:
        connection.execute("TRUNCATE seen_record")
    with connection.cursor() as cursor, cursor.copy("COPY seen_record FROM STDIN") as copy:
        for each in ids:
            copy.write_row((each,))


def count_unseen(
    connection: psycopg.Connection, table: Table, gainsight_object: str, stored_before: datetime
) -> tuple[int, int]:
    """The number of live rows, stored before the sweep began, that it did not see; and of all live rows."""
    connection.execute("ANALYZE seen_record")
    row = connection.execute(
        sql.SQL(
            """SELECT count(*) FILTER (WHERE t.first_seen_at < %s AND s.id IS NULL), count(*)
               FROM {table} t LEFT JOIN (SELECT DISTINCT id FROM seen_record) s ON s.id = t.{id}
               WHERE {mine} AND t.deleted_at IS NULL"""
        ).format(**_names(table, gainsight_object)),
        (stored_before,),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def mark_unseen(
    connection: psycopg.Connection,
    lease: Lease,
    table: Table,
    gainsight_object: str,
    stored_before: datetime,
    run_id: str,
) -> int:
    """Marks the rows that a complete sweep did not see."""
    chosen = sql.SQL(
        """SELECT {key} FROM {table} t
           WHERE {mine} AND t.deleted_at IS NULL AND t.first_seen_at < %s
             AND NOT EXISTS (SELECT FROM seen_record s WHERE s.id = t.{id})"""
    ).format(**_names(table, gainsight_object))
    marked = change(connection, lease, table.name, table.key, chosen, (stored_before,), NOW, run_id)
    forget_companies(connection, table)
    return marked


def mark_object(connection: psycopg.Connection, lease: Lease, table: Table, gainsight_object: str, run_id: str) -> int:
    """Marks all rows of an object that is no longer pulled."""
    chosen = sql.SQL("SELECT {key} FROM {table} t WHERE {mine} AND t.deleted_at IS NULL").format(
        **_names(table, gainsight_object)
    )
    return change(connection, lease, table.name, table.key, chosen, (), NOW, run_id)


def forget_companies(connection: psycopg.Connection, table: Table) -> None:
    """Clears the CRM ids of deleted companies: they lead to no account, so their records are rematched."""
    if table.holds_companies:
        connection.execute(
            """UPDATE company_link l SET crm_id = NULL, is_known = false, checked_at = now()
               FROM company c
               WHERE c.gsid = l.company_gsid AND c.deleted_at IS NOT NULL AND (l.is_known OR l.crm_id IS NOT NULL)"""
        )


def _names(table: Table, gainsight_object: str) -> dict[str, sql.Composable]:
    return {
        "table": sql.Identifier(table.name),
        "key": table.keys(),
        "id": sql.Identifier(table.id_column),
        "mine": table.mine(gainsight_object),
    }
