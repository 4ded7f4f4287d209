"""Typed views: each field of an object as a column, over the JSON in which its records are stored.

A view only changes in ways that don't break readers' queries, dependent views and grants: new columns are appended, the
column of a removed field becomes NULL, a field with a new type gets a new column. Column names are stored, so that they
never change. `drop_gone_columns` recreates a view without the removed columns, if nothing depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.store.batches import change
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.tables import Table
from gainsight_pipelines.store.waits import IN_THE_WAY, milliseconds

TEXT, BOOLEAN, DATE, JSONB, TEXTS = "text", "boolean", "date", "jsonb", "text[]"
NUMBER, TIME = "numeric(38,9)", "timestamp with time zone"

LOCK_TIMEOUT = milliseconds(IN_THE_WAY)
LONGEST_NAME = 63
KEPT: LiteralString = """, unreadable = coalesce(t.unreadable, '{{}}')
                               || jsonb_build_object(p.field_key, t.{json} -> p.field_key)"""
"""Keeps the original of a value that fails its cast."""

MOST_COLUMNS = 1500
"""PostgreSQL allows 1,600 columns."""

FIXED = ("account_id", "gsid", "company_gsid", "unmatched_reason", "modified_at", "deleted_at", "changed_at")
"""The first columns of each view, as far as the table has them; `gsid`: the record's id, whatever its name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field as a column: its key in the JSON, its PostgreSQL type, its label."""

    key: str
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a view shows: the rows of one object, and the column with their fields."""

    view: str
    table: Table
    gainsight_object: str
    json_column: str


@dataclass(frozen=True, slots=True)
class ViewOfObject:
    """A view in the database.

    Attributes:
        name: its name in the database.
        pull: the requested name, mostly that of its pull.
        table: the table of its rows.
        gainsight_object: the object of the records.
        columns: name, type, meaning.
    """

    name: str
    pull: str
    table: str
    gainsight_object: str
    columns: list[tuple[str, str, str]]


@dataclass(slots=True)
class Changed:
    """The result of updating a view. `gone`: all columns whose fields no longer exist."""

    view: str
    columns: int = 0
    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    repaired: int = 0


@dataclass(slots=True)
class _StoredColumn:
    """A view's column as stored in `object_column`."""

    name: str
    key: str
    kind: str
    label: str
    is_gone: bool


def bring_up_to_date(
    connection: psycopg.Connection,
    lease: Lease,
    source: Source,
    columns: Sequence[Column],
    fits: Callable[[str, Any], bool],
    run_id: str,
) -> Changed:
    """Creates the view, or updates it if the fields have changed.

    Stored values that would fail their cast are corrected first, in batches; the view itself changes in a moment.

    Args:
        connection: outside a transaction.
        lease: of the object, so that no other process writes its rows or changes its view meanwhile.
        source: what it shows.
        columns: the current fields.
        fits: whether a stored value can be cast to a type.
        run_id: the run whose rows are known to fit; stored on repaired rows.

    Raises:
        psycopg.errors.LockNotAvailable: the view is being read all the time, and was not changed.
    """
    kept = _stored_columns(connection, source.view)
    before = [(each.name, each.is_gone, each.label) for each in kept]
    added = _merge(connection, kept, columns[:MOST_COLUMNS])
    is_same = before == [(each.name, each.is_gone, each.label) for each in kept]
    name, is_new = _view_name(connection, source)
    changed = Changed(name, len(kept), added, [each.name for each in kept if each.is_gone])
    if is_same and not is_new:
        return changed
    changed.repaired = _repair(connection, lease, source, kept, fits, run_id)
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
        connection.execute(_definition(source, name, kept))
        _comment(connection, name, kept, source)
        _store_columns(connection, source.view, kept)
    return changed


def view_names(connection: psycopg.Connection) -> list[str]:
    """The typed views that there are."""
    return list(views_by_object(connection).values())


def views_by_object(connection: psycopg.Connection) -> dict[str, str]:
    """The existing typed views: requested name → name in the database."""
    rows = connection.execute(
        "SELECT view, name FROM object_view WHERE to_regclass(quote_ident(name)) IS NOT NULL ORDER BY name"
    )
    return dict(rows.fetchall())


