"""The interface between an object and the sync loop, which every object module implements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.gainsight.query import Condition
from gainsight_pipelines.objects.column_sources import Sources
from gainsight_pipelines.objects.fields import MAX_ID, MODIFIED_NAMES, Record, configured_field, first_named, text
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import Table
from gainsight_pipelines.store.views import Column, Source
from gainsight_pipelines.text import canonical_gsid, name_key

Row = tuple[Any, ...]
"""A row of the type `Table.row`."""

Count = tuple[str, str]
"""Something that a run counts, by topic: `("categories", "Call")`."""


class Mapped(NamedTuple):
    """The rows of one record, and what the run counts of it."""

    rows: list[Row]
    counts: tuple[Count, ...] = ()


COMPANY_OBJECT = "company"
USUAL_CRM_ID = "sfdcaccountid"
"""The company field that Gainsight fills from Salesforce, by its normal name."""

KEPT_COMPANIES = 20_000
"""Cached normalised GSIDs of companies: thousands of records name the same ones."""

KeyKind = Literal["crm_id", "domain"]
"""The kind of a record's own key to its account."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a read covers.

    `start`: the cursor value at which the very first read begins; later reads begin at their cursor. `filters`: apply
    to every read. `since`: the earliest date covered, for display. `undated_filters`: replace `filters` in a daily read
    of records without a date, which `filters` can't select. `where`: a where-clause from the settings that replaces all
    of these and is sent unchanged; such a read has no cursor.
    """

    since: datetime | None = None
    start: datetime | None = None
    filters: tuple[Condition, ...] = ()
    undated_filters: tuple[Condition, ...] = ()
    where: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CompanyFields:
    """The fields by which a record names its company: its GSID, and its CRM id if the page includes it.

    `through`: a path to the company for records whose own field is empty (a relationship's company).
    `key_kind`: set if `crm_id` is the record's own key to its account (a CRM id or a domain), rather than the id that
    Gainsight stores on the company.
    """

    gsid: str | None
    crm_id: str | None = None
    through: str | None = None
    key_kind: KeyKind | None = None

    @property
    def is_nobody(self) -> bool:
        """Whether records name no company at all: reference data, which isn't matched."""
        return not self.selected

    @property
    def selected(self) -> tuple[str, ...]:
        """The fields to select."""
        return tuple(name for name in (self.gsid, self.crm_id, self.through) if name)

    def own_gsid_of(self, record: Record) -> str | None:
        """The GSID of the company that the record itself names, in upper case."""
        return _company_gsid(record.get(self.gsid)) if self.gsid else None

    def gsid_of(self, record: Record) -> str | None:
        """The GSID of the record's company, or of the company reached through `through`."""
        found = self.own_gsid_of(record)
        if found is None and self.through is not None:
            return _company_gsid(record.get(self.through))
        return found

    def crm_id_of(self, record: Record) -> str | None:
        """The CRM id, or other key, in the record."""
        return text(record.get(self.crm_id)) if self.crm_id else None


def crm_ids_of(companies: Iterable[Record], gsid_field: str, field: str) -> Iterator[tuple[str, str | None]]:
    """The GSIDs of companies with their CRM ids, where the record has the field: an omitted field isn't empty."""
    for record in companies:
        if field in record and (gsid := canonical_gsid(text(record.get(gsid_field)))):
            yield gsid, text(record[field])


def _company_gsid(value: Any) -> str | None:
    return _checked_gsid(value if type(value) is str else text(value))


@lru_cache(KEPT_COMPANIES)
def _checked_gsid(value: str | None) -> str | None:
    found = canonical_gsid(value)
    # Too long for an id: names no company.
    return found if found and len(found) <= MAX_ID else None


FIELD_TYPES = "types of fields"
"""A key in the mapping of a basis that is not a setting: the stored type of each field."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an object's rows depend on besides its records. Stored with the cursor, and compared by the next run.

    Excludes limits, schedules and what only matching uses. `fields`: the selected fields. `lookback_days`: of the first
    read; None: everything. `choice`: other settings that select records. `mapping`: settings that decide how records
    become rows. The values of both are JSON, by setting name. `names`: the settings that name fields, where case
    doesn't matter.
    """

    object_name: str
    fields: tuple[str, ...] = ()
    lookback_days: int | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()


class Mapper(Protocol):
    """Turns the records of one run into rows. Created for each run; keeps no records."""

    cursor_field: str | None
    """None: the object has no cursor or no id, so each run is a full read."""
    select: tuple[str, ...]
    company: CompanyFields
    sources: Sources
    """Which fields fill the columns."""
    custom_fields: tuple[Field, ...]
    """The fields stored in `custom_fields`, to be registered with name, label and type."""

    @property
    def id_field(self) -> str | None:
        """The field that identifies a record, in the tenant's spelling; None: there is none."""
        ...

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        """What to read. `kept_since`: how far back the window must reach at least, so that nothing ages out."""
        ...

    def map(self, record: Record) -> Mapped:
        """The record's rows for its table, and what to count.

        Raises:
            BadRecord: it can't be stored; the message is stored as the reason in `rejected_record`.
        """
        ...

    def basis(self) -> Basis:
        """What this mapper's rows depend on."""
        ...

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        """How to update rows mapped by a former basis.

        None: the stored rows lack what that takes, so the records must be read again.
        """
        ...

    def details(self) -> dict[str, Any]:
        """How records are interpreted, for the run's metadata; JSON values."""
        ...


class Fit(StrEnum):
    """What the field named by a setting must hold, in words."""

    COMPANY = "a lookup on company or its GSID"
    DATE = "a date"
    NUMBER = "a number"
    ID = "an id as text"


@dataclass(frozen=True, slots=True)
class NamedField:
    """A Gainsight field named by a setting: the setting, the field, what it must hold."""

    place: str
    name: str
    fit: Fit


@dataclass(frozen=True, slots=True)
class ByDay:
    """The pull's records belong to days, so days can be backfilled.

    `first_day`: the first day that can be, by the settings; None: unlimited.
    """

    first_day: date | None


def by_day(name: str) -> str:
    """The name of a pull's backfill by day: of its asset, and in `sync_run`."""
    return f"{name}_by_day"


class ObjectPull(Protocol):
    """One configured Gainsight object: a row of the banner. The last three members are capabilities that few have."""

    @property
    def name(self) -> str:
        """The name of the pull: of its asset, its job and its row in `sync_cursor`."""
        ...

    @property
    def section(self) -> str:
        """The section of the settings that configures it."""
        ...

    @property
    def title(self) -> str:
        """A display name."""
        ...

    @property
    def description(self) -> str:
        """What it brings, in a sentence."""
        ...

    @property
    def gainsight_object(self) -> str:
        """The API name of the object."""
        ...

    @property
    def table(self) -> Table:
        """The table of its rows."""
        ...

    @property
    def gsid_field(self) -> str | None:
        """Its own CRM field with the GSID, instead of the common one (requirement M2)."""
        ...

    @property
    def limit(self) -> int | None:
        """The maximum number of records per run; None: unlimited."""
        ...

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> Mapper:
        """A mapper for this tenant's schema.

        Args:
            schema: the object, as the tenant describes it.
            crm_id_field: the company's field with the CRM id, if there is one.

        Raises:
            SettingsError: a required field doesn't exist, or can't be determined with certainty.
        """
        ...

    @property
    def named_fields(self) -> tuple[NamedField, ...]:
        """The object's fields that the settings name, other than those that the mapper checks itself."""
        return ()

    @property
    def categories(self) -> Mapping[str, str] | None:
        """The types that the settings assign to categories of its records; None: it has no categories."""
        return None

    @property
    def by_day(self) -> ByDay | None:
        """How its days can be backfilled; None: its records don't belong to days."""
        return None

    @property
    def view(self) -> str | None:
        """The typed view with all fields of its records, by the name it was created for; None: its own table is."""
        return None

    @property
    def typed_view_name(self) -> str | None:
        """The name that its typed view is made for; None: it has no view."""
        return self.view

    def typed_view(self, mapper: Any) -> tuple[Source, Sequence[Column]] | None:
        """The view that shows its records' fields as columns, with its current columns; None: it has none.

        Args:
            mapper: the mapper of this run.
        """
        return None

    @property
    def name_by_day(self) -> str | None:
        """The name of its backfill by day, if it has one."""
        return by_day(self.name) if self.by_day is not None else None


def points_at(field: Field, object_name: str) -> bool:
    """Whether a field looks up that object."""
    return name_key(field.lookup_object or "") == object_name


def found_company_field(schema: ObjectSchema) -> Field | None:
    """The field that names a record's company: GsCompanyId, or the only lookup to company; None: undecidable."""
    field = first_named(schema, ["gscompanyid"])
    if field is not None:
        return field
    lookups = _company_lookups(schema)
    return lookups[0] if len(lookups) == 1 else None


def _company_lookups(schema: ObjectSchema) -> list[Field]:
    return [found for found in schema.fields.values() if name_key(found.lookup_object or "") == COMPANY_OBJECT]


def company_fields(
    schema: ObjectSchema, configured: str | None, place: str | None, crm_id_field: str | None
) -> CompanyFields:
    """How this object names its company: by the configured field, GsCompanyId, or its only lookup to company.

    `place`: the setting that may name the field; None: there is none.
    """
    field = configured_field(schema, configured, place) if configured and place else found_company_field(schema)
    if field is None:
        names = ", ".join(sorted(found.name for found in _company_lookups(schema)))
        names = names or "none of its fields is a lookup to company"
        raise SettingsError(
            f"Gainsight object `{schema.name}` has no field GsCompanyId, so the companies of its records are unknown.",
            f"Set `{place}` to the field with the company's GSID (candidates: {names})."
            if place
            else f"Check that the API key may read it (lookups to company: {names}).",
        )
    is_path = crm_id_field and field.lookup_path and points_at(field, COMPANY_OBJECT)
    crm_id = f"{field.lookup_path}.{crm_id_field}" if is_path else None
    if crm_id is not None and name_key(crm_id) in schema.unreadable:
        crm_id = None  # the tenant refuses the path: companies are requested separately
    return CompanyFields(field.name, crm_id)


def company_crm_id_field(configured: str | None, crm: str | None, schema: Callable[[], ObjectSchema]) -> str | None:
    """The company's field with the CRM id: as configured; for Salesforce, SfdcAccountId in any case by default.

    Args:
        configured: `company.crm_id_field`.
        crm: the CRM's kind; None: none is configured.
        schema: returns the company's schema; called only if needed.

    Raises:
        SettingsError: the configured field doesn't exist.
    """
    if configured is None and crm != "salesforce":
        return None
    found = schema().field(configured) if configured else first_named(schema(), [USUAL_CRM_ID])
    if configured and found is None:
        raise SettingsError(
            f"`company.crm_id_field` names the field {configured!r}, which Gainsight's company doesn't have.",
            "Choose the company's field with the CRM's account id, or remove the setting.",
        )
    return found.name if found else None


def cursor_field(schema: ObjectSchema) -> str:
    """The field that shows changes: LastModifiedDate on activity_timeline, ModifiedDate elsewhere.

    Raises:
        SettingsError: the object has neither, or no GSID.
    """
    field = first_named(schema, MODIFIED_NAMES)
    if field is None or schema.field("Gsid") is None:
        raise SettingsError(
            f"Gainsight object `{schema.name}` has no Gsid or no ModifiedDate, so its changes can't be followed.",
            "Choose an object that has both.",
        )
    return field.name


def selected(schema: ObjectSchema, *names: str | None) -> tuple[str, ...]:
    """Those of the fields that exist, each once, in the tenant's spelling; lookup paths unchanged.

    Fields that the tenant describes but refused before are left out.
    """
    found: dict[str, None] = {}
    for name in names:
        if name is None:
            continue
        if "." in name:
            if name_key(name) not in schema.unreadable:
                found[name] = None
        elif (field := schema.field(name)) is not None:
            found[field.name] = None
    return tuple(found)
