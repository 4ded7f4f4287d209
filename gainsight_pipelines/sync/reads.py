"""Which reads a pull makes, from where to where, and how the cursor moves with their pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.reader import (
    Position,
    ReadPlan,
    end_of_read,
    read_changed,
    read_without_modified,
    start_of_pull,
)
from gainsight_pipelines.objects.pull import Mapper, Window
from gainsight_pipelines.read_ahead import read_ahead
from gainsight_pipelines.store.runs import PULL, Cursor, take_cursor
from gainsight_pipelines.sync.changes import REREAD, Changes
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.filtered import read_filtered
from gainsight_pipelines.sync.pages import PageWriter

NULLS, UNDATED = "nulls", "undated"
"""Scopes of `sync_cursor` beside the pull itself: daily reads of records without a date."""

DAILY = timedelta(days=1)


def read_changes(context: PullContext, mapper: Mapper, write: PageWriter) -> None:
    """The pull itself: what was created or changed since the last one, oldest change first."""
    cursor = take_cursor(context.connection, context.pull.name, PULL, context.report.run_id)
    context.report.cursor_before = cursor
    window = mapper.window(context.started_at, cursor.window_from)
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
    for page in read_ahead(read_changed(context.services.gainsight, plan, report=context.note)):
        cursor = cursor.moved_to(read_started_at=cursor.read_started_at or page.server_time, is_whole=page.is_whole)
        is_anything_read |= bool(page.records)
        if page.position is not None and is_anything_read:
            cursor = cursor.moved_to(modified_at=page.position.modified, gsid=page.position.gsid)
        context.report.cleaned += page.cleaned
        context.report.is_truncated |= page.is_truncated
        if page.is_last and not page.is_truncated:
            cursor = _finished(context, cursor, is_anything_read=is_anything_read)
        write(page.records, PULL, cursor)
    context.report.cursor_after = cursor
    if context.report.is_truncated and cursor.modified_at is not None:
        context.report.details["read_up_to"] = cursor.modified_at.isoformat()
        context.note(
            f"The limit of {context.pull.limit:,} records was reached: what changed after"
            f" {cursor.modified_at:%Y-%m-%d %H:%M:%S} UTC is read by the next run."
        )


def read_again(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes) -> bool:
    """A second read, beside the pull's own cursor, for what changed settings affect. Taken up where it was cut off.

    Returns:
        Whether it came to its end; else the next run goes on with it.
    """
    name, run_id = context.pull.name, context.report.run_id
    cursor = take_cursor(context.connection, name, REREAD, run_id)
    if cursor.fingerprint != changes.target or cursor.completed_at is not None:
        cursor = Cursor(fingerprint=changes.target)
    window = mapper.window(context.started_at, None)
    if changes.until is not None and mapper.cursor_field is not None:
        before = Condition(mapper.cursor_field, Operator.LT, (changes.until,))
        window = replace(window, filters=(*window.filters, before))
    begins_at = Position(changes.start.replace(microsecond=0)) if changes.start else None
    start = Position(cursor.modified_at, cursor.gsid) if cursor.modified_at else begins_at
    is_whole = take_cursor(context.connection, name, PULL, run_id).is_whole
    plan = _plan(context, mapper, window, start=start, limit=context.pull.limit, is_whole=is_whole)
    is_done = False
    for page in read_ahead(read_changed(context.services.gainsight, plan, report=context.note)):
        if page.position is not None:
            cursor = cursor.moved_to(modified_at=page.position.modified, gsid=page.position.gsid)
        context.report.cleaned += page.cleaned
        context.report.is_truncated |= page.is_truncated
        if page.is_last and not page.is_truncated:
            is_done = True
            cursor = cursor.moved_to(completed_at=context.started_at)
        write(page.records, REREAD, cursor)
    return is_done


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


def read_daily(context: PullContext, mapper: Mapper, write: PageWriter, *, is_forced: bool = False) -> None:
    """Once a day, or when everything is read again: records that comparisons of dates leave out, having none."""
    window = mapper.window(context.started_at, None)
    if window.where is not None:
        return  # a filter of the settings says itself what is read
    if _is_due(context, NULLS) or is_forced:
        plan = _plan(context, mapper, Window(filters=window.filters), kind="daily")
        for page in read_without_modified(context.services.gainsight, plan, report=context.note):
            write(page.records, NULLS, Cursor(completed_at=context.started_at if page.is_last else None))
    if window.undated_filters and (_is_due(context, UNDATED) or is_forced):
        plan = _plan(context, mapper, Window(filters=window.undated_filters), kind="daily")
        for page in read_changed(context.services.gainsight, plan, report=context.note):
            write(page.records, UNDATED, Cursor(completed_at=context.started_at if page.is_last else None))


def _is_due(context: PullContext, scope: str) -> bool:
    cursor = take_cursor(context.connection, context.pull.name, scope, context.report.run_id)
    return cursor.completed_at is None or context.started_at - cursor.completed_at >= DAILY


def _plan(context: PullContext, mapper: Mapper, window: Window, **how: Any) -> ReadPlan:
    return ReadPlan(
        object_name=context.pull.gainsight_object,
        select=mapper.select,
        cursor_field=mapper.cursor_field,
        filters=window.filters,
        **how,
    )
