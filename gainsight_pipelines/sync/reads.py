"""Which reads a pull makes, from where to where, and how the cursor moves with their pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.reader import (
    Position,
    ReadPage,
    ReadPlan,
    end_of_read,
    read_by_ids,
    read_changed,
    read_whole,
    read_without_modified,
    start_of_pull,
)
from gainsight_pipelines.objects.pull import Mapper, Window
from gainsight_pipelines.store.runs import PULL, Cursor, take_cursor
from gainsight_pipelines.store.stored import dated_before
from gainsight_pipelines.sync.changes import NULLS, REREAD, STORED, UNDATED, Changes
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.filtered import read_filtered
from gainsight_pipelines.sync.pages import PageWriter

STORED_AT_A_TIME = 1000


def read_changes(context: PullContext, mapper: Mapper, write: PageWriter) -> None:
    """The pull itself: what was created or changed since the last one, oldest change first."""
    cursor = take_cursor(context.connection, context.pull.name, PULL, context.report.run_id)
    context.report.cursor_before = cursor
    window = mapper.window(context.started_at, _kept_since(context, cursor))
    if window.where is not None:
        read_filtered(context, mapper, window.where, write)
        return
    context.report.since = window.since
    start = _start(context, cursor, window)
    plan = _plan(
        context,
        mapper,
        window,
        start=start,
        limit=context.pull.limit,
        is_first_read=cursor.modified_at is None,
        is_whole=cursor.is_whole,
    )
    # While the read is under way completed_at is empty, so that a run that is killed goes on at its last page.
    cursor = cursor.moved_to(
        window_from=window.since,
        read_started_at=cursor.read_started_at if cursor.completed_at is None else None,
        completed_at=None,
    )
    is_anything_read = False
    for page, mapped in write.mapped_ahead(read_changed(context.services.gainsight, plan, report=context.note)):
        cursor = cursor.moved_to(read_started_at=cursor.read_started_at or page.server_time, is_whole=page.is_whole)
        is_anything_read |= bool(page.records)
        if is_anything_read:
            cursor = _at(cursor, page)
        context.report.cleaned += page.cleaned
        context.report.is_truncated |= page.is_truncated
        if page.is_last and not page.is_truncated:
            cursor = _finished(context, cursor, is_anything_read=is_anything_read)
        write(page.records, PULL, cursor, mapped)
    context.report.cursor_after = cursor
    if context.report.is_truncated and cursor.modified_at is not None:
        context.report.details["read_up_to"] = cursor.modified_at.isoformat()
        context.note(
            f"The limit of {context.pull.limit:,} records was reached: what changed after"
            f" {cursor.modified_at:%Y-%m-%d %H:%M:%S} UTC is read by the next run."
        )


def read_again(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes) -> bool:
    """A second read, beside the pull's own cursor, for what changed settings affect. Taken up where it was cut off.

    It has the pull's limit for itself.

    Returns:
        Whether it came to its end; else the next run goes on with it.
    """
    begun = context.report.read
    return _read_window_again(context, mapper, write, changes) and _read_stored_again(
        context, mapper, write, changes, begun
    )


def _read_window_again(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes) -> bool:
    name, run_id = context.pull.name, context.report.run_id
    cursor = take_cursor(context.connection, name, REREAD, run_id)
    window = mapper.window(context.started_at, None)
    is_done = cursor.fingerprint == changes.target and cursor.completed_at is not None
    if is_done or changes.is_first or window.where is not None:
        return True  # the pull has just read it, or does with each run
    if cursor.fingerprint != changes.target:
        cursor = Cursor(fingerprint=changes.target)
    if changes.until is not None and mapper.cursor_field is not None:
        before = Condition(mapper.cursor_field, Operator.LT, (changes.until,))
        window = replace(window, filters=(*window.filters, before))
    begins_at = Position(changes.start.replace(microsecond=0)) if changes.start else None
    start = Position(cursor.modified_at, cursor.gsid) if cursor.modified_at else begins_at
    is_whole = take_cursor(context.connection, name, PULL, run_id).is_whole
    plan = _plan(context, mapper, window, start=start, limit=context.pull.limit, is_whole=is_whole)
    for page, mapped in write.mapped_ahead(read_changed(context.services.gainsight, plan, report=context.note)):
        cursor = _at(cursor, page)
        context.report.cleaned += page.cleaned
        context.report.is_truncated |= page.is_truncated
        if page.is_last and not page.is_truncated:
            is_done = True
            cursor = cursor.moved_to(completed_at=context.started_at)
        write(page.records, REREAD, cursor, mapped)
    return is_done


def _read_stored_again(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes, begun: int) -> bool:
    """Asks by their Gsids for stored records that the window or filter of a read leaves out: changes hold for them too.

    `begun`: the records that this run had read before it began to read again.
    """
    window = mapper.window(context.started_at, None)
    is_all_read = not window.filters and window.where is None
    if is_all_read or not changes.is_of_stored:
        return True
    cursor = take_cursor(context.connection, context.pull.name, STORED, context.report.run_id)
    if cursor.fingerprint != changes.target:
        cursor = Cursor(fingerprint=changes.target)
    while cursor.completed_at is None:
        left = _left(context, begun)
        if left == 0:
            context.report.is_truncated = True
            return False
        ids = dated_before(
            context.connection,
            context.pull.table,
            context.pull.gainsight_object,
            window.since,
            after=cursor.gsid,
            at_most=STORED_AT_A_TIME if left is None else min(left, STORED_AT_A_TIME),
        )
        pages = read_by_ids(
            context.services.gainsight,
            context.pull.gainsight_object,
            mapper.select,
            "Gsid",
            ids,
            kind="query",
            report=context.note,
        )
        records = [record for page in pages for record in page]
        cursor = cursor.moved_to(gsid=ids[-1]) if ids else cursor.moved_to(completed_at=context.started_at)
        write(records, STORED, cursor)
    return True


def _kept_since(context: PullContext, cursor: Cursor) -> datetime | None:
    """What a window has to reach back to: the window of a read that was cut off, else the last read.

    After an outage that is longer than the look-back, what came in between is read all the same.
    """
    if cursor.window_from is not None or cursor.completed_at is None:
        return cursor.window_from
    return cursor.completed_at - context.prepared.overlap


def _at(cursor: Cursor, page: ReadPage) -> Cursor:
    """The cursor once this page is stored.

    Until a whole read has come to its end there is no place to go on at but its start, whatever an abandoned read by
    the cursor had come to.
    """
    if page.position is None and not page.is_whole:
        return cursor
    position = page.position
    return cursor.moved_to(
        modified_at=position.modified if position else None, gsid=position.gsid if position else None
    )


def _start(context: PullContext, cursor: Cursor, window: Window) -> Position | None:
    """Where the read begins: at the cursor, with an overlap where it is a new read and not the rest of the last."""
    if cursor.modified_at is None:
        return None if window.start is None else Position(window.start.replace(microsecond=0))
    position = Position(cursor.modified_at, cursor.gsid)
    if cursor.completed_at is None:
        return position
    return start_of_pull(position, cursor.read_started_at, context.prepared.overlap)


def _finished(context: PullContext, cursor: Cursor, *, is_anything_read: bool) -> Cursor:
    """The cursor after a complete read."""
    position = Position(cursor.modified_at, cursor.gsid) if cursor.modified_at else None
    if is_anything_read and cursor.read_started_at is not None:
        position = end_of_read(position, cursor.read_started_at, context.prepared.overlap)
    return cursor.moved_to(
        modified_at=position.modified if position else None,
        gsid=position.gsid if position else None,
        window_from=None,
        completed_at=context.started_at,
    )


def read_daily(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes) -> None:
    """Once a day, or when everything is read again: records that comparisons of dates leave out, having none."""
    window = mapper.window(context.started_at, None)
    if window.where is not None:
        return  # a filter of the settings says itself what is read
    target = changes.target if changes.is_from_the_beginning else None
    _read_undated(context, mapper, write, NULLS, target)
    if window.undated_filters:
        _read_undated(context, mapper, write, UNDATED, target)


def _read_undated(context: PullContext, mapper: Mapper, write: PageWriter, scope: str, target: str | None) -> None:
    """One such read, within what the run's limit leaves; cut off, the next run goes on with it.

    `target` names the reread that this is a part of, if it is one.
    """
    cursor = take_cursor(context.connection, context.pull.name, scope, context.report.run_id)
    is_asked_for = target is not None and cursor.fingerprint != target
    is_under_way = cursor.completed_at is None and not is_asked_for
    if cursor.completed_at is not None and not context.is_due(cursor.completed_at) and not is_asked_for:
        return
    window = mapper.window(context.started_at, _kept_since(context, cursor))
    filters = window.filters if scope == NULLS else window.undated_filters
    if not is_under_way:
        cursor = Cursor(fingerprint=target or cursor.fingerprint)
    cursor = cursor.moved_to(window_from=window.since)
    left = _left(context)
    if left == 0:
        write([], scope, cursor)  # under way from now on, so that the next run does it
        return
    if cursor.gsid is not None:
        filters = (*filters, Condition("Gsid", Operator.GT, (cursor.gsid,)))
    plan = _plan(context, mapper, Window(filters=filters), limit=left, kind="daily")
    if scope == NULLS:
        pages = read_without_modified(context.services.gainsight, plan, report=context.note)
    else:
        # By Gsid too: some may have neither date.
        pages = read_whole(context.services.gainsight, replace(plan, cursor_field=None), report=context.note)
    for page in pages:
        context.report.is_truncated |= page.is_truncated
        # Where the order isn't to be trusted there is no place to go on at: then the next day begins anew.
        if page.is_last and (not page.is_truncated or page.is_whole):
            cursor = cursor.moved_to(gsid=None, window_from=None, completed_at=context.started_at)
        elif page.records and not page.is_whole:
            cursor = cursor.moved_to(gsid=str(page.records[-1]["Gsid"]))
        if page.is_truncated:
            context.note(
                f"The limit of {context.pull.limit:,} records was reached among records without a date:"
                f" {'the next day begins' if page.is_whole else 'the next run goes on'} with them."
            )
        write(page.records, scope, cursor)


def _left(context: PullContext, begun: int = 0) -> int | None:
    """How many records may still be read, of those that the limit allows since `begun` were read; None: any number."""
    return None if context.pull.limit is None else max(0, context.pull.limit - (context.report.read - begun))


def _plan(context: PullContext, mapper: Mapper, window: Window, **how: Any) -> ReadPlan:
    return ReadPlan(
        object_name=context.pull.gainsight_object,
        select=mapper.select,
        cursor_field=mapper.cursor_field,
        filters=window.filters,
        **how,
    )
