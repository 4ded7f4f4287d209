"""Validation: each check passes on a healthy sandbox, and each of its errors is provoked there (C2, M3, W5)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gainsight_pipelines.discovery.validation import Check, Outcome, passed, validate
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.settings import Secrets, Settings
from gainsight_pipelines.settings.database import open_store
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines_tests.databases import fresh_database
from gainsight_pipelines_tests.discovery.finding import Finding, finding_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

NO_DATABASE = ("settings", "gainsight", "primary_crm", "pulls", "matching", "tenant_profile")
FIRST_TWO = ("gainsight", "primary_crm")
PULLS = ("gainsight", "pulls")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as running:
        yield running


@pytest.fixture
def finding(sandbox: RunningSandbox, tmp_path: Path) -> Iterator[Finding]:
    with finding_on(sandbox, tmp_path) as found:
        yield found


def checks(finding: Finding, parts: tuple[str, ...] = NO_DATABASE) -> list[Check]:
    return list(validate(finding.catalog, None, parts=parts))


def only_failure(finding: Finding, *parts: str) -> Check:
    """The only check that failed: a mistake in one section doesn't fail the checks of others."""
    found = checks(finding, parts or NO_DATABASE)
    failed = [check for check in found if check.outcome is Outcome.FAILED]
    assert len(failed) == 1, found
    assert failed[0].todo, failed[0]
    return failed[0]


def find(found: list[Check], section: str, name: str) -> Check:
    return next(check for check in found if (check.section, check.name) == (section, name))


# -- a healthy tenant -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["salesforce", "hubspot"])
def test_a_healthy_tenant_passes_every_check(sandbox: RunningSandbox, tmp_path: Path, kind: str) -> None:
    with finding_on(sandbox, tmp_path, kind) as finding:
        found = checks(finding)
        assert passed(found), [check for check in found if check.outcome is not Outcome.PASSED]
        assert {check.section for check in found} >= {"gainsight", "primary_crm", "common", "company", "surveys"}
        assert find(found, "gainsight", "key").facts["objects"] == 22
        accounts = sandbox.truth()["accounts"][kind].values()
        live = [one for one in accounts if not one["deleted"] and one["merged_into"] is None]
        assert find(found, "primary_crm", "accounts").facts["accounts"] == len(live)
        assert find(found, "common", "gsid_field").facts["filled"] == sum(one["gsid"] is not None for one in live)
        links = find(found, "matching", "sample").facts["links"]
        truth = sandbox.truth()["records"]["company"].values()
        by_method = [one["method"][kind] if one["account"] is not None else one["reason"] for one in truth]
        # Only a pull finds a GSID with surrounding blanks.
        assert links["direct"] == by_method.count("direct")
        assert by_method.count("gsid_field") - 2 <= links["gsid_field"] <= by_method.count("gsid_field")
        assert "read only what has changed" in find(found, "tenant_profile", "meaning").text
        # A few small calls, and no record is stored or cached.
        assert sandbox.calls()["totals"]["gainsight"] < 32


def test_validation_updates_the_cache(finding: Finding) -> None:
    checks(finding)
    before = finding.sandbox.calls()["totals"]
    assert finding.catalog.objects().objects
    assert finding.catalog.fields("company").schema
    assert finding.catalog.crm_fields().fields
    assert finding.sandbox.calls()["totals"] == before


# -- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("front", "words"),
    [
        ("login_page", "shows a login page"),
        ("login_redirect", "redirects to a login page"),
        ("other_host", "redirects to host elsewhere.example"),
        ("proxy_page", "A proxy or filter responds"),
        ("proxy_login", "A proxy or filter responds"),
        ("web_site", "is a web site, not a Gainsight"),
        ("other_api", "is another service"),
    ],
)
def test_other_servers_at_the_base_url_are_recognised(finding: Finding, front: str, words: str) -> None:
    finding.sandbox.switch(front=front)
    found = checks(finding)
    failed = [check for check in found if check.outcome is Outcome.FAILED]
    assert [(check.section, check.name) for check in failed] == [("gainsight", "address")]
    assert words in failed[0].text
    assert failed[0].todo
    # The CRM is still checked, checks that need Gainsight are skipped, and the key is never sent.
    assert find(found, "primary_crm", "accounts").outcome is Outcome.PASSED
    assert find(found, "company", "company").outcome is Outcome.SKIPPED
    assert finding.sandbox.calls()["totals"]["gainsight"] == 1


