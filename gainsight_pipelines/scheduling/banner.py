"""The status banner: the gate, and one row per configured object with its last run and its next due time.

Shown by `status`, `dev` and the settings page; the Dagster UI shows the same from its own runs. Read from PostgreSQL
only, so it is quick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.scheduling.cadence import cadence_of
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.settings.models import DeliverySettings
from gainsight_pipelines.settings.pulls import configured_pulls
from gainsight_pipelines.store import deliveries, runs
from gainsight_pipelines.store.deliveries import LastDelivery
from gainsight_pipelines.store.gate import Gate, find_gate
from gainsight_pipelines.store.leases import DELIVERY, is_held
from gainsight_pipelines.store.runs import Run
from gainsight_pipelines.store.views import typed_views

NEVER = "never"
STOPPED = "It was killed. Nothing is lost: the next delivery continues from the one before."
DEAD_AFTER = timedelta(minutes=1)
"""A run without a lease for this long is dead: runs take their lease within seconds of their start."""


@dataclass(frozen=True, slots=True)
class Row:
    """One configured object.

    `status`: running, completed, failed (also if the gate was closed) or never. `error`: why it failed and what to do;
    also what to do if it never ran. `next_due`: the next tick of its schedule; None if a person stopped it. `views`:
    the typed views of its records.
    """

    name: str
    status: str
    run: Run | None
    error: str | None
    next_due: datetime | None
    is_dead: bool = False
    views: tuple[str, ...] = ()

    @property
    def since(self) -> datetime | None:
        """When the last run ended, or when it began if it is still running."""
        return None if self.run is None else self.run.finished_at or self.run.started_at


@dataclass(frozen=True, slots=True)
class Delivered:
    """A table in the warehouse.

    `status`: running, completed or failed. `since`: when the last delivery ended, or began if it goes on. `rows`: sent
    by the last one that completed. `error`: why it failed.
    """

    name: str
    status: str
    since: datetime
    rows: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Banner:
    """All rows, and the gate as last checked (None: never checked)."""

    gate: Gate | None
    rows: tuple[Row, ...]
    warehouse: str | None = None
    delivered: tuple[Delivered, ...] = ()


def read_banner(connection: psycopg.Connection, settings: Settings, now: datetime) -> Banner:
    """Reads the current banner."""
    latest, stopped = runs.latest_runs(connection), runs.stopped_objects(connection)
    views, pulls = typed_views(connection), configured_pulls(settings)
    rows = []
    for name in settings.object_names():
        next_due = None if name in stopped else cadence_of(settings, name).next(now)
        row = _row(connection, name, latest.get(name), next_due, now)
        pull = pulls[name]
        shown = None if isinstance(pull, SettingsError) else pull.gainsight_object
        rows.append(replace(row, views=tuple(each.name for each in views if each.gainsight_object == shown)))
    target = None if "delivery" in settings.errors else settings.of(DeliverySettings)
    if target is None:
        return Banner(find_gate(connection), tuple(rows))
    is_running = is_held(connection, DELIVERY)
    found = deliveries.last(connection, target.destination, target.dataset)
    warehouse = f"{target.destination}, dataset {target.dataset}"
    return Banner(find_gate(connection), tuple(rows), warehouse, tuple(_delivered(each, is_running) for each in found))


def _delivered(last: LastDelivery, is_running: bool) -> Delivered:
    if last.finished_at is None:
        status, error = ("running", None) if is_running else ("failed", STOPPED)
    else:
        status, error = ("completed", None) if last.error is None else ("failed", last.error)
    return Delivered(last.relation, status, last.finished_at or last.started_at, last.rows_sent, error)


def _row(connection: psycopg.Connection, name: str, run: Run | None, next_due: datetime | None, now: datetime) -> Row:
    if run is None:
        todo = f"Never synced: run `gainsight-pipelines run {name}`, or wait for its schedule."
        return Row(name, NEVER, None, todo, next_due)
    if run.status == "running" and now - run.started_at > DEAD_AFTER and not is_held(connection, name):
        return Row(name, "failed", run, runs.DIED, next_due, is_dead=True)
    return Row(name, "failed" if run.status == "gated" else run.status, run, run.error, next_due)
