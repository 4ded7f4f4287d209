"""Runs one pull, from its lease to its record in `sync_run`."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import datetime

import psycopg

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import (
    GateClosed,
    NotEnabled,
    ObjectBusy,
    PermanentError,
    PipelineError,
    SettingsError,
    TransientError,
    variables_named,
)
from gainsight_pipelines.gainsight.errors import UnknownField
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.logs import about
from gainsight_pipelines.matching import AccountIndex, Link
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.fields import UNREADABLE
from gainsight_pipelines.objects.pull import Mapper
from gainsight_pipelines.store import bulk, links, runs, schema_cache, views
from gainsight_pipelines.store.accounts import indexed_accounts
from gainsight_pipelines.store.connection import ConnectionLost, LoginRefused, Store
from gainsight_pipelines.store.custom_fields import register_fields
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines.store.migrate import beside_migrations
from gainsight_pipelines.store.quota import calls_of_day
from gainsight_pipelines.store.remap import remap
from gainsight_pipelines.store.runs import FAILED_AS, WORTH_RETRYING
from gainsight_pipelines.store.samples import accounts_with_several_companies, unmatched_examples
from gainsight_pipelines.store.scopes import Linked
from gainsight_pipelines.sync.budget import Budget
from gainsight_pipelines.sync.company_links import crm_id_field, keep_crm_ids
from gainsight_pipelines.sync.context import LinkedRows, Prepared, PullContext, logger
from gainsight_pipelines.sync.deletions import find_deletions, note_beginning
from gainsight_pipelines.sync.drift import Changes, begin, finish
from gainsight_pipelines.sync.page_writer import PageWriter
from gainsight_pipelines.sync.reads import read_again, read_changes, read_daily
from gainsight_pipelines.sync.report import SyncReport
from gainsight_pipelines.sync.snapshot import read_snapshot

SHOWN_FIELDS = 5
"""Fields with unreadable values that a run's note names."""

OBJECTS_BEFORE_COLLECTION = 200_000

PAUSES = (0.0, 1.0, 3.0, 6.0, 10.0)
"""Seconds before each new attempt to connect after a lost connection: enough for a failover."""


def sync(store: Store, clock: Clock, name: str, run_id: str, prepare: Callable[[], Prepared]) -> SyncReport:
    """Pulls one object from where its last pull ended, and always leaves a row in `sync_run`.

    Arguments and errors as for `locked`.
    """
    return locked(store, clock, name, run_id, prepare, _pull_all)


def locked(
    store: Store,
    clock: Clock,
    name: str,
    run_id: str,
    prepare: Callable[[], Prepared],
    work: Callable[[PullContext], None],
    *,
    recorded_as: str | None = None,
) -> SyncReport:
    """Does some work on one object under its lease, and always leaves a row in `sync_run`.

    Args:
        store: the store.
        clock: the source of time.
        name: the pull's name.
        run_id: of this run; the same as Dagster's.
        prepare: creates the pull from settings and secrets. Its errors fail the run like any other.
        work: what to do while holding the lease.
        recorded_as: the object's name in `sync_run`, if not the pull's.

    Raises:
        ObjectBusy: another run pulls the object.
        GateClosed: the primary CRM is unavailable; no call was made to Gainsight.
        PipelineError: any other failure. What was written is kept, and the next run goes on there.
    """
    recorded = recorded_as or name
    report = SyncReport(recorded, run_id)
    started_at, started = clock.now(), clock.monotonic()
    error_text: str | None = None
    with about(object=recorded, run_id=run_id), ExitStack() as connections:

        def connect() -> psycopg.Connection:
            return connections.enter_context(store.connect(f"sync {name} {run_id}"))

        connection = connect()
        runs.start_run(connection, run_id, recorded, started_at)
        context: PullContext | None = None
        try:
            # Here too, not only where the connection is closed: the run's record is written before that.
            with variables_named(store.prefix), store.translated(), beside_migrations(store), _collected_rarely():
                prepared = prepare()
                with object_lease(store, name, run_id, clock) as lease:
                    runs.end_abandoned(connection, recorded, run_id)
                    context = PullContext(
                        prepared, connection, lease, report, started_at, budget=Budget(prepared.pull.limit)
                    )
                    _note_unreadable(_with_reconnects(context, work, connect))
            report.status = "completed"
            return report
        except BaseException as error:
            report.status = _status_after(error)
            report.details[FAILED_AS] = _failed_as(error)
            if isinstance(error, (TransientError, LoginRefused)):  # the login worked a moment ago
                report.details[WORTH_RETRYING] = True
            error_text = _text_for_sync_run(error)
            raise
        finally:
            report.seconds = clock.monotonic() - started
            report.details |= report.counted()
            if context is not None:
                context.count_calls()
                context.services.close()
            _leave_record(store, connection, report, clock.now(), error_text)