def test_a_gateway_without_gainsight_is_reported(finding: Finding) -> None:
    finding.sandbox.switch(gainsight_down=True)
    assert "Gainsight behind it doesn't (HTTP 503)" in only_failure(finding, "gainsight").text


def test_an_unknown_host_is_reported(finding: Finding) -> None:
    finding.content["gainsight"]["base_url"] = "https://no-such-tenant.invalid"
    found = only_failure(finding, "gainsight")
    assert "no-such-tenant.invalid" in found.text
    assert "Check" in found.todo


def test_a_refused_connection_is_reported(finding: Finding) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        finding.content["gainsight"]["base_url"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert "refuses connections" in only_failure(finding, "gainsight").text


def test_an_untrusted_certificate_is_reported(finding: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    finding.content["gainsight"]["base_url"] = finding.sandbox.urls["salesforce"]
    found = only_failure(finding, "gainsight")
    assert "certificate" in found.text
    assert "REQUESTS_CA_BUNDLE" in found.todo


# -- the key ----------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_reported(finding: Finding) -> None:
    finding.environ["GAINSIGHT_API_KEY"] = "key-of-nobody"
    found = only_failure(finding)
    assert (found.section, found.name) == ("gainsight", "key")
    assert "rejected" in found.text
    assert "key-of-nobody" not in str(found)


def test_a_missing_key_is_reported(finding: Finding) -> None:
    del finding.environ["GAINSIGHT_API_KEY"]
    assert "GAINSIGHT_API_KEY is not set" in only_failure(finding).text


def test_an_ip_address_that_is_not_on_the_allow_list_is_reported(finding: Finding) -> None:
    finding.sandbox.switch(ip_refused=True)
    found = only_failure(finding)
    assert "IP allow-list" in found.text
    assert "allow-list" in found.todo


def test_a_used_up_minute_quota_is_reported(finding: Finding) -> None:
    finding.sandbox.switch(rate_limit_next=2)
    assert "limit is used up" in only_failure(finding, "gainsight").text


# -- the CRM ----------------------------------------------------------------------------------------------------------


def test_a_missing_crm_is_reported(finding: Finding) -> None:
    del finding.content["primary_crm"]
    found = only_failure(finding, *FIRST_TWO)
    assert (found.section, "No primary CRM is connected" in found.text) == ("primary_crm", True)


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        ({"crm_down": True}, "is not available"),
        ({"crm_reject": True}, "refused"),
        ({"crm_empty": True}, "shows no accounts"),
    ],
)
def test_an_unavailable_crm_is_reported(finding: Finding, switch: dict[str, Any], words: str) -> None:
    finding.sandbox.switch(**switch)
    found = checks(finding)
    failed = [check for check in found if check.outcome is Outcome.FAILED]
    assert [(check.section, check.name) for check in failed] == [("primary_crm", "accounts")], found
    assert words in failed[0].text
    assert find(found, "surveys", "survey_survey_response").outcome is Outcome.PASSED
    assert find(found, "matching", "sample").outcome is Outcome.SKIPPED


def test_a_wrong_client_secret_beside_a_working_key_is_reported(finding: Finding) -> None:
    """The JWT key is used; credentials that do not work are reported even if unused."""
    finding.environ |= finding.sandbox.env_of("jwt")
    found = checks(finding, ("primary_crm",))
    assert passed(found), found
    assert "Logged in with the JWT key" in find(found, "primary_crm", "accounts").text
    finding.environ["SALESFORCE_CLIENT_SECRET"] = "wrong"
    wrong = only_failure(finding, "primary_crm")
    assert (wrong.name, "wrong client secret" in wrong.text) == ("client_credentials", True)
    assert "SALESFORCE_CLIENT_SECRET" in wrong.todo
    assert "unset" in wrong.todo


