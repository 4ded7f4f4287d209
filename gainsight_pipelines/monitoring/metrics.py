"""The store's numbers as Prometheus metrics.

Each scrape reads the store once, so all processes show the same. Labels are the tenant, the object and a fixed set of
words (status, reason, kind of call); records and runs never become labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gainsight_pipelines import __version__
from gainsight_pipelines.clock import Clock
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.store import alerts, metrics, tenant
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.gate import find_gate
from gainsight_pipelines.store.migrate import database_version
from gainsight_pipelines.store.quota import CALLS_PER_DAY, CALLS_PER_MINUTE, calls_of_day, calls_of_minute

PREFIX = "gainsight_pipelines"
OF_RUNS = {
    "runs": "Runs that ended.",
    "records_read": "Records read from Gainsight.",
    "rows_written": "Rows inserted or changed.",
    "records_rejected": "Records that could not be stored, kept in rejected_record.",
    "values_unreadable": "Values that could not be read, kept in the column unreadable of their rows.",
    "bytes_received": "Bytes received from Gainsight.",
    "seconds": "Time that runs took.",
}
NAMES = {"bytes_received": "received_bytes", "seconds": "run_seconds"}
CALLS = "calls_"


class StoreCollector(Collector):
    """Reads the store at each scrape.

    Args:
        store: the store.
        settings: returns the current settings; called at each scrape.
        clock: the source of time.
    """

    def __init__(self, store: Store, settings: Callable[[], Settings], clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape.

        Raises:
            PipelineError: the database can't be reached.
        """
        now, settings = self._clock.now(), self._settings()
        with self._store.connect("metrics") as connection:
            owner = tenant.holder(connection)
            host = owner[0] if owner else ""
            yield InfoMetricFamily(
                PREFIX,
                "The program and the version of its tables.",
                {"tenant": host, "version": __version__, "schema": database_version(connection) or ""},
            )
            yield from _of_runs(connection, host)
            yield from _of_progress(connection, settings, host)
            yield from _of_gate(connection, host)
            yield from _of_quota(connection, settings, host, now)
            yield from _of_rows(connection, host)
            yield from _of_alerts(connection, host)


def _of_runs(connection: psycopg.Connection, host: str) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(f"{PREFIX}_{NAMES.get(name, name)}", text, labels=("tenant", "object", "status"))
        for name, text in OF_RUNS.items()
    }
    calls = CounterMetricFamily(
        f"{PREFIX}_api_calls", "Calls to Gainsight and to the CRM, by kind.", labels=("tenant", "object", "kind")
    )
    of_kinds: dict[tuple[str, str], int] = {}
    for each in metrics.totals(connection):
        if each.counter.startswith(CALLS):
            key = (each.object, each.counter.removeprefix(CALLS))
            of_kinds[key] = of_kinds.get(key, 0) + each.value
        else:
            families[each.counter].add_metric((host, each.object, each.status), each.value)
    for (name, kind), value in sorted(of_kinds.items()):
        calls.add_metric((host, name, kind), value)
    yield from families.values()
    yield calls


def _of_progress(connection: psycopg.Connection, settings: Settings, host: str) -> Iterator[Metric]:
    labels = ("tenant", "object")
    configured = set(settings.object_names())
    status = GaugeMetricFamily(
        f"{PREFIX}_last_run_status", "1 for the status of the object's last run.", labels=(*labels, "status")
    )
    started = GaugeMetricFamily(f"{PREFIX}_last_run_start_timestamp_seconds", "Start of the last run.", labels=labels)
    completed = GaugeMetricFamily(
        f"{PREFIX}_last_completed_timestamp_seconds",
        "Start of the last run that completed: all changes before it are stored.",
        labels=labels,
    )
    for each in metrics.progress(connection):
        if each.object not in configured:
            continue
        status.add_metric((host, each.object, each.status), 1)
        started.add_metric((host, each.object), each.started_at.timestamp())
        if each.completed_at is not None:
            completed.add_metric((host, each.object), each.completed_at.timestamp())
    yield from (status, started, completed)


def _of_gate(connection: psycopg.Connection, host: str) -> Iterator[Metric]:
    gate = find_gate(connection)
    if gate is None:
        return
    yield _gauge("gate_open", "1 while the primary CRM is available.", host, float(gate.is_open))
    yield _gauge("gate_checked_timestamp_seconds", "Last check of the primary CRM.", host, gate.checked_at.timestamp())
    yield _gauge("gate_since_timestamp_seconds", "Start of the gate's current state.", host, gate.since.timestamp())


def _of_quota(connection: psycopg.Connection, settings: Settings, host: str, now: datetime) -> Iterator[Metric]:
    used = GaugeMetricFamily(
        f"{PREFIX}_quota_used_calls", "Calls to Gainsight in the current window.", labels=("tenant", "window")
    )
    used.add_metric((host, "minute"), calls_of_minute(connection, now))
    used.add_metric((host, "day"), calls_of_day(connection, now))
    yield used
    if settings.gainsight is None:
        return
    share = GaugeMetricFamily(f"{PREFIX}_quota_limit_calls", "Our share of the quota.", labels=("tenant", "window"))
    for window, calls in (("minute", CALLS_PER_MINUTE), ("day", CALLS_PER_DAY)):
        share.add_metric((host, window), max(1, int(calls * settings.gainsight.quota_share)))
    yield share


def _of_rows(connection: psycopg.Connection, host: str) -> Iterator[Metric]:
    unmatched = GaugeMetricFamily(
        f"{PREFIX}_unmatched_records", "Stored records without an account.", labels=("tenant", "object", "reason")
    )
    for name, reason, count in metrics.unmatched(connection):
        unmatched.add_metric((host, name, reason), count)
    yield unmatched
    rows = GaugeMetricFamily(
        f"{PREFIX}_table_rows", "Rows of a table, as PostgreSQL estimates them.", labels=("tenant", "table")
    )
    size = GaugeMetricFamily(
        f"{PREFIX}_table_bytes", "Size of a table with its indexes.", labels=("tenant", "table"), unit="bytes"
    )
    for table, count, size_bytes in metrics.table_sizes(connection):
        rows.add_metric((host, table), count)
        size.add_metric((host, table), size_bytes)
    yield from (rows, size)


def _of_alerts(connection: psycopg.Connection, host: str) -> Iterator[Metric]:
    firing = GaugeMetricFamily(
        f"{PREFIX}_alert_firing", "1 for each alert that was sent and is not over.", labels=("tenant", "object", "rule")
    )
    for rule, name in alerts.firing(connection):
        firing.add_metric((host, name, rule), 1)
    messages = CounterMetricFamily(
        f"{PREFIX}_alert_messages", "Messages of alerts, delivered or given up.", labels=("tenant", "outcome")
    )
    for outcome, count in alerts.totals(connection).items():
        messages.add_metric((host, outcome), count)
    yield from (firing, messages)


def _gauge(name: str, text: str, host: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=("tenant",))
    family.add_metric((host,), value)
    return family


def registry_of(store: Store, settings: Callable[[], Settings], clock: Clock) -> CollectorRegistry:
    """A registry with our metrics only, without those of the process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StoreCollector(store, settings, clock))
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry)
