"""Runs, company ids and migrations: unfinished runs, repeated and interrupted migrations, newer databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from gainsight_pipelines.errors import PermanentError, TransientError
from gainsight_pipelines.store import links, runs
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import database_version, head_version, migrate
from gainsight_pipelines.store.runs import find_run, start_run, update_run
from gainsight_pipelines_tests.waiting import wait_until

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_the_holder_of_the_lease_marks_unfinished_runs_as_failed(connection: psycopg.Connection) -> None:
    start_run(connection, "r1", "company", NOW)
    start_run(connection, "r2", "company", NOW)
    update_run(connection, "r2", "company", {"records_read": 5, "details": {"a": 1}})
    runs.end_abandoned(connection, "company", "r2")
    first, second = find_run(connection, "r1", "company"), find_run(connection, "r2", "company")
    assert first is not None and first.status == "failed" and "killed" in (first.error or "")
    assert second is not None and (second.status, second.records_read, second.details) == ("running", 5, {"a": 1})


def test_known_and_unknown_companies_are_stored(connection: psycopg.Connection) -> None:
    links.write_companies(connection, {"A": "1", "B": None}, is_known=True, checked_at=NOW)
    links.write_companies(connection, {"C": None}, is_known=False, checked_at=NOW)
    before, after = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert links.known_companies(connection, ["A", "B", "C", "D"], before) == {"A": "1", "B": None, "C": None}
    assert links.known_companies(connection, ["A", "B", "C", "D"], after) == {"A": "1", "B": None}
    fingerprint = links.fingerprint(connection, "gsid")
    links.write_companies(connection, {"A": "1"}, is_known=True, checked_at=after)
    assert links.fingerprint(connection, "gsid") == fingerprint
    links.write_companies(connection, {"A": "2"}, is_known=True, checked_at=after)
    assert links.fingerprint(connection, "gsid") != fingerprint
    assert links.fingerprint(connection, "another") != links.fingerprint(connection, "gsid")


def test_migrating_twice_changes_nothing(store: Store, connection: psycopg.Connection) -> None:
    assert database_version(connection) == head_version()
    migrate(store)


def test_a_newer_database_is_left_alone(store: Store, connection: psycopg.Connection) -> None:
    connection.execute("UPDATE schema_version SET version_num = '9999'")
    with pytest.raises(PermanentError, match="newer than this program"):
        migrate(store)


def test_a_database_that_goes_away_during_a_migration_is_left_clean(database_url: str) -> None:
    """Another session blocks the migration and terminates it: no partial schema is left, and the next one succeeds."""
    store = Store(database_url)
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("CREATE SCHEMA gainsight")  # not committed: the migration waits for it
        migration = pool.submit(migrate, store)
        busy = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with psycopg.connect(database_url, autocommit=True) as admin:
            wait_until(lambda: admin.execute(busy).fetchone() is not None)
            admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({busy}) waiting".encode())
        with pytest.raises(TransientError, match="connection to it was lost"):
            migration.result(10)
        other.rollback()
    migrate(store)
    with store.connect("test") as connection:
        assert database_version(connection) == head_version()
        assert connection.execute("SELECT obj_description('account'::regclass)").fetchone() != (None,)
