"""Deliveries to real warehouses: after each delivery, the warehouse's table equals ours, row by row."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import dlt
import psycopg
import pytest
from dlt.sources.sql_database import sql_table

from gainsight_pipelines.delivery.environment import dlt_environment
from gainsight_pipelines.delivery.tables import Deliverable, deliverables
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import PermanentError, PipelineError, SettingsError, UsageError
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.record import RECORD
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.settings.models import DeliverySettings, SchemaContract
from gainsight_pipelines.store import deliveries
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.tenant import store_id
from gainsight_pipelines.store.views import NUMBER, TEXT, Column, Source, bring_up_to_date
from gainsight_pipelines_tests.delivery.rows import add_activities
from gainsight_pipelines_tests.delivery.warehouses import KINDS, Rows, Warehouse, plain, rows_of, warehouse_of
from gainsight_pipelines_tests.preloaded import python
from gainsight_pipelines_tests.waiting import kill

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of dlt and its libraries

DELIVER = "gainsight_pipelines_tests.delivery.deliver_process"
COLUMNS = (
    "activity_id, account_id, unmatched_reason, subject, score, occurred_at, changed_at, deleted_at,"
    " internal_attendees, custom_fields"
)


@pytest.fixture(params=KINDS)
def warehouse(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """An empty warehouse of each kind."""
    with warehouse_of(request.param, tmp_path, postgres_server, monkeypatch) as found:
        yield found


@pytest.fixture
def duck(tmp_path: Path, postgres_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """An empty DuckDB, the fastest warehouse."""
    with warehouse_of("duckdb", tmp_path, postgres_server, monkeypatch) as found:
        yield found


def add_fitting(connection: psycopg.Connection, count: int) -> None:
    """Adds activities whose numbers a warehouse stores exactly."""
    add_activities(connection, count)
    connection.execute("UPDATE activity SET score = 1.5 WHERE activity_id = 'a0000001'")


def change(connection: psycopg.Connection, number: int, assignments: str) -> None:
    """Changes an activity and its `changed_at`, as a pull does."""
    key = f"a{number:07}"
    connection.execute(
        f"UPDATE activity SET {assignments}, changed_at = now() WHERE activity_id = '{key}'"  # type: ignore[arg-type]
    )


def test_the_warehouse_follows_the_table(store: Store, connection: psycopg.Connection, warehouse: Warehouse) -> None:
    def is_same(columns: str = COLUMNS) -> bool:
        return plain(warehouse.ask(columns, "activity")) == plain(rows_of(connection, columns, "activity"))

    merges = warehouse.target.destination != "filesystem"
    add_activities(connection, 1_000)
    change(connection, 1, "score = -12345678901234567890123456789.123456789, subject = '', author = E'a\\tb\"c\\n,'")
    first = warehouse.deliver(store, "activity")
    assert (first.rows, first.how, dict(first.inexact)) == (1_000, "whole", {})
    assert first.bytes > 0
    assert is_same(f"{COLUMNS}, author")
    # A delivery re-sends rows written in the five minutes before the last read, and nothing if there are none.
    assert warehouse.deliver(store, "activity").rows == (1 if merges else 1_000)
    connection.execute("UPDATE activity SET changed_at = '2026-02-01' WHERE activity_id = 'a0000001'")
    assert warehouse.deliver(store, "activity").rows == 0
    assert warehouse.deliver(store, "activity", is_full=True).rows == 1_000
    # An edit, a deletion, a rematched row, a new row, and then a row committed only after later ones were read.
    change(connection, 2, "subject = 'New'")
    change(connection, 3, "deleted_at = now()")
    change(connection, 7, "account_id = 'acc1', match_method = 'direct', unmatched_reason = NULL")
    connection.execute(
        """INSERT INTO activity
           (activity_id, source, source_object, activity_type, unmatched_reason, changed_at, run_id)
           VALUES ('new', 'timeline', 'activity_timeline', 'EMAIL', 'no_company', now(), 'r')"""
    )
    done = warehouse.deliver(store, "activity")
    assert (done.rows, done.how) == ((4, "changes") if merges else (1_001, "whole")), "also right after a full one"
    assert is_same()
    change(connection, 9, "subject = 'Late'")
    connection.execute("UPDATE activity SET changed_at = now() - interval '4 minutes' WHERE activity_id = 'a0000009'")
    warehouse.deliver(store, "activity")
    assert is_same()
    [noted] = [
        each for each in deliveries.last(connection, warehouse.target.destination, "cs") if each.relation == "activity"
    ]
    assert noted.delivered_at == noted.finished_at
    assert noted.error is None


def test_columns_that_come_change_and_go(store: Store, connection: psycopg.Connection, warehouse: Warehouse) -> None:
    add_fitting(connection, 20)
    warehouse.deliver(store, "activity")
    longest = "x" * 63
    connection.execute(f"ALTER TABLE activity ADD COLUMN mood text DEFAULT 'fine', ADD COLUMN {longest} bigint")  # type: ignore[arg-type]
    change(connection, 2, f"{longest} = 7")
    frozen = {"schema_contract": SchemaContract(columns="freeze")}
    with pytest.raises(PermanentError, match=r"activity was not delivered.*freeze for columns.* mood is new"):
        warehouse.deliver(store, "activity", **frozen)
    warehouse.deliver(store, "activity")
    columns = f"activity_id, mood, {longest}"
    assert ("a0000002", "fine", 7) in warehouse.ask(columns, "activity"), "and what a refused one left hides nothing"
    warehouse.deliver(store, "activity", is_full=True)
    assert plain(warehouse.ask(columns, "activity")) == plain(rows_of(connection, columns, "activity"))
    connection.execute("ALTER TABLE activity DROP COLUMN mood")
    change(connection, 3, "subject = 'Gone'")
    warehouse.deliver(store, "activity")
    assert plain(warehouse.ask(COLUMNS, "activity")) == plain(rows_of(connection, COLUMNS, "activity"))
    connection.execute("ALTER TABLE activity ALTER COLUMN duration_minutes TYPE text")
    change(connection, 4, "duration_minutes = 'half an hour'")
    if warehouse.target.destination == "filesystem":
        warehouse.deliver(store, "activity")  # here each delivery replaces all files
    else:
        with pytest.raises(PipelineError, match="activity was not delivered"):
            warehouse.deliver(store, "activity")


def kill_while_it_loads(connection: psycopg.Connection, store: Store, warehouse: Warehouse, folder: Path) -> None:
    """Changes all rows, and kills the process that delivers them as soon as dlt has begun to load a file."""
    command = [python(), "-m", DELIVER, store.url, warehouse.target.destination]
    folder.mkdir()
    while True:
        connection.execute("UPDATE activity SET subject = subject || '!', changed_at = now()")
        process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(folder)})
        while process.poll() is None and not any(folder.glob("*/*/load/normalized/*/started_jobs/activity.*")):
            time.sleep(0.002)  # a load takes a hundred times longer
        if kill(process) == -signal.SIGKILL:
            return  # else the delivery ended before the kill: try again


def test_a_delivery_that_is_killed_while_it_loads_loses_and_doubles_nothing(
    store: Store, connection: psycopg.Connection, warehouse: Warehouse, tmp_path: Path
) -> None:
    add_fitting(connection, 2_000)
    if warehouse.target.destination == "duckdb":
        kill_while_it_loads(connection, store, warehouse, tmp_path / "first")
    warehouse.deliver(store, "activity")
    assert plain(warehouse.ask(COLUMNS, "activity")) == plain(rows_of(connection, COLUMNS, "activity"))
    kill_while_it_loads(connection, store, warehouse, tmp_path / "second")
    change(connection, 3, "subject = 'Newer'")
    assert warehouse.deliver(store, "activity").rows == 2_000, "what changed since the last one that completed"
    assert plain(warehouse.ask(COLUMNS, "activity")) == plain(rows_of(connection, COLUMNS, "activity"))


def test_a_warehouse_that_is_away_hides_nothing_once_it_is_back(
    store: Store, connection: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duck: Warehouse
) -> None:
    add_fitting(connection, 10)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "nowhere" / "w.duckdb"))
    with pytest.raises(PipelineError, match="activity was not delivered to duckdb"):
        duck.deliver(store, "activity")
    [noted] = deliveries.last(connection, "duckdb", "cs")
    assert "activity was not delivered" in str(noted.error)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "w.duckdb"))
    change(connection, 2, "subject = 'New'")
    assert duck.deliver(store, "activity").rows == 10
    assert plain(duck.ask(COLUMNS, "activity")) == plain(rows_of(connection, COLUMNS, "activity"))


def test_missing_credentials_are_named(
    store: Store, connection: psycopg.Connection, duck: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    with pytest.raises(PermanentError, match=r"DESTINATION__DUCKDB__CREDENTIALS isn't set\..* a path"):
        duck.deliver(store, "activity")
    with pytest.raises(PermanentError, match=r"DESTINATION__POSTGRES__CREDENTIALS__DATABASE, .*PASSWORD, .* isn't set"):
        duck.deliver(store, "activity", destination="postgres")
    with pytest.raises(PermanentError, match=r"DESTINATION__FILESYSTEM__BUCKET_URL isn't set\. Set it in"):
        duck.deliver(store, "activity", destination="filesystem")
    monkeypatch.setenv("DESTINATION__SNOWFLAKE__CREDENTIALS", "snowflake://user:secret@account/database?warehouse=w")
    with pytest.raises(PermanentError, match=r'Run: pip install "dlt\[snowflake\]"'):
        duck.deliver(store, "activity", destination="snowflake")
    with pytest.raises(SettingsError, match=r"Correct `delivery\.destination`"):
        duck.deliver(store, "activity", destination="snow")
    with pytest.raises(UsageError, match="Did you mean activity"):
        deliverables(connection, ["activty"])


ODD = (
    "score = 'NaN'",
    "score = '-Infinity'",
    "score = 1e29",
    "score = 99999999999999999999999999999.9999999999",
    "score = -12345678901234567890.1234567890123, duration_minutes = 1e-40",
    "score = 99999999999999999999999999999.999999999",
    "occurred_at = 'infinity'",
    "occurred_at = '0044-03-15 12:00+00 BC', modified_at = '-infinity'",
    "occurred_at = '10000-01-01 00:00+00'",
    "occurred_at = '9999-12-31 23:59:59.999999+00', deleted_at = '0001-01-01 00:00:00+00'",
)
"""Values at the limits of warehouses' types, or beyond."""


