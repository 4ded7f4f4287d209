"""Loading a settings file: its path, missing and unreadable files, and each section separately."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.objects.activity import ActivitySettings
from gainsight_pipelines.objects.company import CompanySettings
from gainsight_pipelines.objects.product_usage import ProductUsageSettings
from gainsight_pipelines.objects.survey import SurveysSettings
from gainsight_pipelines.settings import SECTIONS, Settings, load_settings, parse_settings, settings_schema

ROOT = Path(__file__).parents[2]
NOBODY = 65534
"""The id of the user `nobody`, on Linux and elsewhere."""

WHOLE = """
gainsight: {base_url: https://acme.gainsightcloud.com/}
primary_crm: {kind: salesforce, fields: {arr: ARR__c}}
common: {gsid_field: GSID__c}
company:
activity: {enabled: false}
surveys: {mode: multiple, objects: [{object: NPS_Response}, {object: csat, survey_type: CSAT}]}
product_usage: {aggregate: {key: AccountId, metric_name_field: Name, metric_value_field: Value}}
"""


def test_a_complete_file_gives_every_section_with_its_defaults() -> None:
    settings = parse_settings(WHOLE)
    assert settings.errors == {}
    assert settings.gainsight is not None
    assert settings.gainsight.base_url == "https://acme.gainsightcloud.com"
    assert (settings.gainsight.quota_share, settings.gainsight.overlap_minutes) == (0.8, 15)
    assert settings.primary_crm is not None
    assert (settings.primary_crm.kind, settings.primary_crm.fields.arr) == ("salesforce", "ARR__c")
    assert settings.primary_crm.fields.renewal_date is None
    assert settings.common.gsid_field == "GSID__c"
    assert settings.of(CompanySettings) is not None
    assert (settings.of(CompanySettings).enabled, settings.of(CompanySettings).attributes) == (True, "all")
    assert settings.of(ActivitySettings) is not None
    assert settings.of(ActivitySettings).initial_lookback_days == 30
    assert dict(settings.of(ActivitySettings).reporting_categories) == {
        "email": "EMAIL",
        "meeting": "MEETING",
        "call": "MEETING",
        "update": "TYPE_MANUAL",
        "risk": "TYPE_MANUAL",
    }
    assert settings.of(SurveysSettings) is not None
    assert (settings.of(SurveysSettings).response_limit, settings.of(SurveysSettings).lookback_days) == (500, 30)
    assert settings.of(SurveysSettings).objects[1].survey_type == "CSAT"
    assert settings.of(ProductUsageSettings) is not None
    assert settings.of(ProductUsageSettings).aggregate is not None
    assert settings.of(ProductUsageSettings).aggregate.key_kind == "auto"
    assert settings.schedules.timezone == "UTC"


def test_missing_sections_are_not_configured() -> None:
    settings = parse_settings("common: {}")
    assert {name: settings.section(name) for name in SECTIONS if name != "common"} == dict.fromkeys(
        name for name in SECTIONS if name != "common"
    )
    assert settings.schedules.company is None
    assert settings.object_names() == ()


@pytest.mark.parametrize("text", ["primary_crm:", "primary_crm: {}", "primary_crm: {kind: }"])
def test_a_crm_without_a_kind_is_not_connected(text: str) -> None:
    settings = parse_settings(text)
    assert settings.primary_crm is None
    assert settings.errors == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (WHOLE, ("company", "survey_nps_response", "survey_csat", "product_usage")),
        ("activity: {enabled: false, wrong: 1}", ()),
        ("activity: {enabled: 'no'}", ("activity",)),
        ("actvity: {}", ("activity",)),
        ("surveys: {lookback_days: 99}", ("surveys",)),
        ("surveys: {lookback_days: 99, objects: [{object: A}, {object: b}]}", ("survey_a", "survey_b")),
        ("surveys: {objects: [{object: A}, {object: a}]}", ("survey_a",)),
        ("surveys: {objects: [{object: A}, {object: 7}]}", ("surveys",)),
        ("surveys: text", ("surveys",)),
        ("surveys: {enabled: false, objects: 1}", ()),
    ],
)
def test_object_names_are_the_enabled_pulls(text: str, names: tuple[str, ...]) -> None:
    assert parse_settings(text).object_names() == names


def test_a_pull_name_gives_its_section() -> None:
    settings = parse_settings(WHOLE)
    assert [settings.section_of(name) for name in settings.object_names()] == [
        "company",
        "surveys",
        "surveys",
        "product_usage",
    ]


def test_an_invalid_section_does_not_affect_others() -> None:
    settings = parse_settings(WHOLE + "schedules: {timezone: Nowhere}\nunknown: 1\n")
    assert set(settings.errors) == {"schedules", "unknown"}
    assert settings.of(CompanySettings) is not None
    with pytest.raises(SettingsError, match=r"schedules\.timezone"):
        _ = settings.schedules


def test_an_impossible_date_breaks_only_its_section() -> None:
    settings = parse_settings("company: {}\nsurveys: {first_day: 2026-13-45}\n")
    assert settings.of(CompanySettings) is not None
    assert "2026-13-45" in str(settings.errors["surveys"])


@pytest.mark.parametrize("day", ["2026-01-31", "'2026-01-31'"])
def test_the_first_day_is_a_date_with_or_without_quotes(day: str) -> None:
    settings = parse_settings(f"surveys: {{first_day: {day}}}")
    assert settings.of(SurveysSettings) is not None
    assert settings.of(SurveysSettings).first_day == date(2026, 1, 31)


def test_the_path_is_given_from_the_environment_or_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("given", "named", "gainsight"):
        (tmp_path / f"{name}.yaml").write_text(f"common: {{gsid_field: {name}}}")
    monkeypatch.chdir(tmp_path)
    environ = {"GAINSIGHT_PIPELINES_SETTINGS": str(tmp_path / "named.yaml")}
    assert load_settings(tmp_path / "given.yaml", environ).common.gsid_field == "given"
    assert load_settings(None, environ).common.gsid_field == "named"
    usual = load_settings(None, {"GAINSIGHT_PIPELINES_SETTINGS": ""})
    assert usual.common.gsid_field == "gainsight"
    assert usual.path == tmp_path / "gainsight.yaml"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no settings file"),
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n- list\n", "is not a mapping of sections"),
        (b"text", "is not a mapping of sections"),
        (b"a: [1", "line 1"),
        (b"a: 1\n---\nb: 2\n", "line 2"),
        (b"\xff\xfe\x00", "isn't UTF-8"),
        (b"#" * 1_000_001, "larger than 1 MB"),
        (b"a: &a [*a]", "refers to itself"),
        (b"[" * 700, "too deep"),
        (
            b"a: &a [x,x]\n"
            + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c]\n" % (c, c, *([c - 1] * 5)) for c in range(98, 112)),
            "too large",
        ),
    ],
)
def test_an_unusable_file_says_why(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "gainsight.yaml"
    if content is not None:
        path.write_bytes(content)
    settings = load_settings(path, {})
    assert words in str(settings.file_error)
    assert str(path) in str(settings.file_error)
    assert settings.object_names() == ()
    with pytest.raises(SettingsError):
        _ = settings.common
    with pytest.raises(SettingsError):
        settings.effective(None)


def test_a_folder_is_not_a_settings_file(tmp_path: Path) -> None:
    assert "isn't a file" in str(load_settings(tmp_path, {}).file_error)


def test_a_file_without_read_permission_is_reported() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gainsight.yaml"
        path.write_text("common: {}")
        path.chmod(0)
        Path(folder).chmod(0o755)
        me = os.geteuid()
        if me == 0:
            os.seteuid(NOBODY)  # root can read any file
        try:
            error = load_settings(path, {}).file_error
        finally:
            os.seteuid(me)
    assert "can't be read" in str(error)


def test_a_byte_order_mark_is_not_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "gainsight.yaml"
    path.write_bytes(b"\xef\xbb\xbfcommon: {gsid_field: X}")
    assert load_settings(path, {}).common.gsid_field == "X"


def test_names_lose_invisible_characters_and_texts_lose_what_cannot_be_stored() -> None:
    settings = parse_settings(
        'common: {gsid_field: "GSID__c\\u200b"}\n'
        'product_usage: {object: "\\uFEFFusage__gc", product_name: "a\\0b"}\n'
        'company: {attributes: ["Name\\u200e", Industry]}\n'
    )
    assert settings.errors == {}
    assert settings.common.gsid_field == "GSID__c"
    assert settings.of(ProductUsageSettings) is not None and settings.of(CompanySettings) is not None
    assert settings.of(ProductUsageSettings).object == "usage__gc"
    assert settings.of(ProductUsageSettings).product_name == "ab"
    assert settings.of(CompanySettings).attributes == ("Name", "Industry")


def test_effective_settings_are_json_with_defaults_and_errors() -> None:
    data = parse_settings(WHOLE + "schedules: {timezone: Nowhere}").effective(None)
    assert json.loads(json.dumps(data)) == data
    assert data["common"] == {"gsid_field": "GSID__c", "owners": []}
    assert data["surveys"]["objects"][0]["field_mappings"] == {}
    assert data["product_usage"]["aggregate"]["additional_value_fields"] == []
    assert "schedules" not in data
    assert "schedules.timezone" in data["errors"]["schedules"]


def test_effective_settings_of_one_section() -> None:
    settings = parse_settings(WHOLE)
    assert settings.effective("company")["attributes"] == "all"
    assert settings.effective("schedules")["timezone"] == "UTC"
    with pytest.raises(SettingsError, match="Did you mean surveys"):
        settings.effective("survey")
    with pytest.raises(SettingsError, match="no section activity"):
        parse_settings("common: {}").effective("activity")


def test_the_example_loads_and_shows_every_setting() -> None:
    settings = load_settings(ROOT / "gainsight.example.yaml", {})
    assert (settings.file_error, dict(settings.errors)) == (None, {})
    written = yaml.safe_load((ROOT / "gainsight.example.yaml").read_text("utf-8"))
    for name, model in SECTIONS.items():
        if model.listed:
            rows = written[name]
            (row,) = getattr(settings.section(name), model.listed)
            assert [list(each) for each in rows] == [list(type(row).model_fields)]
        else:
            assert list(written[name]) == list(model.model_fields), name
    assert list(written["primary_crm"]["fields"]) == ["domain", "parent", "owner", "arr", "renewal_date"]
    assert settings.object_names() == (
        "company",
        "activity",
        "survey_survey_response",
        "product_usage",
        "call_to_action",
    )


def test_the_example_shows_the_defaults() -> None:
    shown = load_settings(ROOT / "gainsight.example.yaml", {}).effective()
    for name in ("company", "activity", "surveys", "product_usage", "schedules"):
        assert shown[name] == parse_settings(f"{name}: {{}}").effective(name), name


def test_the_schema_knows_every_section_and_refuses_others() -> None:
    schema = settings_schema()
    json.dumps(schema)
    assert list(schema["properties"]) == list(SECTIONS)
    assert schema["additionalProperties"] is False
    assert all(part.get("additionalProperties") is False for part in schema["$defs"].values())
    lookback = schema["$defs"]["SurveysSettings"]["properties"]["lookback_days"]
    assert (lookback["minimum"], lookback["maximum"], lookback["default"]) == (1, 30, 30)


def _use(settings: Settings) -> None:
    """Reads all that the program reads of settings; only SettingsError may be raised."""
    settings.object_names()
    for name in SECTIONS:
        try:
            settings.section(name)
            json.dumps(settings.effective(name))
        except SettingsError as error:
            str(error).encode()
    if settings.file_error is None:
        json.dumps(settings.effective(None))


@given(st.text())
def test_loading_any_text_never_raises(text: str) -> None:
    _use(parse_settings(text))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.booleans(), inner, max_size=3),
    max_leaves=8,
)
NESTED_KEYS = {"fields", "object", "survey_type", "field_mappings", "key", "key_kind", "metric_name_field", "domain"}
KEYS = sorted({key for model in SECTIONS.values() for key in model.model_fields} | NESTED_KEYS)
LIKELY = st.recursive(
    ODD | st.sampled_from(["single", "all", "EMAIL", "gainsight", "UTC", "* * * * *", "https://a.b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(list(SECTIONS)) | st.text(max_size=5), LIKELY, max_size=5))
def test_loading_any_document_never_raises(document: dict[str, object]) -> None:
    _use(parse_settings(yaml.dump(document, allow_unicode=True)))
    _use(parse_settings(yaml.safe_dump(document)))


@given(st.binary(max_size=60))
def test_loading_any_bytes_never_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.yaml"
    path.write_bytes(content)
    _use(load_settings(path, {}))


@pytest.mark.parametrize(
    ("company", "told"),
    [
        ("{crm_id_field: A__c, attributes: none}", "A__c"),
        ("{attributes: none}", None),
        ("{attributes: [Name], enabled: maybe}", None),
        ("{crm_id_field: 5, attributes: none}", SettingsError),
        ("{crm_id_feld: A__c}", SettingsError),
        ("{crm_id_field: A__c, crm_id_field: B__c}", SettingsError),
        ("[A__c]", SettingsError),
    ],
)
def test_the_crm_id_field_is_known_despite_other_mistakes_in_its_section(
    company: str, told: str | type[SettingsError] | None
) -> None:
    settings = parse_settings(f"company: {company}")
    assert "company" in settings.errors
    if told is None or isinstance(told, str):
        assert settings.crm_id_field() == told
    else:
        with pytest.raises(told):
            settings.crm_id_field()


def test_the_crm_id_field_of_a_valid_section() -> None:
    assert parse_settings("company: {crm_id_field: A__c}").crm_id_field() == "A__c"
    assert parse_settings("common: {}").crm_id_field() is None
