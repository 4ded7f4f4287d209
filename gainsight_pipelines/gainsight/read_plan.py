"""The types of a read: where it starts (`Position`), what it reads (`ReadPlan`), what it yields (`ReadPage`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gainsight_pipelines.gainsight.query import Condition

Report = Callable[[str], None]
"""Receives one sentence about a read's progress: page sizes, a change of method."""

PAGE_SIZE = 5000
ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a read by cursor has come.

    Args:
        modified: a whole second, aware, UTC. Without ``gsid``: everything before it is stored.
        gsid: only while a second with more records than a page is read by GSID: the records of that second up to this
            GSID are stored too.
    """

    modified: datetime
    gsid: str | None = None

    def __post_init__(self) -> None:
        if self.modified.utcoffset() != timedelta(0) or self.modified.microsecond:
            raise ValueError("a position is a whole second in UTC")


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What to read.

    Args:
        object_name: the object.
        select: the wanted fields; the reader adds the cursor, the GSID and the filters' fields, to check the records.
        cursor_field: the date-time that changes with each edit (``LastModifiedDate`` on activity_timeline,
            ``ModifiedDate`` elsewhere); None if the object has none, which allows full reads only.
        filters: further conditions, joined by AND.
        start: where to continue; None reads from the beginning.
        is_first_read: prove with one to three small calls that date conditions and page order are honoured. Keep it
            on until a read has returned a record.
        limit: stop after this many records, oldest first (without a cursor: the first by GSID); the last page is then
            marked as truncated.
        is_whole: an earlier read found that the tenant doesn't honour reading by cursor (``ReadPage.is_whole``): read
            in full at once.
        is_retry: same finding, but try reading by cursor again, with a proof over all records first.
        page_size: records per page that worked last time (``ReadPage.page_size``); None: the maximum.
        id_field: the field that identifies a record; None for objects without one.
        kind: the kind under which the client counts the calls.
    """

    object_name: str
    select: tuple[str, ...]
    cursor_field: str | None
    filters: tuple[Condition, ...] = ()
    start: Position | None = None
    is_first_read: bool = False
    limit: int | None = None
    is_whole: bool = False
    is_retry: bool = False
    page_size: int | None = None
    id_field: str | None = "Gsid"
    kind: str = "query"

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError("the limit of a read is at least one record")


@dataclass(frozen=True, slots=True)
class ReadPage:
    """One page of a read. A read yields at least one, and exactly one with ``is_last``, which may be empty.

    Attributes:
        records: as in the client's :class:`Page`.
        position: where to continue once this page is stored. In a full read, the plan's start until the last page.
        server_time: when the tenant responded.
        size_bytes: of the response.
        is_last: no page follows.
        cleaned: number of strings, keys and numbers changed because PostgreSQL would refuse them.
        is_truncated: the plan's limit was reached and there are more records.
        is_whole: this is a full read because the tenant requires it; pass it on as the next plan's ``is_whole``.
        finding: why it is a full read, as the end of a sentence; "" if an earlier read found it.
        page_size: the current page size, if below the maximum; otherwise None.
        is_restart: the read restarted with this page, and earlier records come again: harmless for an upsert by
            GSID; staged rows must be discarded.
    """

    records: list[dict[str, Any]]
    position: Position | None
    server_time: datetime
    size_bytes: int
    is_last: bool
    cleaned: int = 0
    is_truncated: bool = False
    is_whole: bool = False
    finding: str = ""
    page_size: int | None = None
    is_restart: bool = False


def start_of_pull(cursor: Position | None, last_read_at: datetime | None, overlap: timedelta) -> Position | None:
    """Where a pull starts: at its cursor, or ``overlap`` before the last read (server time) if that is earlier.

    Rows can become visible late, behind newer ones: bulk jobs, long transactions.
    """
    if cursor is None or last_read_at is None:
        return cursor
    earliest = (last_read_at - overlap).astimezone(UTC).replace(microsecond=0)
    return Position(earliest) if earliest < cursor.modified else cursor


def end_of_read(position: Position | None, server_time: datetime, overlap: timedelta) -> Position | None:
    """The cursor after a completed read: one second after the last record, unless late rows may still appear there.

    A pull that finds nothing new then reads nothing.
    """
    if position is None or position.gsid is not None or position.modified > server_time - overlap:
        return position
    return Position(position.modified + ONE_SECOND)
