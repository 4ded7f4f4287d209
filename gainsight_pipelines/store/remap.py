"""Columns that follow from other columns of the same row: computed anew when the settings that they follow change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gainsight_pipelines.store.tables import Table

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Remap:
    """How columns follow from others: `derive` takes the values of `sources` and gives those of `targets`."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    derive: Callable[..., tuple[Any, ...]]


def remap(connection: psycopg.Connection, table: Table, gainsight_object: str, how: Remap, run_id: str) -> int:
    """Computes columns of an object's stored rows anew, as part of the open transaction.

    `derive` is asked once for each combination of values that occurs, not for each row.

    Returns:
        How many rows changed.
    """
    from psycopg import sql

    mine = table.mine(gainsight_object)
    source_names = sql.SQL(", ").join(map(sql.Identifier, how.sources)) if how.sources else sql.SQL("1")
    name = sql.Identifier(table.name)
    stored = connection.execute(
        sql.SQL("SELECT DISTINCT {} FROM {} t WHERE {}").format(source_names, name, mine)
    ).fetchall()
    changed = 0
    for values in stored:
        sources = values if how.sources else ()
        is_row = sql.SQL(" AND ").join(
            [
                mine,
                *(
                    sql.SQL("t.{} IS NOT DISTINCT FROM {}").format(sql.Identifier(column), sql.Literal(value))
                    for column, value in zip(how.sources, sources, strict=True)
                ),
            ]
        )
        derived = dict(zip(how.targets, how.derive(*sources), strict=True))
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value)) for column, value in derived.items()
        )
        differs = sql.SQL(" OR ").join(
            sql.SQL("t.{} IS DISTINCT FROM {}").format(sql.Identifier(column), sql.Literal(value))
            for column, value in derived.items()
        )
        changed += connection.execute(
            sql.SQL("UPDATE {} t SET {}, changed_at = now(), run_id = {} WHERE {} AND ({})").format(
                name, assignments, sql.Literal(run_id), is_row, differs
            )
        ).rowcount
    return changed
