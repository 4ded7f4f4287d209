"""Timeline activities, typed by their ReportingCategory (requirements T1 and T2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.activity_types import CategoryMapping
from gainsight_pipelines.objects.fields import (
    SYSTEM_FIELDS,
    Record,
    identifier,
    instant,
    number,
    text,
    texts,
    typed_reader,
)
from gainsight_pipelines.objects.html_text import html_text
from gainsight_pipelines.objects.pull import Row, Window, company_fields, cursor_field, selected
from gainsight_pipelines.settings import ActivitySettings
from gainsight_pipelines.store.rejected import to_json
from gainsight_pipelines.store.tables import ACTIVITY, Table

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
CUSTOM_PREFIX, CUSTOM_SUFFIX = "ant__", "__gc"


@dataclass(frozen=True, slots=True)
class ActivityPull:
    """The pull of the timeline."""

    settings: ActivitySettings
    name: str = "activity"
    title: str = "Activity"
    description: str = "Timeline entries (meetings, calls, e-mails, updates) as activities of the account."
    gainsight_object: str = "activity_timeline"
    table: Table = ACTIVITY
    limit: int | None = None

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> ActivityMapper:
        return ActivityMapper(self.settings, schema, crm_id_field)


class ActivityMapper:
    """A timeline entry becomes one row of source `timeline`."""

    def __init__(self, settings: ActivitySettings, schema: ObjectSchema, crm_id_field: str | None) -> None:
        self._source_object = "activity_timeline"
        self._lookback_days = settings.initial_lookback_days
        self._categories = CategoryMapping(settings.reporting_categories)
        self.cursor_field = cursor_field(schema)
        self.company = company_fields(schema, None, "activity", crm_id_field)
        self._category, self._read_category = _category(schema.field("ReportingCategory"))
        author = schema.field("AuthorId")
        path = author.lookup_path if author else None
        self._author = f"{path}.Name" if path else None
        self._author_email = f"{path}.Email" if path else None
        self._has_plain_text = schema.field("NotesPlainText") is not None
        self.custom_fields = tuple(field for field in schema.fields.values() if _is_custom(field))
        self._customs = [(field.name, typed_reader(field)) for field in self.custom_fields]
        self.select = selected(
            schema,
            *STANDARD_FIELDS,
            self.cursor_field,
            self._category,
            self._author,
            self._author_email,
            *self.company.selected,
            *(name for name, _ in self._customs),
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        start = None if self._lookback_days is None else now - timedelta(days=self._lookback_days)
        return Window(since=start, start=start)

    def rows(self, record: Record) -> list[Row]:
        activity_id = identifier(record)
        category = text(self._read_category(record.get(self._category))) if self._category else None
        body = record.get("Notes") or None
        plain = record.get("NotesPlainText") if self._has_plain_text else None
        customs = {name: read(record.get(name)) for name, read in self._customs}
        return [
            (
                activity_id,
                "timeline",
                self._source_object,
                self.company.gsid_of(record),
                self._categories.activity_type(category),
                category,
                None,
                None,
                None,
                text(record.get("Subject")),
                body,
                plain or html_text(body),
                instant(record, "ActivityDate") or instant(record, "CreatedDate"),
                number(record, "Duration"),
                text(record.get(self._author)) if self._author else None,
                text(record.get(self._author_email)) if self._author_email else None,
                texts(record.get("InternalAttendees")),
                texts(record.get("ExternalAttendees")),
                to_json({name: value for name, value in customs.items() if value is not None}),
                instant(record, self.cursor_field),
            )
        ]

    def details(self) -> dict[str, Any]:
        return {
            "categories": dict(self._categories.seen.most_common(50)),
            "unmapped_categories": dict(self._categories.unmapped.most_common(50)),
        }


def _category(field: Field | None) -> tuple[str | None, Any]:
    """Where the category's name stands: in the field, behind its picklist id, or on the record it looks up."""
    if field is None:
        return None, text
    if field.lookup_path:
        return f"{field.lookup_path}.Name", text
    return field.name, typed_reader(field)


def _is_custom(field: Field) -> bool:
    name = field.name.lower()
    return (
        not field.is_hidden
        and name not in SYSTEM_FIELDS
        and (name.startswith(CUSTOM_PREFIX) or name.endswith(CUSTOM_SUFFIX))
    )
