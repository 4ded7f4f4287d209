"""Single pages for the readers: requests one, adapts the page size, and checks that the page matches the query.

The sequence of pages is in reader.py and full_read.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import orjson

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.client import GainsightClient, Page
from gainsight_pipelines.gainsight.errors import SlowAnswer, TooLargeAnswer
from gainsight_pipelines.gainsight.query import MAX_LIMIT, Condition, Direction, Operator, Query
from gainsight_pipelines.gainsight.read_plan import ReadPlan, Report
from gainsight_pipelines.text import name_key
from gainsight_pipelines.values import parse_datetime, whole_second

Record = dict[str, Any]
Identity = str | bytes

SMALLEST_PAGE = 100  # records, after timeouts and 5xx; a shorter page ends a read
SMALLEST_LARGE_PAGE = 10  # records, where single records are so large that even 100 are too much
COMFORTABLE_BYTES = 16 * 1024 * 1024  # per response: two are in memory at once, as bytes and as objects
COMFORTABLE_VALUES = 1_000_000  # records times fields of one page: with 500 fields it has 2,000 records
GOOD_PAGES_TO_GROW = 4  # doubled after each growth that proved too large


class NotHonoured(Exception):
    """The tenant ignored a part of the query.

    Args:
        part: ``where``, ``orderBy``, ``dates`` (conditions on dates only) or ``paging`` (offsets).
        finding: what was seen, as the end of a sentence.
    """

    def __init__(self, part: Literal["where", "orderBy", "dates", "paging"], finding: str) -> None:
        super().__init__(finding)
        self.part = part
        self.finding = finding


class Columns:
    """A plan's cursor, id and filters, spelled as in the selection."""

    def __init__(self, plan: ReadPlan) -> None:
        by_folded: dict[str, str] = {}
        for name in plan.select:
            by_folded.setdefault(name_key(name), name)
        added: list[str] = []

        def spelled(name: str) -> str:
            known = by_folded.get(name_key(name))
            if known is None:
                by_folded[name_key(name)] = known = name
                added.append(name)
            return known

        self.cursor = spelled(plan.cursor_field) if plan.cursor_field is not None else None
        self.id = spelled(plan.id_field) if plan.id_field is not None else None
        self.filters = tuple(replace(condition, field=spelled(condition.field)) for condition in plan.filters)
        self.select = (*plan.select, *added)

    def identity(self, record: Record) -> Identity:
        """A record's identity: its id, or its content if it has none (the caller sets those aside)."""
        name = record.get(self.id) if self.id is not None else None
        return name if isinstance(name, str) and name else orjson.dumps(record, option=orjson.OPT_SORT_KEYS)

    def ids(self, records: Sequence[Record]) -> list[str]:
        """The ids of the records.

        Raises:
            NotHonoured: a record has none, so no order by id can be checked.
        """
        if self.id is None:
            raise NotHonoured("orderBy", "the object has no id to order by")
        ids = [record.get(self.id) for record in records]
        if not all(isinstance(one, str) and one for one in ids):
            raise NotHonoured("orderBy", f"records came without {self.id}")
        return [one for one in ids if isinstance(one, str)]

    def seconds(self, records: Sequence[Record]) -> list[datetime]:
        """The second of each record's cursor.

        An unreadable value takes the previous record's second; the caller sets such records aside.

        Raises:
            NotHonoured: a record has none, though only dated ones were requested.
        """
        assert self.cursor is not None
        seconds: list[datetime] = []
        unread = 0
        for record in records:
            try:
                instant = parse_datetime(record.get(self.cursor))
            except ValueError:
                unread += 1
                if seconds:
                    seconds.append(seconds[-1])
                continue
            if instant is None:
                raise NotHonoured("where", f"records without {self.cursor} came, though only dated ones were requested")
            second = whole_second(instant)
            while len(seconds) < unread:  # unreadable ones at the start of the page
                seconds.append(second)
            seconds.append(second)
        if records and not seconds:
            raise NotHonoured("orderBy", f"a whole page has no readable {self.cursor}")
        return seconds

    def check_filters(self, records: Sequence[Record], filters: Sequence[Condition]) -> None:
        """Raises :class:`NotHonoured` if a record doesn't match a filter. Undecidable conditions pass."""
        for condition in filters:
            if any(condition.field in record for record in records):
                for record in records:
                    if not condition.holds(record) and condition.is_decidable(record):
                        raise NotHonoured("where", f"records came that {condition.field} {condition.operator} excludes")

    def apply_filters(self, records: list[Record], filters: Sequence[Condition]) -> list[Record]:
        """The records that match the filters, for tenants that don't apply them.

        Raises:
            PermanentError: a filter names picklist labels, but the records hold ids.
        """
        for condition in filters:
            # A field that no record of the page shows decides nothing: keep all, so that no record is lost.
            if not any(condition.field in record for record in records):
                continue
            for record in records:
                if not condition.is_decidable(record):
                    raise PermanentError(
                        f"the tenant ignores conditions, and {condition.field} holds picklist ids where the filter has"
                        " labels, so the filter can't be applied here either",
                        f"Use the ids of the picklist options in the filter on {condition.field}.",
                    )
            records = [record for record in records if condition.holds(record)]
        return records


