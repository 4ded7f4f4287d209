"""Migrations: what they create, where, and that released ones never change."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from gainsight_pipelines.embedded.server import programs
from gainsight_pipelines.errors import PermanentError, TransientError
from gainsight_pipelines.store import migrate as migrations
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import KEY, LOCK, check_version, migrate, upgrade
from gainsight_pipelines_tests.databases import role_in

DUMPS = Path(__file__).with_name("dumps")
NOISE = ("--", "SET ", "SELECT pg_catalog.set_config", "\\")


def dump(url: str) -> str:
    """The definitions in a database as SQL, without the lines that differ between pg_dump versions."""
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments", "--dbname", url]
    done = subprocess.run([programs() / "pg_dump", *options], check=True, capture_output=True, text=True)
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if line and not line.startswith(NOISE))


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_released_migrations_never_change(database_url: str, revision: str) -> None:
    """The dumps were made when the name of the schema was still written in the migrations."""
    upgrade(Store(database_url), revision)
    assert dump(database_url) == (DUMPS / f"{revision}.sql").read_text("utf-8")


def test_a_database_of_the_first_release_is_upgraded_without_loss(database_url: str) -> None:
    """A database at 0002 with rows in every table, as that version wrote them."""
    store = Store(database_url)
    upgrade(store, "0002")
    with store.connect("test") as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'gainsight'")
            if name != "schema_version"
        ]
        for name in tables:
            columns = connection.execute(
                """SELECT column_name, data_type FROM information_schema.columns
                   WHERE table_schema = current_schema() AND table_name = %s AND column_default IS NULL""",
                (name,),
            ).fetchall()
            values = ", ".join(EXAMPLES.get(column, EXAMPLES[kind]) for column, kind in columns)
            names = ", ".join(column for column, _ in columns)
            connection.execute(f"INSERT INTO {name} ({names}) VALUES ({values})".encode())
        before = {name: connection.execute(f"SELECT to_jsonb(t) FROM {name} t".encode()).fetchall() for name in tables}
    with pytest.raises(PermanentError, match="is at version 0002"):
        check_version(store)
    migrate(store)
    check_version(store)
    with store.connect("test") as connection:
        for name, rows in before.items():
            ((kept,),), ((now,),) = rows, connection.execute(f"SELECT to_jsonb(t) FROM {name} t".encode()).fetchall()
            assert now | kept == now, f"{name} keeps each column as it was"


EXAMPLES = {
    "text": "'a text'",
    "numeric": "1.5",
    "bigint": "7",
    "integer": "7",
    "boolean": "true",
    "date": "'2026-01-31'",
    "jsonb": "'{}'",
    "ARRAY": "ARRAY['a']",
    "timestamp with time zone": "'2026-01-31 10:00+00'",
    "unmatched_reason": "NULL",  # a row has either an account or a reason
    "status": "'completed'",
}
"""An SQL value for each column name or type."""


def test_reading_an_empty_database_creates_nothing(database_url: str) -> None:
    store = Store(database_url)
    with pytest.raises(PermanentError, match="no tables of this program yet"):
        check_version(store)
    with store.connect("test") as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'gainsight'").fetchone() == (0,)


def test_a_role_without_usage_on_the_schema_is_reported(store: Store) -> None:
    """The schema looks empty to such a role; neither `migrate` nor `check_version` may treat it as empty."""
    with role_in(store) as outside:
        for opening in (migrate, check_version):
            with pytest.raises(PermanentError, match=r"The role `r_\w+` may not use the schema `gainsight`") as caught:
                opening(outside)
            assert "grants --role r_" in caught.value.todo


def test_who_migrates_is_waited_for_and_named(database_url: str) -> None:
    """Covers another process's migration, and a session that locks a table which the migration has to change."""
    store = Store(database_url, longest_wait=timedelta(milliseconds=50))
    upgrade(store, "0008")
    with store.connect("their migrate") as other:
        other.autocommit = False
        ((key,),) = other.execute(KEY, ("gainsight",)).fetchall()
        other.execute(LOCK, (key,))
        with pytest.raises(TransientError, match=r"Another process has been migrating .* their migrate") as caught:
            migrate(store)
        assert f"process {other.info.backend_pid}" in str(caught.value)
        other.rollback()
        other.execute("LOCK TABLE schema_version IN SHARE MODE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrations, "IN_THE_WAY", timedelta(milliseconds=50))
            with pytest.raises(TransientError, match=r"waited too long for a lock.*on `schema_version`") as caught:
                migrate(store)
        assert f"process {other.info.backend_pid}" in str(caught.value)
    migrate(store)
    check_version(store)


def test_a_schema_of_another_program_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA gainsight")
        connection.execute("CREATE TABLE gainsight.company (id int)")
    with pytest.raises(
        PermanentError, match=r"tables of another program \(relation \"company\" already exists\)"
    ) as caught:
        migrate(Store(database_url))
    assert "store.schema" in str(caught.value)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'gainsight'").fetchall()
    assert rows == [("company",)]
    migrate(Store(database_url, schema="ours"))
