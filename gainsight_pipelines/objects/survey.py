"""Survey responses, stored as activities of type SURVEY (requirements S1 to S8)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field as Setting
from pydantic import StrictBool, StrictInt, field_validator, model_validator

from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.where_check import checked_filter
from gainsight_pipelines.objects.activity_table import ACTIVITY, ActivityRow
from gainsight_pipelines.objects.activity_types import ActivityType
from gainsight_pipelines.objects.column_sources import sources_of
from gainsight_pipelines.objects.columns import column_reader, columns_of
from gainsight_pipelines.objects.definition import ObjectDefinition
from gainsight_pipelines.objects.fields import (
    SYSTEM_FIELDS,
    Reader,
    Record,
    Values,
    leading_number,
    spelled,
    text,
    typed_reader,
)
from gainsight_pipelines.objects.pull import (
    Basis,
    ByDay,
    Fit,
    Mapped,
    NamedField,
    ObjectPull,
    Window,
    company_fields,
    cursor_field,
    selected,
)
from gainsight_pipelines.objects.section import (
    FIELD_WORDS,
    OBJECT_WORDS,
    Enabled,
    FieldName,
    GsidOverride,
    ObjectName,
    Section,
    Takes,
    Text,
    day_of,
    each_once,
)
from gainsight_pipelines.objects.survey_fields import CUSTOM, NPS, Choice, SurveyField, detect, survey_kind
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import Json, Table
from gainsight_pipelines.store.views import Column, Source
from gainsight_pipelines.text import clean_value, name_key

FIELD_MAPPINGS = "surveys.objects[].field_mappings"
COMPANY_FIELD, SURVEY_TYPE = "surveys.objects[].company_field", "surveys.objects[].survey_type"


class SurveyObject(Section):
    """One Gainsight object with survey responses."""

    object: Annotated[ObjectName, Setting(description="Gainsight object with the responses."), Takes(OBJECT_WORDS)]
    survey_type: Annotated[
        Text | None,
        Setting(description="Pins the type (NPS, CSAT, …) of every response of this object."),
        Takes("a text such as NPS, or null"),
    ] = None
    company_field: Annotated[
        FieldName | None,
        Setting(description="Field with the company's GSID; null: GsCompanyId, or the lookup on company."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    field_mappings: Annotated[
        Mapping[SurveyField, FieldName | None],
        Setting(description="Our field → Gainsight field, where the detected one isn't right; null: there is none."),
        Takes(f"a mapping of {', '.join(get_args(SurveyField))} to Gainsight fields"),
    ] = Setting(default_factory=dict)


class SurveysSettings(Section):
    """Survey responses, as activities."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    mode: Annotated[
        Literal["single", "multiple"],
        Setting(description="single: one object holds all responses; multiple: an object per kind of survey."),
        Takes("single or multiple"),
    ] = "single"
    objects: Annotated[
        tuple[SurveyObject, ...],
        Setting(min_length=1, description="The objects with responses; exactly one in single mode."),
        Takes("a list with at least one row like {object: survey_response}"),
    ] = (SurveyObject(object="survey_response"),)
    response_limit: Annotated[
        StrictInt,
        Setting(ge=1, le=10_000_000, description="Records fetched per object and run."),
        Takes("a whole number from 1 to 10,000,000"),
    ] = 500
    lookback_days: Annotated[
        StrictInt,
        Setting(ge=1, le=30, description="How far back to pull."),
        Takes("a whole number from 1 to 30"),
    ] = 30
    first_day: Annotated[
        date | None,
        Setting(description="First day that can be backfilled; null: 2020-01-01."),
        Takes("a date like 2026-01-31, or null for 2020-01-01"),
    ] = None
    register_custom_fields: Annotated[
        StrictBool,
        Setting(description="Register each field of the response object as an activity custom field, with its values."),
        Takes("true or false"),
    ] = False
    filter: Annotated[
        dict[str, Any] | None,
        Setting(description="A Gainsight where-clause as an object; replaces the lookback filter."),
        Takes("a Gainsight where-clause as a mapping, or null"),
    ] = None

    @field_validator("objects")
    @classmethod
    def _names_unique(cls, rows: tuple[SurveyObject, ...]) -> tuple[SurveyObject, ...]:
        names = [row.object for row in rows]
        each_once(names, name_key, "survey object", "the object name of each row must be unique")
        backfills = {f"{name_key(name)}_by_day": name for name in names}
        for name in names:
            if other := backfills.get(name_key(name)):
                raise ValueError(
                    f"has {name}, which is the name of the backfill by day of {other}; rename or remove one of them"
                )
        return rows

    @field_validator("first_day", mode="before")
    @classmethod
    def _a_day(cls, value: object) -> object:
        if isinstance(value, str):  # a date in quotes
            return day_of(value)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise ValueError

    @field_validator("filter")
    @classmethod
    def _is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ValueError("contains something that JSON can't: put dates and times in quotes") from None
        return clean_value(value)[0]  # type: ignore[no-any-return]

    @model_validator(mode="after")
    def _single_is_one(self) -> Self:
        if self.mode == "single" and len(self.objects) != 1:
            raise ValueError(
                f"objects has {len(self.objects)} rows; with mode single it takes exactly one: "
                "leave one row, or set mode to multiple"
            )
        return self


