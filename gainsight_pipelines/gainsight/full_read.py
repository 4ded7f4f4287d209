"""Full reads: for objects without a cursor, and for tenants that don't honour what reading by cursor needs.

Three methods, the safest first. Each page is checked; if the tenant doesn't honour a method, the next one is used. With
more than one page, two small calls prove the order by GSID, since pages may ascend by chance.

1. By GSID: ``Gsid GT`` the last one, ordered by GSID. Concurrent changes can't make it miss a record.
2. By offset, ordered by GSID: pages overlap, so the read notices concurrent deletions and steps back.
3. By offset alone: pages overlap, and the overlap must repeat the same records, otherwise the order isn't stable. After
   a second attempt the read fails, since nothing proves it complete.

If the tenant doesn't honour ``where``, filters and start are applied here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal

from gainsight_pipelines.gainsight.client import Page
from gainsight_pipelines.gainsight.errors import CannotReadCompletely
from gainsight_pipelines.gainsight.pages import (
    Columns,
    Identity,
    NotHonoured,
    Pages,
    Record,
    comes_after,
    is_ascending,
    is_short,
)
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.read_plan import Position, ReadPage, ReadPlan, Report
from gainsight_pipelines.values import parse_datetime, whole_second

OVERLAP = 20  # records that consecutive pages by offset share; smaller than a short page
MAX_STEPS_BACK = 100  # per read by offset: with more concurrent deletions the object can't be read that way
PLAIN_TRIES = 2

_Batch = tuple[Page, list[Record], bool]  # the page, its new records, whether it ends the read


class FullRead:
    """One full read of an object.

    Args:
        plan: what to read.
        columns: its names.
        pages: requests pages.
        report: receives sentences about the progress.
        found: why reading by cursor failed, if it was tried. Without it, filters are sent and checked.
        has_given: whether an earlier method has already yielded pages.
    """

    def __init__(
        self,
        plan: ReadPlan,
        columns: Columns,
        pages: Pages,
        report: Report,
        *,
        found: NotHonoured | None = None,
        has_given: bool = False,
    ) -> None:
        self._plan = plan
        self._columns = columns
        self._pages = pages
        self._report = report
        self._is_where_honoured = not plan.is_whole and (found is None or found.part == "orderBy")
        self._is_id_where_honoured = found is None or found.part != "where"
        self._has_given = has_given
        self._is_fallback = found is not None or plan.is_whole
        self._finding = found.finding if found is not None else ""

    def read(self) -> Iterator[ReadPage]:
        """Yields the pages, by the first method that the tenant honours.

        Raises:
            CannotReadCompletely: it honours none.
        """
        way = self._first_way()
        while way is not None:
            try:
                yield from self._pages_of(way)
                return
            except NotHonoured as found:
                if found.part in ("where", "dates"):
                    self._is_where_honoured = self._is_id_where_honoured = False
                following = self._next_way(way, found)
                self._report(
                    f"{self._plan.object_name}: {found.finding} ({found.part} isn't honoured)"
                    + (f"; reading it {_NAMES[following]}" if following is not None else "")
                )
                if following is None:
                    raise CannotReadCompletely(
                        f"{self._plan.object_name} can't be read completely: {found.finding}",
                        "Gainsight honours neither conditions nor order nor offsets here; ask its support about the"
                        " object's query call.",
                    ) from None
                self._is_fallback = True
                self._finding = self._finding or found.finding
                way = following

    def _first_way(self) -> _Way | None:
        if self._columns.id is None:
            return "plain"
        return "by_id" if self._is_id_where_honoured else "by_offset"

    def _next_way(self, way: _Way, found: NotHonoured) -> _Way | None:
        if way == "by_id":
            return "plain" if found.part == "orderBy" else "by_offset"
        if way == "by_offset":
            # Perhaps only the conditions aren't honoured: try the same method without them.
            return "by_offset" if found.part in ("where", "dates") else "plain"
        return "plain" if found.part in ("where", "dates") else None

    def _pages_of(self, way: _Way) -> Iterator[ReadPage]:
        sent = self._columns.filters if self._is_where_honoured else ()
        batches: Callable[[tuple[Condition, ...]], Iterator[_Batch | None]] = {
            "by_id": self._by_id,
            "by_offset": self._by_offset,
            "plain": self._plainly,
        }[way]
        window = _Window(self._plan, self._columns, are_filters_sent=self._is_where_honoured)
        is_restart = self._has_given
        for batch in batches(sent):
            if batch is None:  # the method restarted
                window = _Window(self._plan, self._columns, are_filters_sent=self._is_where_honoured)
                is_restart = self._has_given
                continue
            page, fresh, is_last = batch
            if self._is_where_honoured:
                self._columns.check_filters(page.records, self._columns.filters)
            window.note(page)
            records = window.take(fresh)
            is_last = is_last or window.is_full
            if is_last:
                records = records + window.rest()
            self._has_given = self._has_given or bool(records)
            yield ReadPage(
                records=records,
                position=window.end() if is_last else self._plan.start,
                server_time=page.server_time,
                size_bytes=page.size_bytes,
                is_last=is_last,
                cleaned=page.cleaned,
                is_truncated=is_last and window.is_truncated,
                is_whole=self._is_fallback,
                finding=self._finding,
                page_size=self._pages.reduced_size,
                is_restart=is_restart,
            )
            is_restart = False
            if is_last:
                return

    def _by_id(self, sent: tuple[Condition, ...]) -> Iterator[_Batch]:
        name = self._columns.id
        assert name is not None
        last: str | None = None
        left = self._plan.limit if self._columns.cursor is None and self._is_where_honoured else None
        while True:
            after = () if last is None else (Condition(name, Operator.GT, (last,)),)
            # One record more than the limit leaves shows whether there are more.
            page = self._pages.ask((*sent, *after), (name,), at_most=None if left is None else left + 1)
            ids = self._columns.ids(page.records)
            if not is_ascending(ids):
                raise NotHonoured("orderBy", f"a page ordered by {name} is in another order")
            if ids and last is not None and not comes_after(ids[0], last):
                raise NotHonoured("where", f"records came that {name} GT excludes")
            is_last = not ids or is_short(page)
            if last is None and not is_last:
                self._prove_beginning(sent, ids)
                self._prove_order(sent, ids)
            yield page, page.records, is_last
            if is_last:
                return
            last = ids[-1]
            left = None if left is None else max(left - len(ids), 0)

    def _by_offset(self, sent: tuple[Condition, ...]) -> Iterator[_Batch]:
        name = self._columns.id
        assert name is not None
        offset, last, steps_back = 0, "", 0
        former: tuple[int, list[str]] | None = None
        while True:
            page = self._pages.ask(sent, (name,), offset=offset)
            ids = self._columns.ids(page.records)
            if not is_ascending(ids):
                raise NotHonoured("orderBy", f"a page ordered by {name} is in another order")
            if former is not None and former[0] != offset and former[1] == ids and len(ids) > OVERLAP:
                raise NotHonoured("paging", "different offsets return the same page")
            if former is not None and ids and comes_after(former[1][0], ids[0]):
                raise NotHonoured("orderBy", f"a later page ordered by {name} begins before the previous one")
            if offset and (not ids or comes_after(ids[0], last)):
                # The overlap is gone: records were deleted and others moved up.
                steps_back += 1
                if steps_back > MAX_STEPS_BACK:
                    raise NotHonoured("paging", "pages by offset don't overlap as they must")
                offset = max(0, offset - self._pages.size)
                former = None
                continue
            fresh = [record for record, one in zip(page.records, ids, strict=True) if comes_after(one, last)]
            is_last = is_short(page) or (not fresh and len(ids) <= OVERLAP)
            if not offset and not is_last:
                self._prove_order(sent, ids)
            yield page, fresh, is_last
            if is_last:
                return
            if fresh:
                last = ids[-1]
            former = (offset, ids)
            offset += max(1, len(ids) - OVERLAP)

    def _prove_beginning(self, sent: tuple[Condition, ...], ids: list[str]) -> None:
        """Checks that no record comes before the first page."""
        name = self._columns.id
        assert name is not None
        page = self._pages.ask((*sent, Condition(name, Operator.LT, (ids[0],))), (name,), at_most=1, kind="probe")
        for one in self._columns.ids(page.records):
            if comes_after(ids[0], one):
                raise NotHonoured("orderBy", f"records come before the first page ordered by {name}")
            raise NotHonoured("where", f"records came that {name} LT excludes")

    def _prove_order(self, sent: tuple[Condition, ...], ids: list[str]) -> None:
        """Requests the last record by GSID: if it comes before the end of the first page, the order is chance."""
        name = self._columns.id
        assert name is not None
        page = self._pages.ask(sent, (name,), direction="desc", at_most=1, kind="probe")
        if any(comes_after(ids[-1], last) for last in self._columns.ids(page.records)):
            raise NotHonoured("orderBy", f"the last record by {name} comes before the end of the first page")

    def _plainly(self, sent: tuple[Condition, ...]) -> Iterator[_Batch | None]:
        finding = ""
        for attempt in range(1, PLAIN_TRIES + 1):
            if attempt > 1:
                self._report(f"{self._plan.object_name}: {finding}; reading it once more")
                yield None
            try:
                yield from self._plainly_once(sent)
                return
            except _Unstable as unstable:
                finding = str(unstable)
        raise NotHonoured("paging", finding)

    def _plainly_once(self, sent: tuple[Condition, ...]) -> Iterator[_Batch]:
        offset = 0
        tail: list[Identity] = []
        former: list[Identity] = []
        seen: set[int] = set()
        while True:
            page = self._pages.ask(sent, offset=offset)
            names = [self._columns.identity(record) for record in page.records]
            if names == former and len(names) > OVERLAP:
                raise _Unstable("different offsets return the same page")
            if names[: len(tail)] != tail:
                raise _Unstable("the order of records changes between pages")
            fresh_names = names[len(tail) :]
            if self._columns.id is not None:
                # Hashes take 36 bytes per record. They only detect repeats; a collision drops no record.
                hashes = {hash(name) for name in fresh_names}
                if not seen.isdisjoint(hashes):
                    raise _Unstable("records occur on two pages")
                seen |= hashes
            is_last = is_short(page) or not fresh_names
            yield page, page.records[len(tail) :], is_last
            if is_last:
                return
            tail = names[-OVERLAP:]
            former = names
            offset += len(names) - len(tail)


class _Unstable(Exception):
    """Pages by offset alone contradict each other; the message says how."""


_Way = Literal["by_id", "by_offset", "plain"]
_NAMES: dict[_Way, str] = {
    "by_id": "in full, by GSID",
    "by_offset": "in full, by offset in the order of GSIDs",
    "plain": "in full, by offset alone",
}


class _Window:
    """Selects the wanted records of a full read: filters the tenant doesn't apply, the start, the oldest ``limit``.

    Without a cursor "oldest" is undefined; the limit then means the first records, which are yielded at once.
    """

    def __init__(self, plan: ReadPlan, columns: Columns, *, are_filters_sent: bool) -> None:
        self.is_truncated = False
        self.is_full = False  # no further records are wanted
        self._plan = plan
        self._columns = columns
        self._are_filters_sent = are_filters_sent
        self._began_at: datetime | None = None
        self._newest: datetime | None = None
        # A max-heap, so that the newest kept record can be pushed out: Python's heapq has the smallest on top.
        self._kept: list[tuple[_Backwards, int, Record]] = []
        self._count = 0

    def note(self, page: Page) -> None:
        """Remembers when the read began."""
        if self._began_at is None:
            self._began_at = page.server_time

    def take(self, records: list[Record]) -> list[Record]:
        """The records to yield now; with a limit, none until :meth:`rest`."""
        if not self._are_filters_sent:
            records = self._columns.apply_filters(records, self._columns.filters)
        if self._columns.cursor is not None:
            records = [record for record in records if self._is_within(record)]
        if self._plan.limit is None:
            return records
        if self._columns.cursor is None:
            room = self._plan.limit - self._count
            self._count += len(records)
            self.is_truncated = self.is_full = self._count > self._plan.limit
            return records[: max(room, 0)]
        undated = []
        for record in records:
            second = self._second(record)
            if second is not None:
                self._keep(record, second, self._plan.limit)
            elif record.get(self._columns.cursor or "") not in (None, ""):
                undated.append(record)  # an unreadable date has no place in the order: yield it at once
        return undated  # records without a date have their own pass (read_without_modified)

    def rest(self) -> list[Record]:
        """The oldest records up to the limit, oldest first."""
        kept = sorted(self._kept, key=lambda item: (item[0].key, item[1]))
        return [record for _, _, record in kept]

    def end(self) -> Position | None:
        """Where the next read starts: never after the start of this one, since records may have changed meanwhile."""
        if self._columns.cursor is None:
            return None
        if self.is_truncated:
            second, gsid = self._kept[0][0].key
            return Position(second, gsid)
        if self._newest is None or self._began_at is None:
            return self._plan.start
        end = Position(min(self._newest, whole_second(self._began_at)))
        start = self._plan.start
        return start if start is not None and end.modified <= start.modified else end

    def _is_within(self, record: Record) -> bool:
        second = self._second(record)
        start = self._plan.start
        if second is None:
            return True  # undated or unreadable: nothing shows that it is already stored
        if start is not None:
            if second < start.modified:
                return False
            if second == start.modified and start.gsid is not None and not comes_after(self._gsid(record), start.gsid):
                return False
        if self._newest is None or second > self._newest:
            self._newest = second
        return True

    def _keep(self, record: Record, second: datetime, limit: int) -> None:
        self._count += 1
        entry = (_Backwards((second, self._gsid(record))), self._count, record)
        if len(self._kept) < limit:
            heapq.heappush(self._kept, entry)
        else:
            self.is_truncated = True
            heapq.heappushpop(self._kept, entry)

    def _second(self, record: Record) -> datetime | None:
        if self._columns.cursor is None:
            return None
        try:
            instant = parse_datetime(record.get(self._columns.cursor))
        except ValueError:
            return None
        return None if instant is None else whole_second(instant)

    def _gsid(self, record: Record) -> str:
        name = record.get(self._columns.id) if self._columns.id is not None else None
        return name if isinstance(name, str) else ""


class _Backwards:
    """A sort key with the order reversed."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[datetime, str]) -> None:
        self.key = key

    def __lt__(self, other: _Backwards) -> bool:
        return self.key > other.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and self.key == other.key

    __hash__ = None  # type: ignore[assignment]
