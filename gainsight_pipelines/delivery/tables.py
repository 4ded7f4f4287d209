"""What can be delivered to a warehouse, and how a row is known again there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from gainsight_pipelines.errors import UsageError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.registry import TABLES
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines.store.frames import columns_of
from gainsight_pipelines.store.views import view_names

CHANGED = "changed_at"


@dataclass(frozen=True, slots=True)
class Deliverable:
    """A table or view. `key`: what tells its rows apart; none: nothing says what changed, so it goes as a whole."""

    name: str
    key: tuple[str, ...] = ()


def deliverables(connection: psycopg.Connection, names: Sequence[str] = ()) -> list[Deliverable]:
    """The named tables and views; none named: the accounts, the data tables and the typed views.

    Raises:
        UsageError: there is no such table or view.
    """
    views = view_names(connection)
    known = [*RELATIONS, *views]
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"There are: {', '.join(known)}."
            raise UsageError(f"There is no table or view {name!r} to deliver.", near)
    usual = ["account", *(table.name for table in TABLES), *views]
    found = []
    for name in dict.fromkeys(names or usual):
        has_changes = CHANGED in columns_of(connection, name)
        key = ("gsid",) if name in views else _primary_key(connection, name)
        found.append(Deliverable(name, key if has_changes else ()))
    return found


def _primary_key(connection: psycopg.Connection, name: str) -> tuple[str, ...]:
    rows = connection.execute(
        """SELECT a.attname FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indrelid = to_regclass(quote_ident(%s)) AND i.indisprimary ORDER BY a.attnum""",
        (name,),
    )
    return tuple(column for (column,) in rows)
