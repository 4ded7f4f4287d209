"""What the parts of one pull share: its clients, the store, the report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

import psycopg

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import PrimaryCRM
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.errors import UnknownField
from gainsight_pipelines.gainsight.metadata import ObjectSchema, PicklistOption
from gainsight_pipelines.gainsight.query import Query
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.store import data_versions, schema_cache
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.scopes import Scopes
from gainsight_pipelines.sync.accounts import Refresh
from gainsight_pipelines.sync.budget import Budget
from gainsight_pipelines.sync.report import SyncReport
from gainsight_pipelines.text import name_key

MOST_REFUSED = 10
"""Refused fields searched for at a time, some seven calls each among a hundred; further attempts find further ones."""

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class Services:
    """The clients of a pull."""

    store: Store
    gainsight: GainsightClient
    crm: PrimaryCRM
    clock: Clock

    def close(self) -> None:
        """Closes the connections to Gainsight and the CRM."""
        self.gainsight.close()
        self.crm.close()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pull with everything it needs, ready to begin.

    `refresh`: updates the account table first. `gsid_field`: the CRM field that matching falls back to. `crm_id_field`:
    the company's field with the CRM id; None: none is set. `is_crm_id_field_told`: whether the settings could be read
    for it. `overlap`: how far before its last read a read begins. `timezone`: of the schedules, for calendar days.
    `is_full`: a person asked to read everything again. `is_vanishing_accepted`: a person accepted that any number of
    rows is gone.
    """

    pull: ObjectPull
    services: Services
    refresh: Refresh
    gsid_field: str | None
    crm_id_field: str | None
    overlap: timedelta
    is_crm_id_field_told: bool = True
    timezone: tzinfo = UTC
    is_full: bool = False
    is_vanishing_accepted: bool = False


