"""Edits of the settings file keep comments and order, never write a mistake, and lose nothing."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings import SECTIONS, parse_settings
from gainsight_pipelines.settings.editing import ChangedMeanwhile, SettingsFile, difference, parse_place
from gainsight_pipelines.settings.loading import SectionMistakes

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "gainsight.example.yaml").read_text(encoding="utf-8")
STYLES = {
    "example": EXAMPLE,
    "windows": EXAMPLE.replace("\n", "\r\n"),
    "no last newline": EXAMPLE.rstrip("\n"),
    "four spaces": re.sub(
        r"^( +)(- )?", lambda match: match[1] * 2 + (match[2] or "") * 2, EXAMPLE, flags=re.MULTILINE
    ).replace("- - ", "-   "),
    "lists at the margin": "surveys:\n  mode: multiple\n  objects:\n  - object: a  # first\n  # second\n  - object: b\n"
    "# next\nactivity:\n  enabled: true\n",
    "flow": "{company: {enabled: true}, surveys: {lookback_days: 7}}\n",
    "short": "company:\nactivity: {}\nsurveys: {enabled: false} # not yet\n",
    "quotes": 'common: {gsid_field: \'GSID__c\'}\nsurveys:\n    "mode": "single"\n    lookback_days: 3\n',
    "a comment": "# settings\n\n",
}


class At:
    """A clock that stands still."""

    def __init__(self, minute: int = 0) -> None:
        self.minute = minute

    def now(self) -> datetime:
        return datetime(2026, 1, 31, 12, self.minute, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None: ...


def settings_file(folder: Path, text: str = EXAMPLE) -> SettingsFile:
    path = folder / "gainsight.yaml"
    path.write_bytes(text.encode())
    return SettingsFile.read(path)


def in_memory(text: str) -> SettingsFile:
    return SettingsFile(Path("gainsight.yaml"), text, is_there=True, settings=parse_settings(text))


def changed_lines(file: SettingsFile, text: str) -> list[str]:
    return [line for line in file.difference(text).splitlines()[2:] if line[0] in "+-"]


@pytest.mark.parametrize(
    ("place", "value", "lines"),
    [
        ("activity.reporting_categories.risk", "MEETING", ["-    risk: TYPE_MANUAL", "+    risk: MEETING"]),
        ('activity.reporting_categories["QBR call"]', "MEETING", ["+    QBR call: MEETING"]),
        ("product_usage.product_name", "360", ["-  product_name: product usage", '+  product_name: "360"']),
        ("surveys.lookback_days", "30", []),
        (
            "surveys.lookback_days",
            "7",
            [
                "-  lookback_days: 30               # 1 to 30",
                "+  lookback_days: 7                # 1 to 30",
            ],
        ),
        (
            "surveys.objects[0].field_mappings.score",
            "NPS__c",
            [
                "-      field_mappings: {}          # our field: Gainsight field, where the detected one isn't right",
                "+      field_mappings:             # our field: Gainsight field, where the detected one isn't right",
                "+        score: NPS__c",
            ],
        ),
        (
            "product_usage.aggregate",
            '{"key": "A", "metric_name_field": "b", "metric_value_field": "c"}',
            [
                "-  aggregate: null                 # for flat rows:",
                "+  aggregate:                      # for flat rows:",
                "+    key: A",
                "+    metric_name_field: b",
                "+    metric_value_field: c",
            ],
        ),
    ],
)
def test_setting_a_value_changes_only_its_line(place: str, value: str, lines: list[str]) -> None:
    file = in_memory(EXAMPLE)
    assert changed_lines(file, file.with_value(place, value)) == lines


def test_text_that_yaml_would_read_as_another_type_gets_quotes() -> None:
    for text in ("yes", "null", "1:30", "0x10", "2026-01-31", "~", "- x", "a: b", "# no", "  ", "é\u0085"):
        file = in_memory(EXAMPLE)
        row = {**file.data("surveys")["objects"][0], "survey_type": text}
        new = file.with_section("surveys", {**file.data("surveys"), "objects": [row]})
        assert yaml.safe_load(new)["surveys"]["objects"][0]["survey_type"] == text


names = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_]{0,5}\Z")
maybe_field = st.none() | names
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9)
rows = st.fixed_dictionaries(
    {"object": names},
    optional={
        "survey_type": st.none() | texts,
        "company_field": maybe_field,
        "field_mappings": st.dictionaries(st.sampled_from(["score", "comment", "subject"]), maybe_field),
    },
)
SECTION_DATA: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "common": st.fixed_dictionaries({}, optional={"gsid_field": maybe_field}),
    "company": st.fixed_dictionaries(
        {}, optional={"enabled": st.booleans(), "attributes": st.just("all") | st.lists(names, unique_by=str.casefold)}
    ),
    "activity": st.fixed_dictionaries(
        {"enabled": st.booleans()},
        optional={
            "initial_lookback_days": st.none() | st.integers(1, 99),
            "reporting_categories": st.dictionaries(texts, st.sampled_from(["EMAIL", "MEETING"]), max_size=4),
        },
    ),
    "surveys": st.fixed_dictionaries(
        {"mode": st.just("multiple"), "objects": st.lists(rows, min_size=1, max_size=4)},
        optional={
            "lookback_days": st.integers(1, 30),
            "filter": st.none()
            | st.dictionaries(
                texts, st.lists(st.integers() | texts | st.floats(allow_nan=False, allow_infinity=False))
            ),
        },
    ),
    "product_usage": st.fixed_dictionaries(
        {},
        optional={
            "product_name": texts,
            "aggregate": st.none()
            | st.fixed_dictionaries(
                {"key": names, "metric_name_field": names, "metric_value_field": names},
                optional={"additional_value_fields": st.lists(names), "dimension_field": maybe_field},
            ),
        },
    ),
}


def everything(file: SettingsFile) -> dict[str, Any]:
    """The data of all sections."""
    settings = parse_settings("common:") if file.settings.file_error else file.settings
    return settings.effective()


def elsewhere(file: SettingsFile, section: str) -> str:
    """The file's text without the section."""
    written = file.written(section)
    return (file.text.replace(written, "", 1) if written in file.text else file.text).rstrip()