def test_a_token_without_the_scope_for_owners_is_reported(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """Without this scope, a pull fails as soon as there is an account."""
    with finding_on(sandbox, tmp_path, "hubspot") as finding:
        assert find(checks(finding, ("primary_crm",)), "primary_crm", "owners").outcome is Outcome.PASSED
        sandbox.switch(hubspot_owners_scope=False)
        found = only_failure(finding, "primary_crm")
        assert found.name == "owners"
        assert "crm.objects.owners.read" in found.text


def test_a_missing_gsid_field_is_reported(finding: Finding) -> None:
    finding.content["activity"]["gsid_field"] = "Gainsight_GSDI__c"
    found = only_failure(finding)
    assert (found.section, found.name) == ("activity", "gsid_field")
    assert "`activity.gsid_field`" in found.text
    assert "Did you mean Gainsight_GSID__c?" in found.todo


@pytest.mark.parametrize(
    ("place", "field", "words"),
    [
        (("common", "gsid_field"), "Renewal_Date__c", "holds date; it takes a text"),
        (("primary_crm", "fields", "arr"), "Is_Strategic__c", "holds boolean; it takes a number"),
        (("primary_crm", "fields", "renewal_date"), "ARR__c", "holds currency; it takes a date"),
        (("primary_crm", "fields", "domain"), "Webpage__c", "doesn't have"),
    ],
)
def test_account_fields_of_the_wrong_type_are_reported(
    finding: Finding, place: tuple[str, ...], field: str, words: str
) -> None:
    inner = finding.content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = field
    found = only_failure(finding, *FIRST_TWO)
    assert words in found.text
    assert ".".join(place) in found.text


def test_an_empty_gsid_field_is_reported(finding: Finding) -> None:
    finding.content["common"]["gsid_field"] = "AccountSource"
    found = find(checks(finding, FIRST_TWO), "common", "gsid_field")
    assert found.outcome is Outcome.WARNING
    assert "is filled for 0 of" in found.text


def test_a_long_text_area_works_as_gsid_field(finding: Finding) -> None:
    """Salesforce can't filter by long text areas, but a pull reads them. So validation reads a sample."""
    truth = finding.sandbox.truth()["records"]["company"].values()
    by_field = sum(one["account"] is not None and one["method"]["salesforce"] == "gsid_field" for one in truth)
    finding.sandbox.switch(crm_long_texts=["Gainsight_GSID__c"])
    found = checks(finding)
    assert passed(found), [check for check in found if check.outcome is not Outcome.PASSED]
    field = find(found, "common", "gsid_field")
    live = find(found, "primary_crm", "accounts").facts["accounts"]
    assert field.facts["accounts"] == live
    assert 0 < field.facts["filled"] < live
    assert "sampled accounts" in field.text
    matched = find(found, "matching", "sample")
    assert matched.facts["links"]["gsid_field"] == by_field
    assert "newest were searched" in matched.text


def test_no_gsid_field_is_a_warning(finding: Finding) -> None:
    finding.content["common"]["gsid_field"] = None
    found = find(checks(finding, FIRST_TWO), "common", "gsid_field")
    assert found.outcome is Outcome.WARNING
    assert "crm-fields" in found.todo


# -- objects, fields and filters --------------------------------------------------------------------------------------


def test_an_invalid_section_does_not_affect_others(finding: Finding) -> None:
    finding.content["surveys"]["lookback_days"] = 90
    found = only_failure(finding)
    assert (found.section, found.name) == ("surveys", "settings")
    assert "90" in found.text


def test_an_unknown_object_is_reported(finding: Finding) -> None:
    finding.content["product_usage"]["object"] = "product_usages__gc"
    found = only_failure(finding, *PULLS)
    assert "no object `product_usages__gc`" in found.text
    assert "Did you mean product_usage__gc" in found.todo


def test_an_object_without_read_permission_is_reported(finding: Finding) -> None:
    finding.content["product_usage"]["object"] = "email_raw_events"
    assert "not readable" in only_failure(finding, *PULLS).text


def test_an_object_listed_as_unreadable_is_reported(finding: Finding) -> None:
    finding.sandbox.switch(broken_objects=["survey_response"])
    assert "HTTP 500" in only_failure(finding, *PULLS).text


def test_a_missing_field_is_reported(finding: Finding) -> None:
    finding.content["product_usage"]["aggregate"]["metric_name_field"] = "MetricNam__gc"
    found = only_failure(finding, *PULLS)
    assert "product_usage.aggregate.metric_name_field" in found.text
    assert "MetricName__gc" in found.todo


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"observed_at_field": "MetricName__gc"}, "`product_usage.observed_at_field`.*it takes a date"),
        ({"company_field": "MetricValue__gc"}, "`product_usage.company_field`.*lookup on company"),
    ],
)
def test_fields_of_the_wrong_type_are_reported(finding: Finding, values: dict[str, Any], words: str) -> None:
    finding.content["product_usage"] |= values
    found = only_failure(finding, *PULLS)
    assert re.search(words, found.text), found