@dataclass(slots=True)
class LinkedRows:
    """The inputs used to link this run's rows.

    `accounts`: the fingerprint of the accounts; None if rows may be stored that another run linked. `crm_ids`: of each
    company that a row names. `is_certain`: all rows were linked with exactly these inputs.
    """

    accounts: str | None = None
    crm_ids: dict[str, str | None] = field(default_factory=dict)
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class PullContext:
    """One running pull, which holds the object's lease. `budget`: what remains of the object's limit."""

    prepared: Prepared
    connection: psycopg.Connection
    lease: Lease
    report: SyncReport
    started_at: datetime
    described: set[str] = field(default_factory=set)
    remembered: set[str] = field(default_factory=set)
    budget: Budget = field(default_factory=lambda: Budget(None))
    linked: LinkedRows = field(default_factory=LinkedRows)

    @property
    def pull(self) -> ObjectPull:
        """The object being pulled."""
        return self.prepared.pull

    def moved(self, rows: int) -> None:
        """Records in the open transaction that rows of the object changed, which gives its data a new version."""
        if rows:
            data_versions.bump(self.connection, self.pull.name)

    @property
    def services(self) -> Services:
        """The pull's clients."""
        return self.prepared.services

    @property
    def scopes(self) -> Scopes:
        """The object's cursors."""
        return Scopes(self.connection, self.pull.name, self.report.run_id)

    def day_began(self, ago: int = 0) -> datetime:
        """The start of this run's day, or of an earlier day.

        Daily work follows calendar days: with 24 hours it would be skipped whenever a run starts a second earlier than
        the day before.
        """
        now = self.started_at.astimezone(self.prepared.timezone)
        day = now.date() - timedelta(days=ago)
        return datetime(day.year, day.month, day.day, tzinfo=self.prepared.timezone).astimezone(UTC)

    def is_due(self, last: datetime | None, *, days: int = 1) -> bool:
        """Whether work that is done every `days` days is due, given the time it was last done."""
        return last is None or last < self.day_began(days - 1)

    def note(self, text: str) -> None:
        """Adds a note for people, shown with the run's result."""
        logger.info("%s: %s", self.pull.name, text)
        if text not in self.report.notes:  # already noted by an attempt that lost its connection
            self.report.notes.append(text)

    def count_calls(self) -> None:
        """Updates the report's counts of calls."""
        self.report.calls = dict(self.services.gainsight.calls) | {"crm": self.services.crm.calls}
        self.report.bytes_received = self.services.gainsight.bytes_received

    def schema(self, object_name: str) -> ObjectSchema:
        """An object's schema, requested once a day."""
        now = self.services.clock.now()
        kept = schema_cache.find_schema(self.connection, object_name, self.day_began())
        if kept is not None:
            description, unreadable = kept
            try:
                schema = ObjectSchema.from_json(description).without(unreadable)
            except ValueError:  # cached by another version of this program
                pass
            else:
                self.remembered.add(name_key(object_name))
                return schema
        schema = self._with_options(self.services.gainsight.describe(object_name))
        self.described.add(name_key(object_name))
        schema_cache.keep_schema(self.connection, object_name, schema.to_json(), now)
        return schema

    def _with_options(self, schema: ObjectSchema) -> ObjectSchema:
        """The schema with picklist options that describe left out. If a category can't be read, its ids are kept."""
        found: dict[str, tuple[PicklistOption, ...]] = {}
        fields = dict(schema.fields)
        for name, field_ in schema.fields.items():
            category = field_.picklist_category
            if not field_.is_picklist or field_.options or category is None:
                continue
            if category not in found:
                try:
                    found[category] = self.services.gainsight.picklist_options(category)
                except PermanentError as error:
                    found[category] = ()
                    self.note(f"The options of `{name}` can't be read, so its values stay ids. {error}")
            fields[name] = replace(field_, options=found[category])
        return replace(schema, fields=fields)

    def forget_schemas(self) -> bool:
        """Drops the schemas that this run took from an earlier run's cache.

        Returns:
            Whether there were any; each is requested once per run.
        """
        stale = self.remembered - self.described
        for name in stale:
            schema_cache.forget_schema(self.connection, name)
        return bool(stale)

    def leave_out(self, refused: UnknownField) -> bool:
        """Records fields that the tenant refused, so that another attempt leaves them out.

        The object is described again first, once per run, since a field may just be gone. If the refusal names no
        field, small calls find it.

        Returns:
            Whether another attempt is worthwhile.
        """
        object_name = refused.object_name or self.pull.gainsight_object
        if is_new := name_key(object_name) not in self.described:
            schema_cache.forget_schema(self.connection, object_name)
        schema = self.schema(object_name)
        names = refused.fields
        if not names and not is_new:
            names = self._refused_among(object_name, refused.select)
        still = [
            name
            for name in names
            if ("." in name or schema.field(name) is not None) and name_key(name) not in schema.unreadable
        ]
        if still:
            schema_cache.note_unreadable(self.connection, object_name, still)
            self.report.details.setdefault("unreadable_fields", []).extend(still)
            self.note(
                f"Gainsight refuses {', '.join(f'`{name}`' for name in still)} of `{object_name}`, so that is left out"
                " until the object is described again, in a day."
            )
        return bool(still) or is_new

    def _refused_among(self, object_name: str, select: Sequence[str]) -> tuple[str, ...]:
        """The refused ones of these fields, found by repeated halving, one call per half.

        None if the tenant accepts them all: the refusal was about something else.
        """
        found: list[str] = []
        halves = [tuple(select)]
        while halves and len(found) < MOST_REFUSED:
            names = halves.pop()
            if not names or not self._is_refused(object_name, names):
                continue
            if len(names) == 1:
                found.append(names[0])
                continue
            middle = len(names) // 2
            halves += names[middle:], names[:middle]
        return tuple(found)

    def _is_refused(self, object_name: str, names: tuple[str, ...]) -> bool:
        try:
            self.services.gainsight.query(object_name, Query(names, limit=1), kind="probe")
        except UnknownField:
            return True
        return False