@pytest.mark.parametrize("style", STYLES)
@hypothesis.settings(max_examples=12, phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink])
@given(data=st.data())
def test_an_edit_says_what_was_meant_and_changes_nothing_else(style: str, data: st.DataObject) -> None:
    """Any section in any YAML style, twice: the second change edits the output of the first."""
    file = in_memory(STYLES[style])
    for _ in range(2):
        section = data.draw(st.sampled_from(list(SECTION_DATA)))
        wanted = data.draw(SECTION_DATA[section])
        try:
            effective = SECTIONS[section].model_validate(copy.deepcopy(wanted)).model_dump(mode="json")
        except ValueError:  # two names that are equal if case is ignored
            with pytest.raises(SectionMistakes):
                file.with_section(section, wanted)
            return
        new = in_memory(file.with_section(section, wanted))
        assert new.data(section) == effective
        assert {**everything(new), section: None} == {**everything(file), section: None}
        if style != "flow":
            assert elsewhere(new, section) == elsewhere(file, section)
        assert ("\r\n" in new.text) == ("\r\n" in file.text)
        file = new


def test_rows_keep_their_comments_when_others_change() -> None:
    file = in_memory(STYLES["lists at the margin"])
    data = file.data("surveys")
    first, second = data["objects"]
    third = {**first, "object": "c"}
    new = in_memory(file.with_section("surveys", {**data, "objects": [third, second]}))
    assert "  - object: c\n" in new.text
    assert "  - object: b\n# next\nactivity:\n  enabled: true\n" in new.text
    between = in_memory(file.with_section("surveys", {**data, "objects": [first, third, second]}))
    assert "  - object: a  # first\n" in between.text
    assert "  # second\n" in between.text
    assert "  - object: b\n# next\n" in between.text
    shorter = in_memory(file.with_section("surveys", {**data, "objects": [first]}))
    assert "- object: a  # first\n" in shorter.text
    assert "# next\nactivity:\n  enabled: true\n" in shorter.text