def _with_reconnects(
    context: PullContext, work: Callable[[PullContext], None], connect: Callable[[], psycopg.Connection]
) -> PullContext:
    """Does the work; if its connection is lost, goes on from the last page with a new one.

    A failover or restart of the database and a rotated password fail no run: the URL is read again.

    Returns:
        The context at the end.
    """
    store, clock = context.services.store, context.services.clock
    for pause in PAUSES:
        try:
            with store.translated():
                work(context)
        except (ConnectionLost, LoginRefused) as error:
            clock.sleep(pause)
            try:
                context = _on_another_connection(context, connect())
            except (ConnectionLost, LoginRefused):
                continue  # a lost connection fails again at once
            context.note(f"{error.message} The run went on from its last page.")
        else:
            return context
    work(context)
    return context


def _on_another_connection(context: PullContext, connection: psycopg.Connection) -> PullContext:
    """The pull with its committed counts; the session's state was lost with the connection."""
    report = context.report
    recorded = runs.find_run(connection, report.run_id, report.object)
    if report.undecided is not None and recorded is not None and recorded.records_read == report.undecided.read:
        report.restore(report.undecided)
    budget = Budget(context.pull.limit, spent=report.read)
    return replace(context, connection=connection, budget=budget, linked=LinkedRows())


@contextmanager
def _collected_rarely() -> Iterator[None]:
    """Collects garbage rarely: a page has a hundred thousand objects and no cycles.

    At the default threshold, the garbage collector takes a seventh of the CPU time of a first load.
    """
    usual = gc.get_threshold()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _note_unreadable(context: PullContext) -> None:
    """Notes the fields with unreadable values, since nothing else in the result shows them."""
    fields = context.report.counted().get(UNREADABLE)
    if fields:
        named = ", ".join(f"{name} ({count:,})" for name, count in list(fields.items())[:SHOWN_FIELDS])
        more = f" and {len(fields) - SHOWN_FIELDS} more fields" if len(fields) > SHOWN_FIELDS else ""
        count = context.report.unreadable
        context.note(
            f"{count:,} value{'' if count == 1 else 's'} can't be read and will stay empty: {named}{more}."
            f" See the column `unreadable` of `{context.pull.table.name}`."
        )


def _text_for_sync_run(error: BaseException) -> str:
    """The text of an error for `sync_run`. An unexpected error's message may quote a record, so it is left out."""
    if isinstance(error, PipelineError):
        return str(error)
    if not isinstance(error, Exception):  # Ctrl-C, TERM, or Dagster's exception for a terminated run
        return "The run was stopped. The next run goes on from its last page."
    return f"An unexpected error ({type(error).__name__}): see the run's log."


def _failed_as(error: BaseException) -> str:
    """The kind of an error, stored in `sync_run` for alerts."""
    if isinstance(error, PipelineError):
        return error.section
    return "unforeseen" if isinstance(error, Exception) else "stopped"


def _status_after(error: BaseException) -> str:
    if isinstance(error, (ObjectBusy, NotEnabled)):
        return "skipped"
    return "gated" if isinstance(error, GateClosed) else "failed"


