"""Tables as pandas DataFrames, with the types that the columns have: for downstream assets, previews and exports.

No more is in memory than was asked for: rows come through a server-side cursor, a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, LiteralString

from psycopg import sql

from gainsight_pipelines.errors import PermanentError

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

CHUNK_ROWS = 20_000

DTYPES = {
    "bool": "boolean",
    "int2": "Int64",
    "int4": "Int64",
    "int8": "Int64",
    "float4": "Float64",
    "float8": "Float64",
    "timestamptz": "datetime64[us, UTC]",
    "timestamp": "datetime64[us]",
    "date": "datetime64[s]",
    "text": "string",
    "varchar": "string",
}
"""By PostgreSQL's type. All of them know a missing value; what isn't here stays as Python has it."""

SHORT_TYPES = {
    "timestamp with time zone": "timestamptz",
    "bigint": "int8",
    "integer": "int4",
    "boolean": "bool",
    "double precision": "float8",
}
"""Types as the data contract writes them, and PostgreSQL's own names for them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a table is wanted.

    Attributes:
        table: a table or view of the store.
        columns: in this order; None: all.
        where: columns and the value that each has, as PostgreSQL reads it from text; None: it is empty.
        time_column: `since` and `until` are about this one.
        since: rows from then on.
        until: rows before then.
        decimals: `numeric` columns as `decimal.Decimal` or as floats.
        expand: jsonb columns whose keys become columns of their own, named `<column>.<key>`.
        with_deleted: with the rows of records that Gainsight no longer has.
        as_text: columns as PostgreSQL writes them: JSON keeps its numbers exact then.
    """

    table: str
    columns: Sequence[str] | None = None
    where: Sequence[tuple[str, str | None]] = ()
    time_column: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    decimals: Literal["decimal", "float"] = "float"
    expand: Sequence[str] = ()
    with_deleted: bool = True
    as_text: Sequence[str] = ()


def read_frame(connection: psycopg.Connection, wanted: Wanted) -> pd.DataFrame:
    """The rows as one frame.

    Raises:
        PermanentError: the table has no such column.
    """
    import pandas as pd

    every = columns_of(connection, wanted.table)
    chunks = list(read_chunks(connection, wanted))
    frame = (
        pd.concat(chunks, ignore_index=True)
        if chunks
        else frame_of([], _types(every, wanted), decimals=wanted.decimals)
    )
    for column in wanted.expand:
        frame = expanded(frame, column)
    return frame


def read_chunks(connection: psycopg.Connection, wanted: Wanted) -> Iterator[pd.DataFrame]:
    """The rows a chunk at a time; jsonb columns as they are."""
    types = _types(columns_of(connection, wanted.table), wanted)
    for rows in read_rows(connection, wanted, CHUNK_ROWS):
        yield frame_of(rows, types, decimals=wanted.decimals)


def read_rows(connection: psycopg.Connection, wanted: Wanted, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows as tuples, so many at a time; the last chunk has fewer.

    Raises:
        PermanentError: the table has no such column.
    """
    every = columns_of(connection, wanted.table)
    shown = [
        sql.SQL("{}::text" if name in wanted.as_text else "{}").format(sql.Identifier(name))
        for name in _types(every, wanted)
    ]
    with connection.transaction(), connection.cursor("frames") as cursor:
        cursor.execute(*query_of(wanted, shown, has_deleted="deleted_at" in every))
        while rows := cursor.fetchmany(size):
            yield rows


def columns_of(connection: psycopg.Connection, table: str) -> dict[str, str]:
    """PostgreSQL's type of each column of a table or view, in their order.

    Raises:
        PermanentError: there is no such table.
    """
    rows = connection.execute(
        """SELECT attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        (table,),
    ).fetchall()
    if not rows:
        raise PermanentError(f"The store has no table {table}.", "Run a pull first: it makes the tables.")
    return dict(rows)


def _types(every: dict[str, str], wanted: Wanted) -> dict[str, str]:
    """PostgreSQL's type of each wanted column."""
    asked = (column for column, _ in wanted.where)
    named = [*(wanted.columns or ()), *wanted.expand, *asked, *filter(None, (wanted.time_column,))]
    missing = [name for name in named if name not in every]
    if missing:
        raise PermanentError(f"{wanted.table} has no column {', '.join(missing)}.", f"It has: {', '.join(every)}.")
    return {name: every[name] for name in dict.fromkeys((*(wanted.columns or every), *wanted.expand))}


def query_of(
    wanted: Wanted, shown: Sequence[sql.Composable], *, has_deleted: bool
) -> tuple[sql.Composed, list[str | datetime]]:
    """The query for these expressions of the wanted rows, and its parameters."""
    conditions: list[sql.Composable] = []
    values: list[str | datetime] = []

    def holds(column: str, operator: LiteralString, value: str | datetime) -> None:
        conditions.append(sql.SQL("{} " + operator + " %s").format(sql.Identifier(column)))
        values.append(value)

    for column, value in wanted.where:
        if value is None:
            conditions.append(sql.SQL("{} IS NULL").format(sql.Identifier(column)))
        else:
            holds(column, "=", value)
    if wanted.time_column is not None and wanted.since is not None:
        holds(wanted.time_column, ">=", wanted.since)
    if wanted.time_column is not None and wanted.until is not None:
        holds(wanted.time_column, "<", wanted.until)
    if not wanted.with_deleted and has_deleted:
        conditions.append(sql.SQL("deleted_at IS NULL"))
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(shown),
        sql.Identifier(wanted.table),
        sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
    )
    return query, values


def frame_of(
    rows: Sequence[Sequence[Any]], types: Mapping[str, str], *, decimals: Literal["decimal", "float"] = "float"
) -> pd.DataFrame:
    """Rows as a frame. `types`: PostgreSQL's type of each column, as it calls it or as the data contract does."""
    import pandas as pd

    columns = zip(*rows, strict=True) if rows else ([] for _ in types)
    series = {}
    for (name, kind), values in zip(types.items(), columns, strict=True):
        name_of_type = SHORT_TYPES.get(kind, kind)
        is_float = name_of_type == "numeric" and decimals == "float"
        dtype = "Float64" if is_float else DTYPES.get(name_of_type, "object")
        converted = (
            [None if value is None else float(value) for value in values] if dtype == "Float64" else list(values)
        )
        series[name] = pd.Series(converted, dtype=dtype)
    return pd.DataFrame(series)


def expanded(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame with a column for each key of a jsonb column in its place."""
    import pandas as pd

    records = [value if isinstance(value, dict) else {} for value in frame[column]]
    keys = sorted({key for record in records for key in record})
    added = pd.DataFrame(
        {f"{column}.{key}": pd.Series([record.get(key) for record in records], dtype="object") for key in keys},
        index=frame.index,
    ).infer_objects()
    return pd.concat([frame.drop(columns=[column]), added], axis=1)
