"""Every writer of many rows commits soon after their `changed_at`, so that incremental readers miss no change.

A trigger delays each row, so that no writer could write all rows within the time limit of one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from gainsight_pipelines.matching import Link
from gainsight_pipelines.objects.activity import ACTIVITY
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.product_usage import USAGE_METRIC
from gainsight_pipelines.objects.record import RECORD
from gainsight_pipelines.store import accounts, bulk, deletions, links, snapshot, stored_records, views
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease, TookTooLong, object_lease
from gainsight_pipelines.store.remap import Remap, remap
from gainsight_pipelines_tests.pulling import Pulling

ROWS = 60
LIMIT = timedelta(seconds=0.12)
UNLINKED = (None, None, "no_company", None)
LATE = "SELECT count(*), max(pg_xact_commit_timestamp(xmin) - changed_at) FROM {} WHERE run_id = %s"


def slow(connection: psycopg.Connection, table: str, milliseconds: float = 5) -> None:
    """Adds a trigger that delays each row written to the table."""
    connection.execute(
        f"""CREATE FUNCTION slow_{table}() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({milliseconds / 1000}); RETURN NULL; END $$;
            CREATE TRIGGER slow AFTER INSERT OR UPDATE ON {table} FOR EACH ROW
            EXECUTE FUNCTION slow_{table}()""".encode()
    )


def assert_seen_soon(connection: psycopg.Connection, table: str, run_id: str, rows: int = ROWS) -> None:
    """Asserts that each row of the run became visible within the limit, plus a second for a busy machine's commit."""
    found = connection.execute(LATE.format(table).encode(), (run_id,)).fetchone()
    assert found is not None
    assert found[0] == rows
    assert found[1] < LIMIT + timedelta(seconds=1)
    times = connection.execute(f"SELECT count(DISTINCT changed_at) FROM {table} WHERE run_id = %s".encode(), (run_id,))
    batches = times.fetchone()
    assert batches is not None and batches[0] > 2, "not all at once: that would have taken too long"


@contextmanager
def many_rows(store: Store) -> Iterator[tuple[psycopg.Connection, Lease]]:
    quick = Store(store.url, longest_transaction=LIMIT)
    with object_lease(quick, "test", "later") as lease, quick.connect("test") as connection:
        connection.execute(
            """INSERT INTO activity (activity_id, source, source_object, company_gsid, activity_type,
                                     reporting_category, unmatched_reason, changed_at, run_id)
               SELECT n::text, 'timeline', 'a', 'C' || n %% 3, 'EMAIL', 'Call', 'no_account', now(), 'first'
               FROM generate_series(1, %s) n""",
            (ROWS,),
        )
        connection.execute(
            """INSERT INTO usage_metric (object, record_id, metric, product_name, unmatched_reason, changed_at, run_id)
               SELECT 'u', n::text, 'm', 'p', 'no_company', now(), 'first' FROM generate_series(1, %s) n""",
            (ROWS,),
        )
        connection.execute(
            """INSERT INTO account (account_id, crm, changed_at, run_id)
               SELECT n::text, 'hubspot', now(), 'first' FROM generate_series(1, %s) n""",
            (ROWS,),
        )
        connection.execute(
            """INSERT INTO record (object, gsid, unmatched_reason, attributes, changed_at, run_id)
               SELECT 'o', n::text, 'no_company', '{"Size": "some"}', now(), 'first' FROM generate_series(1, %s) n""",
            (ROWS,),
        )
        for table in ("activity", "usage_metric", "account", "record"):
            slow(connection, table)
        yield connection, lease


def move(connection: psycopg.Connection, lease: Lease) -> Any:
    with connection.transaction():
        links.relink(connection, ACTIVITY, "a", lambda *_: Link("an account", "direct", None))
    return links.move(connection, lease, ACTIVITY, "a", "later")


def map_anew(connection: psycopg.Connection, lease: Lease) -> Any:
    how = Remap(("reporting_category",), ("activity_type",), lambda _: ("MEETING",))
    return remap(connection, lease, ACTIVITY, "a", how, "later")


def mark_logged(connection: psycopg.Connection, lease: Lease) -> Any:
    gone = {str(n): None for n in range(1, ROWS + 1)}
    return deletions.mark_logged(connection, lease, ACTIVITY, "a", gone, "later")


