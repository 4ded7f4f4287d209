"""The reads of a pull: which ones, their start and end, and how its cursors move with their pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.reader import (
    Position,
    ReadPage,
    ReadPlan,
    end_of_read,
    read_by_ids,
    read_changed,
    read_full,
    read_without_modified,
    start_of_pull,
)
from gainsight_pipelines.objects.pull import Mapper, Window
from gainsight_pipelines.store.scopes import (
    Pull,
    Reread,
    RereadStored,
    Undated,
    WithoutDate,
    WithoutModification,
)
from gainsight_pipelines.store.stored_records import dated_before
from gainsight_pipelines.sync.budget import Budget
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.drift import Changes
from gainsight_pipelines.sync.filtered import read_filtered
from gainsight_pipelines.sync.page_writer import PageWriter
from gainsight_pipelines.sync.strategy import Strategy, strategy_of

STORED_AT_A_TIME = 1000

Placed = TypeVar("Placed", Pull, Reread)


def read_changes(context: PullContext, mapper: Mapper, write: PageWriter) -> None:
    """The pull itself: what was created or changed since the last one, oldest change first."""
    pull = context.report.cursor_before = context.scopes.take(Pull)
    window = mapper.window(context.started_at, _kept_since(context, pull))
    if window.where is not None:
        read_filtered(context, mapper, window.where, write)
        return
    context.report.since = window.since
    if context.budget.remaining == 0:
        context.report.is_truncated = True  # used up by an earlier attempt that the tenant refused midway
        return
    strategy = strategy_of(context, context.scopes)
    plan = _plan(
        context,
        mapper,
        window,
        strategy,
        start=_start(context, pull, window),
        limit=context.budget.remaining,
        is_first_read=pull.modified_at is None or strategy.is_retry,
    )
    # During the read completed_at is empty, so that after a kill the next run goes on at the last page.
    pull = pull.moved_to(
        window_from=window.since,
        read_started_at=pull.read_started_at if pull.completed_at is None else None,
        completed_at=None,
    )
    is_anything_read = False
    for page, mapped in write.mapped_ahead(read_changed(context.services.gainsight, plan, report=context.note)):
        pull = pull.moved_to(read_started_at=pull.read_started_at or page.server_time)
        is_anything_read |= bool(page.records)
        if is_anything_read:
            pull = _at(pull, page)
        if page.is_last and not page.is_truncated:
            pull = _finished(context, pull, is_anything_read=is_anything_read)
        _count(context, context.budget, page)
        write(page.records, pull, mapped, also=partial(strategy.learn, page))
    context.report.cursor_after = pull
    if context.report.is_truncated and pull.modified_at is not None:
        context.report.details["read_up_to"] = pull.modified_at.isoformat()
        context.note(
            f"The limit of {context.pull.limit:,} records was reached: what changed after"
            f" {pull.modified_at:%Y-%m-%d %H:%M:%S} UTC is read by the next run."
        )


def read_again(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes) -> bool:
    """A second read, beside the pull's own, for records that changed settings affect. Resumes an interrupted one.

    It has the pull's full limit.

    Returns:
        Whether it was completed; otherwise the next run goes on with it.
    """
    budget = Budget(context.pull.limit)
    return _read_window_again(context, mapper, write, changes, budget) and _read_stored_again(
        context, mapper, write, changes, budget
    )


def _read_window_again(
    context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes, budget: Budget
) -> bool:
    reread = context.scopes.take(Reread)
    window = mapper.window(context.started_at, None)
    is_done = reread.target == changes.target and reread.completed_at is not None
    if is_done or changes.is_first or window.where is not None:
        return True  # the pull has just read it, or does in each run
    if reread.target != changes.target:
        reread = Reread(changes.target)
    if changes.until is not None and mapper.cursor_field is not None:
        before = Condition(mapper.cursor_field, Operator.LT, (changes.until,))
        window = replace(window, filters=(*window.filters, before))
    begins_at = Position(changes.start.replace(microsecond=0)) if changes.start else None
    start = Position(reread.modified_at, reread.gsid) if reread.modified_at else begins_at
    strategy = strategy_of(context, context.scopes)
    plan = _plan(context, mapper, window, strategy, start=start, limit=budget.remaining)
    for page, mapped in write.mapped_ahead(read_changed(context.services.gainsight, plan, report=context.note)):
        reread = _at(reread, page)
        if page.is_last and not page.is_truncated:
            is_done = True
            reread = reread.moved_to(completed_at=context.started_at)
        _count(context, budget, page)
        write(page.records, reread, mapped, also=partial(strategy.learn, page))
    return is_done


def _read_stored_again(
    context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes, budget: Budget
) -> bool:
    """Requests by GSID the stored records that a read's window or filter excludes."""
    window = mapper.window(context.started_at, None)
    is_all_read = not window.filters and window.where is None
    id_field = mapper.id_field
    if is_all_read or not changes.is_of_stored or id_field is None:
        return True
    reread = context.scopes.take(RereadStored)
    if reread.target != changes.target:
        reread = RereadStored(changes.target)
    while reread.completed_at is None:
        at_most = budget.share(STORED_AT_A_TIME)
        if at_most == 0:
            context.report.is_truncated = True
            return False
        ids = dated_before(
            context.connection,
            context.pull.table,
            context.pull.gainsight_object,
            window.since,
            after=reread.gsid,
            at_most=at_most,
        )
        pages = read_by_ids(
            context.services.gainsight,
            context.pull.gainsight_object,
            mapper.select,
            id_field,
            ids,
            kind="query",
            report=context.note,
        )
        records = [record for page in pages for record in page]
        budget.spend(len(records))
        reread = reread.moved_to(gsid=ids[-1]) if ids else reread.moved_to(completed_at=context.started_at)
        write(records, reread)
    return True


