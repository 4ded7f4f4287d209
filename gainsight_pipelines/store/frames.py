"""Tables as pandas DataFrames with the columns' types: for downstream assets, previews and exports.

A server-side cursor returns the rows in chunks, so only the requested columns and rows are in memory.
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
"""By PostgreSQL type. All of them support missing values; other types stay Python objects."""

SHORT_TYPES = {
    "timestamp with time zone": "timestamptz",
    "bigint": "int8",
    "integer": "int4",
    "boolean": "bool",
    "double precision": "float8",
}
"""The data contract's type names → PostgreSQL's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a table to read.

    Attributes:
        table: a table or view of the store.
        columns: in this order; None: all.
        where: columns with their required values, as PostgreSQL parses them from text; None: is NULL.
        time_column: the column for `since` and `until`.
        since: rows at or after this time.
        until: rows before this time.
        decimals: `numeric` columns as `decimal.Decimal` instead of floats.
        expand: jsonb columns whose keys become columns named `<column>.<key>`.
        with_deleted: include rows whose record no longer exists in Gainsight.
        as_text: columns as PostgreSQL writes them; keeps numbers in JSON exact.
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
    """The rows as one DataFrame.

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
    """The rows in chunks; jsonb columns are not expanded."""
    types = _types(columns_of(connection, wanted.table), wanted)
    for rows in read_rows(connection, wanted, CHUNK_ROWS):
        yield frame_of(rows, types, decimals=wanted.decimals)


def read_rows(connection: psycopg.Connection, wanted: Wanted, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows as tuples, in chunks of `size`; the last chunk may be smaller.

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
    """The PostgreSQL type of each column of a table or view, in order.

    Raises:
        PermanentError: there is no such table.
    """
    rows = connection.execute(
        """SELECT attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        (table,),
    ).fetchall()
    if not rows:
        raise PermanentError(f"The store has no table {table}.", "Run a pull first: it creates the tables.")
    return dict(rows)


def _types(every: dict[str, str], wanted: Wanted) -> dict[str, str]:
    """The PostgreSQL type of each requested column."""
    asked = (column for column, _ in wanted.where)
    named = [*(wanted.columns or ()), *wanted.expand, *asked, *filter(None, (wanted.time_column,))]
    missing = [name for name in named if name not in every]
    if missing:
        raise PermanentError(f"{wanted.table} has no column {', '.join(missing)}.", f"It has: {', '.join(every)}.")
    return {name: every[name] for name in dict.fromkeys((*(wanted.columns or every), *wanted.expand))}


def query_of(
    wanted: Wanted, shown: Sequence[sql.Composable], *, has_deleted: bool
) -> tuple[sql.Composed, list[str | datetime]]:
    """The query for these expressions over the requested rows, and its parameters."""
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
    """Rows as a DataFrame. `types`: of each column, by PostgreSQL's name or the data contract's."""
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
    """The frame with a jsonb column replaced by one column per key."""
    import pandas as pd

    records = [value if isinstance(value, dict) else {} for value in frame[column]]
    keys = sorted({key for record in records for key in record})
    added = pd.DataFrame(
        {f"{column}.{key}": pd.Series([record.get(key) for record in records], dtype="object") for key in keys},
        index=frame.index,
    ).infer_objects()
    return pd.concat([frame.drop(columns=[column]), added], axis=1)