def typed_views(connection: psycopg.Connection) -> list[ViewOfObject]:
    """The existing typed views, with their columns."""
    rows = connection.execute(
        """SELECT name, view, definition ->> 0, definition ->> 1 FROM object_view
           WHERE to_regclass(quote_ident(name)) IS NOT NULL ORDER BY name"""
    ).fetchall()
    return [
        ViewOfObject(name, view, table, gainsight_object, typed_columns(connection, name))
        for name, view, table, gainsight_object in rows
    ]


def view_name(connection: psycopg.Connection, view: str | None) -> str | None:
    """The database name of the view created for this name; None: no pull has created it yet."""
    row = connection.execute(
        "SELECT name FROM object_view WHERE view = %s AND to_regclass(quote_ident(name)) IS NOT NULL", (view,)
    ).fetchone()
    return None if row is None else row[0]


def typed_columns(connection: psycopg.Connection, name: str) -> list[tuple[str, str, str]]:
    """The columns of a view: name, type, meaning. Empty: there is no such view."""
    return connection.execute(
        """SELECT attname, format_type(atttypid, atttypmod), coalesce(col_description(attrelid, attnum), '')
           FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped
           ORDER BY attnum""",
        (name,),
    ).fetchall()


def drop_gone_columns(connection: psycopg.Connection, tables: Iterable[Table]) -> dict[str, list[str]]:
    """Recreates the views that have columns of removed fields; returns those columns by view.

    Args:
        connection: outside a transaction.
        tables: the data tables of the views.

    Raises:
        PermanentError: something depends on such a view. Nothing was changed.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
        rows = connection.execute(
            """SELECT v.view, v.name, v.definition FROM object_view v
               WHERE EXISTS (SELECT FROM object_column c WHERE c.view = v.view AND c.is_gone) ORDER BY 1"""
        ).fetchall()
        needed = {name: found for _, name, _ in rows if (found := _dependents(connection, name))}
        if needed:
            told = "; ".join(f"{', '.join(found)} on {name}" for name, found in needed.items())
            raise PermanentError(
                f"Columns can't be dropped while something depends on their view: {told}.",
                "Change or drop that first; nothing was changed.",
            )
        by_name = {table.name: table for table in tables}
        dropped = {}
        for view, name, definition in rows:
            kept = _stored_columns(connection, view)
            dropped[name] = [each.name for each in kept if each.is_gone]
            left = [each for each in kept if not each.is_gone]
            grants = _grants(connection, name)
            connection.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(name)))
            source = Source(view, by_name[definition[0]], definition[1], definition[2])
            connection.execute(_definition(source, name, left))
            _comment(connection, name, left, source)
            for privilege, grantee in grants:
                connection.execute(
                    sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(privilege), sql.Identifier(name), grantee)
                )
            connection.execute("DELETE FROM object_column WHERE view = %s AND is_gone", (view,))
    return dropped


def snake_case(name: str) -> str:
    """A field's API name as a column name: without Gainsight's prefix and suffixes, in snake case."""
    bare = re.sub(r"(__gc|__c)(?=__name$|$)", "", re.sub(r"^Ant__", "", name, flags=re.IGNORECASE), flags=re.IGNORECASE)
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", bare)
    return re.sub(r"_+", "_", parted).strip("_").lower() or "field"


def _merge(connection: psycopg.Connection, kept: list[_StoredColumn], columns: Sequence[Column]) -> list[str]:
    """Updates the stored columns to the current fields; returns the names of new ones."""
    reserved = _reserved_words(connection)
    taken = {*FIXED, *(each.name for each in kept)}
    by_field = {(each.key, each.kind): each for each in kept}
    now = {(column.key, column.kind) for column in columns}
    for known in kept:
        known.is_gone = (known.key, known.kind) not in now
    added = []
    for column in columns:
        known_one = by_field.get((column.key, column.kind))
        if known_one is not None:
            known_one.label = column.label
            continue
        name = _free_name(snake_case(column.key), taken, reserved)
        taken.add(name)
        kept.append(_StoredColumn(name, column.key, column.kind, column.label, is_gone=False))
        added.append(name)
    return added


def _free_name(wanted: str, taken: Iterable[str], reserved: Iterable[str]) -> str:
    """A free name: numbered if taken, with an underscore if it is reserved in SQL."""
    wanted = f"{wanted}_" if wanted in reserved else wanted
    name, number = wanted[:LONGEST_NAME], 1
    while name in taken:
        number += 1
        name = f"{wanted[: LONGEST_NAME - len(str(number)) - 1]}_{number}"
    return name


def _reserved_words(connection: psycopg.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")}


def _view_name(connection: psycopg.Connection, source: Source) -> tuple[str, bool]:
    """The view's name in the database, and whether it must be created. Never replaces another table or view."""
    definition = [source.table.name, source.gainsight_object, source.json_column]
    row = connection.execute(
        "SELECT name, to_regclass(quote_ident(name)) IS NULL FROM object_view WHERE view = %s", (source.view,)
    ).fetchone()
    if row is not None:
        return row[0], row[1]
    taken = {
        name
        for (name,) in connection.execute(
            """SELECT relname FROM pg_class
               WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"""
        )
    }
    name = _free_name(source.view, taken, _reserved_words(connection))
    connection.execute(
        "INSERT INTO object_view (view, name, definition) VALUES (%s, %s, %s)", (source.view, name, Jsonb(definition))
    )
    return name, True


