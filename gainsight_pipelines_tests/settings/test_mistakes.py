"""Each kind of mistake in the settings file: the message names the place, the value and what is valid."""

from __future__ import annotations

import pytest

from gainsight_pipelines.settings import parse_settings

SECRET = "hunter2-is-secret"

CASES = [
    # settings file, section with the error, parts of the message
    (
        "activity:\n  reporting_categoris: {}",
        "activity",
        [
            "line 2",
            "activity.reporting_categoris is not a setting",
            "probably reporting_categories was meant",
            "enabled, gsid_field, initial_lookback_days",
        ],
    ),
    ("activty: {}", "activity", ["line 1", "activty", "probably activity was meant", "product_usage"]),
    ("activity: {}\nactivty: {}", "activty", ["line 2", "probably activity was meant"]),
    ("quux: {}", "quux", ["quux is not a setting", "the sections here are gainsight, primary_crm"]),
    ("common: GSID__c", "common", ["common is a single value", "gsid_field"]),
    ("company: [1]", "company", ["company is a list", "crm_id_field"]),
    ("gainsight: {}", "gainsight", ["gainsight.base_url is missing", "https://your-tenant.gainsightcloud.com"]),
    ("gainsight: {base_url: 7}", "gainsight", ["gainsight.base_url is 7", "https://your-tenant"]),
    ("gainsight: {base_url: acme.gainsightcloud.com}", "gainsight", ["gainsight.base_url doesn't begin with https://"]),
    ("gainsight: {base_url: 'http://acme.com'}", "gainsight", ["gainsight.base_url begins with http://", "loopback"]),
    ("gainsight: {base_url: 'https://'}", "gainsight", ["gainsight.base_url has no usable host name"]),
    ("gainsight: {base_url: 'https://a b.com'}", "gainsight", ["gainsight.base_url has no usable host name"]),
    ("gainsight: {base_url: 'https://a.com:99999'}", "gainsight", ["gainsight.base_url isn't an address"]),
    ("gainsight: {base_url: ''}", "gainsight", ["gainsight.base_url doesn't begin with https://"]),
    ("gainsight: {base_url: 'https://a.com?x=1'}", "gainsight", ["gainsight.base_url has a query (?) or fragment (#)"]),
    (
        "gainsight: {base_url: 'https://a.com', quota_share: 80}",
        "gainsight",
        ["gainsight.quota_share is 80", "up to 1"],
    ),
    ("gainsight: {base_url: 'https://a.com', quota_share: .nan}", "gainsight", ["quota_share is nan", "above 0"]),
    (
        "gainsight: {base_url: 'https://a.com', overlap_minutes: true}",
        "gainsight",
        ["overlap_minutes is true", "0 to 1440"],
    ),
    (
        "primary_crm: {kind: gainsight}",
        "primary_crm",
        ["primary_crm.kind can't be gainsight", "parent, ARR, renewal date", "It takes salesforce or hubspot"],
    ),
    (
        "primary_crm: {kind: Salesforce}",
        "primary_crm",
        ["primary_crm.kind is 'Salesforce'", "probably salesforce was meant"],
    ),
    ("primary_crm: {fields: {arr: X}}", "primary_crm", ["primary_crm.kind is missing", "salesforce or hubspot"]),
    (
        "primary_crm: {kind: hubspot, fields: {ar: X}}",
        "primary_crm",
        ["primary_crm.fields.ar is not", "probably arr was meant"],
    ),
    (
        "primary_crm: {kind: hubspot, fields: {arr: a b}}",
        "primary_crm",
        ["primary_crm.fields.arr is 'a b'", "API name"],
    ),
    ("company: {enabled: 'yes'}", "company", ["company.enabled is 'yes'", "true or false"]),
    ("company: {enabled: 1}", "company", ["company.enabled is 1", "true or false"]),
    ("company: {attributes: [A, b c]}", "company", ["company.attributes has an entry (number 2)", "takes all"]),
    ("company: {attributes: [A, A]}", "company", ["company.attributes has the field A twice"]),
    ("company: {attributes: some}", "company", ["company.attributes is 'some'", "all, or a list"]),
    ("company: {gsid_field: a/b}", "company", ["company.gsid_field is 'a/b'", "or null"]),
    ("activity: {initial_lookback_days: 0}", "activity", ["activity.initial_lookback_days is 0", "1 to 36,500"]),
    (
        "activity: {reporting_categories: {E mail: EMAIL, ' EMAIL': EMAIL}}",
        "activity",
        ["activity.reporting_categories has the category", "are the same", "case and blanks"],
    ),
    (
        "activity: {reporting_categories: {email: MAIL}}",
        "activity",
        ["activity.reporting_categories.email is 'MAIL'", "probably EMAIL was meant"],
    ),
    (
        "activity: {reporting_categories: {true: EMAIL}}",
        "activity",
        ["activity.reporting_categories.true", "in quotes"],
    ),
    ("activity: {reporting_categories: {7: EMAIL}}", "activity", ["reporting_categories.7", "a number", "in quotes"]),
    ("activity: {enabled: true, enabled: false}", "activity", ["activity.enabled occurs twice"]),
    ("company: {}\ncompany: {}", "company", ["company occurs twice (line 2)"]),
    ("company: {enabled: !!python/name:os.system x}", "company", ["company.enabled", "tag"]),
    ("surveys: {mode: multi}", "surveys", ["surveys.mode is 'multi'", "single or multiple"]),
    ("surveys: {objects: [{object: a}, {object: b}]}", "surveys", ["surveys.objects has 2 rows", "exactly one"]),
    ("surveys: {objects: []}", "surveys", ["surveys.objects is a list with 0 entries", "at least one row"]),
    (
        "surveys: {mode: multiple, objects: [{object: NPS}, {object: nps}]}",
        "surveys",
        ["surveys.objects has the survey object NPS and nps", "must be unique"],
    ),
    (
        "surveys: {mode: multiple, objects: [{object: a}, {object: A_by_day}]}",
        "surveys",
        ["A_by_day", "backfill by day"],
    ),
    (
        "surveys:\n  objects:\n    - object: a\n      survey_typ: NPS",
        "surveys",
        ["line 4", "surveys.objects[0].survey_typ", "probably survey_type was meant"],
    ),
    ("surveys: {objects: [{object: ../x}]}", "surveys", ["surveys.objects[0].object is '../x'", "API name"]),
    ("surveys: {objects: [survey_response]}", "surveys", ["surveys.objects[0] is 'survey_response'"]),
    ("surveys: {lookback_days: 31}", "surveys", ["surveys.lookback_days is 31", "from 1 to 30"]),
    ("surveys: {lookback_days: 7.5}", "surveys", ["surveys.lookback_days is 7.5", "a whole number"]),
    ("surveys: {response_limit: '500'}", "surveys", ["surveys.response_limit is '500'", "a whole number"]),
    ("surveys: {first_day: yesterday}", "surveys", ["surveys.first_day is 'yesterday'", "2026-01-31"]),
    ("surveys: {first_day: 2026-01-31T10:00:00}", "surveys", ["surveys.first_day is", "2026-01-31"]),
    ("surveys: {filter: [1]}", "surveys", ["surveys.filter is a list", "where-clause"]),
    ("surveys: {filter: {value: 2026-01-31}}", "surveys", ["surveys.filter contains", "in quotes"]),
    (
        "product_usage: {aggregate: {key: A}}",
        "product_usage",
        [
            "product_usage.aggregate.metric_name_field is missing",
            "product_usage.aggregate.metric_value_field is missing",
            "2 mistakes",
        ],
    ),
    ("product_usage: {product_name: ''}", "product_usage", ["product_usage.product_name is ''"]),
    (
        "schedules: {timezone: Europe/Berln}",
        "schedules",
        ["schedules.timezone is 'Europe/Berln'", "probably Europe/Berlin"],
    ),
    ("schedules: {timezone: ../UTC}", "schedules", ["schedules.timezone is '../UTC'"]),
    ("schedules: {activity: every hour}", "schedules", ["schedules.activity is 'every hour'", "five fields"]),
    ("schedules: {activity: '0 0 * * * *'}", "schedules", ["schedules.activity is", "five fields"]),
    ('common: {gsid_field: "a\\e[31m\\uD800b"}', "common", ["common.gsid_field is", "\\x1b"]),
]