def mark_unseen(connection: psycopg.Connection, lease: Lease) -> Any:
    deletions.prepare_sweep(connection)
    row = connection.execute("SELECT now() + interval '1 h'").fetchone()
    assert row is not None
    return deletions.mark_unseen(connection, lease, ACTIVITY, "a", row[0], "later")


def mark_object(connection: psycopg.Connection, lease: Lease) -> Any:
    return deletions.mark_object(connection, lease, ACTIVITY, "a", "later")


def rename(connection: psycopg.Connection, lease: Lease) -> Any:
    return stored_records.rename_object(connection, lease, ACTIVITY, "a", "A", "later")


def swap(connection: psycopg.Connection, lease: Lease) -> Any:
    """Replaces all rows with as many new ones."""
    bulk.prepare(connection, USAGE_METRIC)
    snapshot.prepare(connection, USAGE_METRIC)
    made = dict.fromkeys(USAGE_METRIC.columns) | {"object": "u", "metric": "m", "product_name": "p", "secondary": "{}"}
    rows = [(*(made | {"record_id": f"new {n}"}).values(), *UNLINKED) for n in range(ROWS)]
    snapshot.add(connection, USAGE_METRIC, rows)
    written, gone = snapshot.swap(connection, lease, USAGE_METRIC, "u", "later", finish=lambda: None)
    assert written == bulk.Written(ROWS, 0)
    return written.written + gone


def mark_accounts(connection: psycopg.Connection, lease: Lease) -> Any:
    accounts.prepare(connection)
    row = connection.execute("SELECT now(), now() + interval '1 h'").fetchone()
    assert row is not None
    return accounts.mark_unseen(connection, lease, row[1], "later", row[0])


def repair(connection: psycopg.Connection, lease: Lease) -> Any:
    """Changes the type of a field to number; none of the stored values is a number."""
    source = views.Source("o", RECORD, "o", "attributes")
    columns = [views.Column("Size", views.NUMBER, "Size")]
    return views.bring_up_to_date(connection, lease, source, columns, fits, "later").repaired


WRITERS: dict[Callable[[psycopg.Connection, Lease], Any], tuple[str, int]] = {
    move: ("activity", ROWS),
    map_anew: ("activity", ROWS),
    mark_logged: ("activity", ROWS),
    mark_unseen: ("activity", ROWS),
    mark_object: ("activity", ROWS),
    rename: ("activity", ROWS),
    swap: ("usage_metric", 2 * ROWS),
    mark_accounts: ("account", ROWS),
    repair: ("record", ROWS),
}


@pytest.mark.parametrize("write", WRITERS)
def test_every_writer_of_many_rows_commits_in_batches(store: Store, write: Callable[..., Any]) -> None:
    table, rows = WRITERS[write]
    with many_rows(store) as (connection, lease):
        assert write(connection, lease) == rows
        assert_seen_soon(connection, table, "later", rows)


def test_a_single_row_that_takes_too_long_is_reported(store: Store) -> None:
    with many_rows(store) as (connection, lease):
        connection.execute("DROP TRIGGER slow ON activity; DROP FUNCTION slow_activity; DELETE FROM activity")
        connection.execute(
            """INSERT INTO activity (activity_id, source, source_object, activity_type, unmatched_reason, changed_at,
                                     run_id)
               VALUES ('1', 'timeline', 'a', 'EMAIL', 'no_company', now(), 'first')"""
        )
        slow(connection, "activity", 200)
        with pytest.raises(TookTooLong, match="longer than"):
            mark_object(connection, lease)


@pytest.mark.parametrize(("name", "table"), [("activity", "activity"), ("company", "account")])
def test_a_slow_page_is_written_in_halves(pulling: Pulling, name: str, table: str) -> None:
    pulling.store = Store(pulling.store.url, longest_transaction=LIMIT)
    with pulling.store.connect("test") as connection:
        slow(connection, table)
        report = pulling.pull(name, "later")
        ((stored_rows,),) = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
        assert_seen_soon(connection, table, "later", stored_rows)
    assert report.status == "completed"
    if table == "activity":
        assert report.read == report.written == stored_rows == len(pulling.truth("activity_timeline"))
        assert report.matched + sum(report.unmatched.values()) == stored_rows
        categories = Counter(
            category or "(none)" for (category,) in pulling.query("SELECT reporting_category FROM activity")
        )
        assert report.counted()["categories"] == categories, "each record is counted once"