def _leave_record(
    store: Store, connection: psycopg.Connection, report: SyncReport, finished_at: datetime, error: str | None
) -> None:
    """Writes the outcome to `sync_run`, on a new connection if the run's is lost."""
    values = report.columns() | {
        "status": report.status,
        "finished_at": finished_at,
        "error": error,
        "details": report.details
        | {"cleaned_strings": report.cleaned, "contradicted_links": report.contradicted, "notes": report.notes},
    }
    try:
        try:
            runs.update_run(connection, report.run_id, report.object, values)
        except psycopg.OperationalError:  # lost, perhaps before this statement and unnoticed until now
            with store.connect(f"record {report.object}") as another:
                runs.update_run(another, report.run_id, report.object, values)
    except (psycopg.Error, PipelineError):
        # The database itself is gone. The current error already says so, and must not be replaced.
        logger.warning("%s: the outcome of the run could not be written to sync_run", report.object)


def _pull_all(context: PullContext) -> None:
    """Does everything that a pull does."""
    index = refresh_accounts(context)
    bulk.prepare(context.connection, context.pull.table)
    if context.prepared.is_full:
        schema_cache.forget_schema(context.connection, context.pull.gainsight_object)
    mapper = read_mapped(context, index, _read_all)
    _relink(context, mapper)
    register_custom_fields(context, mapper)
    _bring_view_up_to_date(context, mapper)
    context.report.details |= mapper.details()
    _look_at_rows(context)


def read_mapped(
    context: PullContext, index: AccountIndex, read: Callable[[PullContext, Mapper, ObjectSchema, PageWriter], None]
) -> Mapper:
    """Reads and writes; if the tenant refuses fields that it describes, does so again without them.

    Settings that don't fit a cached schema are checked against a fresh one first: a field may just have been added.
    """
    while True:
        try:
            try:
                schema = context.schema(context.pull.gainsight_object)
                id_field = crm_id_field(context)
                mapper = context.pull.mapper(schema, id_field)
            except SettingsError:
                if not context.forget_schemas():
                    raise
                continue
            keep_crm_ids(context, id_field)
            read(context, mapper, schema, PageWriter(context, mapper, index, id_field))
            return mapper
        except UnknownField as refused:
            if not context.leave_out(refused):
                raise


def _read_all(context: PullContext, mapper: Mapper, schema: ObjectSchema, write: PageWriter) -> None:
    """Reads everything for this mapper: what is new, what changed settings affect, what was deleted."""
    changes = begin(context, mapper, schema)
    if mapper.cursor_field is None:
        read_snapshot(context, mapper, write)
        finish(context, changes)
        return
    note_beginning(context)
    read_changes(context, mapper, write)
    read_daily(context, mapper, write, changes)
    if changes.remaps:
        _remap(context, changes)
    if changes.rereads:
        which = f"those last changed before {changes.until:%Y-%m-%d}" if changes.until else "all records"
        context.report.details["reread"] = changes.rereads
        context.note(f"Reading {which} again: {'; '.join(changes.rereads)}.")
        if not read_again(context, mapper, write, changes):
            context.note("The limit was reached meanwhile: the next run goes on with the reread.")
            return
    finish(context, changes)
    try:
        find_deletions(context, mapper)
    except PermanentError as error:
        # What was read is valid anyway.
        context.note(f"Deleted records can't be determined. {error}")


def _remap(context: PullContext, changes: Changes) -> None:
    """Applies changed mappings to stored rows, without calls to Gainsight."""
    why = "; ".join(changes.remap_reasons)
    table, name = context.pull.table, context.pull.gainsight_object
    changed = sum(
        remap(context.connection, context.lease, table, name, how, context.report.run_id) for how in changes.remaps
    )
    context.report.details["remapped"] = changed
    context.note(f"{changed:,} stored rows were mapped again, without calling Gainsight: {why}.")