def test_a_refused_field_is_left_out_with_a_warning(finding: Finding) -> None:
    finding.sandbox.switch(unreadable_fields=["survey_response.Region__gc", "survey_response.Channel__gc"])
    found = [check for check in checks(finding, PULLS) if check.section == "surveys"]
    assert [check.outcome for check in found] == [Outcome.WARNING, Outcome.PASSED]
    assert set(found[0].facts["refused"]) == {"Region__gc", "Channel__gc"}


def test_records_without_a_company_are_reported(finding: Finding) -> None:
    blank = {"fieldName": "Blank__gc", "dataType": "STRING"}
    finding.sandbox.edit({"object": "survey_response", "action": "describe", "field": blank})
    finding.content["surveys"]["objects"][0]["company_field"] = "Blank__gc"
    found = only_failure(finding, *PULLS)
    assert "Blank__gc is empty in all of the" in found.text
    assert "company_field" in found.todo


def with_filter(finding: Finding, expression: str, *names: str) -> None:
    conditions = [
        {"name": name, "alias": alias, "value": [0], "operator": "GTE"}
        for name, alias in zip(names, "ABC", strict=False)
    ]
    finding.content["surveys"]["filter"] = {"conditions": conditions, "expression": expression}


def test_a_filter_is_checked_with_its_match_count(finding: Finding) -> None:
    with_filter(finding, "A", "NPSScore")
    found = find(checks(finding, PULLS), "surveys", "survey_survey_response")
    assert found.outcome is Outcome.PASSED
    assert found.facts["matches"]["is_exact"]
    assert f"the filter matches {found.facts['matches']['count']} records" in found.text


def test_a_filter_on_a_missing_field_is_reported(finding: Finding) -> None:
    with_filter(finding, "A", "NPSScor")
    found = only_failure(finding, *PULLS)
    assert "surveys.filter.conditions[0].name" in found.text
    assert "NPSScore" in found.todo


def test_a_refused_filter_is_reported(finding: Finding) -> None:
    finding.sandbox.switch(parentheses_refused=True)
    with_filter(finding, "(A OR B) AND C", "NPSScore", "CSATScore", "Answered_Questions__gc")
    found = [check for check in checks(finding, PULLS) if check.outcome is Outcome.FAILED]
    assert [check.section for check in found] == ["surveys"]


def test_a_filter_that_matches_nothing_is_a_warning(finding: Finding) -> None:
    with_filter(finding, "A", "NPSScore")
    finding.content["surveys"]["filter"]["conditions"][0]["value"] = [999]
    found = find(checks(finding, PULLS), "surveys", "survey_survey_response")
    assert found.outcome is Outcome.WARNING
    assert "the filter matches none" in found.text


def test_a_sample_without_matches_is_a_warning(finding: Finding) -> None:
    finding.content["company"]["crm_id_field"] = "Region__gc"
    finding.content["common"]["gsid_field"] = "AccountNumber"
    found = only_failure(finding, "gainsight", "primary_crm", "matching")
    assert (found.section, "100% not" in found.text) == ("matching", True)


def test_a_missing_crm_id_field_is_reported(finding: Finding) -> None:
    finding.content["company"]["crm_id_field"] = "SfdcAcountId"
    found = checks(finding, ("gainsight", "primary_crm", "pulls", "matching"))
    failed = [check for check in found if check.outcome is Outcome.FAILED]
    assert all("company.crm_id_field" in check.text for check in failed)
    assert {check.section for check in failed} >= {"company", "matching"}


# -- the database -----------------------------------------------------------------------------------------------------


@contextmanager
def store_at(url: str) -> Iterator[Store]:
    yield open_store(Settings(), Secrets.read(None, {DATABASE_VARIABLE: url}))


def database_checks(finding: Finding, url: str, *parts: str) -> list[Check]:
    return list(validate(finding.catalog, lambda: store_at(url), parts=("database", *parts)))


