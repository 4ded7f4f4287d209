"""Rows that are read whole: collected aside, named, and swapped in, all at once wherever that is quick enough."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from gainsight_pipelines.store import bulk, data_versions
from gainsight_pipelines.store.batches import change, in_batches
from gainsight_pipelines.store.bulk import Written
from gainsight_pipelines.store.copying import copy_rows
from gainsight_pipelines.store.leases import Lease, TookTooLong
from gainsight_pipelines.store.tables import LINK_COLUMNS, Table


def prepare(connection: psycopg.Connection, table: Table) -> None:
    """Makes the table that a snapshot is collected in; it is this connection's own and goes with it."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_snapshot(table)))
    connection.execute(
        sql.SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
            _snapshot(table), _names((*table.columns, *LINK_COLUMNS)), sql.Identifier(table.name)
        )
    )


def restart(connection: psycopg.Connection, table: Table) -> None:
    """Throws away what was collected: the read begins anew."""
    connection.execute(sql.SQL("TRUNCATE {}").format(_snapshot(table)))


def add(connection: psycopg.Connection, table: Table, rows: Iterable[Sequence[Any]]) -> int:
    """Adds rows to the snapshot."""
    added = list(rows)
    copy_rows(connection, _snapshot(table), table, added)
    return len(added)


def compare(
    connection: psycopg.Connection, table: Table, gainsight_object: str, refused: Collection[str] = ()
) -> tuple[int, int]:
    """Rows of the snapshot, and live stored rows that it would take the place of: those within its dates.

    `refused`: fields that the tenant refuses by now, in lower case; rows that they made are not among them.
    """
    row = connection.execute(
        sql.SQL(
            """WITH span AS (SELECT count(*) AS rows{span} FROM {snapshot})
               SELECT span.rows,
                      (SELECT count(*) FROM {table} t WHERE {mine} AND deleted_at IS NULL AND {within})
               FROM span"""
        ).format(snapshot=_snapshot(table), **_within(table, gainsight_object, refused))
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def swap(
    connection: psycopg.Connection,
    lease: Lease,
    table: Table,
    gainsight_object: str,
    run_id: str,
    finish: Callable[[], None],
    refused: Collection[str] = (),
) -> tuple[Written, int]:
    """Puts the snapshot in the place of the stored rows that `compare` counts.

    In one transaction, with what `finish` writes: readers never see a part of it. Where that would take too long for
    readers of changes, in batches.

    Returns:
        What was written, and how many rows are gone. Rows outside the snapshot's dates stay: the object may show the
        last weeks alone.
    """
    rows = _name(connection, table)

    def write(first: int, last: int) -> Written:
        connection.execute(
            sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {} WHERE number > %s AND number <= %s").format(
                bulk.staged(table), _ready(table), columns=_names((*table.columns, *LINK_COLUMNS))
            ),
            (first, last),
        )
        return bulk.write_staged(connection, table, run_id)

    same = sql.SQL(" AND ").join(sql.SQL("s.{0} = t.{0}").format(sql.Identifier(column)) for column in table.key)
    gone = sql.SQL(
        """WITH span AS (SELECT count(*) AS rows{span} FROM {ready})
           SELECT {key} FROM {table} t, span
           WHERE {mine} AND t.deleted_at IS NULL AND {within} AND NOT EXISTS (SELECT FROM {ready} s WHERE {same})"""
    ).format(ready=_ready(table), same=same, key=table.keys(), **_within(table, gainsight_object, refused))
    try:
        with lease.writing(connection):
            written = write(0, rows)
            is_same = sql.SQL(" AND ").join(
                sql.SQL("t.{0} = g.{0}").format(sql.Identifier(column)) for column in table.key
            )
            vanished = connection.execute(
                sql.SQL(
                    """UPDATE {table} t SET deleted_at = now(), changed_at = now(), run_id = %s
                       FROM ({gone}) g WHERE {is_same}"""
                ).format(table=sql.Identifier(table.name), gone=gone, is_same=is_same),
                (run_id,),
            ).rowcount
            if written.written or vanished:
                data_versions.bump(connection, lease.name)
            finish()
    except TookTooLong:
        total = in_batches(connection, lease, rows, lambda first, last: write(first, last).written, size=rows)
        vanished = change(connection, lease, table.name, table.key, gone, (), sql.SQL("deleted_at = now()"), run_id)
        with lease.writing(connection):
            finish()
        return Written(written=total, unchanged=rows - total), vanished
    return written, vanished


def _name(connection: psycopg.Connection, table: Table) -> int:
    """Makes the keys of the snapshot unique, and numbers its rows; returns how many there are.

    Rows that nothing tells apart get an ordinal, in the order of what they hold: the same whatever order they come in.
    """
    columns = (*table.columns, *LINK_COLUMNS)
    shown = [
        sql.SQL("{0} || CASE WHEN ordinal > 1 THEN '-' || ordinal ELSE '' END AS {0}").format(sql.Identifier(column))
        if column == table.id_column
        else sql.Identifier(column)
        for column in columns
    ]
    content = [column for column in table.columns if column not in table.key]
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_ready(table)))
    statement = sql.SQL(
        """CREATE TEMP TABLE {ready} AS
           SELECT {shown}, row_number() OVER () AS number
           FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {content}) AS ordinal FROM {snapshot}) s"""
    ).format(
        ready=_ready(table),
        shown=sql.SQL(", ").join(shown),
        key=_names(table.key),
        content=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in content),
        snapshot=_snapshot(table),
    )
    rows = connection.execute(statement).rowcount
    connection.execute(sql.SQL("ANALYZE {}").format(_ready(table)))
    return rows


def _within(table: Table, gainsight_object: str, refused: Collection[str]) -> dict[str, sql.Composable]:
    """The parts of a statement that bound the stored rows to what a snapshot covers.

    To its dates, if the table has any; and not to parts of records that the tenant refused to show.
    """
    parts: dict[str, sql.Composable] = {
        "table": sql.Identifier(table.name),
        "mine": table.mine(gainsight_object),
        "span": sql.SQL(""),
        "within": sql.SQL("true"),
    }
    if table.date_column is not None:
        date = sql.Identifier(table.date_column)
        parts["span"] = sql.SQL(", min({0}) AS first, max({0}) AS last").format(date)
        parts["within"] = sql.SQL("(span.rows = 0 OR t.{0} IS NULL OR t.{0} BETWEEN span.first AND span.last)").format(
            date
        )
    if table.part_column is not None and refused:
        parts["within"] = sql.SQL("{} AND lower(t.{}) <> ALL({})").format(
            parts["within"], sql.Identifier(table.part_column), sql.Literal(sorted(refused))
        )
    return parts


def _snapshot(table: Table) -> sql.Identifier:
    return sql.Identifier(f"snapshot_{table.name}")


def _ready(table: Table) -> sql.Identifier:
    return sql.Identifier(f"ready_{table.name}")


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
