"""A pull stores how the tenant's API behaves; later pulls use and report it, and test it again after a week."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from gainsight_pipelines.gainsight.tenant_profile import NO_FIELD, probe_tenant
from gainsight_pipelines.sync import clients
from gainsight_pipelines_tests.gainsight.tenant import Tenant
from gainsight_pipelines_tests.pulling import Pulling, until_noon
from gainsight_pipelines_tests.sync.odd_tenant import GOOD, NOW, TIMELINE, entry, field
from gainsight_pipelines_tests.sync.test_completeness import shown, subjects

WEEK = timedelta(days=7)


def edit(tenant: Tenant, pulling: Pulling, number: int) -> None:
    """Sets the tenant's clock to the pull's and edits a record, with a modification date of an hour ago."""
    tenant.now = NOW + pulling.clock.ahead
    tenant.rows[number] |= {
        "Subject": f"edit {pulling.clock.ahead}",
        "LastModifiedDate": tenant.now - timedelta(hours=1),
    }


def at_noon(pulling: Pulling, tenant: Tenant) -> timedelta:
    """Sets the clocks of the pull and the tenant to noon; returns how far they are ahead."""
    pulling.clock.ahead = until_noon()
    tenant.now = NOW + pulling.clock.ahead
    return pulling.clock.ahead


def whole(notes: list[str]) -> list[str]:
    return [note for note in notes if "Each run reads all of it" in note]


@pytest.mark.parametrize("fault", ["ignores_where", "ignores_order"])
def test_a_tenant_that_ignores_the_query_is_read_in_full_for_a_week(odd: Pulling, tenant: Tenant, fault: str) -> None:
    """Each run reports it; after a week an incremental read is tried again, and one call is enough as before."""
    noon = at_noon(odd, tenant)
    tenant.rows = [entry(number) for number in range(450)]
    odd.pull("activity")
    setattr(tenant, fault, True)
    tenant.rows.reverse()
    for number in range(150):
        edit(tenant, odd, number)
    tenant.cap = 100
    report = odd.pull("activity")
    assert any("reading the object in full" in note for note in report.notes)
    setattr(tenant, fault, False)
    found = odd.clock.now()
    for days in (1, 5):
        odd.clock.ahead = noon + timedelta(days=days)
        edit(tenant, odd, days)
        report = odd.pull("activity")
        (note,) = whole(report.notes)
        assert f"{found:%Y-%m-%d}" in note
        assert f"tried again on {found + WEEK:%Y-%m-%d}" in note
        assert report.calls["query"] > 1
        assert subjects(odd) == shown(tenant)
    odd.clock.ahead = noon + WEEK
    edit(tenant, odd, 300)
    report = odd.pull("activity")
    assert whole(report.notes) == []
    assert report.calls["probe"] <= 6
    report = odd.pull("activity")
    assert whole(report.notes) == []
    assert report.calls["query"] == 1
    assert "probe" not in report.calls
    assert subjects(odd) == shown(tenant)


@pytest.mark.parametrize("fault", ["ignores_where", "ignores_order", "orders_pages_alone"])
def test_a_tenant_that_still_ignores_the_query_is_detected_with_few_calls(
    odd: Pulling, tenant: Tenant, fault: str
) -> None:
    """Even if there are no new records, so that no page would reveal it."""
    noon = at_noon(odd, tenant)
    tenant.rows, tenant.cap = [entry(number) for number in range(450)][::-1], 100
    tenant.rows = [*tenant.rows[200:], *tenant.rows[:200]]
    setattr(tenant, fault, True)
    odd.pull("activity")
    assert subjects(odd) == shown(tenant)
    odd.clock.ahead = noon + timedelta(days=8)
    assert any("reading the object in full" in note for note in odd.pull("activity").notes)
    (note,) = whole(odd.pull("activity").notes)
    assert f"tried again on {odd.clock.now() + WEEK:%Y-%m-%d}" in note
    edit(tenant, odd, 7)
    odd.pull("activity")
    assert subjects(odd) == shown(tenant)


def test_the_next_run_starts_with_the_page_size_that_worked(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows, tenant.fails_above = [entry(number) for number in range(300)], 200
    odd.pull("activity")
    assert [body["limit"] for body in tenant.asked[:6]] == [5000, 2500, 1250, 625, 312, 156]
    tenant.asked.clear()
    edit(tenant, odd, 7)
    odd.pull("activity")
    assert tenant.asked[0]["limit"] == 156
    assert subjects(odd) == shown(tenant)
    odd.clock.ahead = WEEK
    tenant.asked.clear()
    tenant.fails_above = None
    for number in range(200):
        edit(tenant, odd, number)
    odd.pull("activity")
    assert tenant.asked[0]["limit"] == 5000


SURVEY = {"Gsid": "GSID", "GsCompanyId": "LOOKUP", "Score": "NUMBER"}
SURVEY |= dict.fromkeys(("RespondedDate", "ModifiedDate", "CreatedDate"), "DATETIME")


@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_a_filter_is_read_in_pages_that_work_too(odd: Pulling, tenant: Tenant, spell: Callable[[str], str]) -> None:
    """However the tenant spells its field names."""
    tenant.describes = {"survey_response": [field(spell(name), kind) for name, kind in SURVEY.items()]}
    tenant.rows = [response(number) for number in range(700)]
    odd.content["surveys"] = {
        "objects": [{"object": "survey_response"}],
        "response_limit": 600,
        "filter": {"conditions": [{"name": "Score", "alias": "A", "value": [9], "operator": "GTE"}]},
    }
    tenant.fails_above = 200
    report = odd.pull("survey_survey_response")
    assert (report.read, report.is_truncated) == (600, True)
    assert [body["limit"] for body in tenant.asked[:4]] == [601, 300, 150, 150]
    tenant.asked.clear()
    report = odd.pull("survey_survey_response")
    assert (report.read, report.unchanged) == (600, 600)
    assert tenant.asked[0]["limit"] == 150


@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_undated_responses_are_read_in_any_spelling_of_the_fields(
    odd: Pulling, tenant: Tenant, spell: Callable[[str], str]
) -> None:
    """Each run reads up to the limit, ordered by Gsid in the tenant's spelling."""
    tenant.describes = {"survey_response": [field(spell(name), kind) for name, kind in SURVEY.items()]}
    tenant.rows = [response(number) | {"RespondedDate": None, "ModifiedDate": None} for number in range(25)]
    odd.content["surveys"] = {"objects": [{"object": "survey_response"}], "response_limit": 10}
    assert [odd.pull("survey_survey_response").read for _ in range(4)] == [10, 10, 5, 0]
    scores = odd.query("SELECT activity_id, score::int FROM activity WHERE occurred_at IS NOT NULL")
    assert dict(scores) == {row["Gsid"]: 9 for row in tenant.rows}