@pytest.mark.parametrize(("text", "section", "words"), CASES, ids=[case[0][:60] for case in CASES])
def test_a_mistake_names_place_value_and_what_is_expected(text: str, section: str, words: list[str]) -> None:
    """Requirement W1."""
    settings = parse_settings(text)
    assert set(settings.errors) == {section}
    message = str(settings.errors[section])
    assert [word for word in words if word not in message] == [], message
    assert message.isprintable() or set(filter(lambda c: not c.isprintable(), message)) == {"\n"}
    message.encode()


@pytest.mark.parametrize(
    "text",
    [
        "schedules: {activity: '15 */4 * * 1-5', timezone: America/New_York}",
        "gainsight: {base_url: 'http://127.0.0.1:8080/'}",
        "gainsight: {base_url: 'http://[::1]:80'}",
        "gainsight: {base_url: 'http://localhost', quota_share: 1}",
        "activity: {initial_lookback_days: null}",
        "surveys: {filter: {conditions: [{name: Score, operator: GTE, value: [9]}], expression: A}}",
        "company: {attributes: [Name, GsCompanyId__gr.Name]}",
    ],
)
def test_valid_settings_are_accepted(text: str) -> None:
    assert dict(parse_settings(text).errors) == {}


def test_all_mistakes_of_a_section_are_reported_one_per_line() -> None:
    message = str(parse_settings("surveys:\n  mode: x\n  lookback_days: 99\n  responses: 5\n").errors["surveys"])
    assert "3 mistakes in surveys" in message
    lines = message.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:4]] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        (f"gainsight: {{base_url: 'https://a.com', api_key: {SECRET}}}", "GAINSIGHT_API_KEY"),
        (f"gainsight: {{base_url: 'https://a.com', apiKey: {SECRET}}}", "GAINSIGHT_API_KEY"),
        (f"gainsight: {{base_url: 'https://a.com', access-key-secret: {SECRET}}}", "GAINSIGHT_API_KEY"),
        (f"primary_crm: {{kind: salesforce, password: {SECRET}}}", "SALESFORCE_PASSWORD"),
        (f"primary_crm: {{kind: salesforce, security_token: {SECRET}}}", "SALESFORCE_SECURITY_TOKEN"),
        (f"primary_crm: {{kind: salesforce, client_secret: {SECRET}}}", "SALESFORCE_CLIENT_SECRET"),
        (f"primary_crm: {{kind: hubspot, access_token: {SECRET}}}", "HUBSPOT_ACCESS_TOKEN"),
        (f"primary_crm: {{kind: hubspot, fields: {{token: {SECRET}}}}}", "HUBSPOT_ACCESS_TOKEN"),
        (f"gainsight_api_key: {SECRET}", "GAINSIGHT_API_KEY"),
        (f"activity: {{reporting_categories: {{api_key: {SECRET}}}}}", "GAINSIGHT_API_KEY"),
    ],
)
def test_a_misplaced_secret_is_hidden_and_its_variable_named(text: str, variable: str) -> None:
    (error,) = parse_settings(text).errors.values()
    assert SECRET not in str(error)
    assert f"environment variable {variable} " in str(error)
    assert "never in the settings file" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        f"gainsight: {{base_url: 'https://user:{SECRET}@a.com'}}",
        f"gainsight: {{base_url: 'https://a.com/?key={SECRET}'}}",
        f"gainsight: {{base_url: 'user:{SECRET}@a.com'}}",
        f"gainsight: {{base_url: 'ftp://user:{SECRET}@[a.com'}}",
        f"gainsight: {{base_url: 'https://user:{SECRET}@a.com:x'}}",
        f"gainsight: {SECRET}",
        f"gainsight: [{SECRET}]",
        f"gainsight: {{base_url: https://a.com, unknown: {SECRET}}}",
        f"gainsight: {{base_url: https://a.com, api_key: {{deep: {SECRET}}}}}",
        f"gainsight: {{api_key: *{SECRET}}}",
        f"gainsight: {{api_key: !{SECRET} x}}",
        f"gainsight: {{api_key: '{SECRET}}}",
        f'gainsight: {{api_key: "{SECRET}" "{SECRET}"}}',
        f"gainsight: {{api_key: %{SECRET}}}",
        f"gainsight:\n  api_key: &{SECRET}! x\n",
        f"gainsight:\n  api_key {SECRET}\n  base_url: x\n",
        f"%{SECRET}\n---\na: 1",
        f"{SECRET}",
    ],
)
def test_no_message_contains_a_possible_secret(text: str) -> None:
    settings = parse_settings(text)
    messages = [str(settings.file_error or ""), *map(str, settings.errors.values()), repr(settings.errors)]
    assert any(messages[:2])
    assert not [message for message in messages if SECRET in message]
