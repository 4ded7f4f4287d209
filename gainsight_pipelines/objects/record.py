"""Any other Gainsight object: each record is one row, with its fields typed by the tenant's schema.

The company is found by a configured field, GsCompanyId, CompanyId, the lookup to company, or through a lookup to
something that names one (a relationship, a call to action). An object that names no company is reference data (users,
picklists): stored, but not matched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field as Setting
from pydantic import StrictInt, field_validator

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.column_sources import names_behind, sources_of
from gainsight_pipelines.objects.columns import NAME_SUFFIX, column_reader, columns_of
from gainsight_pipelines.objects.definition import ObjectDefinition
from gainsight_pipelines.objects.fields import (
    MODIFIED_NAMES,
    OWN_NAMES,
    Record,
    Values,
    configured_field,
    first_named,
    text,
)
from gainsight_pipelines.objects.pull import (
    COMPANY_OBJECT,
    FIELD_TYPES,
    Basis,
    CompanyFields,
    Fit,
    Mapped,
    NamedField,
    ObjectPull,
    Window,
    points_at,
    selected,
)
from gainsight_pipelines.objects.section import (
    FIELD_WORDS,
    OBJECT_WORDS,
    FieldName,
    GsidOverride,
    ObjectName,
    Section,
    Takes,
    each_once,
    field_names,
)
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import Json, Table
from gainsight_pipelines.store.views import Column, Source
from gainsight_pipelines.text import name_key

SECTION = "objects"
COMPANY_NAMES = ("gscompanyid", "companyid")
THROUGH: Mapping[str, str] = {"relationship": "CompanyId", "call_to_action": "CompanyId", "cta_group": "CompanyId"}
"""Objects that lead to a company, and their field for it; the closest first."""

DEFAULT_CRON = "10 6 * * *"


class RecordRow(NamedTuple):
    """The columns that a record fills."""

    object: str
    gsid: str
    company_gsid: str | None
    attributes: Json
    modified_at: datetime | None
    unreadable: Json | None = None


RECORD = Table(
    "record",
    RecordRow,
    key=("object", "gsid"),
    sample=("gsid", "account_id", "match_method", "unmatched_reason", "modified_at", "changed_at"),
    object_column="object",
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the public documentation says of an object: a display name, and what it brings."""

    title: str
    description: str


KNOWN: Mapping[str, Known] = {
    "call_to_action": Known("Calls to action", "CTAs of the Cockpit: what somebody is to do for a customer, and why."),
    "cs_task": Known("Tasks", "Tasks of CTAs and success plans."),
    "cta_group": Known("Success plans", "Success plans with their progress."),
    "scorecard_fact": Known("Scorecard facts", "Current scores of companies and relationships."),
    "scorecard_history": Known("Scorecard history", "Scores over time."),
    "person": Known("Persons", "People at customers, each once whatever companies they belong to."),
    "company_person": Known("Company persons", "Which person belongs to which company, in which role."),
    "relationship": Known("Relationships", "Parts of a customer that are managed separately: products, regions, …"),
    "relationship_person": Known("Relationship persons", "Which person belongs to which relationship."),
    "gsuser": Known("Users", "Gainsight's users: owners, authors and CSMs."),
    "email_logs": Known("Email logs", "Emails that Gainsight sent: to whom, when, opened or not."),
}


