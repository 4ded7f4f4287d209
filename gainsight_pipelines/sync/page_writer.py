"""Writes one page to the database: mapped, matched and stored together with the cursor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import psycopg

from gainsight_pipelines.gainsight.reader import ReadPage, read_by_ids
from gainsight_pipelines.matching import AccountIndex, Link
from gainsight_pipelines.objects.column_sources import OmittedFields
from gainsight_pipelines.objects.fields import BadRecord
from gainsight_pipelines.objects.pull import COMPANY_OBJECT, Count, Mapper, Row, crm_ids_of
from gainsight_pipelines.store import bulk, links, runs, snapshot
from gainsight_pipelines.store.connection import GIVEN_UP
from gainsight_pipelines.store.leases import TookTooLong
from gainsight_pipelines.store.links import UNLINKED, LinkColumns, link_columns
from gainsight_pipelines.store.rejected import NestedTooDeeply, write_rejected
from gainsight_pipelines.store.scopes import Scope
from gainsight_pipelines.store.stored_records import completed, stored_rows
from gainsight_pipelines.sync.company_links import company_gsid_field
from gainsight_pipelines.sync.context import PullContext, logger
from gainsight_pipelines.sync.read_ahead import read_ahead
from gainsight_pipelines.text import visible

KEPT_COMPANIES = 50_000
"""CRM ids of this many companies are cached in memory, some 10 MB; the database has them all."""

ROWS_AT_ONCE = 50_000
"""Rows that are held and written at once, some 25 MB: a record with hundreds of metrics makes as many rows."""

MAX_TRIES = 3
"""For a page's transaction that PostgreSQL aborts in favour of another one."""

REFUSED = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)
"""PostgreSQL can't store a value: a number out of range, a key too long for an index."""

Record = dict[str, Any]
Rejected = tuple[Record, str]
"""A record that can't be stored, and the reason."""


class MappedPage(NamedTuple):
    """The rows of a page, the rejected records, and the counts of the rest."""

    rows: list[Row]
    rejected: list[Rejected]
    counts: Counter[Count]
    omitted: dict[int, OmittedFields]
    """By the row's position: what its record omits."""


Store = Callable[[Sequence[Record], Sequence[Row]], None]
"""Writes the rows of records in the open transaction."""