def _stored_columns(connection: psycopg.Connection, view: str) -> list[_StoredColumn]:
    rows = connection.execute(
        "SELECT name, key, kind, label, is_gone FROM object_column WHERE view = %s ORDER BY position", (view,)
    ).fetchall()
    return [_StoredColumn(*row) for row in rows]


def _store_columns(connection: psycopg.Connection, view: str, kept: Sequence[_StoredColumn]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO object_column (view, position, name, key, kind, label, is_gone)
               VALUES (%s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (view, name) DO UPDATE SET label = excluded.label, is_gone = excluded.is_gone""",
            [
                (view, position, each.name, each.key, each.kind, each.label, each.is_gone)
                for position, each in enumerate(kept)
            ],
        )


def _fixed(table: Table) -> list[tuple[str, str]]:
    """The first columns of a view: name, and the table's name for it."""
    known = {*table.columns, "account_id", "unmatched_reason", "deleted_at", "changed_at"}
    named = [(name, table.id_column if name == "gsid" else name) for name in FIXED]
    return [(name, column) for name, column in named if column in known]


def _definition(source: Source, name: str, kept: Sequence[_StoredColumn]) -> sql.Composed:
    table = source.table
    shown = [
        sql.SQL("t.{} AS {}").format(sql.Identifier(column), sql.Identifier(name)) for name, column in _fixed(table)
    ]
    live = [each for each in kept if not each.is_gone]
    typed = [each for each in live if len(each.key) <= LONGEST_NAME]
    for each in kept:
        kind, column = sql.SQL(each.kind), sql.Identifier(each.name)
        if each.is_gone:
            shown.append(sql.SQL("NULL::{} AS {}").format(kind, column))
        elif each in typed:
            shown.append(sql.SQL("x.{} AS {}").format(sql.Identifier(each.key), column))
        else:  # longer than PostgreSQL's names can be
            shown.append(_by_itself(source, each, kind, column))
    lateral = (
        sql.SQL("LEFT JOIN LATERAL jsonb_to_record(t.{}) AS x ({}) ON true").format(
            sql.Identifier(source.json_column), _record_type(typed)
        )
        if typed
        else sql.SQL("")
    )
    return sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {} t {} WHERE {}").format(
        sql.Identifier(name),
        sql.SQL(", ").join(shown),
        sql.Identifier(table.name),
        lateral,
        table.mine(source.gainsight_object),
    )


def _by_itself(source: Source, each: _StoredColumn, kind: sql.SQL, column: sql.Identifier) -> sql.Composed:
    value = sql.SQL("t.{} {} {}").format(
        sql.Identifier(source.json_column),
        sql.SQL("->" if each.kind in (JSONB, TEXTS) else "->>"),
        sql.Literal(each.key),
    )
    if each.kind == TEXTS:
        return sql.SQL(
            "CASE WHEN jsonb_typeof({0}) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text({0})) END AS {1}"
        ).format(value, column)
    return sql.SQL("({})::{} AS {}").format(value, kind, column)


def _record_type(kept: Sequence[_StoredColumn]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(each.key), sql.SQL(each.kind)) for each in kept)