COMMENTED = """surveys:
  mode: multiple
  objects:   # ours
    # first
    - object: a  # aa
      survey_type: NPS
    # second
    - object: b  # bb

    # third,
    # too
    - object: c  # cc
      # inside
      survey_type: CSAT
    # end
  lookback_days: 7
activity:
  reporting_categories:
    # mail
    a: EMAIL
    # calls
    b: MEETING  # bb
    c: MEETING
"""


@pytest.mark.parametrize(
    ("number", "gone"),
    [
        (0, "    # first\n    - object: a  # aa\n      survey_type: NPS\n"),
        (1, "    # second\n    - object: b  # bb\n"),
        (2, "    # third,\n    # too\n    - object: c  # cc\n      # inside\n      survey_type: CSAT\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_row_is_removed_with_its_own_comments_only(number: int, gone: str, newline: str) -> None:
    assert gone in COMMENTED
    file = in_memory(COMMENTED.replace("\n", newline))
    expected = COMMENTED.replace(gone, "").replace("\n", newline)
    data = file.data("surveys")
    rows = [row for index, row in enumerate(data["objects"]) if index != number]
    assert file.with_section("surveys", {**data, "objects": rows}) == expected
    assert file.without_value(f"surveys.objects[{number}]") == expected


@pytest.mark.parametrize("key", ["a", "b", "c"])
def test_an_entry_is_removed_with_its_own_comments_only(key: str) -> None:
    gone = {"a": "    # mail\n    a: EMAIL\n", "b": "    # calls\n    b: MEETING  # bb\n", "c": "    c: MEETING\n"}[key]
    file = in_memory(COMMENTED)
    data = file.data("activity")
    kept = {name: kind for name, kind in data["reporting_categories"].items() if name != key}
    expected = COMMENTED.replace(gone, "")
    assert file.with_section("activity", {**data, "reporting_categories": kept}) == expected
    assert file.without_value(f"activity.reporting_categories.{key}") == expected


@pytest.mark.parametrize(
    ("text", "place", "left"),
    [
        ("surveys:\n  # a week\n  lookback_days: 7\n  mode: single\n", "surveys.lookback_days",
         "surveys:\n  mode: single\n"),
        ("company:\n  enabled: true\n", "company.enabled", "company:\n"),
        ("surveys:\n  objects:\n    - object: a\n      field_mappings:\n        score: S\n",
         "surveys.objects[0].field_mappings.score", "surveys:\n  objects:\n    - object: a\n"),
        ("surveys: {lookback_days: 7, mode: single}\n", "surveys.lookback_days", "surveys: {mode: single}\n"),
        ("surveys: {mode: single}\n", "surveys.lookback_days", "surveys: {mode: single}\n"),
        ("", "surveys.lookback_days", ""),
        ("# nothing yet\n", "surveys.lookback_days", "# nothing yet\n"),
    ],
)  # fmt: skip
def test_removing_a_setting_restores_its_default(text: str, place: str, left: str) -> None:
    assert in_memory(text).without_value(place) == left


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("surveys", "whole section"),
        ("surveys.lookback_dais", "no setting surveys.lookback_dais. Did you mean lookback_days?"),
        ("surveys.objects[4]", r"no setting surveys.objects\[4\]"),
        ("gainsight.base_url", "base_url is missing"),
    ],
)
def test_a_value_that_cannot_be_removed_is_reported(place: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        in_memory(EXAMPLE).without_value(place)


@pytest.mark.parametrize(
    "text", ["NPS #1", "yes", "on", "a: b", "- x", "#1", "'", "NPS: 1 #2", "2026-01-31", "é", "[x"]
)
def test_text_is_set_literally(text: str) -> None:
    file = in_memory(EXAMPLE)
    new = in_memory(file.with_value("surveys.objects[0].survey_type", text))
    assert new.data("surveys")["objects"][0]["survey_type"] == text
    assert yaml.safe_load(new.text)["surveys"]["objects"][0]["survey_type"] == text, "YAML 1.1 reads it so, too"
    quoted = in_memory(file.with_value("surveys.objects[0].survey_type", json.dumps(text)))
    assert quoted.text == new.text


def test_a_category_may_have_any_name() -> None:
    file = in_memory("activity:\n  reporting_categories:\n    on: EMAIL\n    no: MEETING  # no\n")
    assert file.data("activity")["reporting_categories"] == {"on": "EMAIL", "no": "MEETING"}
    new = in_memory(file.with_value("activity.reporting_categories.yes", "MEETING"))
    assert new.text == file.text + '    "yes": MEETING\n'
    assert new.data("activity")["reporting_categories"]["yes"] == "MEETING"


@pytest.mark.parametrize(
    "place", ["surveys.objects[0].survey_type", "surveys.objects[1].object", "surveys.lookback_days"]
)
def test_flow_style_is_kept(place: str) -> None:
    text = "surveys:\n  mode: multiple\n  objects: [{object: x}, {object: z}]  # both\n"
    value = "7" if place.endswith("days") else "T"
    new = in_memory(text).with_value(place, value)
    written = {
        "surveys.objects[0].survey_type": "[{object: x, survey_type: T}, {object: z}]",
        "surveys.objects[1].object": "[{object: x}, {object: T}]",
        "surveys.lookback_days": "[{object: x}, {object: z}]",
    }[place]
    assert f"  objects: {written}" in new and " # both\n" in new


@pytest.mark.parametrize("number", ["6.264664164894897e+16", "1.50", "1e300", "-0.0"])
def test_a_number_is_written_as_it_was_read(number: str) -> None:
    """ruamel.yaml alone would write the first one as 6.264664164894896e+16."""
    file = in_memory(f"{{company: {{enabled: true}}, surveys: {{filter: {{a: [{number}]}}}}}}\n")
    assert f"[{number}]" in file.with_value("company.enabled", "false")


def test_a_byte_order_mark_is_kept(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "\ufeffcompany:\n  enabled: true  # on\n")
    file.write(file.with_value("company.enabled", "false"), At(), "")
    assert file.path.read_bytes() == "\ufeffcompany:\n  enabled: false # on\n".encode()


def test_a_missing_setting_has_its_default() -> None:
    file = in_memory(EXAMPLE.replace("response_limit: 500", "response_limit: 7"))
    data = file.data("surveys")
    del data["response_limit"], data["filter"]
    new = file.with_section("surveys", data)
    assert "response_limit: 500 " in new
    assert "\nproduct_usage:                    # weekly\n" in new


def test_changing_a_setting_of_an_unconfigured_pull_does_not_enable_it() -> None:
    file = in_memory("common: {}\n")
    assert file.data("activity")["enabled"] is False
    new = in_memory(file.with_value("activity.initial_lookback_days", "90"))
    assert yaml.safe_load(new.text)["activity"] == {"enabled": False, "initial_lookback_days": 90}
    assert new.settings.object_names() == ()
    assert in_memory(file.with_value("company.enabled", "true")).settings.object_names() == ("company",)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("surveys.lookback_days", "90", ["surveys.lookback_days is 90", "1 to 30"]),
        ("surveys.lookback_day", "3", ["surveys.lookback_day is not a setting", "lookback_days"]),
        ("gainsight.api_key", "abcdef-secret", ["GAINSIGHT_API_KEY"]),
        ("surveys.objects[3].object", "x", ["no setting surveys.objects[3].object", "settings show surveys"]),
        ("survey.lookback_days", "3", ["Did you mean surveys"]),
        ("surveys.mode.deep", "3", ["no setting surveys.mode.deep"]),
        ("surveys", "3", ["a mapping"]),
        ("surveys..x", "3", ["is not a path"]),
        ("", "3", ["No setting was named"]),
        ("primary_crm.kind", "gainsight", ["salesforce or hubspot"]),
    ],
)
def test_an_invalid_change_is_reported(place: str, value: str, words: list[str]) -> None:
    file = in_memory(EXAMPLE)
    with pytest.raises(SettingsError) as caught:
        file.with_value(place, value)
    for word in words:
        assert word in str(caught.value)
    assert "abcdef-secret" not in str(caught.value)


