"""Survey responses, which become activities of type SURVEY (requirements S1 to S4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.objects.activity_types import ActivityType
from gainsight_pipelines.objects.fields import (
    NUMBER_TYPES,
    SYSTEM_FIELDS,
    TIME_TYPES,
    Record,
    configured_field,
    first_named,
    identifier,
    instant,
    normal_name,
    number,
    text,
    typed_reader,
)
from gainsight_pipelines.objects.pull import Basis, Row, Window, company_fields, cursor_field, selected
from gainsight_pipelines.settings import SurveyObject, SurveysSettings
from gainsight_pipelines.settings.models import SurveyField
from gainsight_pipelines.store.rejected import to_json
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import ACTIVITY, Table

MAPPED_FIELDS: tuple[SurveyField, ...] = get_args(SurveyField)

USUAL_NAMES: Mapping[SurveyField, tuple[str, ...]] = {
    "responded_at": ("respondeddate", "responsedate", "respondedon", "submitteddate", "submittedon", "answereddate"),
    "survey_type": ("surveytype", "responsetype"),
    "comment": ("comment", "comments", "feedback", "responsetext", "answertext", "verbatim"),
    "subject": ("surveyname", "surveytitle", "subject", "name"),
    "respondent_name": ("respondentname", "respondent", "participantname", "contactname"),
    "respondent_email": ("respondentemail", "participantemail", "contactemail", "email"),
}
"""Names under which detection looks for a field, most telling first; Gainsight's documents give labels, not names."""

SCORE_TYPES: Mapping[str, str] = {"nps": "NPS", "csat": "CSAT", "ces": "CES"}
CUSTOM_TYPE = "CUSTOM"


@dataclass(frozen=True, slots=True)
class SurveyPull:
    """The pull of one survey response object."""

    settings: SurveysSettings
    row: SurveyObject
    name: str
    table: Table = ACTIVITY

    @property
    def title(self) -> str:
        return f"Surveys: {self.row.object}"

    @property
    def description(self) -> str:
        kind = self.row.survey_type or "NPS, CSAT and custom"
        return f"{kind} survey responses of Gainsight object `{self.row.object}` as activities of the account."

    @property
    def gainsight_object(self) -> str:
        return self.row.object

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    @property
    def limit(self) -> int | None:
        return self.settings.response_limit

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> SurveyMapper:
        return SurveyMapper(self.settings, self.row, schema, crm_id_field)