def _repair(
    connection: psycopg.Connection,
    lease: Lease,
    source: Source,
    kept: Sequence[_StoredColumn],
    fits: Callable[[str, Any], bool],
    run_id: str,
) -> int:
    """Makes every stored value castable: values of earlier types are moved to `unreadable`.

    Rows of this run were just typed; for others one query shows whether there is anything to repair.
    """
    live = [each for each in kept if not each.is_gone and each.kind not in (TEXT, JSONB)]
    if not live or _are_castable(connection, source, live, run_id):
        return 0
    table, repaired = source.table, 0
    names = {
        "table": sql.Identifier(table.name),
        "keys": table.keys(),
        "json": sql.Identifier(source.json_column),
        "mine": table.mine(source.gainsight_object),
    }
    assignments = sql.SQL("{json} = t.{json} || jsonb_build_object(p.field_key, NULL){kept}").format(
        json=names["json"], kept=sql.SQL(KEPT if "unreadable" in table.columns else "").format(json=names["json"])
    )
    for each in live:
        values = connection.execute(
            sql.SQL("SELECT DISTINCT t.{json} -> %(key)s FROM {table} t WHERE {mine} AND t.{json} ? %(key)s").format(
                **names
            ),
            {"key": each.key},
        ).fetchall()
        odd = [Jsonb(value) for (value,) in values if not fits(each.kind, value)]
        if odd:
            chosen = sql.SQL(
                "SELECT {keys}, %s::text AS field_key FROM {table} t WHERE {mine} AND t.{json} -> %s = ANY(%s)"
            ).format(**names)
            parameters = (each.key, each.key, odd)
            repaired += change(connection, lease, table.name, table.key, chosen, parameters, assignments, run_id)
    return repaired


def _are_castable(connection: psycopg.Connection, source: Source, live: Sequence[_StoredColumn], run_id: str) -> bool:
    typed = [each for each in live if len(each.key) <= LONGEST_NAME]
    if not typed:
        return True
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL(
                    """SELECT count(x) FROM {} t CROSS JOIN LATERAL jsonb_to_record(t.{}) AS x ({})
                       WHERE {} AND t.run_id <> %s"""
                ).format(
                    sql.Identifier(source.table.name),
                    sql.Identifier(source.json_column),
                    _record_type(typed),
                    source.table.mine(source.gainsight_object),
                ),
                (run_id,),
            )
    except psycopg.DataError:
        return False
    return True


def _comment(connection: psycopg.Connection, name: str, kept: Sequence[_StoredColumn], source: Source) -> None:
    connection.execute(
        sql.SQL("COMMENT ON VIEW {} IS {}").format(
            sql.Identifier(name), sql.Literal(f"Gainsight object {source.gainsight_object}: a column for each field.")
        )
    )
    meanings = RELATIONS[source.table.name].columns
    for shown, column in _fixed(source.table):
        connection.execute(
            sql.SQL("COMMENT ON COLUMN {} IS {}").format(sql.Identifier(name, shown), sql.Literal(meanings[column][1]))
        )
    for each in kept:
        api_name = each.key.removesuffix("__name")
        gone = " Gone: Gainsight no longer has the field, or it is of another type." if each.is_gone else ""
        connection.execute(
            sql.SQL("COMMENT ON COLUMN {} IS {}").format(
                sql.Identifier(name, each.name), sql.Literal(f"{each.label} ({api_name}).{gone}")
            )
        )


def _dependents(connection: psycopg.Connection, name: str) -> list[str]:
    """The views and materialized views that depend on a view."""
    rows = connection.execute(
        """SELECT DISTINCT c.oid::regclass::text
           FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
           WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = to_regclass(quote_ident(%s))
             AND c.oid <> d.refobjid
           ORDER BY 1""",
        (name,),
    ).fetchall()
    return [row[0] for row in rows]


def _grants(connection: psycopg.Connection, name: str) -> list[tuple[str, sql.Composable]]:
    """The privileges on a view, except its owner's."""
    rows = connection.execute(
        """SELECT privilege_type, CASE WHEN grantee = 0 THEN NULL ELSE pg_get_userbyid(grantee) END
           FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = to_regclass(quote_ident(%s)) AND grantee <> relowner""",
        (name,),
    ).fetchall()
    return [(kind, sql.SQL("PUBLIC") if role is None else sql.Identifier(role)) for kind, role in rows]