def test_places_are_written_as_in_error_messages() -> None:
    assert parse_place("surveys.objects[1].survey_type") == ("surveys", "objects", 1, "survey_type")
    assert parse_place('activity.reporting_categories."a.b"') == ("activity", "reporting_categories", "a.b")
    assert parse_place("activity.reporting_categories['a b']") == ("activity", "reporting_categories", "a b")


def test_mistakes_in_json_have_line_and_place() -> None:
    file = in_memory(EXAMPLE)
    with pytest.raises(SettingsError, match=r"line 2, column 11"):
        file.with_json("surveys", '{\n  "mode": }')
    with pytest.raises(SettingsError, match="mode occurs twice"):
        file.with_json("surveys", '{"mode": "single", "mode": "single"}')
    with pytest.raises(SettingsError, match="NaN is not JSON"):
        file.with_json("surveys", '{"lookback_days": NaN}')
    with pytest.raises(SettingsError, match="in braces"):
        file.with_json("surveys", "[]")
    with pytest.raises(SectionMistakes) as caught:
        file.with_json(
            "surveys", '{\n\t"mode": "multiple",\n\t"objects": [\n\t\t{"object": 7}\n\t],\n\t"lookback_days": 90\n}'
        )
    assert [(mistake.line, mistake.path) for mistake in caught.value.mistakes] == [
        (4, ("surveys", "objects", 0, "object")),
        (6, ("surveys", "lookback_days")),
    ]


