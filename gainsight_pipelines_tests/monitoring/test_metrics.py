"""Metrics: they match the database, Prometheus' own parser reads them, no counter falls, and a scrape is cheap."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.errors import TransientError
from gainsight_pipelines.monitoring.metrics import exposition, registry_of
from gainsight_pipelines.monitoring.serve import serving
from gainsight_pipelines.settings import Settings, parse_settings
from gainsight_pipelines.store import alerts, metrics, runs
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.quota import Quota
from gainsight_pipelines_tests.clocks import StandingClock
from gainsight_pipelines_tests.pulling import Pulling

ROOT = Path(__file__).parents[2]
SETTINGS = """
gainsight: {base_url: "https://acme.gainsightcloud.com", quota_share: 0.5}
company: {}
activity: {}
"""

RUN = """INSERT INTO sync_run (run_id, object, status, started_at, finished_at, records_read, rows_written,
        records_rejected, bytes_received, calls, product_version)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 1, 100, %s, '0')"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def settings() -> Settings:
    return parse_settings(SETTINGS)


def scrape(store: Store, of: Settings | None = None, clock: Clock | None = None) -> Samples:
    """All samples by name and labels, as Prometheus' own parser reads them."""
    text = exposition(registry_of(store, lambda: of or settings(), clock or SystemClock())).decode()
    return {
        (sample.name.removeprefix("gainsight_pipelines_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """The value of the only sample with this name and these labels; it may have more labels."""
    found = [each for (of, has), each in samples.items() if of == name and set(labels.items()) <= has]
    assert len(found) <= 1, found
    return found[0] if found else None


@pytest.fixture
def runs_of(connection: psycopg.Connection) -> datetime:
    """Stores three ended runs of activity and a running one; returns the start of the last completed one."""
    now = datetime.now(UTC).replace(microsecond=0)
    for number, (status, hours) in enumerate([("completed", 300), ("failed", 250), ("completed", 2)]):
        started = now - timedelta(hours=hours)
        calls = '{"query": 3, "crm": 2}'
        values = (f"r{number}", "activity", status, started, started + timedelta(seconds=9), 10, 5, calls)
        connection.execute(RUN, values)
    connection.execute(RUN, ("r9", "activity", "running", now, None, 0, 0, "{}"))
    return now - timedelta(hours=2)


def test_runs_are_counted_by_object_and_status(store: Store, runs_of: datetime) -> None:
    samples = scrape(store)
    assert value(samples, "runs_total", object="activity", status="completed") == 2
    assert value(samples, "runs_total", object="activity", status="failed") == 1
    assert value(samples, "runs_total", object="activity", status="running") is None
    assert value(samples, "records_read_total", object="activity", status="completed") == 20
    assert value(samples, "rows_written_total", object="activity", status="failed") == 5
    assert value(samples, "records_rejected_total", object="activity", status="failed") == 1
    assert value(samples, "received_bytes_total", object="activity", status="completed") == 200
    assert value(samples, "run_seconds_total", object="activity", status="completed") == 18
    assert value(samples, "api_calls_total", object="activity", kind="query") == 9
    assert value(samples, "last_run_status", object="activity", status="running") == 1
    assert value(samples, "last_completed_timestamp_seconds", object="activity") == runs_of.timestamp()
    assert value(samples, "last_run_status", object="company") is None


def test_no_counter_falls_when_old_runs_are_purged(
    store: Store, connection: psycopg.Connection, runs_of: datetime
) -> None:
    counters = {key: each for key, each in scrape(store).items() if key[0].endswith("_total")}
    for _ in range(2):
        before = datetime.now(UTC) - timedelta(days=8)
        assert runs.purge_runs(connection, before, is_dry=True) in (0, 2)
        runs.purge_runs(connection, before, is_dry=False)
    assert connection.execute("SELECT count(*) FROM sync_run").fetchone() == (2,)
    assert {key: each for key, each in scrape(store).items() if key[0].endswith("_total")} == counters


def test_the_quota_and_our_share_of_it(store: Store) -> None:
    clock = StandingClock(datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC))
    quota = Quota(store, clock, 0.5)
    for _ in range(3):
        quota("query")
    samples = scrape(store, clock=clock)
    assert value(samples, "quota_used_calls", window="day") == 3
    assert value(samples, "quota_limit_calls", window="day") == 25_000
    assert value(samples, "quota_limit_calls", window="minute") == 50


def test_metrics_of_the_gate(store: Store, connection: psycopg.Connection) -> None:
    assert value(scrape(store), "gate_open") is None
    connection.execute(
        """INSERT INTO crm_gate (is_open, reason, message, since, checked_at)
           VALUES (false, 'not_answering', 'Away.', to_timestamp(1000), to_timestamp(2000))"""
    )
    samples = scrape(store)
    assert value(samples, "gate_open") == 0
    assert value(samples, "gate_since_timestamp_seconds") == 1000
    assert value(samples, "gate_checked_timestamp_seconds") == 2000


def test_metrics_match_the_tables_after_pulls(pulling: Pulling) -> None:
    for name in ("company", "activity"):
        pulling.pull(name)
    with pulling.store.connect("test") as connection:
        connection.execute("ANALYZE")
        expected = connection.execute("SELECT object, reason, count(*) FROM unmatched_record GROUP BY 1, 2").fetchall()
        (activities,) = connection.execute("SELECT count(*) FROM activity").fetchone() or (0,)
        (calls,) = connection.execute("SELECT calls FROM sync_run WHERE object = 'activity'").fetchone() or ({},)
    samples = scrape(pulling.store, pulling.settings)
    found = [key for key in samples if key[0] == "unmatched_records"]
    assert len(found) == len(expected) > 0
    for name, reason, count in expected:
        assert value(samples, "unmatched_records", object=name, reason=reason) == count
    assert value(samples, "table_rows", table="activity") == activities
    host = dict(next(key for key in samples if key[0] == "info")[1])["tenant"]
    assert host == "127.0.0.1"
    assert calls["query"] > 0
    for kind, count in calls.items():
        assert value(samples, "api_calls_total", object="activity", kind=kind, tenant=host) == count


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def port(store: Store) -> Iterator[int]:
    registry = registry_of(store, settings, SystemClock())

    def ready() -> None:
        with store.connect("ready"):
            pass

    with serving("127.0.0.1", 0, lambda: exposition(registry), ready) as port:
        yield port


def test_the_server_serves_its_pages(port: int) -> None:
    assert ask(port, "/healthz") == (200, "alive\n")
    assert ask(port, "/readyz") == (200, "ready\n")
    status, text = ask(port, "/metrics")
    assert status == 200 and "gainsight_pipelines_quota_used_calls" in text
    assert ask(port, "/metrics", "HEAD") == (200, "")
    assert ask(port, "/other")[0] == 404


def test_without_its_database_the_server_is_alive_but_not_ready() -> None:
    gone = Store("postgresql://nobody@127.0.0.1:1/none")

    def ready() -> None:
        with gone.connect("ready"):
            pass

    registry = registry_of(gone, settings, SystemClock())
    with pytest.raises(TransientError):
        exposition(registry)
    with serving("127.0.0.1", 0, lambda: exposition(registry), ready) as port:
        assert ask(port, "/healthz") == (200, "alive\n")
        status, text = ask(port, "/readyz")
        assert status == 503 and "database" in text
        assert ask(port, "/metrics")[0] == 503


def metric_names(text: str) -> set[str]:
    return set(re.findall(r"\bgainsight_pipelines_([a-z_]+)", text))


def test_dashboard_and_docs_name_existing_metrics(pulling: Pulling) -> None:
    pulling.pull("company")
    now = datetime.now(UTC)
    with pulling.store.connect("test") as connection:
        connection.execute(
            """INSERT INTO crm_gate (is_open, reason, message, since, checked_at)
               VALUES (true, 'open', 'Open.', now(), now())"""
        )
        alerts.begin(connection, "late", "company", now, alerts.Text("Late", "It is."), 1, now)
    known = {name for name, _ in scrape(pulling.store, pulling.settings)}
    dashboard = json.loads((ROOT / "deploy/grafana.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [each["query"]["query"] for each in dashboard["templating"]["list"] if isinstance(each["query"], dict)]
    assert len(expressions) >= len(dashboard["panels"]) > 0
    assert metric_names(" ".join(expressions + variables)) <= known
    page = (ROOT / "docs/observability.md").read_text("utf-8")
    assert metric_names(page) <= known
    table = page.partition("| metric | labels | is |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    assert named == known


def test_a_scrape_and_a_read_of_changes_look_at_no_rows_that_they_do_not_need(connection: psycopg.Connection) -> None:
    """Both use indexes: with a million activities they take milliseconds."""
    connection.execute(
        """INSERT INTO activity (activity_id, source, source_object, activity_type, unmatched_reason, account_id,
                                 match_method, body_text, changed_at, run_id)
           SELECT n::text, 'timeline', 'activity_timeline', 'EMAIL', CASE WHEN n % 10 = 0 THEN 'no_account' END,
                  CASE WHEN n % 10 > 0 THEN 'a' END, CASE WHEN n % 10 > 0 THEN 'direct' END, repeat('x', 500),
                  now() - n * interval '1 s', 'r'
           FROM generate_series(1, 5000) n"""
    )
    connection.execute("VACUUM ANALYZE activity")
    connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")  # small tables are scanned

    def plan(statement: str) -> str:
        return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}".encode()).fetchall())

    assert "Index Only Scan using activity_unmatched" in plan(metrics.UNMATCHED)
    assert metrics.unmatched(connection) == [("activity_timeline", "no_account", 500)]
    assert "activity_changed" in plan("SELECT * FROM activity WHERE changed_at > now() - interval '1 min'")