def read_daily(context: PullContext, mapper: Mapper, write: PageWriter, changes: Changes) -> None:
    """Once a day, or when everything is read again: records without a date, which date comparisons exclude."""
    window = mapper.window(context.started_at, None)
    if window.where is not None:
        return  # a filter from the settings decides what is read
    target = changes.target if changes.is_from_the_beginning else None
    _read_undated(context, mapper, write, WithoutModification, target)
    if window.undated_filters:
        _read_undated(context, mapper, write, WithoutDate, target)


def _read_undated(
    context: PullContext, mapper: Mapper, write: PageWriter, kind: type[Undated], target: str | None
) -> None:
    """One such read, within the rest of the run's limit; if interrupted, the next run goes on with it.

    `target`: the reread that this belongs to, if any.
    """
    state = context.scopes.take(kind)
    is_asked_for = target is not None and state.target != target
    is_under_way = state.completed_at is None and not is_asked_for
    if state.completed_at is not None and not context.is_due(state.completed_at) and not is_asked_for:
        return
    window = mapper.window(context.started_at, _kept_since(context, state))
    filters = window.filters if kind is WithoutModification else window.undated_filters
    if not is_under_way:
        state = kind(target=target or state.target)
    state = state.moved_to(window_from=window.since)
    remaining = context.budget.remaining
    if remaining == 0:
        write([], state)  # marked as started, so that the next run resumes it
        return
    id_field = mapper.id_field
    assert id_field is not None  # an object with a cursor has one
    if state.gsid is not None:
        filters = (*filters, Condition(id_field, Operator.GT, (state.gsid,)))
    plan = _plan(context, mapper, Window(filters=filters), None, limit=remaining, kind="daily")
    if kind is WithoutModification:
        pages = read_without_modified(context.services.gainsight, plan, report=context.note)
    else:
        # By GSID too: some may have neither date.
        pages = read_full(context.services.gainsight, replace(plan, cursor_field=None), report=context.note)
    for page in pages:
        # If the order can't be trusted there is no place to resume at: the next day starts over.
        if page.is_last and (not page.is_truncated or page.is_whole):
            state = state.moved_to(gsid=None, window_from=None, completed_at=context.started_at)
        elif page.records and not page.is_whole:
            state = state.moved_to(gsid=str(page.records[-1][id_field]))
        if page.is_truncated:
            context.note(
                f"The limit of {context.pull.limit:,} records was reached among records without a date:"
                f" {'the next day begins' if page.is_whole else 'the next run goes on'} with them."
            )
        _count(context, context.budget, page)
        write(page.records, state)


def _kept_since(context: PullContext, state: Pull | Undated) -> datetime | None:
    """How far a window must reach back: to the window of an interrupted read, otherwise to the last read.

    After an outage longer than the lookback, what came in between is still read.
    """
    if state.window_from is not None or state.completed_at is None:
        return state.window_from
    return state.completed_at - context.prepared.overlap


def _at(state: Placed, page: ReadPage) -> Placed:
    """The scope once this page is stored.

    Until a full read is complete, it can only be resumed at its start, however far an abandoned read by cursor had
    come.
    """
    if page.position is None and not page.is_whole:
        return state
    position = page.position
    return state.moved_to(modified_at=position.modified if position else None, gsid=position.gsid if position else None)


def _start(context: PullContext, pull: Pull, window: Window) -> Position | None:
    """Where the read begins: at the cursor; for a new read, with an overlap."""
    if pull.modified_at is None:
        return None if window.start is None else Position(window.start.replace(microsecond=0))
    position = Position(pull.modified_at, pull.gsid)
    if pull.completed_at is None:
        return position
    return start_of_pull(position, pull.read_started_at, context.prepared.overlap)


def _finished(context: PullContext, pull: Pull, *, is_anything_read: bool) -> Pull:
    """The scope after a complete read."""
    position = Position(pull.modified_at, pull.gsid) if pull.modified_at else None
    if is_anything_read and pull.read_started_at is not None:
        position = end_of_read(position, pull.read_started_at, context.prepared.overlap)
    return pull.moved_to(
        modified_at=position.modified if position else None,
        gsid=position.gsid if position else None,
        window_from=None,
        completed_at=context.started_at,
    )


def _count(context: PullContext, budget: Budget, page: ReadPage) -> None:
    budget.spend(len(page.records))
    context.report.cleaned += page.cleaned
    context.report.is_truncated |= page.is_truncated


def _plan(context: PullContext, mapper: Mapper, window: Window, strategy: Strategy | None, **how: Any) -> ReadPlan:
    if strategy is not None:
        how |= {"is_whole": strategy.is_whole, "is_retry": strategy.is_retry, "page_size": strategy.page_size}
    return ReadPlan(
        object_name=context.pull.gainsight_object,
        select=mapper.select,
        cursor_field=mapper.cursor_field,
        id_field=mapper.id_field,
        filters=window.filters,
        **how,
    )
