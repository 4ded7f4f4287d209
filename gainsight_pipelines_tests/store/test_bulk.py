"""Bulk upserts: they write changed rows, leave unchanged rows alone, and restore deleted rows that come back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from gainsight_pipelines.objects.activity_table import ACTIVITY, ActivityRow
from gainsight_pipelines.objects.company import COMPANY, CompanyRow
from gainsight_pipelines.objects.product_usage import USAGE_METRIC, UsageRow
from gainsight_pipelines.store import bulk, snapshot
from gainsight_pipelines.store.bulk import Written
from gainsight_pipelines.store.deletions import mark_logged, mark_unseen, note_seen, prepare_sweep
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.remap import Remap, remap
from gainsight_pipelines.store.tables import Json

UNLINKED = (None, None, "no_account", None)


def company(gsid: str, name: str = "A") -> tuple[Any, ...]:
    return (*CompanyRow(gsid, None, name, Json("{}"), None, None), *UNLINKED)


def usage(record_id: str, value: float, day: int = 1, obj: str = "u") -> tuple[Any, ...]:
    observed = datetime(2026, 1, day, tzinfo=UTC)
    row = UsageRow(obj, record_id, "m", "c", None, "p", None, Decimal(value), Json("{}"), observed, None, None)
    return (*row, *UNLINKED)


def write(connection: psycopg.Connection, rows: list[tuple[Any, ...]], run_id: str = "r1") -> Written:
    with connection.transaction():
        return bulk.upsert(connection, COMPANY, rows, run_id)


@pytest.fixture
def prepared(connection: psycopg.Connection) -> psycopg.Connection:
    for table in (COMPANY, ACTIVITY, USAGE_METRIC):
        bulk.prepare(connection, table)
    return connection


def test_only_changed_rows_are_touched(prepared: psycopg.Connection) -> None:
    assert write(prepared, [company("1"), company("2")]) == Written(2, 0)
    assert write(prepared, [company("1"), company("2", "B"), company("3")], "r2") == Written(2, 1)
    rows = prepared.execute("SELECT gsid, name, run_id FROM company ORDER BY 1").fetchall()
    assert rows == [("1", "A", "r1"), ("2", "B", "r2"), ("3", "A", "r2")]


def test_a_rolled_back_page_leaves_nothing_staged(prepared: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), prepared.transaction():
        bulk.upsert(prepared, COMPANY, [(*company("1")[:-4], None, None, None, None)], "r1")
    assert write(prepared, [company("2")]) == Written(1, 0)
    assert prepared.execute("SELECT array_agg(gsid) FROM company").fetchone() == (["2"],)


def test_removed_rows_are_marked_and_can_come_back(prepared: psycopg.Connection, lease: Lease) -> None:
    write(prepared, [company("1"), company("2")])
    later = prepared.execute("SELECT now() + interval '1 hour'").fetchone()
    assert later is not None
    prepare_sweep(prepared)
    note_seen(prepared, ["2"], is_restart=False)
    note_seen(prepared, ["1"], is_restart=True)
    assert mark_unseen(prepared, lease, COMPANY, "company", later[0], "r2") == 1
    live = "SELECT array_agg(gsid) FROM company WHERE deleted_at IS NULL"
    assert prepared.execute(live).fetchone() == (["1"],)
    assert write(prepared, [company("2")], "r3") == Written(1, 0)
    assert mark_logged(prepared, lease, COMPANY, "company", {"1": None, "9": None}, "r4") == 1
    assert prepared.execute(live).fetchone() == (["2"],)


def swap(connection: psycopg.Connection, lease: Lease, rows: list[tuple[Any, ...]]) -> tuple[Written, int]:
    snapshot.prepare(connection, USAGE_METRIC)
    snapshot.add(connection, USAGE_METRIC, rows)
    return snapshot.swap(connection, lease, USAGE_METRIC, "u", "r", finish=lambda: None)


def live(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        """SELECT record_id, value::int FROM usage_metric
           WHERE deleted_at IS NULL AND object = 'u' ORDER BY record_id"""
    ).fetchall()


def test_a_snapshot_replaces_rows_within_its_dates(prepared: psycopg.Connection, lease: Lease) -> None:
    assert swap(prepared, lease, [usage("a", 1, day=1), usage("b", 2, day=5), usage("c", 3, day=6)]) == (
        Written(3, 0),
        0,
    )
    with prepared.transaction():
        bulk.upsert(prepared, USAGE_METRIC, [usage("x", 9, day=6, obj="another")], "r")
    written, gone = swap(prepared, lease, [usage("b", 2, day=5), usage("d", 4, day=7)])
    assert (written, gone) == (Written(1, 1), 1)
    assert live(prepared) == [("a", 1), ("b", 2), ("d", 4)]
    assert prepared.execute("SELECT count(*) FROM usage_metric WHERE object = 'another'").fetchone() == (1,)


def test_identical_rows_get_the_same_keys_in_any_order(prepared: psycopg.Connection, lease: Lease) -> None:
    swap(prepared, lease, [usage("a", 2), usage("a", 1), usage("a", 1)])
    assert live(prepared) == [("a", 1), ("a-2", 1), ("a-3", 2)]
    assert swap(prepared, lease, [usage("a", 1), usage("a", 2), usage("a", 1)]) == (Written(0, 3), 0)


def test_a_restart_discards_collected_rows(prepared: psycopg.Connection) -> None:
    snapshot.prepare(prepared, USAGE_METRIC)
    snapshot.add(prepared, USAGE_METRIC, [usage("a", 1)])
    snapshot.restart(prepared, USAGE_METRIC)
    snapshot.add(prepared, USAGE_METRIC, [usage("b", 2)])
    assert snapshot.compare(prepared, USAGE_METRIC, "u") == (1, 0)


def test_derived_columns_are_computed_once_per_combination(prepared: psycopg.Connection, lease: Lease) -> None:
    swap(prepared, lease, [usage("a", 1), usage("b", 2), usage("c", 2)])
    asked: list[Any] = []

    def derive(value: Any) -> tuple[str]:
        asked.append(value)
        return (f"v{value}",)

    how = Remap(("value",), ("product_name",), derive)
    assert remap(prepared, lease, USAGE_METRIC, "u", how, "r9") == 3
    assert remap(prepared, lease, USAGE_METRIC, "u", how, "r9") == 0
    assert sorted(asked) == [1, 1, 2, 2]
    names = prepared.execute("SELECT record_id, product_name FROM usage_metric ORDER BY 1").fetchall()
    assert names == [("a", "v1"), ("b", "v2"), ("c", "v2")]


def activity(number: int, subject: str = "A", attendees: list[str] | None = None) -> tuple[Any, ...]:
    gsid = f"1T01{number:08d}"
    row = ActivityRow(
        gsid, "timeline", "activity_timeline", None, "EMAIL",
        subject=subject, internal_attendees=attendees, custom_fields=Json("{}"),
    )  # fmt: skip
    return (*row, *UNLINKED)


def write_activities(connection: psycopg.Connection, rows: list[tuple[Any, ...]], run_id: str = "r1") -> Written:
    with connection.transaction():
        return bulk.upsert(connection, ACTIVITY, rows, run_id)


def test_a_page_of_new_rows_is_copied_directly_into_its_table(prepared: psycopg.Connection) -> None:
    rows = [activity(number) for number in range(300)]
    with prepared.transaction():
        assert bulk._insert(prepared, ACTIVITY, rows, "r1")
        assert prepared.execute("SELECT count(*) FROM staged_activity").fetchone() == (0,)
    assert not bulk._insert(prepared, ACTIVITY, rows, "r2")
    assert write_activities(prepared, rows, "r2") == Written(0, 300)
    assert prepared.execute("SELECT DISTINCT run_id, changed_at = first_seen_at FROM activity").fetchall() == [
        ("r1", True)
    ]


@pytest.mark.parametrize("stored", [0, 1, 7, 299])
def test_a_page_of_new_rows_with_one_old_row_is_upserted(prepared: psycopg.Connection, stored: int) -> None:
    """The page is written and the old row updated, whether the lookup or the unique index finds that row."""
    write_activities(prepared, [activity(stored)])
    assert write_activities(prepared, [activity(number, "B") for number in range(300)], "r2") == Written(300, 0)
    assert prepared.execute("SELECT subject, count(*) FROM activity GROUP BY 1").fetchall() == [("B", 300)]


@pytest.mark.parametrize("count", [1, 300])
def test_texts_in_arrays_are_stored_unchanged(prepared: psycopg.Connection, count: int) -> None:
    odd = ['say "hi"', "back\\slash", "{a,b}", "tab\there", "line\nend", "NULL", " blank ", "é😀", "'"]
    write_activities(prepared, [activity(number, attendees=odd[number % 3 :]) for number in range(count)])
    write_activities(prepared, [activity(1000, attendees=[])])
    found = dict(prepared.execute("SELECT activity_id, internal_attendees FROM activity").fetchall())
    assert found.pop("1T0100001000") == []
    assert found == {f"1T01{number:08d}": odd[number % 3 :] for number in range(count)}
