"""The tables and views that can be delivered, with the keys to merge them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from gainsight_pipelines.errors import UsageError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.registry import TABLES
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines.store.frames import columns_of
from gainsight_pipelines.store.views import views_by_object

CHANGED = "changed_at"
ACCOUNT = "account"
DATA = tuple(table.name for table in TABLES)
"""The tables that the pulls fill."""


@dataclass(frozen=True, slots=True)
class Deliverable:
    """A table or view.

    Attributes:
        name: its name in the database.
        key: the columns to merge on; empty: it has no `changed_at`, so all rows are sent each time.
    """

    name: str
    key: tuple[str, ...] = ()


def deliverables(connection: psycopg.Connection, names: Sequence[str] = ()) -> list[Deliverable]:
    """The tables and views to deliver.

    Args:
        connection: to the store.
        names: tables and views; a typed view by its name in the database or the name requested for it. Empty: the
            accounts, the data tables and the typed views.

    Raises:
        UsageError: a table or view does not exist.
    """
    by_object = views_by_object(connection)
    views = list(by_object.values())
    known = [*RELATIONS, *views]
    found = []
    for name in dict.fromkeys(names or (ACCOUNT, *DATA, *views)):
        actual = name if name in known else by_object.get(name)
        if actual is None:
            near = did_you_mean(name, known) or f"There are: {', '.join(known)}."
            raise UsageError(f"There is no table or view {name!r} to deliver.", near)
        has_changes = CHANGED in columns_of(connection, actual)
        key = ("gsid",) if actual in views else _primary_key(connection, actual)
        found.append(Deliverable(actual, key if has_changes else ()))
    return found


def _primary_key(connection: psycopg.Connection, name: str) -> tuple[str, ...]:
    rows = connection.execute(
        """SELECT a.attname FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indrelid = to_regclass(quote_ident(%s)) AND i.indisprimary ORDER BY a.attnum""",
        (name,),
    )
    return tuple(column for (column,) in rows)