def test_a_new_database_is_migrated_and_calls_are_counted(finding: Finding, database_url: str) -> None:
    found = database_checks(finding, database_url, "gainsight")
    assert passed(found)
    assert find(found, "gainsight", "quota").facts["used_today"] == 0
    again = database_checks(finding, database_url)
    assert find(again, "gainsight", "quota").facts["used_today"] == 1


def test_waiting_for_the_minute_quota_is_reported(finding: Finding, database_url: str) -> None:
    finding.content["gainsight"]["quota_share"] = 0.02
    said: list[str] = []
    found = list(
        validate(
            finding.catalog, lambda: store_at(database_url), parts=("database", "gainsight", "pulls"), say=said.append
        )
    )
    assert passed(found)
    assert "this minute's share of Gainsight's API quota is used up" in said[0]


def test_a_used_up_daily_share_is_reported(finding: Finding, database_url: str) -> None:
    finding.content["gainsight"]["quota_share"] = 0.00002
    database_checks(finding, database_url, "gainsight")
    found = database_checks(finding, database_url, "gainsight")
    assert find(found, "gainsight", "quota").outcome is Outcome.FAILED
    assert "quota_share" in find(found, "gainsight", "quota").todo
    finding.clock.ahead += timedelta(days=1)
    assert passed(database_checks(finding, database_url))


def test_an_unreachable_database_is_reported(finding: Finding) -> None:
    found = database_checks(finding, "postgresql://nobody:hidden@127.0.0.1:1/none", "gainsight")
    failed = find(found, "database", "reachable")
    assert failed.outcome is Outcome.FAILED
    assert DATABASE_VARIABLE in failed.todo
    assert "hidden" not in str(found)
    assert find(found, "gainsight", "key").outcome is Outcome.PASSED


def test_a_newer_database_is_reported(finding: Finding, database_url: str) -> None:
    database_checks(finding, database_url)
    with Store(database_url).connect("test") as connection:
        connection.execute("UPDATE schema_version SET version_num = '9999'")
    assert "newer" in find(database_checks(finding, database_url), "database", "reachable").text


def test_a_role_without_migration_rights_is_reported(finding: Finding, postgres_server: EmbeddedServer) -> None:
    with fresh_database(postgres_server) as name:
        url = postgres_server.url(name)
        role = f"reader_{name}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN")  # type: ignore[call-overload]
            connection.execute(f"REVOKE CREATE ON DATABASE {name} FROM PUBLIC")  # type: ignore[call-overload]
        try:
            found = database_checks(finding, psycopg.conninfo.make_conninfo(url, user=role))
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]
    failed = find(found, "database", "reachable")
    assert failed.outcome is Outcome.FAILED
    assert "migrate" in failed.todo


@pytest.mark.parametrize(
    ("holder", "part", "words"),
    [
        (("other.gainsightcloud.com", "salesforce", "00D5g000004sandEAA"), "gainsight", "other.gainsightcloud.com"),
        (("127.0.0.1", "hubspot", "17"), "primary_crm", "hubspot 17"),
    ],
)
def test_another_tenants_database_is_reported(
    finding: Finding, database_url: str, holder: tuple[str, str, str], part: str, words: str
) -> None:
    database_checks(finding, database_url)
    with Store(database_url).connect("test") as connection:
        connection.execute("INSERT INTO tenant (gainsight_host, crm, crm_organisation) VALUES (%s, %s, %s)", holder)
    found = find(database_checks(finding, database_url, part), "database", "tenant")
    assert found.outcome is Outcome.FAILED
    assert words in found.text
    assert "reset --all" in found.todo


# -- the docs ---------------------------------------------------------------------------------------------------------


def test_each_check_is_documented() -> None:
    root = Path(__file__).parents[2]
    source = (root / "gainsight_pipelines" / "discovery" / "validation.py").read_text("utf-8")
    places = set(re.findall(r'(?:Check|_failed)\(\s*"(\w+)",\s*"(\w+)"', source))
    assert len({section for section, _ in places}) >= 7
    page = (root / "docs" / "validation.md").read_text("utf-8")
    table = page[page.index("| check | where it fails | do |") :].partition("\n\n")[0]
    rows = {word for cell in re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE) for word in cell.split(", ")}
    assert {place for place in places if place[0] not in rows and ": ".join(place) not in rows} == set()
