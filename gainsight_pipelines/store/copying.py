"""COPY of a data table's rows in PostgreSQL's binary format: neither side formats, escapes or parses texts for it.

The types of the columns are known beforehand, so that psycopg asks no value for its type either.
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

_ARRAY_HEAD = Struct("!iiIii").pack  # dimensions, has nulls, the elements' type, their number, the first one's index
_EMPTY_HEAD = Struct("!iiI").pack
_LENGTH = Struct("!i").pack
_JSONB_VERSION = b"\x01"

KEPT_ELEMENTS = 4096
"""Texts of arrays whose bytes are remembered: names of people mostly, which come again and again."""


class TextArrayDumper(Dumper):
    """A list of texts as `text[]`. psycopg's own looks at each element of each list for its type first."""

    format = Format.BINARY
    oid = known["text"].array_oid

    def dump(self, obj: list[str]) -> bytes:
        """Head and elements."""
        return _head(len(obj)) + b"".join(map(_element, obj))


@lru_cache(KEPT_ELEMENTS)
def _element(text: str) -> bytes:
    """A text behind its length in bytes."""
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded


@lru_cache(KEPT_ELEMENTS)
def _head(elements: int) -> bytes:
    """What an array of so many texts begins with; an empty one has no dimensions."""
    return _ARRAY_HEAD(1, 0, known["text"].oid, elements, 1) if elements else _EMPTY_HEAD(0, 0, known["text"].oid)


class JsonTextDumper(Dumper):
    """JSON that is text already as `jsonb`."""

    format = Format.BINARY
    oid = known["jsonb"].oid

    def dump(self, obj: str) -> bytes:
        """The text behind the version of the format."""
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
        connection: where to.
        target: the table that they go into, with the names of its columns where it has others as well.
        table: what the rows are rows of.
        rows: values of the columns' types.
        more: types of further columns that each row has behind these.
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
