"""Deliveries to real warehouses: after each, the table there equals ours, row by row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest

from gainsight_pipelines.delivery.tables import Deliverable, deliverables
from gainsight_pipelines.delivery.warehouse import deliver
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import PermanentError, UsageError
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.record import RECORD
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.views import NUMBER, TEXT, Column, Source, bring_up_to_date
from gainsight_pipelines_tests.databases import fresh_database
from gainsight_pipelines_tests.delivery.rows import add_activities

pytestmark = pytest.mark.filterwarnings("ignore")  # dlt's and its libraries' own

COLUMNS = (
    "activity_id, account_id, unmatched_reason, subject, score, occurred_at, changed_at, deleted_at,"
    " internal_attendees, custom_fields"
)
Rows = list[tuple[Any, ...]]


def plain(rows: Rows) -> Rows:
    """With JSON parsed, whatever it came as."""

    def value(one: Any, *, is_json: bool) -> Any:
        return json.loads(one) if is_json and isinstance(one, str) else one

    return sorted(tuple(value(one, is_json=at >= 8) for at, one in enumerate(row)) for row in rows)


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def warehouse(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    """dlt's name of a destination, and what its table `activity` holds."""
    monkeypatch.chdir(tmp_path)
    if request.param == "duckdb":
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "w.duckdb"))

        def ask() -> Rows:
            with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                return connection.execute(f"SELECT {COLUMNS} FROM cs.activity").fetchall()

        yield "duckdb", ask
    elif request.param == "postgres":
        with fresh_database(postgres_server) as database:
            url = postgres_server.url(database)
            socket = f"host={urlsplit(url).query.partition('host=')[2]}"
            there = f"postgresql://postgres:unused@localhost:5432/{database}?{socket}"  # dlt asks for both
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", there)

            def ask() -> Rows:
                with psycopg.connect(url) as connection:
                    return connection.execute(f"SELECT {COLUMNS} FROM cs.activity").fetchall()  # type: ignore[arg-type]

            yield "postgres", ask
    else:
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", (tmp_path / "files").as_uri())
        monkeypatch.setenv("NORMALIZE__LOADER_FILE_FORMAT", "parquet")

        def ask() -> Rows:
            files = list((tmp_path / "files" / "cs" / "activity").glob("*.parquet"))
            names = COLUMNS.replace(" ", "").split(",")
            return [tuple(row[name] for name in names) for file in files for row in pq.read_table(file).to_pylist()]

        yield "filesystem", ask


def test_the_warehouse_follows_the_table(
    store: Store, connection: psycopg.Connection, warehouse: tuple[str, Callable[[], Rows]]
) -> None:
    destination, ask = warehouse
    [table] = deliverables(connection, ["activity"])
    assert table == Deliverable("activity", ("activity_id",))

    def brought() -> int:
        return deliver(store, table, destination, "cs").rows

    def ours() -> Rows:
        return connection.execute(f"SELECT {COLUMNS} FROM activity").fetchall()  # type: ignore[arg-type]

    add_activities(connection, 1_000)
    connection.execute(
        "UPDATE activity SET score = -123456789012345678901234567.123456789 WHERE activity_id = 'a0000001'"
    )
    assert brought() == 1_000
    assert plain(ask()) == plain(ours())
    # An edit, a deletion, a healed link and a new row; then one that was committed after later ones were seen.
    connection.execute("UPDATE activity SET subject = 'New', changed_at = now() WHERE activity_id = 'a0000002'")
    connection.execute("UPDATE activity SET deleted_at = now(), changed_at = now() WHERE activity_id = 'a0000003'")
    connection.execute(
        """UPDATE activity SET account_id = 'acc1', match_method = 'direct', unmatched_reason = NULL, changed_at = now()
           WHERE activity_id = 'a0000007'"""
    )
    assert brought() == (1_000 if destination == "filesystem" else 304), "and the last five minutes"
    assert plain(ask()) == plain(ours())
    connection.execute(
        "UPDATE activity SET subject = 'Late', changed_at = now() - interval '4 minutes' WHERE activity_id = 'a0000009'"
    )
    brought()
    assert plain(ask()) == plain(ours())
    # A schema that changed: the new column is there, the rows are the same.
    connection.execute("ALTER TABLE activity ADD COLUMN mood text DEFAULT 'fine'")
    assert deliver(store, table, destination, "cs", is_full=True).rows == 1_000
    assert plain(ask()) == plain(ours())


def test_a_killed_delivery_and_one_that_fails_lose_nothing(
    store: Store, connection: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "w.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(file))
    monkeypatch.chdir(tmp_path)
    [table] = deliverables(connection, ["activity"])
    add_activities(connection, 100)
    with pytest.raises(PermanentError, match="DESTINATION__POSTGRES__CREDENTIALS"):
        deliver(store, table, "postgres", "cs")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "nowhere" / "w.duckdb"))
    with pytest.raises(PermanentError, match="activity was not delivered to duckdb"):
        deliver(store, table, "duckdb", "cs")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(file))
    program = (
        "import sys; from gainsight_pipelines.delivery.tables import Deliverable;"
        " from gainsight_pipelines.delivery.warehouse import deliver;"
        " from gainsight_pipelines.store.connection import Store;"
        " deliver(Store(sys.argv[1]), Deliverable('activity', ('activity_id',)), 'duckdb', 'cs')"
    )
    with psycopg.connect(store.url) as blocker:
        blocker.execute("LOCK TABLE gainsight.activity")
        process = subprocess.Popen([sys.executable, "-c", program, store.url], env=dict(os.environ))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'gainsight.activity'::regclass"
        with psycopg.connect(store.url, autocommit=True) as watcher:
            while watcher.execute(waits).fetchone() != (1,):
                assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    connection.execute("UPDATE activity SET subject = 'New', changed_at = now() WHERE activity_id = 'a0000002'")
    assert deliver(store, table, "duckdb", "cs").rows == 100
    with duckdb.connect(str(file)) as there:
        assert there.execute("SELECT count(*), count(*) FILTER (subject = 'New') FROM cs.activity").fetchall() == [
            (100, 1)
        ]


def test_typed_views_and_views_without_changes(
    store: Store, connection: psycopg.Connection, lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "w.duckdb"))
    monkeypatch.chdir(tmp_path)
    connection.execute(
        """INSERT INTO record (object, gsid, unmatched_reason, attributes, changed_at, run_id)
           VALUES ('thing__gc', 'G1', 'no_company', '{"Name": "A", "Worth": 1.5}', now(), 'r')"""
    )
    source = Source("thing__gc", RECORD, "thing__gc", "attributes")
    bring_up_to_date(connection, lease, source, [Column("Name", TEXT, "Name")], fits, "r")
    assert deliverables(connection)[-1] == Deliverable("thing__gc", ("gsid",))
    assert deliverables(connection, ["account_360"]) == [Deliverable("account_360")]
    view = Deliverable("thing__gc", ("gsid",))
    assert deliver(store, view, "duckdb", "cs").rows == 1
    columns = [Column("Name", TEXT, "Name"), Column("Worth", NUMBER, "Worth")]
    bring_up_to_date(connection, lease, source, columns, fits, "r")
    assert deliver(store, view, "duckdb", "cs").rows == 1
    with duckdb.connect(str(tmp_path / "w.duckdb")) as there:
        assert there.execute("SELECT gsid, name, worth::double FROM cs.thing__gc").fetchall() == [("G1", "A", 1.5)]
    with pytest.raises(UsageError, match="Did you mean activity"):
        deliverables(connection, ["activty"])
