"""The catalog behind pickers: names, types, fill rates; at most one call each, cached for minutes (M3, P3, W2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gainsight_pipelines.discovery import CATALOG_LASTS, matching_names
from gainsight_pipelines.errors import CredentialsRejected, GateClosed, PermanentError, RateLimited, TransientError
from gainsight_pipelines.gainsight.errors import UnknownObject
from gainsight_pipelines_tests.discovery.finding import Finding, finding_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.waiting import wait_until


@pytest.fixture
def finding(small_sandbox: RunningSandbox, tmp_path: Path) -> Iterator[Finding]:
    with finding_on(small_sandbox, tmp_path) as found:
        yield found


def test_objects_cost_one_call_and_are_cached(finding: Finding) -> None:
    """Requirement W2."""
    objects = {one.name: one for one in finding.catalog.objects().objects}
    assert objects["product_usage__gc"].object_type == "CUSTOM"
    assert not objects["email_raw_events"].is_readable
    assert list(objects) == sorted(objects)
    finding.catalog.objects()
    assert finding.gainsight_calls() == {"list": 1}
    finding.clock.ahead += CATALOG_LASTS
    finding.catalog.objects()
    finding.catalog.objects(is_fresh=True)
    assert finding.gainsight_calls() == {"list": 3}


def test_describes_fields_with_lookups_and_options(finding: Finding) -> None:
    schema = finding.catalog.fields("Company").schema
    assert schema.field("csm") == schema.fields["Csm"]
    assert schema.fields["Csm"].lookup_object == "gsuser"
    assert "Churn" in [option.label for option in schema.fields["Stage"].options]
    assert finding.catalog.fields("company").schema == schema
    assert finding.gainsight_calls() == {"describe": 1, "describe:company": 1}


@pytest.mark.parametrize(("kind", "field"), [("salesforce", "Gainsight_GSID__c"), ("hubspot", "gainsight_gsid")])
def test_crm_fields_and_their_fill_rates(small_sandbox: RunningSandbox, tmp_path: Path, kind: str, field: str) -> None:
    with finding_on(small_sandbox, tmp_path, kind) as finding:
        found = finding.catalog.crm_fields()
        assert found.crm == kind
        assert field in [one.name for one in found.fields]
        fill = finding.catalog.crm_fill()
        accounts = small_sandbox.truth()["accounts"][kind].values()
        live = [one for one in accounts if not one["deleted"] and one["merged_into"] is None]
        assert fill.sample == len(live)
        assert 0 < (fill.share(field) or 0) < 1
        asked = small_sandbox.calls()["totals"][kind]
        finding.catalog.crm_fields()
        finding.catalog.crm_fill()
        assert small_sandbox.calls()["totals"][kind] == asked <= 4  # including logins
        assert small_sandbox.calls()["totals"].get("gainsight", 0) == 0


def test_fill_rates_of_an_object_cost_one_query(finding: Finding) -> None:
    fill = finding.catalog.fill("product_usage__gc")
    assert fill.sample > 50
    assert fill.share("Gsid") == 1
    assert 0 < (fill.share("Dimension__gc") or 0) <= 1
    assert fill.share("nothing") is None
    finding.catalog.fill("product_usage__gc")
    assert finding.gainsight_calls()["query"] == 1


def test_a_large_tenant_costs_no_more_calls(finding: Finding) -> None:
    """1,500 objects, and one with 800 fields."""
    names = [f"more_{number:04}__gc" for number in range(1_500)]
    finding.sandbox.edit({"object": "health_scorecard_fact", "action": "copy", "names": names})
    wide = [f"Metric_{number:03}__gc" for number in range(800)]
    finding.sandbox.edit(
        *({"object": names[0], "action": "describe", "field": {"fieldName": name}} for name in wide),
    )
    assert len(finding.catalog.objects().objects) >= 1_500
    assert set(wide) <= set(finding.catalog.fields(names[0]).schema.fields)
    finding.catalog.fill(names[0])
    finding.sandbox.switch(gainsight_delay=1.0)  # so that all threads ask during the first call
    with ThreadPoolExecutor(8) as pool:
        catalog = finding.catalog
        assert len({len(found.objects) for found in pool.map(lambda _: catalog.objects(is_fresh=True), range(8))}) == 1
    calls = finding.gainsight_calls()
    assert (calls["describe"], calls["query"]) == (1, 1)
    assert calls["list"] <= 3  # threads that waited for the lock use the others' result


def test_discovery_never_waits(finding: Finding) -> None:
    finding.sandbox.switch(rate_limit_next=1)
    with pytest.raises(RateLimited, match="API limit is used up"):
        finding.catalog.objects()
    finding.sandbox.switch(server_errors_next=1)
    with pytest.raises(TransientError):
        finding.catalog.objects()
    finding.sandbox.switch(server_errors_next=1, server_error_kind="html")
    with pytest.raises(PermanentError, match=r"a web page came .* Check gainsight\.base_url"):
        finding.catalog.objects()
    assert finding.clock.ahead == timedelta(0)
    assert finding.catalog.objects().objects


def test_a_rejected_key_is_not_cached(finding: Finding) -> None:
    good = finding.environ["GAINSIGHT_API_KEY"]
    finding.environ["GAINSIGHT_API_KEY"] = "no-key-of-anybody"
    catalog = finding.catalog
    with pytest.raises(CredentialsRejected):
        catalog.objects()
    finding.environ["GAINSIGHT_API_KEY"] = good
    assert catalog.objects().objects


def test_an_unknown_object_is_reported(finding: Finding) -> None:
    with pytest.raises(UnknownObject, match="gainsight-pipelines objects"):
        finding.catalog.fields("survey_respons")


def test_gainsight_names_need_no_crm(finding: Finding) -> None:
    del finding.content["primary_crm"]
    assert finding.catalog.objects().objects
    with pytest.raises(GateClosed, match=r"primary_crm\.kind"):
        finding.catalog.crm_fields()


def test_the_cache_is_private_and_contains_no_secret(finding: Finding) -> None:
    finding.catalog.objects()
    finding.catalog.fill("company")
    finding.catalog.crm_fill()
    folder = finding.folder / "discovery"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = list(folder.iterdir())
    assert len(files) == 4
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        text = file.read_text()
        assert not [secret for secret in finding.sandbox.secrets if secret in text]
        assert set(json.loads(text)) == {"key", "version", "read_at", "document"}
    finding.catalog.forget()
    assert not list(folder.iterdir())


def test_a_damaged_cache_entry_is_read_again(finding: Finding) -> None:
    finding.catalog.objects()
    for file in (finding.folder / "discovery").iterdir():
        file.write_text("{")
    assert finding.catalog.objects().objects
    assert finding.gainsight_calls() == {"list": 2}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("SURVEY", "survey_response"),
        ("Response", "survey_response"),
        ("survey*", "survey_response"),
        ("*usage?_gc", "product_usage__gc"),
    ],
)
def test_names_match_patterns(finding: Finding, pattern: str, expected: str) -> None:
    found = [one.name for one in matching_names(finding.catalog.objects().objects, pattern)]
    assert expected in found
    assert "company" not in found


@pytest.mark.parametrize("kind", ["salesforce", "hubspot"])
def test_a_slow_crm_ends_at_the_timeout(small_sandbox: RunningSandbox, tmp_path: Path, kind: str) -> None:
    with finding_on(small_sandbox, tmp_path, kind) as finding:
        catalog = finding.catalog
        catalog.connections = replace(catalog.connections, answer_seconds=0.5)
        small_sandbox.switch(crm_delay=30)
        with pytest.raises(GateClosed, match="no answer within the timeout"):
            catalog.crm_fields()
        small_sandbox.switch(crm_delay=0)
        assert catalog.crm_fields().fields


def test_a_running_call_keeps_its_tenant(finding: Finding) -> None:
    """If the settings change during a call, its result isn't cached for the new settings."""
    catalog = finding.catalog
    finding.sandbox.switch(gainsight_delay=1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(catalog.objects)
        wait_until(lambda: finding.gainsight_calls().get("list") == 1, 10)
        finding.content["gainsight"]["base_url"] = "http://127.0.0.1:1"
        catalog.connections = finding.connections
        assert asked.result().objects
    with pytest.raises(TransientError, match="refuses connections"):
        catalog.objects()