def _look_at_rows(context: PullContext) -> None:
    """Adds facts about all stored rows to the report, whichever run wrote them."""
    context.report.details["gainsight_calls_today"] = calls_of_day(context.connection, context.services.clock.now())
    examples = unmatched_examples(context.connection, context.pull.gainsight_object)
    if examples:
        context.report.details["unmatched_examples"] = examples
    if context.pull.table.holds_companies:
        several = accounts_with_several_companies(context.connection)
        if several:
            context.report.details["accounts_with_several_companies"] = several


def refresh_accounts(context: PullContext) -> AccountIndex:
    """Refreshes the accounts, which is also the gate, and builds the account index."""
    refreshed = context.prepared.refresh.run(since=context.started_at)
    context.report.accounts = refreshed.live
    for sentence in refreshed.notes:
        context.note(sentence)
    connection = context.connection
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = context.scopes.take(Linked)
        if before.fingerprint is None and not links.has_rows(
            connection, context.pull.table, context.pull.gainsight_object
        ):
            context.linked.accounts = links.accounts_fingerprint(connection, context.prepared.gsid_field)
        return _account_index(context)


def _account_index(context: PullContext) -> AccountIndex:
    return AccountIndex(context.services.crm.kind, indexed_accounts(context.connection, context.prepared.gsid_field))


def _relink(context: PullContext, mapper: Mapper) -> None:
    """Rematches stored rows if anything that their matches depend on has changed."""
    if mapper.company.is_nobody:
        return
    connection, table, name = context.connection, context.pull.table, context.pull.gainsight_object
    before = context.scopes.take(Linked)
    with connection.transaction():
        # One snapshot of accounts and companies for fingerprint and index, since other pulls may refresh them
        # meanwhile. Later changes give another fingerprint, for the next run.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        now = links.fingerprint(connection, context.prepared.gsid_field)
        if before.fingerprint == now:
            return
        moved = 0
        if not _is_all_just_linked(context):
            index = _account_index(context)
            key_kind = mapper.company.key_kind

            def find(company_gsid: str | None, key: str | None, crm_id: str | None) -> Link:
                return index.link_of(company_gsid, key, key_kind, crm_id)

            moved = links.relink(connection, table, name, find)
    if moved:
        context.report.relinked = links.move(connection, context.lease, table, name, context.report.run_id)
    with context.lease.writing(connection):
        context.scopes.save(Linked(now, completed_at=context.started_at))


def _bring_view_up_to_date(context: PullContext, mapper: Mapper) -> None:
    """Updates the object's typed view to the current fields. If that fails, the pull still succeeds."""
    found = context.pull.typed_view(mapper)
    if found is None:
        return
    try:
        changed = views.bring_up_to_date(context.connection, context.lease, *found, fits, context.report.run_id)
    except psycopg.errors.LockNotAvailable:
        held = context.services.store.holders()
        context.note(f"The view `{found[0].view}` is in use, so it stays as it is until the next run. {held}".rstrip())
    except psycopg.errors.InsufficientPrivilege:
        context.note(
            f"The role may not make or change views, so `{found[0].view}` stays as it is:"
            " grant it CREATE on the schema."
        )
    else:
        context.report.details["view"] = asdict(changed)


def _is_all_just_linked(context: PullContext) -> bool:
    """Whether every row is from this run, with still valid inputs: a first load need not be checked again."""
    linked = context.linked
    return (
        linked.accounts is not None
        and linked.is_certain
        and linked.accounts == links.accounts_fingerprint(context.connection, context.prepared.gsid_field)
        and links.are_as_stored(context.connection, linked.crm_ids)
    )


def register_custom_fields(context: PullContext, mapper: Mapper) -> None:
    """Registers the fields stored in `custom_fields`, with label and type."""
    fields = [(found.name, found.label, found.data_type) for found in mapper.custom_fields]
    register_fields(context.connection, context.pull.table.name, context.pull.gainsight_object, fields)
