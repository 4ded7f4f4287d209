"""What the sync loop needs of an object: the contract that every module of this folder fulfils."""

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
"""A row of the type that `Table.row` names."""

Count = tuple[str, str]
"""Something that a run counts, by topic: `("categories", "Call")`."""


class Mapped(NamedTuple):
    """What one record becomes: its rows, and what the run has to count of it."""

    rows: list[Row]
    counts: tuple[Count, ...] = ()


COMPANY_OBJECT = "company"
USUAL_CRM_ID = "sfdcaccountid"
"""The company's field that Gainsight fills from Salesforce, by its normal name."""

KEPT_COMPANIES = 20_000
"""Companies whose Gsids are remembered as they are compared: thousands of records name the same ones."""

KeyKind = Literal["crm_id", "domain"]
"""What a record's own key to its account is."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a read covers.

    `start`: where the very first read begins, on the cursor field; later ones begin at their cursor. `filters` hold for
    each read. `since`: the earliest date that is covered, for people to look at. `undated_filters`: hold, in place of
    `filters`, for a daily read of the records that `filters` can't tell for want of a date. `where`: a where-clause of
    the settings in place of all of these, sent as it stands; such a read has no cursor.
    """

    since: datetime | None = None
    start: datetime | None = None
    filters: tuple[Condition, ...] = ()
    undated_filters: tuple[Condition, ...] = ()
    where: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CompanyFields:
    """The fields by which a record names its company: its Gsid, and its CRM id where the page brings it along.

    `through`: a path to the company for records whose own field is empty (a relationship's company).
    `key_kind`: not None where `crm_id` is the record's own key to its account, not one that Gainsight keeps on the
    company: a CRM id or a domain.
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
        """The fields to ask for."""
        return tuple(name for name in (self.gsid, self.crm_id, self.through) if name)

    def own_gsid_of(self, record: Record) -> str | None:
        """The Gsid of the company that the record itself names, in upper case as Gainsight writes it."""
        return _company_gsid(record.get(self.gsid)) if self.gsid else None

    def gsid_of(self, record: Record) -> str | None:
        """The Gsid of the record's company, reached through something else where the record itself names none."""
        found = self.own_gsid_of(record)
        if found is None and self.through is not None:
            return _company_gsid(record.get(self.through))
        return found

    def crm_id_of(self, record: Record) -> str | None:
        """The CRM id, or other key, that came with the record."""
        return text(record.get(self.crm_id)) if self.crm_id else None


def crm_ids_of(companies: Iterable[Record], gsid_field: str, field: str) -> Iterator[tuple[str, str | None]]:
    """The Gsids of companies and their CRM ids, of those that show the field: where it is left out it isn't empty."""
    for record in companies:
        if field in record and (gsid := canonical_gsid(text(record.get(gsid_field)))):
            yield gsid, text(record[field])


def _company_gsid(value: Any) -> str | None:
    return _checked_gsid(value if type(value) is str else text(value))


@lru_cache(KEPT_COMPANIES)
def _checked_gsid(value: str | None) -> str | None:
    found = canonical_gsid(value)
    # What is too long for an id names no company.
    return found if found and len(found) <= MAX_ID else None


FIELD_TYPES = "types of fields"
"""In the mapping of a basis, and no setting: the type that each field's values are stored as, by its name."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an object's rows depend on besides its records. Kept with the cursor, compared by the next run.

    Limits, schedules and whatever only matching needs are no part of it. `fields`: asked for. `lookback_days`: of the
    first read; None: everything. `choice`: other settings that choose records. `mapping`: settings by which records
    become rows. The values of both are JSON, by the name of the setting. `names`: the settings that name fields, where
    case makes no difference.
    """

    object_name: str
    fields: tuple[str, ...] = ()
    lookback_days: int | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()


class Mapper(Protocol):
    """Turns the records of one run into rows. Made anew for each run; keeps nothing of the records that it has seen."""

    cursor_field: str | None
    """None: the object has nothing by which changes or records can be told, so it is read whole by each run."""
    select: tuple[str, ...]
    company: CompanyFields
    sources: Sources
    """From which fields the columns come."""
    custom_fields: tuple[Field, ...]
    """Fields whose values go into `custom_fields`, to be registered with name, label and type."""

    @property
    def id_field(self) -> str | None:
        """The field that names a record, as the tenant spells it; None: the object has none."""
        ...

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        """What to read. `kept_since`: what the window has to reach back to at least, so that nothing ages out."""
        ...

    def map(self, record: Record) -> Mapped:
        """The record's rows, ready for its table, and what there is to count.

        Raises:
            BadRecord: it can't be stored; the reason goes with it into `rejected_record`.
        """
        ...

    def basis(self) -> Basis:
        """What the rows of this mapper depend on."""
        ...

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        """How stored rows that were mapped by a former basis become rows of this one.

        None: they don't hold what that takes, so the records are to be read again.
        """
        ...

    def details(self) -> dict[str, Any]:
        """What the run's metadata show of how records are understood; JSON values."""
        ...


