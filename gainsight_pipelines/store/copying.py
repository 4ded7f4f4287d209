"""COPY of a data table's rows in PostgreSQL's binary format: neither side formats, escapes or parses texts for it.

The types of the columns are known beforehand, so that psycopg asks no value for its type either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.postgres import types as known
from psycopg.pq import Format

from gainsight_pipelines.store.tables import Table

_ARRAY_HEAD = Struct("!iiIii").pack  # dimensions, has nulls, the elements' type, their number, the first one's index
_LENGTH = Struct("!i").pack
_JSONB_VERSION = b"\x01"


class TextArrayDumper(Dumper):
    """A list of texts as `text[]`. psycopg's own looks at each element of each list for its type first."""

    format = Format.BINARY
    oid = known["text"].array_oid

    def dump(self, obj: list[str]) -> bytes:
        """Head and elements, each element behind its length in bytes."""
        if not obj:
            return _ARRAY_HEAD(0, 0, known["text"].oid, 0, 1)[:12]
        texts = [text.encode() for text in obj]
        head = _ARRAY_HEAD(1, 0, known["text"].oid, len(texts), 1)
        return head + b"".join([_LENGTH(len(text)) + text for text in texts])


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
