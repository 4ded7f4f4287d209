"""The section `objects`: a list of rows, one for each object that no other section pulls."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainsight_pipelines.scheduling.cadence import cadence_of
from gainsight_pipelines.settings import parse_settings, settings_schema
from gainsight_pipelines.settings.editing import SettingsFile
from gainsight_pipelines.settings.pulls import find_pull

ROWS = "objects:\n  - object: Call_To_Action  # the Cockpit\n  - object: person\n    fields: [Email]\n"


def test_each_row_gives_a_pull_named_after_its_object() -> None:
    settings = parse_settings(ROWS)
    assert settings.errors == {}
    assert settings.object_names() == ("call_to_action", "person")
    assert find_pull(settings, "person").section == "objects"
    assert settings.effective("objects")[1]["fields"] == ["Email"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("[{object: company}]", "objects[0].object is company, which the section company pulls"),
        ("[{object: person}, {object: Activity_Timeline}]", "objects[1].object is activity_timeline"),
        ("[{object: nps__gc}]", "which the section surveys pulls"),
        ("[{object: usage__gc}]", "which the section product_usage pulls"),
        ("[{object: activity}]", "a name that the section activity already has"),
        ("[{object: survey_nps__gc_by_day}]", "a name that the section surveys already has"),
        ("[{object: person}, {object: PERSON}]", "the object name of each row must be unique"),
        ("[{objekt: person}]", "probably object was meant"),
        ("[{object: person, fields: some}]", "objects[0].fields"),
        ("{object: person}", "objects.object is not a setting"),
        ("person", "it takes a list of rows like {object: call_to_action}"),
    ],
)
def test_an_invalid_row_is_reported_with_its_reason(rows: str, words: str) -> None:
    settings = parse_settings(
        f"objects: {rows}\nsurveys: {{objects: [{{object: nps__gc}}]}}\nproduct_usage: {{object: usage__gc}}\n"
    )
    assert set(settings.errors) == {"objects"}
    assert words in str(settings.errors["objects"])
    assert "survey_nps__gc" in settings.object_names()


def test_an_invalid_row_leaves_its_pulls_visible() -> None:
    settings = parse_settings("objects: [{object: person}, {object: gsuser, fields: 7}]")
    assert settings.object_names() == ("person", "gsuser")


def test_each_object_can_have_its_own_cadence() -> None:
    settings = parse_settings(ROWS + "schedules: {objects: {Call_To_Action: '0 * * * *'}}")
    assert settings.errors == {}
    assert cadence_of(settings, "call_to_action").cron == "0 * * * *"
    assert cadence_of(settings, "person").cron.endswith(" 6 * * *")
    assert "objects" in str(parse_settings("schedules: {objects: {person: often}}").errors["schedules"])


def test_rows_are_changed_in_place_and_keep_their_comments(tmp_path: Path) -> None:
    path = tmp_path / "gainsight.yaml"
    path.write_text(ROWS)
    text = SettingsFile.read(path).with_value("objects[1].fields", "all")
    assert "# the Cockpit" in text
    assert parse_settings(text).effective("objects")[1]["fields"] == "all"
    text = SettingsFile.read(path).with_value("objects[2].object", "gsuser")
    assert "# the Cockpit" in text
    assert [row["object"] for row in parse_settings(text).effective("objects")] == [
        "Call_To_Action",
        "person",
        "gsuser",
    ]
    text = SettingsFile.read(path).with_value("objects", "[{object: gsuser}]")
    assert parse_settings(text).object_names() == ("gsuser",)


def test_rows_are_added_to_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "gainsight.yaml"
    path.write_text("common: {}\n")
    text = SettingsFile.read(path).with_value("objects[0].object", "person")
    assert text == "common: {}\n\nobjects:\n  - object: person\n"


def test_the_json_schema_accepts_a_list() -> None:
    taken = settings_schema()["properties"]["objects"]["anyOf"]
    assert [each["type"] for each in taken] == ["array", "null"]