@dataclass(frozen=True, slots=True)
class SurveyPull(ObjectPull):
    """The pull of one survey response object."""

    settings: SurveysSettings
    row: SurveyObject
    name: str
    section: str = "surveys"
    table: Table = ACTIVITY

    @property
    def title(self) -> str:
        """The survey type, with the object if another row has the same type; without a type, the object."""
        kind = self.row.survey_type
        if kind is None:
            return f"Surveys: {self.row.object}"
        is_shared = sum(row.survey_type == kind for row in self.settings.objects) > 1
        return f"Surveys: {kind} ({self.row.object})" if is_shared else f"Surveys: {kind}"

    @property
    def description(self) -> str:
        kind = self.row.survey_type or "NPS, CSAT and custom"
        return f"{kind} survey responses of Gainsight object {self.row.object} as activities of the account."

    @property
    def gainsight_object(self) -> str:
        return self.row.object

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    @property
    def limit(self) -> int | None:
        return self.settings.response_limit

    @property
    def place(self) -> str:
        """The place of its row in the settings."""
        return f"surveys.objects[{self.settings.objects.index(self.row)}]"

    @property
    def named_fields(self) -> tuple[NamedField, ...]:
        name = self.row.company_field
        return (NamedField(f"{self.place}.company_field", name, Fit.COMPANY),) if name else ()

    @property
    def by_day(self) -> ByDay:
        return ByDay(self.settings.first_day)

    @property
    def typed_view_name(self) -> str | None:
        return self.name if self.settings.register_custom_fields else None

    def typed_view(self, mapper: SurveyMapper) -> tuple[Source, Sequence[Column]] | None:
        if self.typed_view_name is None:
            return None
        return Source(self.typed_view_name, ACTIVITY, self.row.object, "custom_fields"), columns_of(
            mapper.custom_fields
        )

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> SurveyMapper:
        return SurveyMapper(self.settings, self.row, schema, crm_id_field)