class Fit(StrEnum):
    """What the field that a setting names has to hold, in words for a person."""

    COMPANY = "a lookup on company or its GSID"
    DATE = "a date"
    NUMBER = "a number"
    ID = "an id as text"


@dataclass(frozen=True, slots=True)
class NamedField:
    """A Gainsight field that a setting names: where in the settings, the field, what it has to hold."""

    place: str
    name: str
    fit: Fit


@dataclass(frozen=True, slots=True)
class ByDay:
    """A pull's records belong to days, so that days can be read again.

    `first_day`: the first that can be, as the settings have it; None: they don't say.
    """

    first_day: date | None


def by_day(name: str) -> str:
    """The name under which the days of a pull are read again: of its asset, and in `sync_run`."""
    return f"{name}_by_day"


class ObjectPull(Protocol):
    """One configured Gainsight object: a row of the banner. The last four are capabilities that few pulls have."""

    @property
    def name(self) -> str:
        """Name of the pull: of its asset, its job and its row in `sync_cursor`."""
        ...

    @property
    def section(self) -> str:
        """The section of the settings that configures it."""
        ...

    @property
    def title(self) -> str:
        """A name that a person understands."""
        ...

    @property
    def description(self) -> str:
        """What it brings, in a sentence."""
        ...

    @property
    def gainsight_object(self) -> str:
        """API name of the object that is read."""
        ...

    @property
    def table(self) -> Table:
        """Where its rows lie."""
        ...

    @property
    def gsid_field(self) -> str | None:
        """Its own CRM field with the GSID, in place of the common one (requirement M2)."""
        ...

    @property
    def limit(self) -> int | None:
        """The most records that a run reads; None: all."""
        ...

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> Mapper:
        """A mapper for this tenant's schema.

        Args:
            schema: the object as the tenant describes it.
            crm_id_field: the company's field with the CRM id, if there is one.

        Raises:
            SettingsError: a field that is needed isn't there, or can't be told with certainty.
        """
        ...

    @property
    def named_fields(self) -> tuple[NamedField, ...]:
        """The object's fields that the settings name, beside those that the mapper looks for itself."""
        return ()

    @property
    def categories(self) -> Mapping[str, str] | None:
        """The types that the settings give to categories of its records; None: they have none."""
        return None

    @property
    def by_day(self) -> ByDay | None:
        """How its days can be read again; None: its records belong to none."""
        return None

    @property
    def view(self) -> str | None:
        """The typed view that shows its records whole, by the name it was made for; None: its own table does."""
        return None

    @property
    def typed_view_name(self) -> str | None:
        """The name that its typed view is made for; None: it has no view."""
        return self.view

    def typed_view(self, mapper: Any) -> tuple[Source, Sequence[Column]] | None:
        """The view that shows its records' fields as columns, and those that there are by now; None: it has none.

        Args:
            mapper: the one that it made for this run.
        """
        return None

    @property
    def name_by_day(self) -> str | None:
        """The name of reading its days again, where that can be done."""
        return by_day(self.name) if self.by_day is not None else None


def points_at(field: Field, object_name: str) -> bool:
    """Whether a field looks that object up."""
    return name_key(field.lookup_object or "") == object_name


def found_company_field(schema: ObjectSchema) -> Field | None:
    """The field that names a record's company: GsCompanyId, or its only lookup to company; None: that can't be told."""
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
            f"Gainsight object `{schema.name}` has no field GsCompanyId, so which company a record belongs to"
            " can't be told.",
            f"Set `{place}` to the field with the company's Gsid (candidates: {names})."
            if place
            else f"See that the API key may read it (lookups to company: {names}).",
        )
    is_path = crm_id_field and field.lookup_path and points_at(field, COMPANY_OBJECT)
    crm_id = f"{field.lookup_path}.{crm_id_field}" if is_path else None
    if crm_id is not None and name_key(crm_id) in schema.unreadable:
        crm_id = None  # the tenant refuses the path: companies are asked for by themselves
    return CompanyFields(field.name, crm_id)


def company_crm_id_field(configured: str | None, crm: str | None, schema: Callable[[], ObjectSchema]) -> str | None:
    """The company's field with the CRM id: as set, else for Salesforce the one named SfdcAccountId in any case.

    Args:
        configured: `company.crm_id_field`.
        crm: the CRM's kind; None: none is configured.
        schema: describes the company object, when that is needed.

    Raises:
        SettingsError: the configured one isn't there.
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
    """The field by which changes are told: LastModifiedDate on activity_timeline, ModifiedDate elsewhere.

    Raises:
        SettingsError: the object has neither, or no Gsid.
    """
    field = first_named(schema, MODIFIED_NAMES)
    if field is None or schema.field("Gsid") is None:
        raise SettingsError(
            f"Gainsight object `{schema.name}` has no Gsid or no ModifiedDate, so its changes can't be followed.",
            "Choose an object that has both.",
        )
    return field.name


def selected(schema: ObjectSchema, *names: str | None) -> tuple[str, ...]:
    """The names of those fields that exist, as the tenant writes them, each once; lookup paths as they are.

    What the tenant refused before, though it describes it, is left out.
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
