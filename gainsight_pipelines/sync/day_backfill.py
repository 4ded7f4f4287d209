"""Backfills by day: reads days again, each by the responses' own dates in UTC (requirement S8).

Beside the regular pull: same table, same lease, but without its cursor, and with its own row in `sync_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, cast

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.query import Condition
from gainsight_pipelines.gainsight.reader import ReadPlan, read_full
from gainsight_pipelines.objects.pull import Mapper
from gainsight_pipelines.store import bulk
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.scopes import Days
from gainsight_pipelines.sync.context import Prepared, PullContext
from gainsight_pipelines.sync.drift import remember
from gainsight_pipelines.sync.page_writer import PageWriter
from gainsight_pipelines.sync.report import SyncReport
from gainsight_pipelines.sync.run import locked, read_mapped, refresh_accounts, register_custom_fields


@dataclass(frozen=True, slots=True)
class DayRead:
    """The result of one day: records, and rows with and without an account."""

    day: date
    read: int
    written: int
    unchanged: int
    matched: int
    unmatched: int


class DayMapper(Mapper, Protocol):
    """A mapper whose records belong to days."""

    def day(self, day: date) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
        """The conditions for one day's records, in UTC: the dated ones, and those that count by another date."""
        ...


def recorded_as(name: str) -> str:
    """The name in `sync_run` of a pull's by-day reads."""
    return f"{name}_by_day"


def sync_days(
    store: Store,
    clock: Clock,
    name: str,
    run_id: str,
    prepare: Callable[[], Prepared],
    days: Sequence[date],
    report_day: Callable[[DayRead], None],
    *,
    limit: int | None = None,
) -> SyncReport:
    """Reads exactly these days, in order. Each page is stored as it comes; a day is reported once it is complete.

    Args:
        store: the store.
        clock: the source of time.
        name: the pull's name.
        run_id: of this run.
        prepare: creates the pull from settings and secrets.
        days: in UTC, in ascending order.
        report_day: called for each completed day.
        limit: the maximum number of records in this run; None: the pull's own limit.

    Raises:
        PermanentError: the limit was reached before the end of the last day.
        PipelineError: as for a pull.
    """
    done: set[date] = set()
    """Reported; a run that goes on with another connection, or without a refused field, reads none of them again."""

    def work(context: PullContext) -> None:
        index = refresh_accounts(context)
        bulk.prepare(context.connection, context.pull.table)

        def read(context: PullContext, mapper: Mapper, _schema: ObjectSchema, write: PageWriter) -> None:
            remember(context, mapper)
            left = [day for day in days if day not in done]
            for position, day in enumerate(left):
                at_most = context.pull.limit if limit is None else limit
                report_day(_read_day(context, cast("DayMapper", mapper), write, day, at_most, len(left) - position))
                done.add(day)

        mapper = read_mapped(context, index, read)
        register_custom_fields(context, mapper)
        context.report.details |= mapper.details()

    return locked(store, clock, name, run_id, prepare, work, recorded_as=recorded_as(name))


def _read_day(
    context: PullContext, mapper: DayMapper, write: PageWriter, day: date, limit: int | None, days_left: int
) -> DayRead:
    report = context.report
    before = (report.read, report.written, report.unchanged, report.matched, report.unmatched.total())
    context.scopes.take(Days)
    for filters in mapper.day(day):
        remaining = None if limit is None else limit - report.read
        plan = ReadPlan(
            object_name=context.pull.gainsight_object,
            select=mapper.select,
            # By GSID, which includes responses without a modification date.
            cursor_field=None,
            id_field=mapper.id_field,
            filters=filters,
            # With nothing left, one record shows whether there are more.
            limit=None if remaining is None else max(remaining, 1),
            kind="backfill",
        )
        for page in read_full(context.services.gainsight, plan, report=context.note):
            if remaining == 0 and page.records:
                raise _limit_reached(context, limit, day, days_left)
            write(page.records, Days(completed_at=context.started_at))
            if page.is_truncated:
                raise _limit_reached(context, limit, day, days_left)
    after = (report.read, report.written, report.unchanged, report.matched, report.unmatched.total())
    return DayRead(day, *(now - then for now, then in zip(after, before, strict=True)))


def _limit_reached(context: PullContext, limit: int | None, day: date, days_left: int) -> PermanentError:
    context.report.is_truncated = True
    return PermanentError(
        f"The limit of {limit} records was reached on {day} with {days_left} days left.",
        "Raise `response_limit` for this run, or run the rest.",
    )
