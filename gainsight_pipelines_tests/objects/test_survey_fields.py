"""Detecting the fields of a survey response object, with the reason for each choice (requirement S7)."""

from __future__ import annotations

from typing import Any

import pytest

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.survey_fields import SurveyFields, detect, survey_kind

PLACE = "surveys.objects[0]"


def schema(**types: str) -> ObjectSchema:
    fields = {name: Field(name=name, label=name, data_type=kind) for name, kind in types.items()}
    return ObjectSchema("answers__gc", "Answers", fields)


def detected(overrides: dict[str, Any] | None = None, pinned: str | None = None, **types: str) -> SurveyFields:
    return detect(schema(Gsid="GSID", CreatedDate="DATETIME", **types), overrides or {}, pinned, PLACE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("NPS", "NPS"),
        ("nps survey", "NPS"),
        ("Net Promoter Score", "NPS"),
        ("Customer Satisfaction", "CSAT"),
        (" csat ", "CSAT"),
        ("Customer Effort (old)", "CES"),
        ("Onboarding check", "Onboarding check"),
        ("  ", None),
        (None, None),
    ],
)
def test_survey_types_are_recognised_in_any_spelling(written: str | None, kind: str | None) -> None:
    assert survey_kind(written) == kind


def test_fields_with_usual_names_are_detected_with_the_reason() -> None:
    found = detected(RespondedDate="DATETIME", NPSScore="NUMBER", Comments__gc="STRING")
    assert found.choices["responded_at"].reason == "usual name RespondedDate"
    assert found.choices["comment"].path == "Comments__gc"
    assert [(score.choice.path, score.survey_type) for score in found.scores] == [("NPSScore", "NPS")]


def test_the_only_date_is_used_and_reported() -> None:
    found = detected(When__gc="DATETIME", Rating__gc="NUMBER")
    assert found.choices["responded_at"].as_json() == {"field": "When__gc", "reason": "the only DATETIME field"}


def test_several_dates_are_an_error_with_the_candidates() -> None:
    with pytest.raises(SettingsError) as raised:
        detected(Sent__gc="DATETIME", Opened__gc="DATETIME", Rating__gc="NUMBER")
    assert f"{PLACE}.field_mappings.responded_at" in str(raised.value)
    assert "Opened__gc, Sent__gc" in str(raised.value)


def test_several_unnamed_numbers_are_an_error_and_null_says_there_is_no_score() -> None:
    fields = {"RespondedDate": "DATETIME", "Pages__gc": "NUMBER", "Seconds__gc": "NUMBER"}
    with pytest.raises(SettingsError, match="Pages__gc, Seconds__gc"):
        detected(**fields)
    found = detected({"score": None}, **fields)
    assert found.scores == ()
    assert found.absent["score"] == "none, by the settings"


def test_an_override_wins_and_must_fit() -> None:
    fields = {"RespondedDate": "DATETIME", "Closed__gc": "DATETIME", "Score__gc": "NUMBER"}
    found = detected({"responded_at": "closed__gc"}, **fields)
    assert found.choices["responded_at"].as_json() == {"field": "Closed__gc", "reason": "override"}
    with pytest.raises(SettingsError, match="holds NUMBER"):
        detected({"responded_at": "Score__gc"}, **fields)
    with pytest.raises(SettingsError, match=r"field_mappings\.comment"):
        detected({"comment": "Remark__gc"}, **fields)


def test_a_pinned_type_uses_only_its_own_score() -> None:
    fields = {"RespondedDate": "DATETIME", "NPSScore": "NUMBER", "CSATScore": "NUMBER"}
    assert {score.survey_type for score in detected(**fields).scores} == {"NPS", "CSAT"}
    assert [score.choice.path for score in detected(pinned="CSAT", **fields).scores] == ["CSATScore"]
