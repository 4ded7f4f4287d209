"""Several stores in one database, each with its own id, tenant and tables; other programs' tables are left alone."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gainsight_pipelines.errors import PermanentError, SettingsError, TransientError
from gainsight_pipelines.settings import parse_settings
from gainsight_pipelines.store import tenant
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines.store.quota import Quota, calls_of_day
from gainsight_pipelines_tests.clocks import StandingClock
from gainsight_pipelines_tests.databases import role_in
from gainsight_pipelines_tests.pulling import Pulling

KEPT = {"schema_version", "store", "lease", "api_pause", "object_view", "object_column"}
"""Tables that a reset keeps: they hold no pulled data."""

ODD = "Acme-1$eu"


def test_two_stores_in_one_database_are_independent(store: Store) -> None:
    other = Store(store.url, schema=ODD)
    migrate(other)
    clock = StandingClock(datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC))
    with store.connect("test") as one, other.connect("test") as two:
        tenant.claim(one, "a.example", "salesforce", "1")
        tenant.claim(two, "b.example", "hubspot", "2")
        with pytest.raises(SettingsError, match=r"holds the data of Gainsight a\.example"):
            tenant.claim(one, "b.example", "hubspot", "2")
        Quota(other, clock, 1.0)("query")
        assert [calls_of_day(each, clock.now()) for each in (one, two)] == [0, 1]
        ids = [tenant.store_id(each) for each in (one, two)]
        assert len(set(ids)) == 2
        tenant.empty(two)
        assert (tenant.holder(one), tenant.holder(two)) == (("a.example", "salesforce", "1"), None)
        assert [tenant.store_id(each) for each in (one, two)] == ids, "a reset makes no other store of it"


def test_a_reset_empties_our_tables_and_no_others(connection: psycopg.Connection) -> None:
    ours = {
        name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    }
    assert ours == {*tenant.TABLES, *KEPT}
    connection.execute("CREATE TABLE theirs AS SELECT 1 AS kept")
    tenant.claim(connection, "a.example", "salesforce", "1")
    tenant.empty(connection)
    assert tenant.holder(connection) is None
    assert connection.execute("SELECT kept FROM theirs").fetchall() == [(1,)]


def test_a_foreign_table_that_refers_to_ours_is_named(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE theirs (account_id text REFERENCES account)")
    with pytest.raises(PermanentError, match='"theirs" references "account"'):
        tenant.empty(connection)


def test_a_reader_that_blocks_a_reset_is_named(store: Store) -> None:
    with (
        store.connect("their report") as other,
        other.transaction(),
        pytest.MonkeyPatch.context() as patch,
    ):
        other.execute("SELECT * FROM activity")
        patch.setattr(tenant, "IN_THE_WAY", timedelta(milliseconds=50))
        with (
            pytest.raises(TransientError, match=r"their report .*on `activity`"),
            store.connect("reset") as connection,
        ):
            tenant.empty(connection)


def test_pulls_write_to_the_schema_in_the_settings(pulling: Pulling) -> None:
    pulling.content["store"] = {"schema": ODD}
    pulling.store = Store(pulling.store.url, schema=pulling.settings.store.schema)
    migrate(pulling.store)
    pulling.pull("company")
    assert pulling.query("SELECT count(*) FROM company") == [(len(pulling.truth("company")),)]
    assert pulling.query('SELECT count(*) FROM "gainsight".company') == [(0,)]
    assert pulling.query('SELECT count(*) FROM "gainsight".sync_run') == [(0,)]


@pytest.mark.parametrize("schema", ["pg_mine", "information_schema", "", "a b", "x" * 64, "ä"])
def test_invalid_schema_names_are_refused(schema: str) -> None:
    settings = parse_settings(f"store: {{schema: '{schema}'}}")
    with pytest.raises(SettingsError, match=r"a PostgreSQL schema"):
        _ = settings.store


def test_an_existing_schema_works_for_a_role_without_create_rights(database_url: str) -> None:
    """The role may create neither a schema in the database nor a table in `public`."""
    rights = (
        "REVOKE CREATE ON DATABASE {database} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "CREATE SCHEMA prepared AUTHORIZATION {role}",
    )
    with role_in(Store(database_url, schema="prepared"), *rights) as prepared:
        migrate(prepared)
        with prepared.connect("test") as connection:
            assert uuid.UUID(tenant.store_id(connection))
    with role_in(Store(database_url), rights[0]) as nobody, pytest.raises(PermanentError, match="may not create"):
        migrate(nobody)
