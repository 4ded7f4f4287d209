"""One pull is one loop: read a page, map its records to rows, match them to accounts, write rows and cursor together.

Everything else (Dagster, the command line, the settings page) only starts this loop or shows its result.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from gainsight_pipelines.accounts import Refresh
from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import PrimaryCRM
from gainsight_pipelines.errors import GateClosed, ObjectBusy, PipelineError, SettingsError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.errors import UnknownField
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.reader import (
    Position,
    ReadPlan,
    end_of_read,
    read_by_ids,
    read_changed,
    read_without_modified,
    start_of_pull,
)
from gainsight_pipelines.matching import AccountIndex, Link
from gainsight_pipelines.objects.fields import BadRecord, first_named
from gainsight_pipelines.objects.pull import COMPANY_OBJECT, Mapper, ObjectPull, Row, Window
from gainsight_pipelines.read_ahead import read_ahead
from gainsight_pipelines.store import bulk, links, runs, schemas
from gainsight_pipelines.store.accounts import indexed_accounts
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.custom_fields import register_fields
from gainsight_pipelines.store.links import link_columns
from gainsight_pipelines.store.locks import Lock, object_lock
from gainsight_pipelines.store.rejected import write_rejected
from gainsight_pipelines.store.runs import PULL, Cursor, save_cursor, take_cursor
from gainsight_pipelines.store.tables import USAGE_METRIC

NULLS, UNDATED, LINKS = "nulls", "undated", "links"
"""Scopes of `sync_cursor` beside the pull itself: daily reads of records without a date, and the last matching."""

DAILY = timedelta(days=1)
logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class Services:
    """What a pull talks to."""

    store: Store
    gainsight: GainsightClient
    crm: PrimaryCRM
    clock: Clock


@dataclass(slots=True)
class SyncReport:
    """What a pull did.

    Counts are records (`read`, `rejected`) or rows (the others) of this run; `accounts` are the CRM's live ones.
    `calls` are API calls by kind; `cleaned` counts strings that PostgreSQL would not have taken as they were; `details`
    what the object's mapper has to tell; `notes` what people should know.
    """

    object: str
    run_id: str
    status: str = "running"
    since: datetime | None = None
    accounts: int = 0
    read: int = 0
    written: int = 0
    unchanged: int = 0
    matched: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)
    contradicted: int = 0
    rejected: int = 0
    cleaned: int = 0
    relinked: int = 0
    is_truncated: bool = False
    calls: dict[str, int] = field(default_factory=dict)
    bytes_received: int = 0
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cursor_before: Cursor | None = None
    cursor_after: Cursor | None = None

    def columns(self) -> dict[str, Any]:
        """The report as columns of `sync_run`."""
        return {
            "window_from": self.since,
            "records_read": self.read,
            "rows_written": self.written,
            "rows_unchanged": self.unchanged,
            "rows_matched": self.matched,
            "rows_unmatched": dict(self.unmatched),
            "records_rejected": self.rejected,
            "rows_relinked": self.relinked,
            "is_truncated": self.is_truncated,
            "calls": self.calls,
            "bytes_received": self.bytes_received,
            "cursor_before": self.cursor_before.as_json() if self.cursor_before else None,
            "cursor_after": self.cursor_after.as_json() if self.cursor_after else None,
        }


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pull with all that it needs, ready to begin.

    `refresh` brings the account table up to date first; `gsid_field`: the CRM field that matching falls back to;
    `crm_id_field`: the company's field with the CRM id, None where none is set; `overlap`: how far before its last
    read a read begins again.
    """

    pull: ObjectPull
    services: Services
    refresh: Refresh
    gsid_field: str | None
    crm_id_field: str | None
    overlap: timedelta


def sync(store: Store, clock: Clock, name: str, run_id: str, prepare: Callable[[], Prepared]) -> SyncReport:
    """Pulls one object, from where the last pull of it came to, and leaves a row in `sync_run` whatever happens.

    Args:
        store: where everything lands.
        clock: the source of time.
        name: the pull's name.
        run_id: names this run; the same one as Dagster's.
        prepare: makes the pull out of settings and secrets. What it raises fails this run like any other error.

    Raises:
        ObjectBusy: another run pulls the object.
        GateClosed: the primary CRM isn't there; no call was made to Gainsight.
        PipelineError: whatever else a person can act on. What was written before stays, and the next run goes on there.
    """
    report = SyncReport(name, run_id)
    started_at, started = clock.now(), clock.monotonic()
    error_text: str | None = None
    with store.connect(f"sync {name} {run_id}") as connection:
        runs.start_run(connection, run_id, name, started_at)
        run: _Run | None = None
        try:
            prepared = prepare()
            with object_lock(store, name, run_id) as lock:
                runs.end_abandoned(connection, name, run_id)
                run = _Run(prepared, connection, lock, report, started_at)
                run.pull_all()
            report.status = "completed"
            return report
        except BaseException as error:
            report.status = _status_after(error)
            error_text = str(error) or type(error).__name__
            raise
        finally:
            report.seconds = clock.monotonic() - started
            if run is not None:
                run.count_calls()
            _leave_record(store, connection, report, clock.now(), error_text)


