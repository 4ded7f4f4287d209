"""Derived columns: recomputed from other columns of the same row when the settings they depend on change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gainsight_pipelines.store.tables import Table

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from gainsight_pipelines.store.leases import Lease


@dataclass(frozen=True, slots=True)
class Remap:
    """How columns are derived: `derive` takes the values of `sources` and returns those of `targets`."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    derive: Callable[..., tuple[Any, ...]]


def remap(
    connection: psycopg.Connection, lease: Lease, table: Table, gainsight_object: str, how: Remap, run_id: str
) -> int:
    """Recomputes derived columns of an object's stored rows.

    `derive` is called once per distinct combination of values, not per row.

    Returns:
        The number of changed rows.
    """
    from psycopg import sql

    from gainsight_pipelines.store.batches import change

    mine, name = table.mine(gainsight_object), sql.Identifier(table.name)
    sources = [sql.Identifier("t", column) for column in how.sources]
    kept = [sql.Identifier(f"source_{number}") for number in range(len(sources))]
    targets = [sql.Identifier("t", column) for column in how.targets]
    made = [sql.Identifier(f"target_{number}") for number in range(len(targets))]
    stored = connection.execute(
        sql.SQL("SELECT DISTINCT {} FROM {} t WHERE {}").format(_list(sources) if sources else sql.SQL("1"), name, mine)
    ).fetchall()
    connection.execute("DROP TABLE IF EXISTS remapped")
    columns = [sql.SQL("{} AS {}").format(*pair) for pair in zip(sources + targets, kept + made, strict=True)]
    connection.execute(
        sql.SQL("CREATE TEMP TABLE remapped AS SELECT {} FROM {} t WITH NO DATA").format(_list(columns), name)
    )
    with connection.cursor() as cursor, cursor.copy("COPY remapped FROM STDIN") as copy:
        for row in stored:
            values = row if how.sources else ()
            copy.write_row((*values, *how.derive(*values)))
    same = [
        sql.SQL("t.{} IS NOT DISTINCT FROM r.{}").format(sql.Identifier(column), place)
        for column, place in zip(how.sources, kept, strict=True)
    ]
    chosen = sql.SQL(
        """SELECT {keys}, {made} FROM {table} t JOIN remapped r ON {same}
           WHERE {mine} AND ({old}) IS DISTINCT FROM ({made})"""
    ).format(
        keys=table.keys(),
        made=_list(sql.SQL("r.{}").format(place) for place in made),
        table=name,
        same=sql.SQL(" AND ").join(same) if same else sql.SQL("true"),
        mine=mine,
        old=_list(targets),
    )
    assignments = _list(
        sql.SQL("{} = p.{}").format(sql.Identifier(column), place)
        for column, place in zip(how.targets, made, strict=True)
    )
    return change(connection, lease, table.name, table.key, chosen, (), assignments, run_id)


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(", ").join(parts)