class PageWriter:
    """Maps, matches and writes one page, with the cursor and the run's counters, in one transaction."""

    def __init__(self, context: PullContext, mapper: Mapper, index: AccountIndex, crm_id_field: str | None) -> None:
        self._context = context
        self._mapper = mapper
        self._index = index
        self._crm_id_field = crm_id_field
        table = context.pull.table
        self._identity_of = attrgetter(*table.key)
        self._company_of = attrgetter(table.company_column)
        self._key_of = attrgetter(table.key_column) if table.key_column else _no_key
        self._key_kind = mapper.company.key_kind
        if crm_id_field is None or context.linked.crm_ids:
            context.linked.is_certain = False  # a second writer of one run may use other ids than the first
        self._crm_ids = context.linked.crm_ids
        self._links: dict[tuple[Any, Any, Any], tuple[Link, LinkColumns]] = {}
        rows_of_a_record = len(mapper.select) if table.part_column is not None else 1
        self._records_at_once = max(1, ROWS_AT_ONCE // rows_of_a_record)

    def mapped_ahead(self, pages: Iterator[ReadPage]) -> Iterator[tuple[ReadPage, MappedPage | None]]:
        """The pages with their rows, read and mapped while the previous pages are being written.

        While PostgreSQL works, this process would otherwise be idle. Pages with too many rows for memory have none.
        """
        return read_ahead(
            (page, self._map(page.records) if len(page.records) <= self._records_at_once else None) for page in pages
        )

    def __call__(
        self,
        records: Sequence[Record],
        state: Scope,
        mapped: MappedPage | None = None,
        also: Callable[[], None] | None = None,
    ) -> None:
        """Writes a page and moves its scope.

        Args:
            records: of the page.
            state: the scope once they are stored.
            mapped: their rows, if already mapped.
            also: further work for the transaction; may be called more than once.
        """
        context, report = self._context, self._context.report

        def move() -> None:
            context.scopes.save(state)
            if also is not None:
                also()

        self._write(records, self._upsert, mapped, move)
        logger.info("%s: %s read, %s written", context.pull.name, f"{report.read:,}", f"{report.written:,}")

    def stage(self, records: Sequence[Record], *, is_restart: bool) -> None:
        """Maps and matches a page of a snapshot, and stages it. Keys may repeat among its rows."""
        report, connection = self._context.report, self._context.connection
        if is_restart:
            snapshot.restart(connection, self._context.pull.table)
            report.read = report.rejected = report.matched = report.contradicted = 0
            report.unmatched.clear()
            report.counts.clear()

        def store(_stored: Sequence[Record], rows: Sequence[Row]) -> None:
            snapshot.add(connection, self._context.pull.table, self._linked(rows))

        self._write(records, store)
        logger.info("%s: %s read", self._context.pull.name, f"{report.read:,}")

    def _write(
        self,
        records: Sequence[Record],
        store: Store,
        mapped: MappedPage | None = None,
        move: Callable[[], None] = lambda: None,
    ) -> None:
        """Writes a page and moves the cursor with it; in parts if it has too many rows for memory.

        The cursor moves with the last part: an interrupted run reads the first parts again.
        """
        size, first = self._records_at_once, 0
        while len(records) - first > size:
            self._write_part(records[first : first + size], store)
            first += size
        self._write_part(records[first:], store, mapped, move)

    def _write_part(
        self,
        records: Sequence[Record],
        store: Store,
        mapped: MappedPage | None = None,
        move: Callable[[], None] = lambda: None,
    ) -> None:
        """Writes records in one transaction.

        Records with values that PostgreSQL refuses are rejected. What takes too long is written in halves, and the
        cursor moves with the last one.
        """
        try:
            self._write_records(records, mapped or self._map(records), store, move, len(records))
        except TookTooLong:
            half = len(records) // 2
            if not half:
                raise
            self._forget_crm_ids()  # what the page brought was rolled back with it
            self._write_part(records[:half], store)
            self._write_part(records[half:], store, move=move)
        except REFUSED:
            taken, refused = self._sort_out(records)
            if not refused:
                raise
            self._forget_crm_ids()  # what the page brought was rolled back with it
            mapped = self._map(taken)
            mapped.rejected.extend((record, "PostgreSQL can't hold one of its values") for record in refused)
            self._write_records(taken, mapped, store, move, len(records))

    def _write_records(
        self, records: Sequence[Record], mapped: MappedPage, store: Store, move: Callable[[], None], read: int
    ) -> None:
        context, report, connection = self._context, self._context.report, self._context.connection
        rows, rejected, counts = self._completed(mapped), mapped.rejected, mapped.counts
        self._make_room()
        learnt = self._crm_ids_of_page(records)
        unknown = self._look_up(self._companies_that_count(rows) - learnt.keys())
        self._crm_ids.update(learnt)
        for is_last in (*(False,) * (MAX_TRIES - 1), True):
            counted = report.snapshot()
            try:
                with context.lease.writing(connection):
                    checked_at = context.services.clock.now()
                    links.write_companies(connection, learnt, is_known=True, checked_at=checked_at)
                    links.write_companies(connection, unknown, is_known=False, checked_at=checked_at)
                    store(records, rows)
                    move()
                    write_rejected(connection, context.pull.name, rejected, report.run_id)
                    report.read += read
                    report.rejected += len(rejected)
                    report.counts.update(counts)
                    context.count_calls()
                    runs.update_run(connection, report.run_id, report.object, report.columns())
                return
            except GIVEN_UP:
                # PostgreSQL rolled this page back so that another pull's could commit, which is done by now.
                report.restore(counted)
                if is_last:
                    raise
            except BaseException:
                report.undecided = report.snapshot()
                report.restore(counted)
                raise

    def _upsert(self, records: Sequence[Record], rows: Sequence[Row]) -> None:
        context, report, connection = self._context, self._context.report, self._context.connection
        latest = {self._identity_of(row): row for row in rows}  # of equal keys, the last is the newest
        written = bulk.upsert(connection, context.pull.table, self._linked(latest.values()), report.run_id)
        id_field = self._mapper.id_field
        if context.pull.table.part_column is not None and id_field is not None:
            parts = self._mapper.sources.parts
            record_ids = [
                visible(str(record[id_field])) for record in records if record.get(id_field) and parts <= record.keys()
            ]
            missing = bulk.mark_missing_parts(
                connection, context.pull.table, context.pull.gainsight_object, record_ids, report.run_id
            )
            context.moved(missing)
        context.moved(written.written)
        report.written += written.written
        report.unchanged += written.unchanged

    def _sort_out(self, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
        """The records whose rows PostgreSQL accepts, and those that it refuses; found by halving."""
        if self._is_taken(records):
            return list(records), []
        if len(records) == 1:
            return [], list(records)
        half = len(records) // 2
        first, second = self._sort_out(records[:half]), self._sort_out(records[half:])
        return first[0] + second[0], first[1] + second[1]

    def _is_taken(self, records: Sequence[Record]) -> bool:
        connection, counted = self._context.connection, self._context.report.snapshot()
        try:
            with connection.transaction(force_rollback=True):
                self._upsert(records, self._map(records).rows)
        except REFUSED:
            return False
        finally:
            self._context.report.restore(counted)
        return True

    def _map(self, records: Sequence[Record]) -> MappedPage:
        """The page's rows, the rejected records with reasons, and the counts."""
        rows: list[Row] = []
        rejected: list[Rejected] = []
        counts: list[Count] = []
        omitted: dict[int, OmittedFields] = {}
        for record in records:
            try:
                mapped = self._mapper.map(record)
            except (BadRecord, NestedTooDeeply) as error:
                rejected.append((record, str(error)))
            else:
                if (nothing := self._mapper.sources.omitted(record)) is not None:
                    omitted |= dict.fromkeys(range(len(rows), len(rows) + len(mapped.rows)), nothing)
                rows += mapped.rows
                counts += mapped.counts
        return MappedPage(rows, rejected, Counter(counts), omitted)

    def _completed(self, mapped: MappedPage) -> list[Row]:
        """The page's rows, completed with stored values where their records omit fields."""
        if not mapped.omitted:
            return mapped.rows
        context, table = self._context, self._context.pull.table
        rows = list(mapped.rows)
        ids = {getattr(rows[place], table.id_column) for place in mapped.omitted}
        stored = stored_rows(context.connection, table, context.pull.gainsight_object, ids)
        for place, omitted in mapped.omitted.items():
            former = stored.get(_as_key(self._identity_of(rows[place])))
            if former is not None:
                rows[place] = completed(table, rows[place], former, omitted.columns, omitted.keys)
        return rows

    def _companies_that_count(self, rows: Iterable[Row]) -> set[str | None]:
        """The companies by which rows are matched: all, or those of rows whose own key finds no account."""
        if self._key_kind is None:
            return set(map(self._company_of, rows))
        pairs = {(self._company_of(row), self._key_of(row)) for row in rows}
        keys = {key for _, key in pairs}
        lost = {key for key in keys if self._is_lost(key)}
        return {company for company, key in pairs if key in lost}

    def _is_lost(self, key: str | None) -> bool:
        found = self._index.link_by_key(key, self._key_kind)
        return found is None or found.account_id is None

    def _make_room(self) -> None:
        """Limits the cache of CRM ids before a page: an object may name any number of companies."""
        if len(self._crm_ids) > KEPT_COMPANIES:
            self._forget_crm_ids()
        if len(self._links) > KEPT_COMPANIES:
            self._links = {}

    def _forget_crm_ids(self) -> None:
        self._crm_ids.clear()
        self._context.linked.is_certain = False

    def _crm_ids_of_page(self, records: Sequence[Record]) -> dict[str, str | None]:
        """The companies' CRM ids in the page. An omitted key says nothing about them."""
        company = self._mapper.company
        if company.crm_id is None or company.key_kind is not None:
            return {}
        found = {}
        for record in records:
            if company.crm_id in record and (gsid := company.own_gsid_of(record)) is not None:
                found[gsid] = company.crm_id_of(record)
        learnt = {gsid: crm_id for gsid, crm_id in found.items() if self._crm_ids.get(gsid, "") != crm_id}
        if not self._crm_ids.keys().isdisjoint(learnt):
            self._context.linked.is_certain = False  # earlier pages used other ids
        return learnt

    def _look_up(self, gsids: set[str | None]) -> dict[str, str | None]:
        """Finds the CRM ids of unknown companies: in the database, otherwise from Gainsight.

        Returns:
            Those that Gainsight doesn't have, or returns without that field.
        """
        company = self._mapper.company
        missing = {gsid for gsid in gsids if gsid is not None and gsid not in self._crm_ids}
        if not (company.gsid or company.through) or not missing:
            return {}
        context = self._context
        now = context.services.clock.now()
        self._crm_ids.update(links.known_companies(context.connection, missing, context.day_began()))
        missing -= self._crm_ids.keys()
        if self._crm_id_field is None:
            return {}
        if not missing:
            return {}
        field, crm_id_field = company_gsid_field(context), self._crm_id_field
        asked = read_by_ids(
            context.services.gainsight, COMPANY_OBJECT, (field, crm_id_field), field, sorted(missing), kind="links"
        )
        found = {gsid: crm_id for page in asked for gsid, crm_id in crm_ids_of(page, field, crm_id_field)}
        links.write_companies(context.connection, found, is_known=True, checked_at=now)
        unknown = dict.fromkeys(missing - found.keys())
        self._crm_ids.update(found | unknown)
        return unknown

    def _linked(self, rows: Iterable[Row]) -> list[tuple[Any, ...]]:
        """The rows with their link columns, counted."""
        if self._mapper.company.is_nobody:
            return [row + UNLINKED for row in rows]
        report, made, crm_ids = self._context.report, self._links, self._crm_ids
        company_of, key_of = self._company_of, self._key_of
        matched = contradicted = 0
        linked = []
        for row in rows:
            company = company_of(row)
            key = company, key_of(row), crm_ids.get(company)
            found = made.get(key)
            if found is None:
                link = self._index.link_of(key[0], key[1], self._key_kind, key[2])
                found = made[key] = (link, link_columns(link))
            if (reason := found[0].reason) is None:
                matched += 1
                contradicted += found[0].is_contradicted
            else:
                report.unmatched[reason.value] += 1
            linked.append(row + found[1])
        report.matched += matched
        report.contradicted += contradicted
        return linked


def _as_key(identity: Any) -> tuple[Any, ...]:
    return identity if isinstance(identity, tuple) else (identity,)


def _no_key(_row: Row) -> None:
    """For tables whose rows have no key of their own to an account."""