class SurveyMapper:
    """A response becomes one row of source `survey`."""

    def __init__(
        self, settings: SurveysSettings, row: SurveyObject, schema: ObjectSchema, crm_id_field: str | None
    ) -> None:
        self._lookback = timedelta(days=settings.lookback_days)
        self._pinned_type = row.survey_type
        self._object = row.object
        self.cursor_field: str | None = cursor_field(schema)
        self.company = company_fields(schema, row.company_field, "surveys.objects[].company_field", crm_id_field)
        self._fields = _detected(schema, row.field_mappings)
        self._scores = _scores(schema, row.field_mappings.get("score"))
        responded_at = self._fields["responded_at"]
        if responded_at is None:
            raise _undetected(schema, "responded_at", TIME_TYPES)
        self._responded_at = responded_at.name
        self._readers = {name: typed_reader(field) for name, field in self._fields.items() if field is not None}
        taken = {field.name for field in self._fields.values() if field} | {name for name, _ in self._scores}
        self.custom_fields = tuple(
            field
            for field in schema.fields.values()
            if settings.register_custom_fields
            and field.name not in taken
            and not field.is_hidden
            and field.name.lower() not in SYSTEM_FIELDS
        )
        self._customs = [(field.name, typed_reader(field)) for field in self.custom_fields]
        self.select = selected(
            schema,
            "Gsid",
            "CreatedDate",
            self.cursor_field,
            *self.company.selected,
            *taken,
            *(name for name, _ in self._customs),
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        since = kept_since or now - self._lookback
        # A comparison leaves empty dates out: those responses count as given when they were created.
        undated = (Condition(self._responded_at, Operator.IS_NULL), Condition("CreatedDate", Operator.GTE, (since,)))
        return Window(
            since=since, filters=(Condition(self._responded_at, Operator.GTE, (since,)),), undated_filters=undated
        )

    def rows(self, record: Record) -> list[Row]:
        gsid = identifier(record)
        score, score_type = self._score(record)
        survey_type = self._pinned_type or self._value(record, "survey_type") or score_type
        customs = {name: read(record.get(name)) for name, read in self._customs}
        comment = self._value(record, "comment")
        return [
            (
                gsid,
                "survey",
                self._object,
                self.company.gsid_of(record),
                ActivityType.SURVEY,
                None,
                survey_type,
                nps_group(score) if survey_type.upper() == "NPS" else None,
                score,
                self._value(record, "subject"),
                comment,
                comment,
                instant(record, self._responded_at) or instant(record, "CreatedDate"),
                None,
                self._value(record, "respondent_name"),
                self._value(record, "respondent_email"),
                None,
                None,
                to_json({name: value for name, value in customs.items() if value is not None}),
                instant(record, self.cursor_field),
            )
        ]

    def basis(self) -> Basis:
        # Not the path to the CRM id: which company has which is kept and refreshed apart from the records.
        fields = tuple(name for name in self.select if name != self.company.crm_id)
        mapping = {name: field.name for name, field in self._fields.items() if field is not None}
        return Basis(
            self._object,
            fields,
            self._lookback.days,
            mapping={
                "surveys.objects[].field_mappings": mapping | {"score": [name for name, _ in self._scores]},
                "surveys.objects[].survey_type": self._pinned_type,
            },
        )

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        now = self.basis().mapping
        name = "surveys.objects[].field_mappings"
        pinned = self._pinned_type
        if former.mapping.get(name) != now[name] or pinned is None:
            return None
        is_nps = pinned.upper() == "NPS"
        return (
            Remap(
                ("score",), ("survey_type", "nps_group"), lambda score: (pinned, nps_group(score) if is_nps else None)
            ),
        )

    def details(self) -> dict[str, Any]:
        mappings: dict[str, Any] = {name: field.name for name, field in self._fields.items() if field is not None}
        return {"field_mappings": mappings | {"score": [name for name, _ in self._scores]}}

    def _value(self, record: Record, name: SurveyField) -> str | None:
        field = self._fields[name]
        return None if field is None else text(self._readers[name](record.get(field.name)))

    def _score(self, record: Record) -> tuple[Decimal | None, str]:
        """The first score that is there, and the type of survey that its field is named after."""
        for name, survey_type in self._scores:
            if (score := number(record, name)) is not None:
                return score, survey_type
        return None, CUSTOM_TYPE


def nps_group(score: Decimal | None) -> str | None:
    """Promoter (9 and 10), passive (7 and 8) or detractor (0 to 6), the groups that the Net Promoter Score counts."""
    if score is None or not 0 <= score <= 10:
        return None
    return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"


def _detected(schema: ObjectSchema, overrides: Mapping[SurveyField, str]) -> dict[SurveyField, Field | None]:
    """The field for each part of a response: as overridden, else by its usual names."""
    found: dict[SurveyField, Field | None] = {}
    for name in MAPPED_FIELDS:
        if name in overrides:
            found[name] = configured_field(schema, overrides[name], f"surveys.objects[].field_mappings.{name}")
        elif name in USUAL_NAMES:
            found[name] = first_named(schema, USUAL_NAMES[name], TIME_TYPES if name == "responded_at" else None)
    return found


def _scores(schema: ObjectSchema, override: str | None) -> list[tuple[str, str]]:
    """The fields that may hold the score, each with the type of survey it tells of."""
    if override is not None:
        field = configured_field(schema, override, "surveys.objects[].field_mappings.score")
        return [(field.name, _score_type(field))]
    candidates = [
        field
        for field in schema.fields.values()
        if field.data_type in NUMBER_TYPES
        and (normal_name(field.name) in {"score", "rating", *SCORE_TYPES} or normal_name(field.name).endswith("score"))
    ]
    if not candidates:
        raise _undetected(schema, "score", NUMBER_TYPES)
    return [(field.name, _score_type(field)) for field in candidates]


def _score_type(field: Field) -> str:
    return next((kind for start, kind in SCORE_TYPES.items() if normal_name(field.name).startswith(start)), CUSTOM_TYPE)


def _undetected(schema: ObjectSchema, name: SurveyField, types: frozenset[str]) -> SettingsError:
    candidates = [field.name for field in schema.fields.values() if field.data_type in types]
    return SettingsError(
        f"Which field of Gainsight object `{schema.name}` holds `{name}` can't be told from its schema.",
        f"Set `surveys.objects[].field_mappings.{name}` to one of: {', '.join(sorted(candidates)) or '(none fits)'}.",
    )
