"""Timeline activities, with a type by their ReportingCategory (requirements T1 and T2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field as Setting
from pydantic import StrictInt, field_validator

from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.activity_table import ACTIVITY, ActivityRow
from gainsight_pipelines.objects.activity_types import (
    DEFAULT_CATEGORIES,
    ActivityTypeName,
    CategoryMapping,
    category_key,
)
from gainsight_pipelines.objects.column_sources import sources_of
from gainsight_pipelines.objects.definition import ObjectDefinition
from gainsight_pipelines.objects.fields import (
    SYSTEM_FIELDS,
    Record,
    Values,
    json_reader,
    spelled,
    text,
    texts,
    typed_reader,
)
from gainsight_pipelines.objects.html_text import html_text
from gainsight_pipelines.objects.pull import (
    Basis,
    CompanyFields,
    Mapped,
    ObjectPull,
    Window,
    company_fields,
    cursor_field,
    selected,
)
from gainsight_pipelines.objects.section import Enabled, GsidOverride, Section, Takes, Text, each_once
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import Table
from gainsight_pipelines.text import name_key

STANDARD_FIELDS = (
    "Gsid",
    "Subject",
    "Notes",
    "NotesPlainText",
    "ActivityDate",
    "CreatedDate",
    "Duration",
    "InternalAttendees",
    "ExternalAttendees",
)
ACTIVITY_OBJECT = "activity_timeline"
RELATIONSHIP_COMPANY = "CompanyId"
"""The relationship's lookup to its company; the same in every tenant."""

KEPT_CATEGORIES = 1000
"""Cached categories: tenants have dozens, but free text may hold any number."""

CUSTOM_PREFIX, CUSTOM_SUFFIX = "ant__", "__gc"


