"""Snapshots of fully read objects: collected in a temporary table, given unique keys, and swapped in."""

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
    """Creates the temporary table that a snapshot is collected in."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_snapshot(table)))
    connection.execute(
        sql.SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
            _snapshot(table), _names((*table.columns, *LINK_COLUMNS)), sql.Identifier(table.name)
        )
    )


def restart(connection: psycopg.Connection, table: Table) -> None:
    """Discards the collected rows, since the read restarted."""
    connection.execute(sql.SQL("TRUNCATE {}").format(_snapshot(table)))


def add(connection: psycopg.Connection, table: Table, rows: Iterable[Sequence[Any]]) -> int:
    """Adds rows to the snapshot."""
    added = list(rows)
    copy_rows(connection, _snapshot(table), table, added)
    return len(added)


def compare(
    connection: psycopg.Connection, table: Table, gainsight_object: str, refused: Collection[str] = ()
) -> tuple[int, int]:
    """The number of rows in the snapshot, and of live stored rows that it would replace: those within its dates.

    `refused`: fields that the tenant now refuses, in lower case; rows that come from them are not counted.
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
    """Replaces the stored rows that `compare` counts with the snapshot.

    In one transaction, together with what `finish` writes, so that readers never see a part of it. In batches if that
    would take too long for readers of changes.

    Returns:
        The result of the write, and the number of rows marked deleted. Rows outside the snapshot's dates are kept: the
        object may only show the last weeks.
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
    """Makes the snapshot's keys unique and numbers its rows; returns their number.

    Rows that can't be distinguished get an ordinal, ordered by their content, so it doesn't depend on the read order.
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
    """SQL fragments that limit the stored rows to what a snapshot covers.

    To its dates, if the table has a date; and without the parts of records that the tenant refused.
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
