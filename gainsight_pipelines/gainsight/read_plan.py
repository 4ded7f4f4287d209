"""The words of a read: where it starts, what it asks for, what one page of it is. No logic beyond their own checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gainsight_pipelines.gainsight.query import Condition

Report = Callable[[str], None]
"""Takes one sentence about how a read goes: page sizes, a tenant that is read another way."""

PAGE_SIZE = 5000
ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a read by the cursor has come.

    Args:
        modified: a whole second, aware, in UTC. Without ``gsid``: everything before it is stored.
        gsid: only while one second with more records than a page is drained by Gsid: within that second everything up
            to this Gsid is stored too.
    """

    modified: datetime
    gsid: str | None = None

    def __post_init__(self) -> None:
        if self.modified.utcoffset() != timedelta(0) or self.modified.microsecond:
            raise ValueError("a position is a whole second in UTC")


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What a read asks for.

    Args:
        object_name: which object.
        select: fields that are wanted; the reader adds the cursor, the Gsid and the fields of the filters where they
            are missing, so that it can check what comes.
        cursor_field: the date-time that moves with each change (``LastModifiedDate`` on activity_timeline,
            ``ModifiedDate`` elsewhere); None if the object has none, then only whole reads can be made.
        filters: further conditions, joined by AND.
        start: where to go on; None reads from the beginning.
        is_first_read: prove by one to three small calls that conditions on dates and the order of pages can be trusted.
            Leave it on until a read has brought a record.
        limit: stop after so many records, oldest first (without a cursor: the first ones by Gsid); then the last page
            says so.
        is_whole: an earlier read found that the tenant doesn't honour what reading by the cursor needs
            (``ReadPage.is_whole``): don't try again.
        is_retry: it did, and it is to be tried again: by a proof over all records, whatever there is to read.
        page_size: how many records at a time were managed last (``ReadPage.page_size``); None: as many as there may be.
        id_field: the field that names a record; None for objects without one.
        kind: under which the client counts the calls.
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
            raise ValueError("a read is limited to at least one record")


@dataclass(frozen=True, slots=True)
class ReadPage:
    """One page of a read. A read has at least one, and exactly one with ``is_last``, which may be empty.

    Attributes:
        records: as :class:`Page` of the client gives them.
        position: where to go on once this page is stored. In a whole read the plan's start until the last page.
        server_time: when the tenant answered.
        size_bytes: of the answer.
        is_last: nothing comes after it.
        cleaned: strings, keys and numbers of it that PostgreSQL would not have taken.
        is_truncated: the plan's limit was reached and there is more.
        is_whole: the tenant is read whole; remember it as the next plan's ``is_whole``.
        finding: why it is read whole, as the end of a sentence; "" where an earlier read found it.
        page_size: how many records at a time are asked for by now, where that is fewer than at most; else None.
        is_restart: the read began anew with this page. What it gave before comes again: harmless for an upsert by
            Gsid, to be thrown away where rows are staged.
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
    """Where a pull starts: its cursor, or ``overlap`` before the last read (by the server's time) if that is earlier.

    Rows can become visible after later ones: bulk jobs, long transactions.
    """
    if cursor is None or last_read_at is None:
        return cursor
    earliest = (last_read_at - overlap).astimezone(UTC).replace(microsecond=0)
    return Position(earliest) if earliest < cursor.modified else cursor


def end_of_read(position: Position | None, server_time: datetime, overlap: timedelta) -> Position | None:
    """The cursor after a finished read: the second after the last one, if no late row is to be expected in that.

    So a pull that finds nothing new reads nothing.
    """
    if position is None or position.gsid is not None or position.modified > server_time - overlap:
        return position
    return Position(position.modified + ONE_SECOND)