def test_json_as_shown_changes_nothing() -> None:
    file = in_memory(EXAMPLE)
    for section in SECTIONS:
        assert file.with_json(section, json.dumps(file.data(section), indent=2)) == EXAMPLE


def test_a_section_written_by_hand_keeps_its_comments() -> None:
    file = in_memory(EXAMPLE)
    written = file.written("common").replace("Gainsight_GSID__c ", "Other__c ").replace("# CRM", "# our CRM")
    new = file.with_written("common", written)
    assert new == EXAMPLE.replace("Gainsight_GSID__c   # CRM", "Other__c   # our CRM")
    for wrong in ("common: {gsid_field: 5}", "company: {}", "common: {}\ncompany: {}", "common: {a: 1, a: 2}", "[", ""):
        with pytest.raises(SettingsError):
            file.with_written("common", wrong)


def test_each_written_version_is_kept_with_time_and_author(tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    file.path.chmod(0o640)
    second = file.write(file.with_value("surveys.lookback_days", "7"), At(1), "settings set")
    third = second.write(second.with_value("surveys.lookback_days", "8"), At(2), "settings-page")
    assert third.path.read_text() == third.text
    assert stat.S_IMODE(third.path.stat().st_mode) == 0o640
    versions = third.history.versions()
    assert [(version.number, version.how, version.text) for version in versions] == [
        (1, "by hand", EXAMPLE),
        (2, "settings set", second.text),
        (3, "settings-page", third.text),
    ]
    assert versions[1].at == At(1).now()
    assert versions[1].who
    folder = third.history.folder
    assert stat.S_IMODE((tmp_path / ".gainsight_pipelines").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    back = third.write(third.restore(third.history.version(1)), At(3), "settings restore 1")
    assert back.text == EXAMPLE
    assert [path.name for path in tmp_path.iterdir() if "yaml" in path.name] == ["gainsight.yaml"]
    with pytest.raises(SettingsError, match="no version 9"):
        back.history.version(9)


def test_no_change_writes_nothing(tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    before = file.path.stat()
    assert file.write(file.text, At(), "") is file
    assert file.path.stat() == before
    assert file.history.versions() == []


def test_a_concurrent_change_is_not_overwritten(tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    new = file.with_value("surveys.lookback_days", "7")
    file.path.write_text(EXAMPLE + "# mine\n")
    with pytest.raises(ChangedMeanwhile, match="changed by somebody else"):
        file.write(new, At(), "")
    assert file.path.read_text() == EXAMPLE + "# mine\n"
    file.path.unlink()
    with pytest.raises(ChangedMeanwhile):
        file.write(new, At(), "")
    nothing = SettingsFile.read(tmp_path / "gainsight.yaml")
    file.path.write_text(EXAMPLE)
    with pytest.raises(ChangedMeanwhile):
        nothing.write("company: {}\n", At(), "")


def test_a_missing_settings_file_is_created(tmp_path: Path) -> None:
    file = SettingsFile.read(tmp_path / "new" / "gainsight.yaml")
    file.path.parent.mkdir()
    assert not file.is_there
    made = file.write(file.with_value("gainsight.base_url", "https://acme.gainsightcloud.com"), At(), "init")
    assert made.text == "gainsight:\n  base_url: https://acme.gainsightcloud.com\n"
    assert len(made.history.versions()) == 1
    two = made.write(made.with_value("company.enabled", "true"), At(), "init")
    assert two.text == made.text + "\ncompany:\n  enabled: true\n"


def test_an_invalid_section_prevents_no_other_change(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "surveys: {lookback_days: 99}\nactivty: {}\ncompany: {enabled: false}\n")
    new = file.write(file.with_value("company.enabled", "true"), At(), "")
    assert set(new.settings.errors) == {"surveys", "activity"}
    assert new.data("surveys") == {"lookback_days": 99}
    with pytest.raises(SettingsError, match="response_limit"):
        new.with_value("surveys.response_limit", "0")
    with pytest.raises(SettingsError, match="lookback_days"):
        new.write(new.text.replace("99", "98"), At(), "")
    mended = new.write(new.with_value("surveys.lookback_days", "9"), At(), "")
    assert set(mended.settings.errors) == {"activity"}


def test_a_secret_never_gets_into_file_history_or_diff(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "company: {}\ngainsight:\n  api_key: oh-no-a-key\n")
    with pytest.raises(SettingsError, match="GAINSIGHT_API_KEY"):
        file.write(file.text.replace("oh-no-a-key", "another-key"), At(), "")
    new = file.write(file.with_value("company.enabled", "false"), At(), "")
    assert [version.number for version in new.history.versions()] == [1]  # the file with the secret isn't kept
    shown = difference(file.text, "", "gainsight.yaml")
    assert "oh-no-a-key" not in shown
    assert "api_key: …" in shown


@pytest.mark.parametrize("text", ["a: [", "- a\n", "a: 1\n---\nb: 2\n"])
def test_an_unreadable_file_is_left_unchanged(tmp_path: Path, text: str) -> None:
    file = settings_file(tmp_path, text)
    with pytest.raises(SettingsError):
        file.write(file.with_value("company.enabled", "true"), At(), "")
    assert file.path.read_text() == text


def test_a_symbolic_link_is_kept(tmp_path: Path) -> None:
    real = tmp_path / "config" / "real.yaml"
    real.parent.mkdir()
    real.write_text("company: {}\n")
    link = tmp_path / "gainsight.yaml"
    link.symlink_to(real)
    file = SettingsFile.read(link)
    file.write(file.with_value("company.enabled", "false"), At(), "")
    assert link.is_symlink()
    assert yaml.safe_load(real.read_text()) == {"company": {"enabled": False}}


def test_an_anchor_shared_by_two_sections_is_not_edited(tmp_path: Path) -> None:
    text = "company: &x {gsid_field: A}\nactivity: *x\n"
    file = settings_file(tmp_path, text)
    for place in ("company.gsid_field", "activity.gsid_field"):
        with pytest.raises(SettingsError, match="by hand"):
            file.with_value(place, "B")


def test_a_full_disk_leaves_the_file_unchanged(tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    (tmp_path / ".gainsight_pipelines").write_text("in the way")
    with pytest.raises(SettingsError, match="can't be written"):
        file.write(file.with_value("surveys.lookback_days", "7"), At(), "")
    assert file.path.read_text() == EXAMPLE


def _set(path: Path, place: str, value: str) -> None:
    while True:
        file = SettingsFile.read(path)
        try:
            file.write(file.with_value(place, value), At(), place)
            return
        except ChangedMeanwhile:
            continue


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    changes = {f"activity.reporting_categories.c{number}": "EMAIL" for number in range(6)}
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    processes = [context.Process(target=_set, args=(file.path, place, value)) for place, value in changes.items()]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    written = SettingsFile.read(file.path)
    assert {f"c{number}" for number in range(6)} <= set(written.data("activity")["reporting_categories"])
    assert len(written.history.versions()) == 1 + len(changes)
