"""COPY of a data table's rows in PostgreSQL's binary format, which avoids formatting, escaping and parsing text.

The columns' types are known beforehand, so psycopg need not inspect the values either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.postgres import types as known
from psycopg.pq import Format

from gainsight_pipelines.store.tables import Table

_ARRAY_HEAD = Struct("!iiIii").pack  # dimensions, has nulls, the elements' type, their number, the first index
_EMPTY_HEAD = Struct("!iiI").pack
_LENGTH = Struct("!i").pack
_JSONB_VERSION = b"\x01"

KEPT_ELEMENTS = 4096
"""Array elements whose encoded bytes are cached: mostly names of people, which repeat."""


class TextArrayDumper(Dumper):
    """A list of texts as `text[]`. psycopg's own dumper inspects each element's type first."""

    format = Format.BINARY
    oid = known["text"].array_oid

    def dump(self, obj: list[str]) -> bytes:
        """Encodes header and elements."""
        return _head(len(obj)) + b"".join(map(_element, obj))


@lru_cache(KEPT_ELEMENTS)
def _element(text: str) -> bytes:
    """A text with its length in bytes in front."""
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded


@lru_cache(KEPT_ELEMENTS)
def _head(elements: int) -> bytes:
    """The header of an array of so many texts; an empty array has no dimensions."""
    return _ARRAY_HEAD(1, 0, known["text"].oid, elements, 1) if elements else _EMPTY_HEAD(0, 0, known["text"].oid)


class JsonTextDumper(Dumper):
    """JSON text as `jsonb`."""

    format = Format.BINARY
    oid = known["jsonb"].oid

    def dump(self, obj: str) -> bytes:
        """The text with the format's version in front."""
        return _JSONB_VERSION + obj.encode()


def copy_rows(
    connection: psycopg.Connection,
    target: sql.Composable,
    table: Table,
    rows: Iterable[Sequence[Any]],
    more: Sequence[str] = (),
) -> None:
    """Copies rows of a table: its columns, then the link columns.

    Args:
        connection: the connection.
        target: the target table, with column names if it has other columns too.
        table: the data table that the rows belong to.
        rows: values of the columns' types.
        more: the types of further columns at the end of each row.
    """
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(target)
    with connection.cursor() as cursor:
        for dumper in (TextArrayDumper, JsonTextDumper):
            cursor.adapters.register_dumper(None, dumper)
        with cursor.copy(statement) as copy:
            copy.set_types(
                [known[name].oid if name != "text[]" else TextArrayDumper.oid for name in (*table.types, *more)]
            )
            write = copy.write_row
            for row in rows:
                write(row)