class SurveyMapper:
    """Maps a response to one row of source `survey`."""

    def __init__(
        self, settings: SurveysSettings, row: SurveyObject, schema: ObjectSchema, crm_id_field: str | None
    ) -> None:
        place = f"surveys.objects[{settings.objects.index(row)}]"
        self._lookback = timedelta(days=settings.lookback_days)
        self._pinned_type = survey_kind(row.survey_type)
        self._object = row.object
        self.cursor_field: str | None = cursor_field(schema)
        self.company = company_fields(schema, row.company_field, f"{place}.company_field", crm_id_field)
        self._fields = detect(schema, row.field_mappings, self._pinned_type, place)
        self._responded_at = self._fields.choices["responded_at"].field
        self._where = checked_filter(settings.filter, schema, "surveys.filter")
        self._readers = {name: _reader(choice) for name, choice in self._fields.choices.items()}
        self._scores = [
            (score.survey_type, score.choice.path, _score_reader(score.choice)) for score in self._fields.scores
        ]
        self._kinds = {survey_type for survey_type, _, _ in self._scores} - {None}
        self.id_field, self._created_date = spelled(schema, "Gsid"), spelled(schema, "CreatedDate")
        self._keeps_customs = settings.register_custom_fields
        self.custom_fields = tuple(
            field
            for field in schema.fields.values()
            if self._keeps_customs and not field.is_hidden and name_key(field.name) not in SYSTEM_FIELDS
        )
        # A number field that gives the score is stored as a number; picklists stay labels.
        read_scores = {path: read for _, path, read in self._scores if read is leading_number}
        self._customs = [
            (field.name, field.name, read_scores.get(field.name, column_reader(field))) for field in self.custom_fields
        ]
        self.select = selected(
            schema,
            self.id_field,
            self._created_date,
            self.cursor_field,
            *self.company.selected,
            *self._fields.paths,
            *(field.name for field in self.custom_fields),
        )

        paths = {name: choice.path for name, choice in self._fields.choices.items()}
        scores = tuple(path for _, path, _ in self._scores)
        self.sources = sources_of(
            schema,
            {
                "company_gsid": (self.company.gsid,),
                "survey_type": () if self._pinned_type else (paths.get("survey_type"), *scores),
                "nps_group": scores,
                "score": scores,
                "subject": (paths.get("subject"),),
                "body": (paths.get("comment"),),
                "body_text": (paths.get("comment"),),
                "occurred_at": (self._responded_at.name, self._created_date),
                "author": (paths.get("respondent_name"),),
                "author_email": (paths.get("respondent_email"),),
                "modified_at": (self.cursor_field,),
            },
            keys={name: path for name, path, _ in self._customs},
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        if self._where is not None:
            return Window(where=self._where)
        since = now - self._lookback
        if kept_since is not None:
            since = min(since, kept_since)
        # A comparison excludes empty dates: those responses count by their creation date.
        undated = (self._is_undated, Condition(self._created_date, Operator.GTE, (since,)))
        return Window(since=since, filters=(self._dated(Operator.GTE, since),), undated_filters=undated)

    def day(self, day: date) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
        """The conditions for one day's responses, in UTC: the dated ones, and those that count by CreatedDate."""
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = begin + timedelta(days=1)
        created = (
            Condition(self._created_date, Operator.GTE, (begin,)),
            Condition(self._created_date, Operator.LT, (end,)),
        )
        return (self._dated(Operator.GTE, begin), self._dated(Operator.LT, end)), (
            self._is_undated,
            *created,
        )

    @property
    def _is_undated(self) -> Condition:
        return Condition(self._responded_at.name, Operator.IS_NULL)

    def _dated(self, operator: Operator, moment: datetime) -> Condition:
        value = moment.date() if self._responded_at.data_type == "DATE" else moment
        return Condition(self._responded_at.name, operator, (value,))

    def map(self, record: Record) -> Mapped:
        values = Values(record)
        named = self._pinned_type or survey_kind(self._part(values, "survey_type"))
        score, kind_of_score = self._score(values, named)
        survey_type = named or kind_of_score or CUSTOM
        comment = self._part(values, "comment")
        occurred_at = values.instant(self._responded_at.name)
        if occurred_at is None and values.is_readable(self._responded_at.name):
            occurred_at = values.instant(self._created_date)
        row = ActivityRow(
            activity_id=values.identifier(self.id_field),
            source="survey",
            source_object=self._object,
            company_gsid=values.company_gsid(self.company),
            activity_type=ActivityType.SURVEY,
            survey_type=survey_type,
            nps_group=nps_group(score) if survey_type == NPS else None,
            score=score,
            subject=self._part(values, "subject"),
            body=comment,
            body_text=comment,
            occurred_at=occurred_at,
            author=self._part(values, "respondent_name"),
            author_email=self._part(values, "respondent_email"),
            custom_fields=self._custom_values(values),
            modified_at=values.instant(self.cursor_field),
            unreadable=values.unreadable_json(),
        )
        return Mapped([row], values.counts())

    def basis(self) -> Basis:
        # Not the path to the CRM id: which company has which is kept and refreshed apart from the records.
        fields = tuple(name for name in self.select if name != self.company.crm_id)
        return Basis(
            self._object,
            fields,
            self._lookback.days,
            mapping={
                FIELD_MAPPINGS: self._fields.mapping(),
                COMPANY_FIELD: self.company.gsid,
                SURVEY_TYPE: self._pinned_type,
            },
            names=(FIELD_MAPPINGS, COMPANY_FIELD),
        )

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        pinned, now = self._pinned_type, self.basis().mapping
        is_other = any(former.mapping.get(name) != now[name] for name in (FIELD_MAPPINGS, COMPANY_FIELD))
        if is_other or pinned is None:
            return None
        return (
            Remap(
                ("score",),
                ("survey_type", "nps_group"),
                lambda score: (pinned, nps_group(score) if pinned == NPS else None),
            ),
        )

    def details(self) -> dict[str, Any]:
        return {FIELD_MAPPINGS.rpartition(".")[2]: self._fields.as_json()}

    def _part(self, values: Values, name: SurveyField) -> str | None:
        choice = self._fields.choices.get(name)
        return None if choice is None else text(values.read(choice.path, self._readers[name]))

    def _score(self, values: Values, survey_type: str | None) -> tuple[Decimal | None, str | None]:
        """The score, and the kind of survey that its field's name says.

        If the survey's kind is known, only that kind's score counts, so that a CSAT response never shows up as NPS.
        """
        kind_of_odd: str | None = None
        for kind, path, read in self._scores:
            if survey_type in self._kinds and kind not in (survey_type, None):
                continue
            found = values.read(path, read)
            if found is not None:
                return found, kind
            if not values.is_readable(path):
                kind_of_odd = kind_of_odd or kind
        return None, kind_of_odd

    def _custom_values(self, values: Values) -> Json | None:
        """The custom fields as JSON; None if they are not kept, so that stored values are left alone."""
        if not self._keeps_customs:
            return None
        customs = values.read_all(self._customs)
        return values.json({name: value for name, value in customs.items() if value is not None})


def _reader(choice: Choice) -> Reader:
    """A reader for a part as text: labels for picklist ids; for a lookup, the name that it shows."""
    is_label = choice.path == choice.field.name and (choice.field.is_picklist or choice.field.options)
    return typed_reader(choice.field) if is_label else text


def _score_reader(choice: Choice) -> Reader:
    read = _reader(choice)
    return leading_number if read is text else lambda value: leading_number(text(read(value)))


def nps_group(score: Decimal | None) -> str | None:
    """Promoter (9 and 10), passive (7 and 8) or detractor (0 to 6), the groups of the Net Promoter Score."""
    if score is None or not 0 <= score <= 10:
        return None
    return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"


def survey_name(gainsight_object: str) -> str:
    """The name of one survey object's pull: lower case, valid as an asset name."""
    return f"survey_{name_key(gainsight_object)}"


DEFINITION = ObjectDefinition(
    section="surveys",
    model=SurveysSettings,
    title="Surveys",
    summary="survey responses",
    cron="35 5 * * *",
    cadence="daily",
    icon="poll",
    table=ACTIVITY,
    pulls=lambda settings: [SurveyPull(settings, row, survey_name(row.object)) for row in settings.objects],
    rows="objects",
    pull_name=survey_name,
    spread_minutes=12,
)
