"""Roles that have only the rights that `grants` prints can do their work on a real server, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.monitoring.metrics import exposition, registry_of
from gainsight_pipelines.scheduling.banner import read_banner
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import check_version, migrate
from gainsight_pipelines.store.roles import OF_THE_TABLES, Kind, grants
from gainsight_pipelines_tests.databases import fresh_database
from gainsight_pipelines_tests.pulling import Pulling

SCHEMA = "Acme-1"
"""A schema name that needs quotes, as the names of the roles do."""


@pytest.fixture
def url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """A database in which PUBLIC has no rights."""
    with fresh_database(postgres_server) as name:
        url = postgres_server.url(name)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC".encode()
            )
        yield url


@pytest.fixture
def roles(url: str) -> Iterator[dict[Kind, str]]:
    made = {kind: f"{kind} {uuid.uuid4().hex[:8]}" for kind in Kind}
    with psycopg.connect(url, autocommit=True) as admin:
        for role in made.values():
            admin.execute(f'CREATE ROLE "{role}" LOGIN'.encode())
        yield made
        for role in reversed(made.values()):
            admin.execute(f'DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"'.encode())


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())


def test_each_role_does_its_work_with_what_it_is_granted(pulling: Pulling, url: str, roles: dict[Kind, str]) -> None:
    urls = {kind: make_conninfo(url, user=role) for kind, role in roles.items()}
    stores = {kind: Store(each, schema=SCHEMA) for kind, each in urls.items()}
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]

    def granted(kind: Kind, *made_by: str) -> str:
        return grants(kind, roles[kind], str(database), SCHEMA, made_by)

    with pytest.raises(PermanentError, match="may not connect"):
        migrate(stores[Kind.MIGRATOR])
    run(url, granted(Kind.MIGRATOR))
    migrate(stores[Kind.MIGRATOR])

    run(url, granted(Kind.PULLER, roles[Kind.MIGRATOR]))
    run(url, granted(Kind.READER, roles[Kind.MIGRATOR], roles[Kind.PULLER]))
    check_version(stores[Kind.PULLER])
    pulling.store = stores[Kind.PULLER]
    pulling.content["objects"] = [{"object": "call_to_action"}]
    for name in ("company", "activity", "call_to_action"):
        report = pulling.pull(name)
        assert report.status == "completed"
        assert not [note for note in report.notes if "may not" in note], report.notes

    check_version(stores[Kind.READER])
    reader = Pulling(pulling.sandbox, stores[Kind.READER], pulling.content)
    assert reader.query("SELECT count(*) FROM activity") == [(len(pulling.truth("activity_timeline")),)]
    assert reader.query("SELECT count(*) > 0 FROM call_to_action"), "a view that was made after the grants"
    with stores[Kind.READER].connect("status") as connection:
        assert {row.status for row in read_banner(connection, reader.settings, SystemClock().now()).rows} >= {
            "completed"
        }
    scraped = exposition(registry_of(stores[Kind.READER], lambda: reader.settings, SystemClock())).decode()
    assert "gainsight_pipelines_rows_written_total" in scraped

    for kind, statement in {
        Kind.READER: "DELETE FROM activity",
        Kind.PULLER: "DROP TABLE activity",
    }.items():
        with pytest.raises(PermanentError, match="refused the statement"), stores[kind].connect("x") as connection:
            connection.execute(statement.encode())


def test_a_later_migration_leaves_the_roles_their_rights(url: str, roles: dict[Kind, str]) -> None:
    """Roles can use tables of a later migration at once. Here each owner runs its own part of the grants."""
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    run(url, grants(Kind.MIGRATOR, roles[Kind.MIGRATOR], str(database), SCHEMA))
    owner = make_conninfo(url, user=roles[Kind.MIGRATOR])
    for kind in (Kind.PULLER, Kind.READER):
        of_database, separator, of_tables = grants(kind, roles[kind], str(database), SCHEMA).partition(OF_THE_TABLES)
        assert separator
        run(url, of_database)
        run(owner, of_tables)
    migrate(Store(owner, schema=SCHEMA))
    with Store(make_conninfo(url, user=roles[Kind.PULLER]), schema=SCHEMA).connect("x") as connection:
        connection.execute("INSERT INTO api_pause (until) VALUES (now())")
    with Store(make_conninfo(url, user=roles[Kind.READER]), schema=SCHEMA).connect("x") as connection:
        assert connection.execute("SELECT count(*) FROM api_pause").fetchone() == (1,)
