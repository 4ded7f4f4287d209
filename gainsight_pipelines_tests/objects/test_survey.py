"""Titles of the pulls of survey objects."""

from __future__ import annotations

from gainsight_pipelines.objects.survey import DEFINITION, SurveyObject, SurveysSettings


def titles(*rows: dict[str, str]) -> list[str]:
    settings = SurveysSettings(mode="multiple", objects=tuple(SurveyObject.model_validate(row) for row in rows))
    return [pull.title for pull in DEFINITION.pulls(settings)]


def test_rows_of_one_type_have_different_titles() -> None:
    nps = {"survey_type": "NPS"}
    assert titles(
        {"object": "a__gc", **nps}, {"object": "b__gc", **nps}, {"object": "c__gc", "survey_type": "CSAT"}
    ) == [
        "Surveys: NPS (a__gc)",
        "Surveys: NPS (b__gc)",
        "Surveys: CSAT",
    ]


def test_a_row_without_a_type_is_named_by_its_object() -> None:
    assert titles({"object": "a__gc"}) == ["Surveys: a__gc"]
