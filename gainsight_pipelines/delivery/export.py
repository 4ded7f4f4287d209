"""Writes tables and views to files in chunks, so that memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from gainsight_pipelines.delivery.files import whole_file
from gainsight_pipelines.errors import UsageError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines.store.frames import Wanted, columns_of, query_of, read_rows
from gainsight_pipelines.store.views import typed_columns, view_names

ROWS = 2_000
"""Rows in memory at once as Python objects: the body of an activity can have 100,000 characters."""

ENDINGS = (".parquet", ".csv", ".xlsx")
CHANGED = "changed_at"
USUAL_SCALE = 9
"""Decimal places that a column has at least, so that most files of a table have the same type."""

AS_THEY_ARE = (
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "timestamptz", "timestamp", "date", "text",
    "varchar", "_text",
)  # fmt: skip
"""PostgreSQL types that the writers handle; values of other types are exported as PostgreSQL's text."""


class RowFile(Protocol):
    """A file being written: `close` completes it, `abandon` gives it up after an error."""

    def write(self, rows: Sequence[Sequence[Any]], /) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Export:
    """What to write to a file.

    Attributes:
        table: a table or view of the data contract, or a typed view.
        columns: in this order; empty: all.
        where: columns with their required values, as text; None: NULL.
        since: only rows whose `since_column` is at this time or later; None: all rows.
        since_column: a column with times or dates; None: `changed_at`.
        with_deleted: include records that Gainsight or the CRM no longer has.
    """

    table: str
    columns: Sequence[str] = ()
    where: Sequence[tuple[str, str | None]] = ()
    since: datetime | None = None
    since_column: str | None = None
    with_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """The result.

    Attributes:
        rows: rows written.
        bytes: size of the file.
        cut: texts that were too long for an Excel cell.
    """

    rows: int
    bytes: int
    cut: int = 0


def ending_of(file: Path) -> str:
    """The ending of the file's name, in lower case: its format.

    Raises:
        UsageError: the ending is none of `ENDINGS`.
    """
    ending = file.suffix.casefold()
    if ending not in ENDINGS:
        raise UsageError(f"{file} has no known ending.", f"Use {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    return ending


def export(
    connection: psycopg.Connection, wanted: Export, file: Path, progress: Callable[[int], None] = lambda rows: None
) -> Exported:
    """Writes the rows of one moment to a file, completely or not at all.

    Args:
        connection: outside a transaction.
        wanted: what to write.
        file: an existing file is replaced.
        progress: called with the number of rows written so far.

    Raises:
        UsageError: the table, column or format does not exist, or a value does not have its column's type.
        PermanentError: the file can't be written.
    """
    ending = ending_of(file)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows_wanted, types = _checked(connection, wanted)
        digits = _digits(connection, rows_wanted, types) if ending == ".parquet" else {}
        count = 0
        with whole_file(file) as path:
            with _opened(ending, path, types, digits) as target:
                for rows in read_rows(connection, rows_wanted, ROWS):
                    target.write(rows)
                    count += len(rows)
                    progress(count)
            size = path.stat().st_size
    return Exported(count, size, getattr(target, "cut", 0))


@contextmanager
def _opened(
    ending: str, path: Path, types: Mapping[str, str], digits: Mapping[str, tuple[int, int]]
) -> Iterator[RowFile]:
    file = _file(ending, path, types, digits)
    try:
        yield file
    except BaseException:
        file.abandon()
        raise
    file.close()


def _file(ending: str, path: Path, types: Mapping[str, str], digits: Mapping[str, tuple[int, int]]) -> RowFile:
    if ending == ".parquet":
        from gainsight_pipelines.delivery.parquet_file import ParquetFile

        return ParquetFile(path, types, digits)
    if ending == ".xlsx":
        from gainsight_pipelines.delivery.xlsx_file import XlsxFile

        return XlsxFile(path, list(types))
    from gainsight_pipelines.delivery.csv_file import CsvFile

    return CsvFile(path, list(types))


def _checked(connection: psycopg.Connection, wanted: Export) -> tuple[Wanted, dict[str, str]]:
    """What to read, and the PostgreSQL type of each column of the file."""
    known = [*RELATIONS, *view_names(connection)]
    if wanted.table not in known:
        near = did_you_mean(wanted.table, known) or f"There are: {', '.join(known)}."
        raise UsageError(f"There is no table or view {wanted.table!r} to export.", near)
    every = columns_of(connection, wanted.table)
    for column in (*wanted.columns, *(column for column, _ in wanted.where), *filter(None, (wanted.since_column,))):
        if column not in every:
            near = did_you_mean(column, every) or f"It has: {', '.join(every)}."
            raise UsageError(f"{wanted.table} has no column {column!r}.", near)
    _check_values(connection, wanted)
    types = {name: every[name] for name in dict.fromkeys(wanted.columns or every)}
    asked = Wanted(
        table=wanted.table,
        columns=list(types),
        where=wanted.where,
        time_column=_since_column(wanted, every),
        since=wanted.since,
        decimals="decimal",
        with_deleted=wanted.with_deleted,
        as_text=[name for name, kind in types.items() if kind not in AS_THEY_ARE],
    )
    return asked, types


def _since_column(wanted: Export, every: Mapping[str, str]) -> str | None:
    if wanted.since is None:
        if wanted.since_column is not None:
            raise UsageError("--since-column applies to --since, which is missing.", "Add --since.")
        return None
    times = [name for name, kind in every.items() if kind in ("timestamptz", "timestamp", "date")]
    column = wanted.since_column or CHANGED
    if column not in times:
        told = f"Name one with --since-column: {', '.join(times)}." if times else "Leave out --since."
        raise UsageError(f"{wanted.table} has no time column {column}.", told)
    return column


def _check_values(connection: psycopg.Connection, wanted: Export) -> None:
    types = {name: kind for name, kind, _ in typed_columns(connection, wanted.table)}
    for column, value in wanted.where:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("SELECT %s::{}").format(sql.SQL(types[column])), (value,))
        except psycopg.DataError:
            raise UsageError(f"{value!r} is not a {types[column]}, the type of {column}.", "Correct --where.") from None


def _digits(connection: psycopg.Connection, asked: Wanted, types: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Digits that each numeric column needs before and after the point: a Parquet file begins with its types."""
    columns = [name for name, kind in types.items() if kind == "numeric"]
    if not columns:
        return {}
    shown: list[sql.Composable] = []
    for name in columns:
        shown += [
            sql.SQL("coalesce(max(length(trunc(abs({}))::text)), 1)").format(sql.Identifier(name)),
            sql.SQL("coalesce(max(scale({})), 0)").format(sql.Identifier(name)),
        ]
    has_deleted = "deleted_at" in columns_of(connection, asked.table)
    row = connection.execute(*query_of(replace(asked, columns=columns), shown, has_deleted=has_deleted)).fetchone()
    assert row is not None
    return {
        name: (before, max(after, USUAL_SCALE))
        for name, before, after in zip(columns, row[::2], row[1::2], strict=True)
    }