def response(number: int) -> dict[str, Any]:
    moment = NOW - timedelta(hours=2) + timedelta(seconds=number)
    return {
        "Gsid": f"1S10{number:032d}",
        "GsCompanyId": "1P02COMPANY",
        "RespondedDate": moment,
        "ModifiedDate": moment,
        "CreatedDate": moment,
        "Score": 9,
    }


def test_every_field_is_asked_for_as_the_tenant_spells_it(odd: Pulling, tenant: Tenant) -> None:
    """A tenant that accepts only its own spelling refuses no call, be it for records, CRM ids or deletions."""
    odd.content["company"] = {"crm_id_field": "sfdcaccountid"}
    names = {name: name.swapcase() for name in TIMELINE}
    tenant.rows = [{names[name]: value for name, value in row.items()} for row in tenant.rows]
    tenant.cursor = names["LastModifiedDate"]
    company = {"gSID": "GSID", "sFDCaCCOUNTiD": "STRING", "mODIFIEDdATE": "DATETIME", "nAME": "STRING"}
    log = {"gSID": "GSID", "rECORDiD": "STRING", "oBJECTnAME": "STRING", "dELETEDoN": "DATETIME"}
    tenant.describes = {
        "activity_timeline": [field(names[name], kind) for name, kind in TIMELINE.items()],
        "company": [field(*each) for each in company.items()],
        "record_delete_log": [field(*each) for each in log.items()],
        "record_delete_log_high_volume": [field(*each) for each in log.items()],
    }
    tenant.is_strict = True
    at_noon(odd, tenant)
    assert odd.pull("activity").written == GOOD
    odd.clock.ahead += timedelta(days=40)  # all daily, weekly and monthly work is due
    report = odd.pull("activity", is_vanishing_accepted=True)
    assert report.calls["links"]
    assert report.calls["sweep"]
    secrets = clients.read_secrets(odd.settings)
    with closing(clients.connect_gainsight(odd.settings, secrets, odd.clock, odd.store)) as it:
        profile = probe_tenant(it, [], it.describe("activity_timeline"))
    assert (profile.where, profile.offset, profile.largest_page) == ("honoured", "honoured", GOOD)
    assert [name for name in tenant.refused if name != NO_FIELD] == []