class Pages:
    """Requests pages of one object. The page size shrinks when the tenant can't cope, and grows back."""

    def __init__(
        self, client: GainsightClient, plan: ReadPlan, columns: Columns, page_size: int, report: Report
    ) -> None:
        comfortable = max(SMALLEST_PAGE, COMFORTABLE_VALUES // max(1, len(columns.select)))
        self._full_size = max(1, min(page_size, MAX_LIMIT, comfortable))
        self.size = min(plan.page_size or self._full_size, self._full_size)
        self.largest = 0  # records of the longest page so far: the tenant's cap is no lower
        self._client = client
        self._plan = plan
        self._columns = columns
        self._report = report
        self._good_pages = 0
        self._patience = GOOD_PAGES_TO_GROW
        self._before_growth: int | None = None  # the size that worked, until a larger page succeeds

    @property
    def reduced_size(self) -> int | None:
        """The current page size, if it is below the largest possible."""
        size = self._before_growth or self.size
        return size if size < self._full_size else None

    def ask(
        self,
        where: Sequence[Condition],
        order_by: Sequence[str] = (),
        *,
        direction: Direction = "asc",
        offset: int = 0,
        at_most: int | None = None,
        kind: str | None = None,
        raw_where: Mapping[str, Any] | None = None,
    ) -> Page:
        """One page, ordered by ``order_by``. With a filter from the settings, ``where`` must be empty."""
        directions: tuple[tuple[str, Direction], ...] = tuple((name, direction) for name in order_by)
        query = Query(
            select=self._columns.select,
            where=tuple(where),
            order_by=directions,
            limit=self.size if at_most is None else max(1, min(self.size, at_most)),
            offset=offset,
            raw_where=raw_where,
        )
        page = self._client.query(self._plan.object_name, query, kind=kind or self._plan.kind, shrink=self._shrink)
        self._adapt(page, was_shrunk=page.limit < query.limit)
        self.largest = max(self.largest, len(page.records))
        return page

    def _shrink(self, query: Query, error: SlowAnswer) -> Query | None:
        smallest = SMALLEST_LARGE_PAGE if isinstance(error, TooLargeAnswer) else SMALLEST_PAGE
        if query.limit <= smallest:
            return None
        self.size = max(smallest, query.limit // 2)
        self._good_pages = 0
        if self._before_growth is not None:
            self._patience, self._before_growth = self._patience * 2, None
        self._report(f"{error.message}: requesting {self.size} records at a time instead of {query.limit}")
        return query.with_limit(self.size)

    def _adapt(self, page: Page, *, was_shrunk: bool) -> None:
        count = len(page.records)
        if self._before_growth is not None and page.limit > self._before_growth:
            self._before_growth = None
        if page.size_bytes > COMFORTABLE_BYTES and count > SMALLEST_PAGE:
            self.size = max(SMALLEST_PAGE, count // 2)
            self._good_pages = 0
            self._report(
                f"a page of {self._plan.object_name} has {page.size_bytes / 1e6:.0f} MB:"
                f" requesting {self.size} records at a time"
            )
            return
        if self.size >= self._full_size or was_shrunk:
            return
        self._good_pages += 1
        if self._good_pages >= self._patience and page.size_bytes * 2 <= COMFORTABLE_BYTES:
            self._before_growth = self.size
            self.size = min(self.size * 2, self._full_size)
            self._good_pages = 0
            self._report(f"requesting {self.size} records of {self._plan.object_name} at a time again")


def is_short(page: Page) -> bool:
    """Whether a page is so short that it ends a read: no tenant caps pages that low."""
    return len(page.records) < min(SMALLEST_PAGE, page.limit)


def is_ascending(ids: Sequence[str]) -> bool:
    """Whether ids ascend, by either of the two collations a database may use; equal neighbours count as ascending."""
    if all(left <= right for left, right in pairwise(ids)):
        return True
    folded = [one.casefold() for one in ids]
    return all(left <= right for left, right in pairwise(folded))


def comes_after(one: str, other: str) -> bool:
    """Whether an id comes after another; as tolerant as :func:`is_ascending`."""
    return one != other and (one > other or one.casefold() > other.casefold())


def within_second(field: str, second: datetime) -> tuple[Condition, Condition]:
    """The conditions for one whole second, with any fractions: times are never compared with EQ."""
    return (
        Condition(field, Operator.GTE, (second,)),
        Condition(field, Operator.LT, (second + timedelta(seconds=1),)),
    )
