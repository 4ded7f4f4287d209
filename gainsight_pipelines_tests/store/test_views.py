"""Typed views: the names and values of their columns, and updates that don't disturb readers."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.record import RECORD
from gainsight_pipelines.objects.registry import TABLES
from gainsight_pipelines.store import views
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.views import (
    BOOLEAN,
    DATE,
    NUMBER,
    TEXT,
    TEXTS,
    TIME,
    Changed,
    Column,
    Source,
    snake_case,
)

THING = Source("thing__gc", RECORD, "thing__gc", "attributes")
FIXED = ["account_id", "gsid", "company_gsid", "unmatched_reason", "modified_at", "deleted_at", "changed_at"]


def add(connection: psycopg.Connection, gsid: str, attributes: dict[str, Any], run_id: str = "r") -> None:
    connection.execute(
        """INSERT INTO record (object, gsid, unmatched_reason, attributes, changed_at, run_id)
           VALUES ('thing__gc', %s, 'no_company', %s, now(), %s)""",
        (gsid, json.dumps(attributes), run_id),
    )


def make(
    lease: Lease, connection: psycopg.Connection, *columns: Column, source: Source = THING, run_id: str = "r"
) -> Changed:
    return views.bring_up_to_date(connection, lease, source, columns, fits, run_id)


def shown(connection: psycopg.Connection, view: str = "thing__gc") -> list[str]:
    return [name for name, _, _ in views.typed_columns(connection, view)][len(FIXED) :]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("StatusId", "status_id"),
        ("Customer_Lifetime_in_Months", "customer_lifetime_in_months"),
        ("ARRValue__gc", "arr_value"),
        ("Ant__Next_Step__c", "next_step"),
        ("OwnerId__name", "owner_id_name"),
        ("Owner__gc__name", "owner__name"),
        ("IsPrimaryCompany", "is_primary_company"),
        ("__gc", "field"),
    ],
)
def test_view_columns_are_in_snake_case(name: str, column: str) -> None:
    assert snake_case(name).replace("__", "_") == column.replace("__", "_")


def test_each_field_is_a_view_column_of_its_type(connection: psycopg.Connection, lease: Lease) -> None:
    kinds = {"Name": TEXT, "Score": NUMBER, "IsDone": BOOLEAN, "DueDate": DATE, "SeenAt": TIME, "Roles": TEXTS}
    add(
        connection,
        "1",
        {"Name": "A", "Score": 1.5, "IsDone": True, "DueDate": "2026-01-31", "SeenAt": "2026-01-31T10:00:00+00:00"}
        | {"Roles": ["a", "b"]},
    )
    add(connection, "2", {})
    make(lease, connection, *(Column(key, kind, f"The {key}") for key, kind in kinds.items()))
    columns = views.typed_columns(connection, "thing__gc")
    assert [column for column, _, _ in columns] == [*FIXED, "name", "score", "is_done", "due_date", "seen_at", "roles"]
    assert [kind for _, kind, _ in columns][len(FIXED) :] == list(kinds.values())
    assert columns[-1][2] == "The Roles (Roles)."
    row = connection.execute(
        "SELECT name, score, is_done, due_date::text, roles FROM thing__gc WHERE gsid = '1'"
    ).fetchone()
    assert row is not None
    assert (row[0], float(row[1]), *row[2:]) == ("A", 1.5, True, "2026-01-31", ["a", "b"])
    assert connection.execute("SELECT name, roles FROM thing__gc WHERE gsid = '2'").fetchone() == (None, None)


def test_clashing_names_are_numbered_and_stable(connection: psycopg.Connection, lease: Lease) -> None:
    first = [Column("Snooze__gc", NUMBER, ""), Column("snooze__GC", TEXT, ""), Column("Order", NUMBER, "")]
    make(lease, connection, *first, Column("Account_Id", TEXT, ""))
    assert shown(connection) == ["snooze", "snooze_2", "order_", "account_id_2"]
    make(lease, connection, *reversed(first), Column("snooze", DATE, ""), Column("Account_Id", TEXT, ""))
    assert shown(connection) == ["snooze", "snooze_2", "order_", "account_id_2", "snooze_3"]


def test_names_longer_than_postgresql_allows(connection: psycopg.Connection, lease: Lease) -> None:
    long = "Field_" * 20
    add(connection, "1", {f"{long}{number}": number for number in (1, 2)})
    make(lease, connection, *(Column(f"{long}{number}", NUMBER, "") for number in (1, 2)))
    names = shown(connection)
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 63
    assert connection.execute(f"SELECT {names[0]}::int, {names[1]}::int FROM thing__gc").fetchone() == (1, 2)


def test_a_view_of_eight_hundred_fields(connection: psycopg.Connection, lease: Lease) -> None:
    add(connection, "1", {f"F{number}": number for number in range(800)})
    make(lease, connection, *(Column(f"F{number}", NUMBER, "") for number in range(800)))
    assert connection.execute("SELECT f799::int FROM thing__gc").fetchone() == (799,)


def test_existing_tables_and_views_are_never_replaced(connection: psycopg.Connection, lease: Lease) -> None:
    connection.execute("CREATE VIEW person AS SELECT 1 AS mine")
    person = Source("person", RECORD, "person", "attributes")
    assert make(lease, connection, Column("Name", TEXT, ""), source=person).view == "person_2"
    account = Source("account", RECORD, "account", "attributes")
    assert make(lease, connection, Column("Name", TEXT, ""), source=account).view == "account_2"
    assert make(lease, connection, Column("Email", TEXT, ""), source=person).view == "person_2"
    assert connection.execute("SELECT mine FROM person").fetchone() == (1,)


def test_an_update_keeps_dependent_views_and_grants(connection: psycopg.Connection, lease: Lease) -> None:
    add(connection, "1", {"Name": "A", "Size": 3})
    make(lease, connection, Column("Name", TEXT, ""), Column("Size", NUMBER, ""))
    connection.execute("CREATE VIEW mine AS SELECT gsid, size FROM thing__gc")
    connection.execute("GRANT SELECT ON thing__gc TO PUBLIC")
    changed = make(lease, connection, Column("Name", TEXT, ""), Column("Colour", TEXT, ""))
    assert (changed.added, changed.gone) == (["colour"], ["size"])
    assert shown(connection) == ["name", "size", "colour"]
    assert connection.execute("SELECT size FROM mine").fetchone() == (None,)
    assert connection.execute("SELECT has_table_privilege('pg_monitor', 'thing__gc', 'SELECT')").fetchone() == (True,)
    assert "Gone" in views.typed_columns(connection, "thing__gc")[-2][2]
    make(lease, connection, Column("Name", TEXT, ""), Column("Size", NUMBER, ""))
    assert connection.execute("SELECT size::int FROM mine").fetchone() == (3,)


def test_a_changed_type_gets_a_new_column_that_old_values_fit(connection: psycopg.Connection, lease: Lease) -> None:
    add(connection, "1", {"Size": "about three"}, run_id="old")
    make(lease, connection, Column("Size", TEXT, ""), run_id="old")
    add(connection, "2", {"Size": 4}, run_id="new")
    changed = make(lease, connection, Column("Size", NUMBER, ""), run_id="new")
    assert (changed.added, changed.gone, changed.repaired) == (["size_2"], ["size"], 1)
    rows = connection.execute("SELECT gsid, size, size_2::int FROM thing__gc ORDER BY gsid").fetchall()
    assert rows == [("1", None, None), ("2", None, 4)]
    assert connection.execute("SELECT unreadable FROM record WHERE gsid = '1'").fetchone() == ({"Size": "about three"},)


def test_a_view_is_not_changed_if_its_fields_are_the_same(connection: psycopg.Connection, lease: Lease) -> None:
    make(lease, connection, Column("Name", TEXT, "Name"))
    before = connection.execute("SELECT xmin FROM pg_class WHERE relname = 'thing__gc'").fetchone()
    assert make(lease, connection, Column("Name", TEXT, "Name")).added == []
    assert connection.execute("SELECT xmin FROM pg_class WHERE relname = 'thing__gc'").fetchone() == before


def test_columns_of_removed_fields_are_dropped_if_nothing_depends_on_them(
    connection: psycopg.Connection, lease: Lease
) -> None:
    add(connection, "1", {"Name": "A"})
    make(lease, connection, Column("Size", NUMBER, ""), Column("Name", TEXT, "Its name"))
    connection.execute("GRANT SELECT ON thing__gc TO pg_monitor")
    make(lease, connection, Column("Name", TEXT, "Its name"))
    connection.execute("CREATE VIEW mine AS SELECT name FROM thing__gc")
    with pytest.raises(PermanentError, match="mine on thing__gc"):
        views.drop_gone_columns(connection, TABLES)
    assert shown(connection) == ["size", "name"]
    connection.execute("DROP VIEW mine")
    assert views.drop_gone_columns(connection, TABLES) == {"thing__gc": ["size"]}
    assert shown(connection) == ["name"]
    assert connection.execute("SELECT name FROM thing__gc").fetchone() == ("A",)
    assert connection.execute("SELECT has_table_privilege('pg_monitor', 'thing__gc', 'SELECT')").fetchone() == (True,)
    make(lease, connection, Column("Name", TEXT, "Its name"), Column("Size", NUMBER, ""))
    assert shown(connection) == ["name", "size"]


def test_waiting_for_readers_of_a_view_is_limited(store: Store, connection: psycopg.Connection, lease: Lease) -> None:
    make(lease, connection, Column("Name", TEXT, ""))
    with store.connect("reader") as reader, reader.transaction():
        reader.execute("SELECT * FROM thing__gc")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(views, "LOCK_TIMEOUT", "50ms")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                make(lease, connection, Column("Name", TEXT, ""), Column("Size", NUMBER, ""))
    assert make(lease, connection, Column("Name", TEXT, ""), Column("Size", NUMBER, "")).added == ["size"]