class ObjectSettings(Section):
    """One further Gainsight object."""

    object: Annotated[ObjectName, Setting(description="Gainsight object to pull."), Takes(OBJECT_WORDS)]
    fields: Annotated[
        Literal["all"] | tuple[FieldName, ...],
        Setting(description="Fields to keep: all that can be read, or a list."),
        Takes("all, or a list of fields"),
    ] = "all"
    company_field: Annotated[
        FieldName | None,
        Setting(
            description="Field with the company's GSID, or the way to it through a lookup; null: GsCompanyId,"
            " CompanyId, the lookup on company, or through a relationship or CTA."
        ),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    gsid_field: GsidOverride = None
    initial_lookback_days: Annotated[
        StrictInt | None,
        Setting(ge=1, le=36_500, description="How far back the first read goes, by modification; null: everything."),
        Takes("a whole number from 1 to 36,500, or null for everything"),
    ] = None

    @field_validator("fields", mode="before")
    @classmethod
    def _all_or_list(cls, value: Any) -> Any:
        return value if value == "all" else field_names(value)


class ObjectsSettings(Section):
    """Further Gainsight objects, a row each: calls to action, persons, relationships, custom objects and others."""

    listed: ClassVar[str | None] = "rows"

    rows: Annotated[
        tuple[ObjectSettings, ...],
        Setting(description="The objects."),
        Takes("a list of rows like {object: call_to_action}"),
    ] = ()

    @field_validator("rows")
    @classmethod
    def _each_once(cls, rows: tuple[ObjectSettings, ...]) -> tuple[ObjectSettings, ...]:
        each_once([row.object for row in rows], name_key, "object", "the object name of each row must be unique")
        return rows


@dataclass(frozen=True, slots=True)
class RecordPull(ObjectPull):
    """The pull of one further object."""

    settings: ObjectSettings
    number: int
    section: str = SECTION
    table: Table = RECORD
    limit: int | None = None

    @property
    def name(self) -> str:
        return name_key(self.settings.object)

    @property
    def gainsight_object(self) -> str:
        return name_key(self.settings.object)

    @property
    def place(self) -> str:
        """The place of its row in the settings."""
        return f"{SECTION}[{self.number}]"

    @property
    def title(self) -> str:
        known = KNOWN.get(self.name)
        return known.title if known else self.settings.object

    @property
    def description(self) -> str:
        known = KNOWN.get(self.name)
        what = known.description if known else f"Records of Gainsight object {self.settings.object}."
        return f"{what} Each field is a column of the view `{self.name}`."

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    @property
    def named_fields(self) -> tuple[NamedField, ...]:
        name = self.settings.company_field
        return (NamedField(f"{self.place}.company_field", name, Fit.COMPANY),) if name and "." not in name else ()

    @property
    def view(self) -> str:
        return self.name

    def typed_view(self, mapper: RecordMapper) -> tuple[Source, Sequence[Column]]:
        return Source(self.view, RECORD, self.gainsight_object, "attributes"), mapper.columns

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> RecordMapper:
        return RecordMapper(self.settings, self.place, schema, crm_id_field)


class RecordMapper:
    """Maps a record to one row: its fields by API name, and the name that each lookup shows."""

    def __init__(self, settings: ObjectSettings, place: str, schema: ObjectSchema, crm_id_field: str | None) -> None:
        self._settings = settings
        self._object = name_key(settings.object)
        self.id_field = gsid.name if (gsid := schema.field("Gsid")) is not None else None
        modified = first_named(schema, MODIFIED_NAMES)
        self._modified_field = modified.name if modified else None
        self.cursor_field: str | None = self._modified_field if self.id_field else None
        own_name = first_named(schema, OWN_NAMES) if self.id_field is None else None
        self._own_name = own_name.name if own_name else None
        self.company = company_of(schema, settings.company_field, f"{place}.company_field", crm_id_field)
        self.custom_fields: tuple[Field, ...] = ()
        if settings.fields == "all":
            fields = [field for field in schema.fields.values() if not field.is_hidden]
        else:
            fields = [configured_field(schema, name, f"{place}.fields") for name in settings.fields]
        self.fields = tuple({field.name: field for field in fields}.values())
        self._attributes = [(field.name, field.name, column_reader(field)) for field in self.fields]
        with_names = []
        for field in self.fields:
            if path := selected(schema, shown_path(field)):
                self._attributes.append((f"{field.name}{NAME_SUFFIX}", path[0], text))
                with_names.append(field.name)
        self.columns = columns_of(self.fields, with_names)
        self.select = selected(
            schema,
            self.id_field,
            self._own_name,
            self._modified_field,
            *self.company.selected,
            *(path for _, path, _ in self._attributes),
        )

        self.sources = sources_of(
            schema,
            {"company_gsid": (self.company.gsid, self.company.through), "modified_at": (self._modified_field,)},
            keys={name: path for name, path, _ in self._attributes} | names_behind(self.fields),
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        days = self._settings.initial_lookback_days
        start = None if days is None else now - timedelta(days=days)
        return Window(since=start, start=start)

    def map(self, record: Record) -> Mapped:
        values = Values(record)
        gsid = values.identifier(self.id_field) if self.id_field else None
        shown = [each for each in self._attributes if each[1] in record]  # an omitted key is not an empty value
        attributes = values.json(values.read_all(shown))
        row = RecordRow(
            object=self._object,
            gsid=gsid or self._name_of(values, attributes),
            company_gsid=values.company_gsid(self.company),
            attributes=attributes,
            modified_at=values.instant(self._modified_field),
            unreadable=values.unreadable_json(),
        )
        return Mapped([row], values.counts())

    def basis(self) -> Basis:
        # Without the path to the CRM id: the companies' CRM ids are stored and refreshed separately.
        fields = tuple(name for name in self.select if name != self.company.crm_id)
        types = {column.key: column.kind for column in self.columns}
        company = self.company.gsid or self.company.through
        mapping = {f"{SECTION}[].company_field": company, FIELD_TYPES: types}
        return Basis(
            self._object,
            fields,
            self._settings.initial_lookback_days,
            mapping=mapping,
            names=(f"{SECTION}[].company_field",),
        )

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        return None

    def details(self) -> dict[str, Any]:
        company = self.company.gsid or self.company.through
        return {"fields": len(self._attributes), "company_field": company or "none: reference data"}

    def _name_of(self, values: Values, attributes: Json) -> str:
        """The id of a record of an object without a GSID: its own id, or a hash of its content."""
        own = values.text(self._own_name)
        return own if own is not None else sha256(attributes.encode()).hexdigest()[:32]


def shown_path(field: Field) -> str | None:
    """The path to the name that a lookup shows; None: the field is not a lookup."""
    return f"{field.lookup_path}.Name" if field.lookup_path else None


def company_of(schema: ObjectSchema, configured: str | None, place: str, crm_id_field: str | None) -> CompanyFields:
    """How the records of an object name their company; without such a field they are reference data.

    Raises:
        SettingsError: the configured field doesn't exist, or there are several lookups to company and none is the
        usual.
    """
    if configured is not None and "." in configured:
        head = configured.partition(".")[0]
        if not any(name_key(one.lookup_path or "") == name_key(head) for one in schema.fields.values()):
            raise SettingsError(
                f"`{place}` goes through {head}, which is not a lookup of Gainsight object `{schema.name}`.",
                "Name a field, or a path through a lookup such as Relationship_Id__gr.CompanyId.",
            )
        return CompanyFields(None, through=configured)
    field = configured_field(schema, configured, place) if configured else first_named(schema, COMPANY_NAMES)
    lookups = [one for one in schema.fields.values() if points_at(one, COMPANY_OBJECT)]
    if field is None and len(lookups) > 1:
        names = ", ".join(sorted(one.name for one in lookups))
        raise SettingsError(
            f"Gainsight object `{schema.name}` has several lookups to company, so the companies of its records are"
            " unclear.",
            f"Set `{place}` to one of: {names}.",
        )
    field = field or next(iter(lookups), None)
    through = _through(schema)
    if field is None:
        return CompanyFields(None, through=through)
    crm_id = selected(schema, f"{field.lookup_path}.{crm_id_field}" if crm_id_field and field in lookups else None)
    return CompanyFields(field.name, crm_id[0] if crm_id else None, through=through)


def _through(schema: ObjectSchema) -> str | None:
    """The path to the company through the closest object that names one, if only one lookup leads to it."""
    for parent, name in THROUGH.items():
        lookups = [one for one in schema.fields.values() if points_at(one, parent) and one.lookup_path]
        if len(lookups) == 1 and (path := selected(schema, f"{lookups[0].lookup_path}.{name}")):
            return path[0]
    return None


DEFINITION = ObjectDefinition(
    section=SECTION,
    model=ObjectsSettings,
    title="Further objects",
    summary="further objects",
    cron=DEFAULT_CRON,
    cadence="daily",
    icon="category",
    table=RECORD,
    pulls=lambda settings: [RecordPull(row, number) for number, row in enumerate(settings.rows)],
    is_for_any=True,
    rows="rows",
    spread_minutes=45,
    is_each_scheduled=True,
)
