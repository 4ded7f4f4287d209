"""Fixtures that give a test a real PostgreSQL: one server for all workers of a run, a fresh database for each test.

The server is the product's own embedded one, which counts its users: the first worker that needs it starts it; when the
last one ends, it stops and its folder is removed, even if other workers crashed. It runs without fsync, which nothing
here tests. Each test fills its own database.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gainsight_pipelines.embedded.server import EmbeddedServer, embedded_server
from gainsight_pipelines.orchestration.instance import (
    HOME_VARIABLE,
    STORAGE_VARIABLE,
    create_storage,
    prepare_home,
    storage_url,
)
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease, object_lease
from gainsight_pipelines.store.migrate import migrate

_LOCK = 7_104_299

_QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "track_commit_timestamp": "on",  # so that a test can ask when a row became visible
}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    """The one server of this test run, shared by its workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    folder = Path(tempfile.gettempdir()) / f"gainsight-tests-{run[:12]}"
    with embedded_server(folder, _QUICK, temporary=True) as server:
        yield server


@pytest.fixture
def database_url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """The URL (``postgresql://…``) of an empty database, dropped after the test."""
    with fresh_database(postgres_server) as database:
        yield postgres_server.url(database)


@pytest.fixture
def store(postgres_server: EmbeddedServer) -> Iterator[Store]:
    """A database with the product's tables and nothing in them, dropped after the test."""
    with product_database(postgres_server) as database:
        yield Store(postgres_server.url(database))


@pytest.fixture
def connection(store: Store) -> Iterator[psycopg.Connection]:
    """A connection to `store`."""
    with store.connect("test") as connection:
        yield connection


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    """The lease that a test needs to write to `store`."""
    with object_lease(store, "test", "r1") as lease:
        yield lease


@contextmanager
def role_in(store: Store, *rights: str) -> Iterator[Store]:
    """The store as a new role with only these rights; `{role}` and `{database}` in them stand for the names."""
    with store.connect("admin") as admin:
        names = {"role": f"r_{uuid.uuid4().hex[:10]}", "database": admin.info.dbname}
        admin.execute("CREATE ROLE {role} LOGIN".format(**names).encode())
        try:
            for right in rights:
                admin.execute(right.format(**names).encode())
            yield Store(make_conninfo(store.url, user=names["role"]), schema=store.schema)
        finally:
            admin.execute("DROP OWNED BY {role} CASCADE; DROP ROLE {role}".format(**names).encode())


@contextmanager
def fresh_database(server: EmbeddedServer, template: str = "template0") -> Iterator[str]:
    """The name of a new database, a copy of ``template`` (which must have no connections), dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        # file_copy would force a checkpoint, which waits for everything that the other tests wrote
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY wal_log')
    try:
        yield name
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def product_database(server: EmbeddedServer) -> Iterator[str]:
    """The name of a new database with the product's tables and nothing in them, dropped at the end."""
    with fresh_database(server, _template(server, "product_template", _create_tables)) as name:
        with Store(server.url(name)).connect("test") as connection:
            connection.execute("UPDATE store SET store_id = gen_random_uuid()")  # a store of its own, not a copy
        yield name


@contextmanager
def dagster_database(server: EmbeddedServer) -> Iterator[str]:
    """The name of a new database with the tables of Dagster's storage and nothing in them, dropped at the end."""
    with fresh_database(server, _template(server, "dagster_template", _create_dagster_tables)) as name:
        yield name


def _create_tables(url: str) -> None:
    migrate(Store(url))


def _create_dagster_tables(url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = {HOME_VARIABLE: str(prepare_home(Path(folder)))}
        create_storage({**os.environ, **home, STORAGE_VARIABLE: storage_url(url)})


def _template(server: EmbeddedServer, name: str, create_tables: Callable[[str], None]) -> str:
    """Creates a template unless it exists, so that the slow migrations run once per test run; the rest are copies."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))  # until the connection closes
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            making = f"{name}_in_the_making"
            connection.execute(f'DROP DATABASE IF EXISTS "{making}"')
            connection.execute(f'CREATE DATABASE "{making}" TEMPLATE template0 STRATEGY wal_log')
            create_tables(server.url(making))
            connection.execute(f'ALTER DATABASE "{making}" RENAME TO "{name}"')
    return name