def exact(rows: Rows) -> Rows:
    """Sorts rows of an id and texts, and converts numbers to fractions, so that 1.0 equals 1."""

    def value(text: str) -> Any:
        return Fraction(text) if re.fullmatch(r"[-+]?[\d.]+(e[-+]\d+)?", text, re.IGNORECASE) else text

    return sorted(((key, *(None if one is None else value(one) for one in rest)) for key, *rest in rows))


def test_no_digit_of_a_number_and_no_time_is_lost(
    store: Store, connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    columns = ("score", "duration_minutes", "occurred_at", "modified_at", "deleted_at")

    def is_all_there() -> bool:
        """Whether each value is in its column or, if the type can't hold it, in `_exact_values`."""
        shown = [f"coalesce(_exact_values ->> '{name}', {name}::text)" for name in columns]
        there = warehouse.ask(", ".join(["activity_id", *shown]), "activity")
        here = rows_of(connection, ", ".join(["activity_id", *(f"{name}::text" for name in columns)]), "activity")
        return exact(there) == exact(here)

    add_activities(connection, len(ODD) + 5)
    for number, assignments in enumerate(ODD, 1):
        change(connection, number, assignments)
    done = warehouse.deliver(store, "activity")
    assert dict(done.inexact) == {"score": 5, "duration_minutes": 1, "occurred_at": 3, "modified_at": 1}
    assert is_all_there()
    [(kept,)] = [
        row[1:] for row in warehouse.ask("activity_id, _exact_values::text", "activity") if row[0] == "a0000005"
    ]
    assert json.loads(kept) == {
        "score": "-12345678901234567890.1234567890123",
        "duration_minutes": "0.0000000000000000000000000000000000000001",
    }
    rounded: dict[str, Decimal] = dict(warehouse.ask("activity_id, score", "activity"))
    assert rounded["a0000005"] == Decimal("-12345678901234567890.123456789")
    assert [key for key in sorted(rounded) if rounded[key] is None] == [
        "a0000001",
        "a0000002",
        "a0000003",
        "a0000004",
        "a0000010",
        "a0000015",
    ]
    change(connection, 5, "score = 7, duration_minutes = NULL")
    change(connection, 6, "score = 0.12345678915")
    warehouse.deliver(store, "activity")
    assert is_all_there(), "after edits"
    texts: dict[str, str] = dict(warehouse.ask("activity_id, _exact_values::text", "activity"))
    assert {key for key in texts if texts[key] is not None} == {
        f"a000000{number}" for number in (1, 2, 3, 4, 6, 7, 8, 9)
    }


def deliver_without_exact_values(store: Store, target: DeliverySettings, folder: Path) -> None:
    """Delivers some columns of the activities and sets the cursor, like a version without `_exact_values`."""

    def remember(query: Any, _: Any) -> Any:
        with store.connect("test") as own:
            cursor = {"read_at": datetime.now(UTC).isoformat(), "store": store_id(own)}
        dlt.current.resource_state("activity").update(cursor)
        return query

    with dlt_environment(Secrets.read()):
        dlt.pipeline("gainsight_pipelines_activity", destination=target.destination, dataset_name=target.dataset).run(
            sql_table(
                store.url.replace("postgresql:", "postgresql+psycopg:"),
                "activity",
                store.schema,
                included_columns=["activity_id", "subject", "changed_at"],
                backend="pyarrow",
                query_adapter_callback=remember,
                primary_key="activity_id",
                write_disposition="replace",
            )
        )


def test_a_table_of_an_older_version_gets_the_columns_that_it_lacks(
    store: Store, connection: psycopg.Connection, warehouse: Warehouse, tmp_path: Path
) -> None:
    add_fitting(connection, 5)
    deliver_without_exact_values(store, warehouse.target, tmp_path)
    change(connection, 2, "score = 1e40, subject = NULL")
    how = warehouse.deliver(store, "activity").how
    assert how == ("whole" if warehouse.target.destination == "filesystem" else "changes")
    shown = "activity_id, _exact_values ->> 'score'"
    assert ("a0000002", "1" + 40 * "0") in warehouse.ask(shown, "activity")
    change(connection, 2, "score = 1")
    warehouse.deliver(store, "activity", is_full=True)
    assert plain(warehouse.ask(COLUMNS, "activity")) == plain(rows_of(connection, COLUMNS, "activity"))


def test_typed_views_empty_tables_and_views_without_changes(
    store: Store, connection: psycopg.Connection, lease: Lease, duck: Warehouse
) -> None:
    connection.execute(
        """INSERT INTO record (object, gsid, unmatched_reason, attributes, changed_at, run_id)
           VALUES ('thing__gc', 'G1', 'no_company', '{"Name": "A", "Worth": 1.5}', now(), 'r')"""
    )
    source = Source("thing__gc", RECORD, "thing__gc", "attributes")
    bring_up_to_date(connection, lease, source, [Column("Name", TEXT, "Name")], fits, "r")
    assert deliverables(connection)[-1] == Deliverable("thing__gc", ("gsid",))
    assert deliverables(connection, ["account_360"]) == [Deliverable("account_360")]
    assert duck.deliver(store, "thing__gc").rows == 1
    columns = [Column("Name", TEXT, "Name"), Column("Worth", NUMBER, "Worth")]
    bring_up_to_date(connection, lease, source, columns, fits, "r")
    assert duck.deliver(store, "thing__gc").rows == 1
    assert duck.ask("gsid, name, worth::double", "thing__gc") == [("G1", "A", 1.5)]
    bring_up_to_date(connection, lease, source, [Column("Name", NUMBER, "Name"), columns[1]], fits, "r2")
    assert duck.deliver(store, "thing__gc").rows == 1
    assert duck.ask("name, name_2", "thing__gc") == [(None, None)], "another type is another column"
    for name in ("usage_metric", "account_360"):
        assert duck.deliver(store, name).rows == 0
        assert duck.ask("account_id", name) == [], "empty, and there"
    connection.execute(
        "INSERT INTO account (account_id, crm, changed_at, run_id) VALUES ('acc1', 'salesforce', now(), 'r')"
    )
    for _ in range(2):
        assert (duck.deliver(store, "account_360").rows, duck.ask("account_id", "account_360")) == (1, [("acc1",)])


def test_the_tables_of_another_store_are_refused(store: Store, connection: psycopg.Connection, duck: Warehouse) -> None:
    """The other store's cursor would make the delivery skip our rows."""
    add_activities(connection, 1)
    duck.deliver(store, "activity")
    connection.execute("UPDATE store SET store_id = gen_random_uuid()")
    with pytest.raises(SettingsError, match=r"of another store\. Set `delivery\.dataset`"):
        duck.deliver(store, "activity")
