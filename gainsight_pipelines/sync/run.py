"""One pull from its lease to its record in `sync_run`."""

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
"""Seconds before another connection is tried where one is lost: long enough for a database that fails over."""


def sync(store: Store, clock: Clock, name: str, run_id: str, prepare: Callable[[], Prepared]) -> SyncReport:
    """Pulls one object, from where the last pull of it came to, and leaves a row in `sync_run` whatever happens.

    Arguments and errors are those of `locked`.
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
    """Does some work on one object under its lease, and leaves a row in `sync_run` whatever happens.

    Args:
        store: where everything lands.
        clock: the source of time.
        name: the pull's name.
        run_id: names this run; the same one as Dagster's.
        prepare: makes the pull out of settings and secrets. What it raises fails this run like any other error.
        work: what is done while nobody else can pull the object.
        recorded_as: the object's name in `sync_run` where it isn't the pull's.

    Raises:
        ObjectBusy: another run pulls the object.
        GateClosed: the primary CRM isn't there; no call was made to Gainsight.
        PipelineError: whatever else a person can act on. What was written before stays, and the next run goes on there.
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
            # Here as well, not only where the connection ends: the run's record is written before that.
            with variables_named(store.prefix), store.translated(), beside_migrations(store), _collected_rarely():
                prepared = prepare()
                with object_lease(store, name, run_id, clock) as lease:
                    runs.end_abandoned(connection, recorded, run_id)
                    context = PullContext(
                        prepared, connection, lease, report, started_at, budget=Budget(prepared.pull.limit)
                    )
                    _note_unreadable(_done(context, work, connect))
            report.status = "completed"
            return report
        except BaseException as error:
            report.status = _status_after(error)
            report.details[FAILED_AS] = _failed_as(error)
            if isinstance(error, (TransientError, LoginRefused)):  # the login worked a moment ago
                report.details[WORTH_RETRYING] = True
            error_text = _told(error)
            raise
        finally:
            report.seconds = clock.monotonic() - started
            report.details |= report.counted()
            if context is not None:
                context.count_calls()
                context.services.close()
            _leave_record(store, connection, report, clock.now(), error_text)


def _done(
    context: PullContext, work: Callable[[PullContext], None], connect: Callable[[], psycopg.Connection]
) -> PullContext:
    """Does the work; where its connection is lost, from its last page on with another one.

    A database that fails over or is restarted, and a password that is rotated, cost no run: the URL is read anew.

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
                continue  # the lost one says so again at once
            context.note(f"{error.message} The run went on from its last page.")
        else:
            return context
    work(context)
    return context


def _on_another_connection(context: PullContext, connection: psycopg.Connection) -> PullContext:
    """The pull with its counts as they were committed; what a connection holds for itself is gone with it."""
    report = context.report
    recorded = runs.find_run(connection, report.run_id, report.object)
    if report.undecided is not None and recorded is not None and recorded.records_read == report.undecided.read:
        report.back_to(report.undecided)
    budget = Budget(context.pull.limit, spent=report.read)
    return replace(context, connection=connection, budget=budget, linked=LinkedRows())


@contextmanager
def _collected_rarely() -> Iterator[None]:
    """Has Python look for circles of objects only now and then: a page is a hundred thousand objects and holds none.

    At the usual threshold that look takes a seventh of the CPU of a first load.
    """
    usual = gc.get_threshold()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _note_unreadable(context: PullContext) -> None:
    """Says which fields hold values that stay empty, since nothing else of the result shows it."""
    fields = context.report.counted().get(UNREADABLE)
    if fields:
        named = ", ".join(f"{name} ({count:,})" for name, count in list(fields.items())[:SHOWN_FIELDS])
        more = f" and {len(fields) - SHOWN_FIELDS} more fields" if len(fields) > SHOWN_FIELDS else ""
        count = context.report.unreadable
        context.note(
            f"{count:,} value{'' if count == 1 else 's'} can't be read and will stay empty: {named}{more}."
            f" See the column `unreadable` of `{context.pull.table.name}`."
        )


def _told(error: BaseException) -> str:
    """What `sync_run` keeps of an error. The text of one that nobody foresaw may quote a record, so it is left out."""
    if isinstance(error, PipelineError):
        return str(error)
    if not isinstance(error, Exception):  # Ctrl-C, TERM, Dagster's own word for a run that a person terminates
        return "The run was stopped. The next run goes on from its last page."
    return f"An error that nobody has foreseen ({type(error).__name__}): the run's log has the rest."


def _failed_as(error: BaseException) -> str:
    """The kind of an error, as `sync_run` keeps it for alerts."""
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


def _pull_all(context: PullContext) -> None:
    """Everything that a pull does."""
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
    """Reads and writes; again without them where the tenant refuses fields that it describes.

    Settings that don't fit a description of earlier today are held against a new one first: a field may just have been
    added.
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
    """Everything that this mapper reads: what is new, what changed settings affect, what is gone."""
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
            context.note("The limit was reached meanwhile: the next run goes on with reading again.")
            return
    finish(context, changes)
    try:
        find_deletions(context, mapper)
    except PermanentError as error:
        # What was read is good all the same.
        context.note(f"Which records were deleted can't be found out. {error}")


def _remap(context: PullContext, changes: Changes) -> None:
    """Applies changed mappings to what is stored; Gainsight isn't asked for it."""
    why = "; ".join(changes.remap_reasons)
    table, name = context.pull.table, context.pull.gainsight_object
    changed = sum(
        remap(context.connection, context.lease, table, name, how, context.report.run_id) for how in changes.remaps
    )
    context.report.details["remapped"] = changed
    context.note(f"{changed:,} stored rows were mapped anew, without calling Gainsight: {why}.")


def _look_at_rows(context: PullContext) -> None:
    """What people want to know of the stored rows, whichever run wrote them."""
    context.report.details["gainsight_calls_today"] = calls_of_day(context.connection, context.services.clock.now())
    examples = unmatched_examples(context.connection, context.pull.gainsight_object)
    if examples:
        context.report.details["unmatched_examples"] = examples
    if context.pull.table.holds_companies:
        several = accounts_with_several_companies(context.connection)
        if several:
            context.report.details["accounts_with_several_companies"] = several


def refresh_accounts(context: PullContext) -> AccountIndex:
    """Brings the accounts up to date, which is also the gate, and makes the index that matching asks."""
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
    """Heals and corrects the links of what is stored already, if anything that they depend on has changed."""
    if mapper.company.is_nobody:
        return
    connection, table, name = context.connection, context.pull.table, context.pull.gainsight_object
    before = context.scopes.take(Linked)
    with connection.transaction():
        # One view of accounts and companies for fingerprint and index: other pulls may refresh them meanwhile. What
        # they change after it is another fingerprint, for the next run.
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
    """Has the object's typed view show the fields as they are. Where that can't be done, the pull is good anyway."""
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
    """Whether every row is this run's own, linked with what still holds: a first load need not look at all again."""
    linked = context.linked
    return (
        linked.accounts is not None
        and linked.is_certain
        and linked.accounts == links.accounts_fingerprint(context.connection, context.prepared.gsid_field)
        and links.are_as_stored(context.connection, linked.crm_ids)
    )


def register_custom_fields(context: PullContext, mapper: Mapper) -> None:
    """Registers the fields whose values go into `custom_fields`, with label and type."""
    fields = [(found.name, found.label, found.data_type) for found in mapper.custom_fields]
    register_fields(context.connection, context.pull.table.name, context.pull.gainsight_object, fields)