def _status_after(error: BaseException) -> str:
    if isinstance(error, ObjectBusy):
        return "skipped"
    return "gated" if isinstance(error, GateClosed) else "failed"


def _leave_record(
    store: Store, connection: psycopg.Connection, report: SyncReport, finished_at: datetime, error: str | None
) -> None:
    """Writes the outcome into `sync_run`, on a connection of its own if the run's is gone."""
    values = report.columns() | {
        "status": report.status,
        "finished_at": finished_at,
        "error": error,
        "details": report.details
        | {"cleaned_strings": report.cleaned, "contradicted_links": report.contradicted, "notes": report.notes},
    }
    try:
        if connection.broken:
            with store.connect(f"record {report.object}") as another:
                runs.update_run(another, report.run_id, report.object, values)
        else:
            runs.update_run(connection, report.run_id, report.object, values)
    except (psycopg.Error, PipelineError):
        # The database itself is gone: the error that is under way already says so, and must not be replaced.
        logger.warning("%s: the outcome of the run could not be written to sync_run", report.object)


class _Run:
    """One pull under way: it holds the object's lock."""

    def __init__(
        self,
        prepared: Prepared,
        connection: psycopg.Connection,
        lock: Lock,
        report: SyncReport,
        started_at: datetime,
    ) -> None:
        self.pull = prepared.pull
        self.services = prepared.services
        self.prepared = prepared
        self.connection = connection
        self.lock = lock
        self.report = report
        self.started_at = started_at

    def pull_all(self) -> None:
        """Everything that a pull does."""
        index = self._refresh_accounts()
        schema = self._schema(self.pull.gainsight_object)
        crm_id_field = self._crm_id_field()
        mapper = self.pull.mapper(schema, crm_id_field)
        bulk.prepare(self.connection, self.pull.table)
        write = _PageWriter(self, mapper, index, crm_id_field)
        try:
            self._read_changes(mapper, write)
            self._read_daily(mapper, write)
        except UnknownField:
            # The schema changed since it was kept: the next run asks for it again.
            schemas.forget_schema(self.connection, self.pull.gainsight_object)
            raise
        self._relink(index)
        self._register_fields(mapper)
        self.report.details = mapper.details()

    def note(self, text: str) -> None:
        """Something that people should know of this run: shown with its result."""
        logger.info("%s: %s", self.pull.name, text)
        self.report.notes.append(text)

    def count_calls(self) -> None:
        """Brings the report's counts of calls up to date."""
        self.report.calls = dict(self.services.gainsight.calls) | {"crm": self.services.crm.calls}
        self.report.bytes_received = self.services.gainsight.bytes_received

    def _refresh_accounts(self) -> AccountIndex:
        refreshed = self.prepared.refresh.run(since=self.started_at)
        self.report.accounts = refreshed.live
        for text in refreshed.notes:
            self.note(text)
        return AccountIndex(self.services.crm.kind, indexed_accounts(self.connection, self.prepared.gsid_field))

    def _schema(self, object_name: str) -> ObjectSchema:
        now = self.services.clock.now()
        kept = schemas.find_schema(self.connection, object_name, now)
        if kept is not None:
            return ObjectSchema.from_json(kept)
        schema = self.services.gainsight.describe(object_name)
        schemas.keep_schema(self.connection, object_name, schema.to_json(), now)
        return schema

    def _crm_id_field(self) -> str | None:
        """The company's field with the CRM id: as set, else for Salesforce the one named SfdcAccountId in any case."""
        configured = self.prepared.crm_id_field
        if configured is None and self.services.crm.kind != "salesforce":
            return None
        schema = self._schema(COMPANY_OBJECT)
        found = schema.field(configured) if configured else first_named(schema, ["sfdcaccountid"])
        if configured and found is None:
            raise SettingsError(
                f"`company.crm_id_field` names the field {configured!r}, which Gainsight's company doesn't have.",
                "Choose the company's field with the CRM's account id, or remove the setting.",
            )
        return found.name if found else None

    def _read_changes(self, mapper: Mapper, write: _PageWriter) -> None:
        """The pull itself: what was created or changed since the last one, oldest change first."""
        cursor = take_cursor(self.connection, self.pull.name, PULL, self.report.run_id)
        self.report.cursor_before = cursor
        window = mapper.window(self.started_at, cursor.window_from)
        self.report.since = window.since
        start = self._start(cursor, window)
        plan = self._plan(
            mapper, window, start=start, is_first_read=cursor.modified_at is None, is_whole=cursor.is_whole
        )
        # While the read is under way completed_at is empty, so that a run that is killed goes on at its last page.
        cursor = cursor.moved_to(
            window_from=window.since,
            read_started_at=cursor.read_started_at if cursor.completed_at is None else None,
            completed_at=None,
        )
        is_anything_read = False
        for page in read_ahead(read_changed(self.services.gainsight, plan, report=self.note)):
            cursor = cursor.moved_to(read_started_at=cursor.read_started_at or page.server_time, is_whole=page.is_whole)
            if page.position is not None:
                cursor = cursor.moved_to(modified_at=page.position.modified, gsid=page.position.gsid)
            is_anything_read |= bool(page.records)
            self.report.cleaned += page.cleaned
            self.report.is_truncated |= page.is_truncated
            if not page.is_last:
                write(page.records, PULL, cursor)
            else:
                if not page.is_truncated:
                    cursor = self._finished(cursor, is_anything_read=is_anything_read)
                write(page.records, PULL, cursor)
        self.report.cursor_after = cursor

    def _start(self, cursor: Cursor, window: Window) -> Position | None:
        """Where the read begins: at the cursor, with an overlap where it is a new read and not the rest of the last."""
        if cursor.modified_at is None:
            return None if window.start is None else Position(window.start.replace(microsecond=0))
        position = Position(cursor.modified_at, cursor.gsid)
        if cursor.completed_at is None:
            return position
        return start_of_pull(position, cursor.read_started_at, self.prepared.overlap)

    def _finished(self, cursor: Cursor, *, is_anything_read: bool) -> Cursor:
        """The cursor after a complete read."""
        position = Position(cursor.modified_at, cursor.gsid) if cursor.modified_at else None
        if is_anything_read and cursor.read_started_at is not None:
            position = end_of_read(position, cursor.read_started_at, self.prepared.overlap)
        return cursor.moved_to(
            modified_at=position.modified if position else None,
            gsid=position.gsid if position else None,
            window_from=None,
            completed_at=self.started_at,
        )

    def _read_daily(self, mapper: Mapper, write: _PageWriter) -> None:
        """Once a day: records that comparisons of dates leave out, because they have none."""
        window = mapper.window(self.started_at, None)
        if self._is_due(NULLS):
            plan = self._plan(mapper, Window(), kind="daily")
            for page in read_without_modified(self.services.gainsight, plan, report=self.note):
                write(page.records, NULLS, Cursor(completed_at=self.started_at if page.is_last else None))
        if window.undated_filters and self._is_due(UNDATED):
            plan = self._plan(mapper, Window(filters=window.undated_filters), kind="daily")
            for page in read_changed(self.services.gainsight, plan, report=self.note):
                self.report.is_truncated |= page.is_truncated
                write(page.records, UNDATED, Cursor(completed_at=self.started_at if page.is_last else None))

    def _is_due(self, scope: str) -> bool:
        cursor = take_cursor(self.connection, self.pull.name, scope, self.report.run_id)
        return cursor.completed_at is None or self.started_at - cursor.completed_at >= DAILY

    def _plan(self, mapper: Mapper, window: Window, **how: Any) -> ReadPlan:
        return ReadPlan(
            object_name=self.pull.gainsight_object,
            select=mapper.select,
            cursor_field=mapper.cursor_field,
            filters=window.filters,
            limit=self.pull.limit,
            **how,
        )

    def _relink(self, index: AccountIndex) -> None:
        """Heals and corrects the links of what is stored already, if anything that they depend on has changed."""
        with self.connection.transaction():
            before = take_cursor(self.connection, self.pull.name, LINKS, self.report.run_id)
            now = links.fingerprint(self.connection, self.prepared.gsid_field)
            if before.fingerprint == now:
                return
            crm_ids = links.crm_ids(self.connection)

            def find(company_gsid: str | None, crm_id: str | None) -> Link:
                return index.link(company_gsid, crm_id or (crm_ids.get(company_gsid) if company_gsid else None))

            self.report.relinked = links.relink(
                self.connection, self.pull.table, self.pull.gainsight_object, find, self.report.run_id
            )
            done = Cursor(completed_at=self.started_at, fingerprint=now)
            save_cursor(self.connection, self.pull.name, LINKS, self.report.run_id, done)

    def _register_fields(self, mapper: Mapper) -> None:
        fields = [(found.name, found.label, found.data_type) for found in mapper.custom_fields]
        register_fields(self.connection, self.pull.table.name, self.pull.gainsight_object, fields)