class ActivitySettings(Section):
    """Timeline entries."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    initial_lookback_days: Annotated[
        StrictInt | None,
        Setting(ge=1, le=36_500, description="How far back the first read goes; null: everything."),
        Takes("a whole number from 1 to 36,500, or null for everything"),
    ] = 30
    reporting_categories: Annotated[
        Mapping[Text, ActivityTypeName],
        Setting(description="Activity type of each reporting category; ignores case and blanks."),
        Takes("a mapping of categories to EMAIL, MEETING or TYPE_MANUAL"),
    ] = Setting(default_factory=lambda: dict(DEFAULT_CATEGORIES))

    @field_validator("reporting_categories")
    @classmethod
    def _each_once(cls, value: Mapping[str, ActivityTypeName]) -> Mapping[str, ActivityTypeName]:
        each_once(value, category_key, "category", "compared without regard to case and blanks")
        return value


@dataclass(frozen=True, slots=True)
class ActivityPull(ObjectPull):
    """The pull of the timeline."""

    settings: ActivitySettings
    name: str = "activity"
    section: str = "activity"
    title: str = "Activity"
    description: str = "Timeline entries (meetings, calls, emails, updates) as activities of the account."
    gainsight_object: str = ACTIVITY_OBJECT
    table: Table = ACTIVITY
    limit: int | None = None

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    @property
    def categories(self) -> Mapping[str, str]:
        return self.settings.reporting_categories

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> ActivityMapper:
        return ActivityMapper(self.settings, schema, crm_id_field)


class ActivityMapper:
    """Maps a timeline entry to one row of source `timeline`."""

    def __init__(self, settings: ActivitySettings, schema: ObjectSchema, crm_id_field: str | None) -> None:
        self._source_object = ACTIVITY_OBJECT
        self._types = {category_key(name): kind for name, kind in settings.reporting_categories.items()}
        self._lookback_days = settings.initial_lookback_days
        self._categories = CategoryMapping(settings.reporting_categories)
        self._counts = lru_cache(KEPT_CATEGORIES)(self._categories.counts)
        self._type_of = lru_cache(KEPT_CATEGORIES)(self._categories.activity_type)
        self.cursor_field: str | None = cursor_field(schema)
        self.company = _company(schema, crm_id_field)
        self._category, self._read_category = category_reader(schema.field("ReportingCategory"))
        self._author = _author(schema, "Name", "UserName")
        self._author_email = _author(schema, "Email", "UserEmail")
        self.id_field = spelled(schema, "Gsid")
        self._subject, self._duration = spelled(schema, "Subject"), spelled(schema, "Duration")
        self._notes = spelled(schema, "Notes")
        self._plain_text = next(iter(selected(schema, "NotesPlainText")), None)
        self._activity_date, self._created_date = spelled(schema, "ActivityDate"), spelled(schema, "CreatedDate")
        self._internal, self._external = spelled(schema, "InternalAttendees"), spelled(schema, "ExternalAttendees")
        self.custom_fields = tuple(field for field in schema.fields.values() if _is_custom(field))
        self._customs = [(field.name, field.name, json_reader(field)) for field in self.custom_fields]
        self.select = selected(
            schema,
            *STANDARD_FIELDS,
            self.cursor_field,
            self._category,
            self._author,
            self._author_email,
            *self.company.selected,
            *(field.name for field in self.custom_fields),
        )

        author, email = _refused_author(schema, "Name"), _refused_author(schema, "Email")
        self.sources = sources_of(
            schema,
            {
                "company_gsid": (self.company.gsid, self.company.through),
                "activity_type": (self._category,),
                "reporting_category": (self._category,),
                "subject": (self._subject,),
                "body": (self._notes,),
                "body_text": (self._plain_text, self._notes),
                "occurred_at": (self._activity_date, self._created_date),
                "duration_minutes": (self._duration,),
                "author": (author or self._author,),
                "author_email": (email or self._author_email,),
                "internal_attendees": (self._internal,),
                "external_attendees": (self._external,),
                "modified_at": (self.cursor_field,),
            },
            keys={name: path for name, path, _ in self._customs},
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        start = None if self._lookback_days is None else now - timedelta(days=self._lookback_days)
        return Window(since=start, start=start)

    def map(self, record: Record) -> Mapped:
        values = Values(record)
        category = self._read_category(record.get(self._category)) if self._category else None
        body = _words(record.get(self._notes))
        plain = _words(record.get(self._plain_text)) if self._plain_text else None
        occurred_at = values.instant(self._activity_date)
        if occurred_at is None and values.is_readable(self._activity_date):
            occurred_at = values.instant(self._created_date)
        customs = values.read_all(self._customs)
        row = ActivityRow(
            activity_id=values.identifier(self.id_field),
            source="timeline",
            source_object=self._source_object,
            company_gsid=values.company_gsid(self.company),
            activity_type=self._type_of(category),
            reporting_category=category,
            subject=values.text(self._subject),
            body=body,
            body_text=plain or html_text(body),
            occurred_at=occurred_at,
            duration_minutes=values.number(self._duration),
            author=values.text(self._author),
            author_email=values.text(self._author_email),
            internal_attendees=values.read(self._internal, texts),
            external_attendees=values.read(self._external, texts),
            custom_fields=values.json({name: value for name, value in customs.items() if value is not None}),
            modified_at=values.instant(self.cursor_field),
            unreadable=values.unreadable_json(),
        )
        return Mapped([row], (*self._counts(category), *values.counts()))

    def basis(self) -> Basis:
        # Without the path to the CRM id: the companies' CRM ids are stored and refreshed separately.
        fields = tuple(name for name in self.select if name != self.company.crm_id)
        return Basis(
            self._source_object,
            fields,
            self._lookback_days,
            mapping={"activity.reporting_categories": dict(sorted(self._types.items()))},
        )

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        types = CategoryMapping(self._types)
        return (Remap(("reporting_category",), ("activity_type",), lambda name: (types.activity_type(name).value,)),)

    def details(self) -> dict[str, Any]:
        return {}


def _words(value: Any) -> str | None:
    """The notes, unchanged; values that are not strings are converted."""
    return value or None if value is None or isinstance(value, str) else text(value)


def _company(schema: ObjectSchema, crm_id_field: str | None) -> CompanyFields:
    """The company of an entry; entries of a relationship, or of something below one, may name only that."""
    company = company_fields(schema, None, None, crm_id_field)
    relationship = schema.field("GsRelationshipId")
    if relationship is None or relationship.lookup_path is None:
        return company
    through = selected(schema, f"{relationship.lookup_path}.{RELATIONSHIP_COMPANY}")
    return replace(company, through=through[0]) if through else company


def _author(schema: ObjectSchema, shown: str, plain: str) -> str | None:
    """Where an author's attribute is: on the user that AuthorId looks up, or else in a field of the entry."""
    author = schema.field("AuthorId")
    if author is not None and author.lookup_path and (path := selected(schema, f"{author.lookup_path}.{shown}")):
        return path[0]
    return next(iter(selected(schema, plain)), None)


def _refused_author(schema: ObjectSchema, shown: str) -> str | None:
    """The path to the author that the tenant now refuses: what was stored from it is kept."""
    author = schema.field("AuthorId")
    path = f"{author.lookup_path}.{shown}" if author is not None and author.lookup_path else ""
    return path if name_key(path) in schema.unreadable else None


def category_reader(field: Field | None) -> tuple[str | None, Callable[[Any], str | None]]:
    """Where the category's name is: in the field, behind its picklist id, or on the record that it looks up."""
    if field is None:
        return None, text
    if field.lookup_path:
        return f"{field.lookup_path}.Name", text
    if field.is_picklist or field.options:
        read = typed_reader(field)
        return field.name, lambda value: text(read(value))
    return field.name, text


def _is_custom(field: Field) -> bool:
    name = name_key(field.name)
    return (
        not field.is_hidden
        and name not in SYSTEM_FIELDS
        and (name.startswith(CUSTOM_PREFIX) or name.endswith(CUSTOM_SUFFIX))
    )


DEFINITION = ObjectDefinition(
    section="activity",
    model=ActivitySettings,
    title="Activity",
    summary="timeline activities",
    cron="20 */4 * * *",
    cadence="every 4 hours",
    icon="event_note",
    table=ACTIVITY,
    owns=(ACTIVITY_OBJECT,),
    pulls=lambda settings: [ActivityPull(settings)],
)
