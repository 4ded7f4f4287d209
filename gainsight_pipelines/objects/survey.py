"""Survey responses, which become activities of type SURVEY (requirements S1 to S8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.where_check import checked_filter
from gainsight_pipelines.objects.activity_types import ActivityType
from gainsight_pipelines.objects.fields import (
    SYSTEM_FIELDS,
    Record,
    identifier,
    instant,
    number,
    text,
    typed_reader,
)
from gainsight_pipelines.objects.pull import Basis, Mapped, Window, company_fields, cursor_field, selected
from gainsight_pipelines.objects.survey_fields import CUSTOM, NPS, Choice, detect, survey_kind
from gainsight_pipelines.settings import SurveyObject, SurveysSettings
from gainsight_pipelines.settings.models import SurveyField
from gainsight_pipelines.store.rejected import to_json
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import ACTIVITY, ActivityRow, Json, Table
from gainsight_pipelines.text import name_key

FIELD_MAPPINGS = "surveys.objects[].field_mappings"
COMPANY_FIELD, SURVEY_TYPE = "surveys.objects[].company_field", "surveys.objects[].survey_type"


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

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> SurveyMapper:
        return SurveyMapper(self.settings, self.row, schema, crm_id_field)


class SurveyMapper:
    """A response becomes one row of source `survey`."""

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
        self._scores = [(score.survey_type, _reader(score.choice)) for score in self._fields.scores]
        self._kinds = {survey_type for survey_type, _ in self._scores} - {None}
        self._keeps_customs = settings.register_custom_fields
        self.custom_fields = tuple(
            field
            for field in schema.fields.values()
            if self._keeps_customs and not field.is_hidden and name_key(field.name) not in SYSTEM_FIELDS
        )
        self._customs = [(field.name, typed_reader(field)) for field in self.custom_fields]
        self.select = selected(
            schema,
            "Gsid",
            "CreatedDate",
            self.cursor_field,
            *self.company.selected,
            *self._fields.paths,
            *(name for name, _ in self._customs),
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        if self._where is not None:
            return Window(where=self._where)
        since = kept_since or now - self._lookback
        # A comparison leaves empty dates out: those responses count as given when they were created.
        undated = (self._is_undated, Condition("CreatedDate", Operator.GTE, (since,)))
        return Window(since=since, filters=(self._given(Operator.GTE, since),), undated_filters=undated)

    def day(self, day: date) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
        """The conditions for the responses of one day in UTC: the dated ones, and those that count by CreatedDate."""
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = begin + timedelta(days=1)
        created = (Condition("CreatedDate", Operator.GTE, (begin,)), Condition("CreatedDate", Operator.LT, (end,)))
        return (self._given(Operator.GTE, begin), self._given(Operator.LT, end)), (self._is_undated, *created)

    @property
    def _is_undated(self) -> Condition:
        return Condition(self._responded_at.name, Operator.IS_NULL)

    def _given(self, operator: Operator, moment: datetime) -> Condition:
        value = moment.date() if self._responded_at.data_type == "DATE" else moment
        return Condition(self._responded_at.name, operator, (value,))

    def map(self, record: Record) -> Mapped:
        gsid = identifier(record)
        named = self._pinned_type or survey_kind(self._value(record, "survey_type"))
        score, kind_of_score = self._score(record, named)
        survey_type = named or kind_of_score or CUSTOM
        comment = self._value(record, "comment")
        row = ActivityRow(
            activity_id=gsid,
            source="survey",
            source_object=self._object,
            company_gsid=self.company.gsid_of(record),
            activity_type=ActivityType.SURVEY,
            survey_type=survey_type,
            nps_group=nps_group(score) if survey_type == NPS else None,
            score=score,
            subject=self._value(record, "subject"),
            body=comment,
            body_text=comment,
            occurred_at=instant(record, self._responded_at.name) or instant(record, "CreatedDate"),
            author=self._value(record, "respondent_name"),
            author_email=self._value(record, "respondent_email"),
            custom_fields=self._custom_values(record),
            modified_at=instant(record, self.cursor_field),
        )
        return Mapped([row])

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

    def _value(self, record: Record, name: SurveyField) -> str | None:
        read = self._readers.get(name)
        return None if read is None else text(read(record))

    def _score(self, record: Record, survey_type: str | None) -> tuple[Decimal | None, str | None]:
        """The score, and the kind of survey that its field is named after.

        Of a survey's own kind where that is known, so that a CSAT answer never shows up as NPS.
        """
        for kind, read in self._scores:
            if survey_type in self._kinds and kind not in (survey_type, None):
                continue
            found = read(record)
            if found not in (None, ""):
                return number({"score": found}, "score"), kind
        return None, None

    def _custom_values(self, record: Record) -> Json | None:
        """The custom fields as JSON; None when they are not kept, which leaves alone what was stored before."""
        if not self._keeps_customs:
            return None
        values = {name: read(record.get(name)) for name, read in self._customs}
        return to_json({name: value for name, value in values.items() if value is not None})


def _reader(choice: Choice) -> Callable[[Record], Any]:
    """Reads a part out of a record: labels in place of picklist ids; of a lookup the name that it shows."""
    read = typed_reader(choice.field) if choice.path == choice.field.name else _as_it_is
    return lambda record: read(record.get(choice.path))


def _as_it_is(value: Any) -> Any:
    return value


def nps_group(score: Decimal | None) -> str | None:
    """Promoter (9 and 10), passive (7 and 8) or detractor (0 to 6), the groups that the Net Promoter Score counts."""
    if score is None or not 0 <= score <= 10:
        return None
    return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
