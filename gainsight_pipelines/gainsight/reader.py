"""Readers: fetch the changed records of a Gainsight object page by page, and check that the tenant honours the query.

Keyset paging, ascending by (cursor, GSID): records edited meanwhile move to the end and are read again::

    cursor GTE t                      skip what was already read of that second; continue from the last second …
    a second fills a page             read that second by GSID: GTE s AND LT s+1s AND Gsid GT the last; then GTE s+1s
    fewer than 100 records            the end; after any other page, request the next until nothing new comes
    not what was requested            fall back to a full read (full_read.py), and tell the caller

Dates may be stored with fractions that aren't shown, so times are never compared for equality, and order is judged by
whole seconds. (A tenant that rounds times up when showing them is not supported.) All readers are generators that hold
one page; a caller may run them in a thread, one page ahead of its writing.

A first read proves the tenant's behaviour with small calls (``ReadPlan.is_first_read``): a known record is found by the
second of its own date, no record comes before the first page, and the order reverses on request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from gainsight_pipelines.gainsight.client import GainsightClient, Page
from gainsight_pipelines.gainsight.full_read import FullRead
from gainsight_pipelines.gainsight.pages import (
    Columns,
    Identity,
    NotHonoured,
    Pages,
    Record,
    comes_after,
    is_ascending,
    is_short,
    within_second,
)
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.read_plan import (
    ONE_SECOND,
    PAGE_SIZE,
    Position,
    ReadPage,
    ReadPlan,
    Report,
    end_of_read,
    start_of_pull,
)
from gainsight_pipelines.values import parse_datetime, whole_second

__all__ = [
    "PAGE_SIZE",
    "Position",
    "ReadPage",
    "ReadPlan",
    "Report",
    "end_of_read",
    "read_by_ids",
    "read_changed",
    "read_full",
    "read_without_modified",
    "start_of_pull",
]

IDS_PER_CALL = 200


def _say_nothing(sentence: str) -> None:
    """The default report: discards the sentence."""


def read_changed(
    client: GainsightClient, plan: ReadPlan, *, page_size: int = PAGE_SIZE, report: Report = _say_nothing
) -> Iterator[ReadPage]:
    """Yields the records whose cursor is at or after the plan's start, oldest first. Makes (pages + 1) calls.

    Records without a date are not included (:func:`read_without_modified`), unless the tenant requires a full read. A
    record may come twice if it is edited meanwhile or the read restarts.

    Raises:
        CannotReadCompletely: the tenant honours nothing that would prove the read complete.
        PipelineError: see the tree in gainsight/errors.py.
    """
    if plan.cursor_field is None or plan.id_field is None:
        yield from read_full(client, plan, page_size=page_size, report=report)
        return
    columns = Columns(plan)
    pages = Pages(client, plan, columns, page_size, report)
    found: NotHonoured | None = None
    has_given = False
    if not plan.is_whole:
        reading = _CursorRead(plan, columns, pages)
        try:
            yield from reading.read()
            return
        except NotHonoured as error:
            found = error
            has_given = reading.has_given
            report(
                f"{plan.object_name}: {error.finding}, so {_PARTS[error.part]} can't be trusted in this tenant;"
                " reading the object in full"
            )
    yield from FullRead(plan, columns, pages, report, found=found, has_given=has_given).read()


def read_full(
    client: GainsightClient, plan: ReadPlan, *, page_size: int = PAGE_SIZE, report: Report = _say_nothing
) -> Iterator[ReadPage]:
    """Yields all records of an object (within the plan's filters and start), in no particular order.

    For objects without a cursor, sweeps and full reads into staging: complete, or an error. Mind ``is_restart``.

    Raises:
        CannotReadCompletely, PipelineError: as :func:`read_changed`.
    """
    columns = Columns(plan)
    pages = Pages(client, plan, columns, page_size, report)
    yield from FullRead(plan, columns, pages, report).read()


def read_without_modified(
    client: GainsightClient, plan: ReadPlan, *, page_size: int = PAGE_SIZE, report: Report = _say_nothing
) -> Iterator[ReadPage]:
    """Yields the records whose cursor is null, by GSID; ignores the plan's ``start``.

    Raises:
        CannotReadCompletely, PipelineError: as :func:`read_changed`.
    """
    if plan.cursor_field is None:
        raise ValueError("an object without a cursor is read in full")
    only_null = Condition(plan.cursor_field, Operator.IS_NULL)
    inner = replace(plan, cursor_field=None, start=None, filters=(*plan.filters, only_null))
    yield from read_full(client, inner, page_size=page_size, report=report)


def read_by_ids(
    client: GainsightClient,
    object_name: str,
    select: tuple[str, ...],
    id_field: str,
    ids: Iterable[str],
    *,
    kind: str = "links",
    report: Report = _say_nothing,
) -> Iterator[list[dict[str, Any]]]:
    """Yields the records with these ids, 200 ids per call. Unknown ids are skipped.

    Args:
        client: the client to use.
        object_name: the object.
        select: the wanted fields; ``id_field`` is added.
        id_field: a field that is unique in the object.
        ids: in any number and order; each is requested once.
        kind: the kind under which the client counts the calls.
        report: receives sentences about the progress.

    Raises:
        CannotReadCompletely, PipelineError: as :func:`read_changed`.
    """
    wanted = list(dict.fromkeys(ids))
    plan = ReadPlan(object_name, select, cursor_field=None, id_field=id_field, kind=kind)
    columns = Columns(plan)
    pages = Pages(client, plan, columns, PAGE_SIZE, report)
    for index in range(0, len(wanted), IDS_PER_CALL):
        try:
            yield from _batch_by_ids(pages, columns, wanted[index : index + IDS_PER_CALL])
        except NotHonoured as found:
            report(f"{object_name}: {found.finding}, so conditions can't be trusted in this tenant; reading it in full")
            rest = {one.casefold() for one in wanted[index:]}
            for page in FullRead(plan, columns, pages, report, found=found).read():
                kept = [one for one in page.records if str(one.get(columns.id or "")).casefold() in rest]
                if kept:
                    yield kept
            return


def _batch_by_ids(pages: Pages, columns: Columns, batch: list[str]) -> Iterator[list[Record]]:
    assert columns.id is not None
    missing = {one.casefold(): one for one in batch}
    while missing:
        page = pages.ask((Condition(columns.id, Operator.IN, tuple(missing.values())),), (columns.id,))
        came = [one.casefold() for one in columns.ids(page.records)]
        if not all(one in missing for one in came):
            raise NotHonoured("where", f"records came that {columns.id} IN excludes")
        if page.records:
            yield page.records
        for one in came:
            missing.pop(one, None)
        if is_short(page):
            return
        # The tenant may cap pages: request what is missing until nothing comes.


_PARTS = {
    "where": "conditions",
    "orderBy": "the order of pages",
    "dates": "conditions on dates (time zones)",
    "paging": "pages",
}


class _CursorRead:
    """One read by cursor. ``has_given``: whether it has yielded records yet."""

    def __init__(self, plan: ReadPlan, columns: Columns, pages: Pages) -> None:
        assert columns.cursor is not None
        assert columns.id is not None
        self.has_given = False
        self._plan = plan
        self._columns = columns
        self._cursor = columns.cursor
        self._id = columns.id
        self._pages = pages
        self._position = plan.start
        self._is_draining = plan.start is not None and plan.start.gsid is not None
        # What was read of the position's second. A second with more records than a page is read by GSID instead.
        self._seen: set[Identity] = set()
        self._left = plan.limit
        self._must_prove = plan.is_first_read

    def read(self) -> Iterator[ReadPage]:
        """Yields the pages. Raises NotHonoured if the tenant requires another method."""
        if self._plan.is_retry:
            self._prove_at_large()
        while True:
            given = self._drain() if self._is_draining else self._go_on()
            if given is None:
                continue
            self.has_given = self.has_given or bool(given.records)
            yield given
            if given.is_last:
                return

    def _go_on(self) -> ReadPage | None:
        """One page from the position on; None if it shows that a second must be read by GSID."""
        page = self._ask_from_position()
        seconds = self._columns.seconds(page.records)
        self._check(page, seconds)
        if self._must_prove and page.records:
            self._prove(page, seconds)
            self._must_prove = False
        fresh = self._without_seen(page.records, seconds)
        if not is_short(page):
            second = self._second_to_drain(page, seconds, fresh)
            if second is not None:
                self._start_draining(second)
                return None
        if self._left is not None and len(fresh) > self._left:
            return self._cut(page, fresh)
        self._move_on(page.records, seconds)
        return self._give(page, [record for record, _ in fresh], is_last=is_short(page) or not fresh)

    def _drain(self) -> ReadPage | None:
        """One page of the second that is being read by GSID; None if it has nothing new."""
        assert self._position is not None
        second, last = self._position.modified, self._position.gsid
        after = () if last is None else (Condition(self._id, Operator.GT, (last,)),)
        where = (*self._columns.filters, *within_second(self._cursor, second), *after)
        page = self._pages.ask(where, (self._id,), at_most=self._at_most())
        ids = self._columns.ids(page.records)
        self._check_drained(page, ids, second, last)
        fresh = [record for record, one in zip(page.records, ids, strict=True) if one not in self._seen]
        if self._left is not None and len(fresh) > self._left:
            fresh = fresh[: self._left]
            self._position = Position(second, self._columns.ids(fresh)[-1] if fresh else last)
            return self._give(page, fresh, is_last=True, is_truncated=True)
        if is_short(page):
            self._position, self._is_draining = Position(second + ONE_SECOND), False
            self._seen.clear()
        else:
            self._position = Position(second, ids[-1])
        return self._give(page, fresh, is_last=False) if fresh else None

    def _ask_from_position(self) -> Page:
        return self._pages.ask(self._window(), (self._cursor, self._id), at_most=self._at_most())

    def _window(self) -> tuple[Condition, ...]:
        """The conditions for everything still to be read."""
        if self._position is None:
            # Not "GTE some early day": every record with a date must come.
            return (*self._columns.filters, Condition(self._cursor, Operator.IS_NOT_NULL))
        return (*self._columns.filters, Condition(self._cursor, Operator.GTE, (self._position.modified,)))

    def _at_most(self) -> int | None:
        """With a limit: the remaining records, the ones that come again, and one that shows if there are more."""
        return None if self._left is None else self._left + len(self._seen) + 1

    def _check(self, page: Page, seconds: Sequence[datetime]) -> None:
        start = self._position
        if start is not None and any(second < start.modified for second in seconds):
            raise NotHonoured("where", f"records from before the requested {self._cursor} came")
        self._columns.check_filters(page.records, self._columns.filters)
        if any(left > right for left, right in pairwise(seconds)):
            raise NotHonoured("orderBy", f"a page ordered by {self._cursor} is in another order")

    def _check_drained(self, page: Page, ids: Sequence[str], second: datetime, last: str | None) -> None:
        if any(one != second for one in self._columns.seconds(page.records)):
            raise NotHonoured("where", f"records from outside the requested second of {self._cursor} came")
        self._columns.check_filters(page.records, self._columns.filters)
        if not is_ascending(ids):
            raise NotHonoured("orderBy", f"a page ordered by {self._id} is in another order")
        if ids and last is not None and not comes_after(ids[0], last):
            raise NotHonoured("where", f"records came that {self._id} GT excludes")

    def _without_seen(self, records: Sequence[Record], seconds: Sequence[datetime]) -> list[tuple[Record, datetime]]:
        if not self._seen or self._position is None:
            return list(zip(records, seconds, strict=True))
        read = self._position.modified
        return [
            (record, second)
            for record, second in zip(records, seconds, strict=True)
            if second != read or self._columns.identity(record) not in self._seen
        ]

    def _second_to_drain(
        self, page: Page, seconds: Sequence[datetime], fresh: Sequence[tuple[Record, datetime]]
    ) -> datetime | None:
        """The second that must be read by GSID because reading by cursor wouldn't get past it, if there is one."""
        count = len(page.records)
        if seconds[0] == seconds[-1]:
            is_full = count >= page.limit or self._left is not None
            # The same records again, as many as ever came at once: a tenant that caps pages may hold others back.
            is_stuck = not fresh and (count >= self._pages.largest or count < len(self._seen))
            return seconds[0] if is_full or is_stuck else None
        if self._left and len(fresh) > self._left and fresh[0][1] == fresh[self._left][1]:
            # Cut off within one second, the next read would start and end with the same records.
            return fresh[0][1]
        return None

    def _start_draining(self, second: datetime) -> None:
        if self._position is None or self._position.modified != second:
            self._seen.clear()
        self._position, self._is_draining = Position(second), True

    def _cut(self, page: Page, fresh: Sequence[tuple[Record, datetime]]) -> ReadPage:
        """The last page of a read that reached its limit: everything before the next record's second is stored."""
        assert self._left is not None
        self._position = Position(fresh[self._left][1])
        records = [record for record, _ in fresh[: self._left]]
        return self._give(page, records, is_last=True, is_truncated=True)

    def _move_on(self, records: Sequence[Record], seconds: Sequence[datetime]) -> None:
        if not records:
            return
        last = seconds[-1]
        if self._position is None or self._position.modified != last:
            self._seen.clear()
        for record, second in zip(reversed(records), reversed(seconds), strict=True):
            if second != last:
                break
            self._seen.add(self._columns.identity(record))
        self._position = Position(last)

    def _give(self, page: Page, records: list[Record], *, is_last: bool, is_truncated: bool = False) -> ReadPage:
        if self._left is not None:
            self._left -= len(records)
        return ReadPage(
            records=records,
            position=self._position,
            server_time=page.server_time,
            size_bytes=page.size_bytes,
            is_last=is_last,
            cleaned=page.cleaned,
            is_truncated=is_truncated,
            page_size=self._pages.reduced_size,
        )

    def _prove(self, page: Page, seconds: Sequence[datetime]) -> None:
        """Proves with small calls that date conditions and order are honoured, before relying on the first page.

        A short page is everything there is, so its order doesn't matter.

        Raises:
            NotHonoured: they aren't.
        """
        self._prove_dates(page.records, seconds)
        if not is_short(page):
            self._prove_beginning(seconds[0])
            self._prove_order(seconds)

    def _prove_at_large(self) -> None:
        """Proves dates and order on the newest and the oldest of all records, whatever is to be read of them.

        Raises:
            NotHonoured: they aren't honoured, or it can't be decided.
        """
        dated, order = Condition(self._cursor, Operator.IS_NOT_NULL), (self._cursor, self._id)
        where = (*self._columns.filters, dated)
        newest = self._pages.ask(where, order, direction="desc", at_most=1, kind="probe").records
        if not newest:
            return
        second = self._second_of(newest[0])
        if second is None:
            raise NotHonoured("dates", f"the latest {self._cursor} can't be read")
        self._prove_dates(newest, [second])
        oldest = self._pages.ask(where, order, at_most=1, kind="probe").records
        first = next(map(self._second_of, oldest), None)
        if first is None or first > second:
            raise NotHonoured("orderBy", f"the first record by {self._cursor} comes after the last")
        if first == second:
            before = Condition(self._cursor, Operator.LT, (second,))
            if self._pages.ask((*where, before), order, at_most=1, kind="probe").records:
                raise NotHonoured("orderBy", f"the first record by {self._cursor} is the last")

    def _prove_beginning(self, first: datetime) -> None:
        """Checks that no record comes before the first page."""
        where = (*self._window(), Condition(self._cursor, Operator.LT, (first,)))
        page = self._pages.ask(where, (self._cursor, self._id), at_most=1, kind="probe")
        second = next(map(self._second_of, page.records), None)
        if second is not None and second >= first:
            raise NotHonoured("dates", f"records came that {self._cursor} LT excludes")
        if second is not None:
            raise NotHonoured("orderBy", f"records come before the first page ordered by {self._cursor}")

    def _prove_order(self, seconds: Sequence[datetime]) -> None:
        """Requests the newest record: if it is older than the end of the oldest page, the order isn't honoured."""
        if seconds[0] == seconds[-1]:
            return  # it would prove nothing
        order = (self._cursor, self._id)
        page = self._pages.ask(self._window(), order, direction="desc", at_most=1, kind="probe")
        newest = next(map(self._second_of, page.records), None)
        if newest is not None and newest < seconds[-1]:
            raise NotHonoured("orderBy", f"the last record by {self._cursor} comes before the end of the first page")

    def _prove_dates(self, records: Sequence[Record], seconds: Sequence[datetime]) -> None:
        """Requests a known record by the second of its own time. If it doesn't come back, time zones are mixed up.

        A record edited meanwhile has left that second, so a second one is tried before concluding.
        """
        for index in (0, len(records) // 2):
            record, second = records[index], seconds[index]
            name = record.get(self._id)
            if not isinstance(name, str) or not name or self._second_of(record) != second:
                continue
            by_name = Condition(self._id, Operator.EQ, (name,))
            if self._comes_back(name, (*within_second(self._cursor, second), by_name)) is not None:
                return
            now = self._comes_back(name, (by_name,))
            if now is not None and self._second_of(now) == second:
                raise NotHonoured("dates", f"a known record isn't found by the second of its own {self._cursor}")

    def _comes_back(self, name: str, where: tuple[Condition, ...]) -> Record | None:
        page = self._pages.ask(where, at_most=1, kind="probe")
        for record in page.records:
            if record.get(self._id) != name:
                raise NotHonoured("where", f"records came that {self._id} EQ excludes")
            return record
        return None

    def _second_of(self, record: Record) -> datetime | None:
        try:
            instant = parse_datetime(record.get(self._cursor))
        except ValueError:
            return None
        return None if instant is None else whole_second(instant)
