"""An unreadable optional value doesn't reject its record: the column is NULL, the value is kept and counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gainsight_pipelines.gainsight.metadata import Field
from gainsight_pipelines.objects.activity import ActivityPull, ActivitySettings
from gainsight_pipelines.objects.company import CompanyPull, CompanySettings
from gainsight_pipelines.objects.fields import MAX_ID
from gainsight_pipelines.objects.product_usage import AggregateSettings, ProductUsagePull, ProductUsageSettings
from gainsight_pipelines.objects.pull import Mapped, Mapper, ObjectPull
from gainsight_pipelines.objects.survey import SurveyObject, SurveyPull, SurveysSettings
from gainsight_pipelines_tests.objects.schemas import lookup, picklist, plain, schema_of

SYSTEM = (plain("Gsid", "GSID"), plain("ModifiedDate", "DATETIME"), plain("CreatedDate", "DATETIME"))
COMPANY = lookup("GsCompanyId", "company")
CREATED = datetime(2026, 1, 31, 10, tzinfo=UTC)
USUAL = {"Gsid": "G1", "CreatedDate": "2026-01-31T10:00:00Z", "ModifiedDate": "2026-02-01", "GsCompanyId": "1p02a"}


def mapper(pull: ObjectPull, *fields: Field) -> Mapper:
    return pull.mapper(schema_of(pull.gainsight_object, *SYSTEM, *fields), "SfdcAccountId")


def timeline(*fields: Field) -> Mapper:
    return mapper(
        ActivityPull(ActivitySettings()),
        COMPANY,
        plain("ActivityDate", "DATETIME"),
        plain("Duration", "NUMBER"),
        plain("Subject"),
        plain("Ant__Amount__c", "CURRENCY"),
        *fields,
    )


def survey(*fields: Field, **settings: Any) -> Mapper:
    row = SurveyObject(object="responses", **settings)
    pull = SurveyPull(SurveysSettings(objects=(row,), register_custom_fields=True), row, "survey_responses")
    return mapper(pull, COMPANY, plain("RespondedDate", "DATETIME"), *fields)


def usage(*fields: Field, **settings: Any) -> Mapper:
    return mapper(ProductUsagePull(ProductUsageSettings(object="usage__gc", **settings)), plain("Day", "DATE"), *fields)


def unreadable(mapped: Mapped) -> list[dict[str, Any]]:
    """The unreadable values kept in each row; asserts that the counts name the same fields."""
    kept = [json.loads(row.unreadable) if row.unreadable else {} for row in mapped.rows]  # type: ignore[attr-defined]
    counted = [name for topic, name in mapped.counts if topic == "unreadable"]
    assert sorted(counted) == sorted({name for each in kept for name in each})
    return kept


def row_of(mapped: Mapped) -> Any:
    (row,) = mapped.rows
    return row


@pytest.mark.parametrize(
    ("field", "value", "column"),
    [
        ("Duration", "45 min", "duration_minutes"),
        ("Duration", [45], "duration_minutes"),
        ("ActivityDate", "2026-02-30T10:00:00Z", "occurred_at"),
        ("ActivityDate", 45000, "occurred_at"),
        ("ModifiedDate", "soon", "modified_at"),
        ("GsCompanyId", "x" * (MAX_ID + 1), "company_gsid"),
    ],
)
def test_an_unreadable_value_rejects_no_record(field: str, value: Any, column: str) -> None:
    mapped = timeline().map(USUAL | {"Subject": "Kick-off", field: value})
    row = row_of(mapped)
    assert (row.activity_id, row.subject, getattr(row, column)) == ("G1", "Kick-off", None)
    assert unreadable(mapped) == [{field: value}]


def test_an_empty_date_is_the_creation_date_and_an_unreadable_one_is_null() -> None:
    assert row_of(timeline().map(USUAL | {"ActivityDate": ""})).occurred_at == CREATED
    assert row_of(timeline().map(USUAL | {"ActivityDate": "soon"})).occurred_at is None
    assert row_of(survey().map(USUAL)).occurred_at == CREATED
    assert row_of(survey().map(USUAL | {"RespondedDate": "soon"})).occurred_at is None


def test_custom_fields_and_attributes_have_values_of_their_type_or_none() -> None:
    mapped = timeline().map(USUAL | {"Ant__Amount__c": "a lot"})
    assert (row_of(mapped).custom_fields, unreadable(mapped)) == ("{}", [{"Ant__Amount__c": "a lot"}])
    fields = (plain("Name"), plain("Arr", "CURRENCY"), plain("Live", "BOOLEAN"))
    company = mapper(CompanyPull(CompanySettings(attributes=("Arr", "Live"))), *fields)
    mapped = company.map({"Gsid": "1p02a", "Name": "Acme", "Arr": "1_000", "Live": "yes"})
    assert (row_of(mapped).gsid, json.loads(row_of(mapped).attributes)) == ("1P02A", {"Arr": None, "Live": True})
    assert unreadable(mapped) == [{"Arr": "1_000"}]


@pytest.mark.parametrize(
    ("value", "score", "group", "kept"),
    [
        ("9 - very likely", 9, "promoter", {}),
        ("i3", 3, "detractor", {}),
        ("i0", None, None, {"NPS_Score": "i0"}),
        ("N/A", None, None, {"NPS_Score": "N/A"}),
    ],
)
def test_scores_from_labels(value: str, score: int | None, group: str | None, kept: dict[str, Any]) -> None:
    numbers = survey(plain("NPS_Score", "NUMBER"))
    labels = survey(picklist("NPS_Score", i3="3 - hardly", i0="no answer"), field_mappings={"score": "NPS_Score"})
    for each in (labels,) if value.startswith("i") else (numbers, labels):
        mapped = each.map(USUAL | {"NPS_Score": value})
        row = row_of(mapped)
        assert (row.survey_type, row.score, row.nps_group) == ("NPS", score, group)
        assert unreadable(mapped) == [kept]


def test_another_score_is_used_if_one_is_unreadable() -> None:
    fields = (plain("NPS_Score", "NUMBER"), plain("CSAT_Score", "NUMBER"))
    mapped = survey(*fields).map(USUAL | {"NPS_Score": "n/a", "CSAT_Score": "4"})
    assert (row_of(mapped).survey_type, row_of(mapped).score) == ("CSAT", 4)
    assert unreadable(mapped) == [{"NPS_Score": "n/a"}]


def test_an_unreadable_metric_has_a_row_without_value() -> None:
    wide = usage(COMPANY, plain("A", "NUMBER"), plain("B", "NUMBER"), plain("C", "NUMBER"))
    mapped = wide.map(USUAL | {"A": "1,200.5", "B": "many", "Day": "someday"})
    assert [(row.metric, row.value) for row in mapped.rows] == [("A", Decimal("1200.5")), ("B", None)]  # type: ignore[attr-defined]
    assert unreadable(mapped) == [{"Day": "someday"}, {"Day": "someday", "B": "many"}]
    assert ("blank_values", "C") in mapped.counts


def test_flat_rows_with_unreadable_values() -> None:
    aggregate = AggregateSettings(
        key="GsCompanyId", metric_name_field="Metric", metric_value_field="Value", additional_value_fields=("More",)
    )
    fields = (COMPANY, plain("Metric"), plain("Value", "NUMBER"), plain("More", "NUMBER"))
    mapped = usage(*fields, aggregate=aggregate).map(
        USUAL | {"Metric": "Logins\u200b", "Value": "n/a", "More": "1 000"}
    )
    row = row_of(mapped)
    assert (row.metric, row.value, row.secondary, row.observed_at) == ("Logins", None, '{"More":null}', None)
    assert unreadable(mapped) == [{"Value": "n/a", "More": "1 000"}]


def test_rows_without_gsid_are_distinguished_by_unreadable_dates_too() -> None:
    aggregate = AggregateSettings(key="GsCompanyId", metric_name_field="Metric", metric_value_field="Value")
    fields = (COMPANY, plain("Metric"), plain("Value", "NUMBER"), plain("Day", "DATE"))
    pull = ProductUsagePull(ProductUsageSettings(object="usage__gc", aggregate=aggregate))
    flat = pull.mapper(schema_of("usage__gc", *fields), None)
    record = {"GsCompanyId": "1P02A", "Metric": "Logins", "Value": 1}
    ids = {row_of(flat.map(record | {"Day": day})).record_id for day in ("week 1", "week 2", "2026-01-05", None)}
    assert len(ids) == 4


@pytest.mark.parametrize("spell", [str.lower, str.upper])
def test_standard_fields_are_found_in_any_spelling(spell: Any) -> None:
    names = ("Gsid", "Subject", "Notes", "ActivityDate", "CreatedDate", "LastModifiedDate", "Duration",
             "InternalAttendees", "ExternalAttendees", "NotesPlainText")  # fmt: skip
    record = dict(
        zip(
            map(spell, names),
            ("G1", "Kick-off", "<p>x</p>", "", "2026-01-31T10:00:00Z", "2026-02-01", "45", "Ann;Bob", "Eve", "y"),
            strict=True,
        )
    )
    schema = schema_of("activity_timeline", *(plain(spell(name)) for name in names), COMPANY)
    found = ActivityPull(ActivitySettings()).mapper(schema, None)
    row = row_of(found.map(record))
    assert (row.activity_id, row.subject, row.body, row.body_text) == ("G1", "Kick-off", "<p>x</p>", "y")
    assert (row.occurred_at, row.duration_minutes) == (CREATED, 45)
    assert (row.internal_attendees, row.external_attendees) == (["Ann", "Bob"], ["Eve"])
    assert found.id_field == spell("Gsid")
    assert set(map(spell, names)) <= set(found.select)
    responses = survey()
    assert responses.id_field == "Gsid"
