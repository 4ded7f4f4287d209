"""What the sync loop needs of an object: the contract that every module of this folder fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.gainsight.query import Condition
from gainsight_pipelines.objects.fields import Record, configured_field, first_named, text
from gainsight_pipelines.store.tables import Table

Row = tuple[Any, ...]
"""Values in the order of `Table.columns`."""

COMPANY_OBJECT = "company"


@dataclass(frozen=True, slots=True)
class Window:
    """What a read covers.

    `start`: where the very first read begins, on the cursor field; later ones begin at their cursor. `filters` hold for
    each read. `since`: the earliest date that is covered, for people to look at. `undated_filters`: hold, in place of
    `filters`, for a daily read of the records that `filters` can't tell for want of a date.
    """

    since: datetime | None = None
    start: datetime | None = None
    filters: tuple[Condition, ...] = ()
    undated_filters: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class CompanyFields:
    """The fields by which a record names its company: its Gsid, and its CRM id where the page brings it along.

    `is_row_crm_id`: the CRM id is the record's own value, not one that Gainsight keeps on the company.
    """

    gsid: str | None
    crm_id: str | None = None
    is_row_crm_id: bool = False

    @property
    def selected(self) -> tuple[str, ...]:
        """The fields to ask for."""
        return tuple(name for name in (self.gsid, self.crm_id) if name)

    def gsid_of(self, record: Record) -> str | None:
        """The Gsid of the record's company, in upper case as Gainsight writes it."""
        found = text(record.get(self.gsid)) if self.gsid else None
        return found.upper() if found else None

    def crm_id_of(self, record: Record) -> str | None:
        """The CRM id that came with the record."""
        return text(record.get(self.crm_id)) if self.crm_id else None


class Mapper(Protocol):
    """Turns the records of one run into rows. Made anew for each run; counts what people want to know of it."""

    cursor_field: str
    select: tuple[str, ...]
    company: CompanyFields
    custom_fields: tuple[Field, ...]
    """Fields whose values go into `custom_fields`, to be registered with name, label and type."""

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        """What to read. `kept_since`: the start of the last read's window if that was cut off, so nothing ages out."""
        ...

    def rows(self, record: Record) -> list[Row]:
        """The record's rows, ready for its table.

        Raises:
            BadRecord: it can't be stored; the reason goes with it into `rejected_record`.
        """
        ...

    def details(self) -> dict[str, Any]:
        """What the run's metadata show beyond numbers of rows; JSON values."""
        ...


class ObjectPull(Protocol):
    """One configured Gainsight object: a row of the banner."""

    @property
    def name(self) -> str:
        """Name of the pull: of its asset, its job and its row in `sync_cursor`."""
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


def company_fields(schema: ObjectSchema, configured: str | None, place: str, crm_id_field: str | None) -> CompanyFields:
    """How this object names its company: by the configured field, GsCompanyId, or its only lookup to company."""
    field = configured_field(schema, configured, place) if configured else first_named(schema, ["gscompanyid"])
    if field is None:
        lookups = [found for found in schema.fields.values() if (found.lookup_object or "").lower() == COMPANY_OBJECT]
        if len(lookups) != 1:
            names = ", ".join(sorted(found.name for found in lookups)) or "none of its fields is a lookup to company"
            raise SettingsError(
                f"Gainsight object `{schema.name}` has no field GsCompanyId, so which company a record belongs to"
                " can't be told.",
                f"Set `{place}` to the field with the company's Gsid (candidates: {names}).",
            )
        field = lookups[0]
    points_at_company = (field.lookup_object or "").lower() == COMPANY_OBJECT
    crm_id = f"{field.lookup_path}.{crm_id_field}" if crm_id_field and field.lookup_path and points_at_company else None
    return CompanyFields(field.name, crm_id)


def cursor_field(schema: ObjectSchema) -> str:
    """The field by which changes are told: LastModifiedDate on activity_timeline, ModifiedDate elsewhere.

    Raises:
        SettingsError: the object has neither, or no Gsid.
    """
    field = first_named(schema, ["lastmodifieddate", "modifieddate"])
    if field is None or schema.field("Gsid") is None:
        raise SettingsError(
            f"Gainsight object `{schema.name}` has no Gsid or no ModifiedDate, so its changes can't be followed.",
            "Choose an object that has both.",
        )
    return field.name


def selected(schema: ObjectSchema, *names: str | None) -> tuple[str, ...]:
    """The names of those fields that exist, as the tenant writes them, each once; lookup paths as they are."""
    found: dict[str, None] = {}
    for name in names:
        if name is None:
            continue
        if "." in name:
            found[name] = None
        elif (field := schema.field(name)) is not None:
            found[field.name] = None
    return tuple(found)