class _PageWriter:
    """Maps, matches and writes one page, with the cursor and the run's counters, in one transaction."""

    def __init__(self, run: _Run, mapper: Mapper, index: AccountIndex, crm_id_field: str | None) -> None:
        self._run = run
        self._mapper = mapper
        self._index = index
        self._crm_id_field = crm_id_field
        self._company_position = run.pull.table.position(run.pull.table.company_column)
        crm_id_column = run.pull.table.crm_id_column
        self._crm_id_position = run.pull.table.position(crm_id_column) if crm_id_column else None
        self._crm_ids: dict[str, str | None] = {}

    def __call__(self, records: list[dict[str, Any]], scope: str, cursor: Cursor) -> None:
        run, report, connection = self._run, self._run.report, self._run.connection
        rows, rejected = self._map(records)
        learnt = self._crm_ids_of_page(records)
        unknown = self._look_up({row[self._company_position] for row in rows.values()} - learnt.keys())
        self._crm_ids |= learnt
        run.lock.confirm()
        with connection.transaction():
            checked_at = run.services.clock.now()
            links.write_companies(connection, learnt, is_known=True, checked_at=checked_at)
            links.write_companies(connection, unknown, is_known=False, checked_at=checked_at)
            written = bulk.upsert(connection, run.pull.table, self._linked(rows), report.run_id)
            if run.pull.table is USAGE_METRIC:
                record_ids = [str(record["Gsid"]) for record in records if record.get("Gsid")]
                bulk.mark_missing_metrics(connection, run.pull.gainsight_object, record_ids, report.run_id)
            write_rejected(connection, run.pull.name, rejected, report.run_id)
            save_cursor(connection, run.pull.name, scope, report.run_id, cursor)
            report.read += len(records)
            report.rejected += len(rejected)
            report.written += written.written
            report.unchanged += written.unchanged
            run.count_calls()
            runs.update_run(connection, report.run_id, run.pull.name, report.columns())
        logger.info("%s: %s read, %s written", run.pull.name, f"{report.read:,}", f"{report.written:,}")

    def _map(
        self, records: list[dict[str, Any]]
    ) -> tuple[dict[tuple[Any, ...], Row], list[tuple[dict[str, Any], str]]]:
        """The page's rows by key (the last of a key is the newest), and what can't be stored, with the reason."""
        rows: dict[tuple[Any, ...], Row] = {}
        rejected: list[tuple[dict[str, Any], str]] = []
        key_length = len(self._run.pull.table.key)
        for record in records:
            try:
                for row in self._mapper.rows(record):
                    rows[row[:key_length]] = row
            except BadRecord as error:
                rejected.append((record, str(error)))
        return rows, rejected

    def _crm_ids_of_page(self, records: list[dict[str, Any]]) -> dict[str, str | None]:
        """The companies' CRM ids that came with the page."""
        company = self._mapper.company
        if company.crm_id is None or company.is_row_crm_id:
            return {}
        found = {}
        for record in records:
            if (gsid := company.gsid_of(record)) is not None:
                found[gsid] = company.crm_id_of(record)
        return {gsid: crm_id for gsid, crm_id in found.items() if self._crm_ids.get(gsid, "") != crm_id}

    def _look_up(self, gsids: set[str | None]) -> dict[str, str | None]:
        """Finds the CRM ids of companies that nothing is known of yet: in the database, else by asking Gainsight.

        Returns:
            Those that Gainsight does not have.
        """
        company = self._mapper.company
        missing = {gsid for gsid in gsids if gsid is not None and gsid not in self._crm_ids}
        if self._crm_id_field is None or (company.crm_id is not None and not company.is_row_crm_id) or not missing:
            return {}
        run = self._run
        now = run.services.clock.now()
        self._crm_ids |= links.known_companies(run.connection, missing, now - DAILY)
        missing -= self._crm_ids.keys()
        asked = read_by_ids(
            run.services.gainsight, COMPANY_OBJECT, ("Gsid", self._crm_id_field), "Gsid", sorted(missing), kind="links"
        )
        found = {
            str(record["Gsid"]).upper(): record.get(self._crm_id_field) or None for page in asked for record in page
        }
        links.write_companies(run.connection, found, is_known=True, checked_at=now)
        unknown = dict.fromkeys(missing - found.keys())
        self._crm_ids |= found | unknown
        return unknown

    def _linked(self, rows: dict[tuple[Any, ...], Row]) -> Iterator[tuple[Any, ...]]:
        """The rows with their accounts, counted."""
        report = self._run.report
        cache: dict[tuple[Any, Any], tuple[Link, Any]] = {}
        for row in rows.values():
            gsid = row[self._company_position]
            own = row[self._crm_id_position] if self._crm_id_position is not None else None
            found = cache.get((gsid, own))
            if found is None:
                link = self._index.link(gsid, own or self._crm_ids.get(gsid))
                found = cache[gsid, own] = (link, link_columns(link))
            link, columns = found
            if link.reason is None:
                report.matched += 1
                report.contradicted += link.is_contradicted
            else:
                report.unmatched[link.reason.value] += 1
            yield row + columns
