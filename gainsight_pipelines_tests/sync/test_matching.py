"""Matching while accounts, companies and settings change (requirements M1 to M4), and what the run reports."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.store import migrate
from gainsight_pipelines.sync import sync
from gainsight_pipelines_tests.pulling import Pulling


def links(pulling: Pulling) -> dict[str, tuple[Any, ...]]:
    rows = pulling.query(
        """SELECT activity_id, account_id, match_method, unmatched_reason FROM activity
           WHERE source = 'timeline'"""
    )
    return {row[0]: row[1:] for row in rows}


def expected(pulling: Pulling, object_name: str = "activity_timeline") -> dict[str, tuple[Any, ...]]:
    accounts = pulling.account_ids()
    return {
        gsid: (accounts.get(each["account"]), each["method"]["salesforce"], each["reason"])
        for gsid, each in pulling.truth(object_name).items()
    }


@pytest.fixture
def pulled(pulling: Pulling) -> Pulling:
    """A `Pulling` with the whole timeline stored and matched."""
    pulling.content["activity"]["initial_lookback_days"] = None
    pulling.pull("activity")
    assert links(pulling) == expected(pulling)
    return pulling


def company(pulling: Pulling, **having: Any) -> str:
    named = {each["company"] for each in pulling.truth("activity_timeline").values()}
    found = (
        gsid
        for gsid, each in pulling.truth("company").items()
        if gsid in named and all(each.get(name) == value for name, value in having.items())
    )
    return next(found)


def direct(pulling: Pulling) -> str:
    """A company that is matched by its CRM id alone: no account's GSID field names it."""
    held = {each["gsid"] for each in pulling.sandbox.truth()["accounts"]["salesforce"].values()}
    named = {each["company"] for each in pulling.truth("activity_timeline").values()} - held
    method = {"salesforce": "direct", "hubspot": "direct"}
    return next(gsid for gsid, each in pulling.truth("company").items() if gsid in named and each["method"] == method)


def free_account(pulling: Pulling) -> tuple[int, str]:
    """A new account that no company belongs to and whose GSID field is empty."""
    (made,) = pulling.sandbox.edit({"account": None, "action": "insert", "values": {"name": "Free"}})
    return made["account"], pulling.account_ids()[made["account"]]


def test_m1_both_methods_find_the_account(pulled: Pulling) -> None:
    """Requirement M1."""
    methods = {method for _, method, _ in links(pulled).values()}
    assert methods == {"direct", "gsid_field", None}


def test_m4_unmatched_rows_are_rematched_once_the_account_exists(pulled: Pulling) -> None:
    """Requirement M4."""
    gsid = company(pulled, reason="no_account")
    rows = [record for record, each in pulled.truth("activity_timeline").items() if each["company"] == gsid]
    pulled.sandbox.edit({"account": None, "action": "insert", "values": {"name": "New", "gsid": gsid}})
    report = pulled.pull("activity")
    assert report.relinked == len(rows) > 0
    assert report.calls.get("links", 0) == 0
    assert links(pulled) == expected(pulled)
    assert all(links(pulled)[record][1] == "gsid_field" for record in rows)


def test_rows_move_when_the_company_gets_another_crm_id(pulled: Pulling) -> None:
    gsid = direct(pulled)
    key, account_id = free_account(pulled)
    pulled.sandbox.edit(
        {
            "object": "company",
            "gsid": gsid,
            "values": {"SfdcAccountId": account_id},
            "truth": {"account": key, "method": {"salesforce": "direct", "hubspot": "direct"}, "reason": None},
        }
    )
    pulled.pull("company")
    report = pulled.pull("activity")
    assert report.relinked > 0
    assert links(pulled) == expected(pulled)


def test_rows_move_when_the_gsid_field_names_another_account(pulled: Pulling) -> None:
    gsid = company(pulled, method={"salesforce": "gsid_field", "hubspot": "gsid_field"}, reason=None)
    former = pulled.truth("company")[gsid]["account"]
    key, account_id = free_account(pulled)
    pulled.sandbox.edit(
        {"account": former, "values": {"gsid": None}},
        {
            "account": key,
            "values": {"gsid": gsid},
            "links": [{"company": gsid, "account": key, "method": "gsid_field", "reason": None}],
        },
    )
    holders = [
        each for each in pulled.sandbox.truth()["accounts"]["salesforce"].values() if each["gsid"] == gsid
        and not each["deleted"]
    ]  # fmt: skip
    assert len(holders) == 1
    assert pulled.pull("activity").relinked > 0
    assert links(pulled) == expected(pulled)
    assert account_id in {account for account, _, _ in links(pulled).values()}


def test_rows_follow_an_account_that_is_merged_and_leave_one_that_is_deleted(pulled: Pulling) -> None:
    merged = pulled.truth("company")[direct(pulled)]["account"]
    into, master = free_account(pulled)
    pulled.sandbox.edit({"account": merged, "action": "merge", "into": into})
    pulled.pull("activity")
    assert links(pulled) == expected(pulled)
    assert master in {account for account, _, _ in links(pulled).values()}
    lost = pulled.truth("company")[direct(pulled)]["account"]
    pulled.sandbox.edit({"account": lost, "action": "delete"})
    pulled.pull("activity")
    lost_id = pulled.account_ids()[lost]
    assert lost_id not in {account for account, _, _ in links(pulled).values()}


def test_m2_an_objects_own_field_replaces_the_common_one(pulling: Pulling) -> None:
    """Requirement M2."""
    common = pulling.content["common"]["gsid_field"]
    pulling.content["activity"] |= {"gsid_field": common, "initial_lookback_days": None}
    pulling.content["common"]["gsid_field"] = None
    pulling.pull("activity")
    assert links(pulling) == expected(pulling)
    pulling.pull("company")
    assert pulling.query("SELECT count(*) FROM company WHERE match_method = 'gsid_field'") == [(0,)]


def test_m4_rows_of_a_deleted_company_are_unmatched(pulled: Pulling) -> None:
    """Requirement M4: the company's stored CRM id is cleared too."""
    gsid = direct(pulled)
    pulled.pull("company")
    pulled.sandbox.edit({"object": "company", "action": "delete", "gsid": gsid})
    pulled.clock.ahead += timedelta(days=1, minutes=1)
    pulled.pull("company")
    assert pulled.pull("activity").relinked > 0
    assert links(pulled) == expected(pulled)


PULLS = {
    "company": ("company", "company"),
    "survey_survey_response": ("surveys", "activity"),
    "product_usage": ("product_usage", "usage_metric"),
}


@pytest.mark.parametrize("name", PULLS)
def test_m2_each_object_can_have_its_own_gsid_field(pulling: Pulling, name: str) -> None:
    """Requirement M2."""
    section, table = PULLS[name]
    by_field = f"SELECT count(*) FROM {table} WHERE match_method = 'gsid_field'"
    common = pulling.content["common"]["gsid_field"]
    pulling.content["common"]["gsid_field"] = None
    pulling.pull(name)
    assert pulling.query(by_field) == [(0,)]
    pulling.content[section]["gsid_field"] = common
    pulling.pull(name)
    assert pulling.query(by_field)[0][0] > 0


def test_m3_a_field_that_the_crm_does_not_have_is_an_error(pulling: Pulling) -> None:
    """Requirement M3."""
    pulling.content["activity"]["gsid_field"] = "No_Such_Field__c"
    with pytest.raises(SettingsError, match="No_Such_Field__c"):
        pulling.pull("activity")


def test_m3_a_missing_field_stops_only_the_object_that_names_it(pulling: Pulling) -> None:
    """Requirements M3 and W5; once the setting is corrected, all accounts are re-read with the field."""
    common = pulling.content["common"]["gsid_field"]
    pulling.content["common"]["gsid_field"] = None
    pulling.content["activity"] |= {"gsid_field": "No_Such_Field__c", "initial_lookback_days": None}
    pulling.content["company"]["gsid_field"] = common
    pulling.pull("company")
    assert pulling.query("SELECT count(*) FROM company WHERE match_method = 'gsid_field'")[0][0] > 0
    with pytest.raises(SettingsError, match=r"activity.gsid_field.*No_Such_Field__c"):
        pulling.pull("activity")
    pulling.content["activity"]["gsid_field"] = common
    pulling.pull("activity")
    assert links(pulling) == expected(pulling)


def test_m4_reasons_are_shown_with_examples(pulled: Pulling) -> None:
    """Requirement M4."""
    report = pulled.pull("activity")
    examples = report.details["unmatched_examples"]
    assert set(examples) == {"no_account", "no_company", "ambiguous"}
    named = {each["company"] for each in pulled.truth("activity_timeline").values()}
    assert set(examples["no_account"]) <= named
    assert set(examples["no_company"]) <= set(pulled.truth("activity_timeline"))
    reasons = dict(pulled.query("SELECT reason, count(*) FROM unmatched_record GROUP BY reason"))
    truth = pulled.truth("activity_timeline").values()
    assert reasons == {reason: sum(each["reason"] == reason for each in truth) for reason in reasons}


def corrected(pulling: Pulling) -> str:
    """Gives a company that is matched by its CRM id the id of another account; returns its GSID."""
    gsid = direct(pulling)
    key, account_id = free_account(pulling)
    pulling.sandbox.edit(
        {
            "object": "company",
            "gsid": gsid,
            "values": {"SfdcAccountId": account_id},
            "truth": {"account": key, "method": {"salesforce": "direct", "hubspot": "direct"}, "reason": None},
        }
    )
    return gsid


def test_a_corrected_crm_id_reaches_other_objects_within_a_day_without_a_company_pull(pulling: Pulling) -> None:
    """Requirement M1, with no `company` section in the settings."""
    del pulling.content["company"]
    pulling.content["activity"]["initial_lookback_days"] = None
    pulling.pull("activity")
    corrected(pulling)
    same_day = pulling.pull("activity")
    assert (same_day.relinked, same_day.calls["query"], same_day.calls.get("links", 0)) == (0, 1, 0)
    pulling.clock.ahead += timedelta(days=1, minutes=1)
    next_day = pulling.pull("activity")
    assert next_day.relinked > 0
    assert (next_day.calls["query"], next_day.calls["links"]) == (1, 1)
    assert links(pulling) == expected(pulling)
    again = pulling.pull("activity")
    assert (again.relinked, again.calls["query"], again.calls.get("links", 0)) == (0, 1, 0)


def test_a_daily_pull_of_companies_needs_no_extra_read_of_crm_ids(pulled: Pulling) -> None:
    pulled.clock.ahead += timedelta(days=1, minutes=1)
    pulled.pull("company")
    assert pulled.pull("activity").calls.get("links", 0) == 0


def test_a_full_run_reads_all_crm_ids_again(pulled: Pulling) -> None:
    """Only a full run finds a change that leaves the modification date alone (a formula field)."""
    gsid = direct(pulled)
    key, account_id = free_account(pulled)
    modified = pulled.query("SELECT modified_at FROM activity LIMIT 1")[0][0]
    pulled.sandbox.edit(
        {
            "object": "company",
            "gsid": gsid,
            "values": {"SfdcAccountId": account_id, "ModifiedDate": (modified - timedelta(days=900)).isoformat()},
            "truth": {"account": key, "method": {"salesforce": "direct", "hubspot": "direct"}, "reason": None},
        }
    )
    pulled.clock.ahead += timedelta(days=1, minutes=1)
    assert pulled.pull("activity").relinked == 0
    run_id = uuid.uuid4().hex
    prepare = pulled.prepared("survey_survey_response", run_id)
    sync(pulled.store, pulled.clock, "survey_survey_response", run_id, lambda: replace(prepare(), is_full=True))
    assert pulled.pull("activity").relinked > 0
    assert links(pulled) == expected(pulled)


OTHER_FIELD = "HubSpot_Company_ID__gc"
"""A field that holds no Salesforce account's id."""


@pytest.mark.parametrize("field", [OTHER_FIELD, 5])
def test_an_invalid_company_section_changes_no_match_of_other_objects(pulling: Pulling, field: Any) -> None:
    """`crm_id_field` is still used if it is valid, otherwise its last valid value (requirement W5)."""
    pulling.content["company"] = {"crm_id_field": OTHER_FIELD}
    pulling.pull("activity")
    before = links(pulling)
    pulling.content["company"] = {"crm_id_field": field, "attributes": "none"}
    assert "company" in pulling.settings.errors
    report = pulling.pull("activity")
    assert links(pulling) == before
    assert report.relinked == 0
    assert report.calls.get("links", 0) == 0
    assert any("company" in note for note in report.notes) == (field == 5)


def test_an_always_invalid_company_section_matches_nothing_wrongly(pulling: Pulling) -> None:
    pulling.content["activity"]["initial_lookback_days"] = None
    pulling.content["company"] = {"crm_id_feld": "SfdcAccountId"}
    pulling.pull("activity")
    assert {method for _, method, _ in links(pulling).values()} == {"gsid_field", None}
    pulling.content["company"] = {"crm_id_field": "SfdcAccountId"}
    pulling.pull("activity")
    assert links(pulling) == expected(pulling)


def test_an_omitted_key_says_nothing_about_a_company(pulling: Pulling) -> None:
    """Gainsight's own sample responses omit selected keys: stored CRM ids stay, and rows stay matched."""
    pulling.pull("activity")
    matches = "SELECT activity_id, account_id, match_method FROM activity ORDER BY activity_id"
    links = "SELECT company_gsid, crm_id FROM company_link WHERE is_known ORDER BY company_gsid"
    before, known = pulling.query(matches), pulling.query(links)
    assert sum(method == "direct" for _, _, method in before) > 50
    pulling.sandbox.edit({"object": "activity_timeline", "action": "touch", "count": 300})
    pulling.sandbox.switch(case_drift=True, missing_keys=["CreatedDate", "GsCompanyId__gr.SfdcAccountId"])
    assert pulling.pull("activity").read >= 300
    assert pulling.query(links) == known
    assert pulling.query(matches) == before


def test_missing_crm_ids_of_companies_are_looked_up(pulling: Pulling) -> None:
    pulling.sandbox.switch(case_drift=True, missing_keys=["GsCompanyId__gr.SfdcAccountId"])
    report = pulling.pull("activity")
    assert report.calls["links"] >= 1
    without = pulling.query("SELECT activity_id, account_id FROM activity ORDER BY activity_id")
    assert without == sorted(
        (gsid, pulling.account_ids().get(each["account"])) for gsid, each in pulling.truth("activity_timeline").items()
    )


def test_a_temporarily_refused_crm_id_is_kept(pulling: Pulling) -> None:
    """Companies keep their stored CRM ids, and new rows are matched with them."""
    pulling.pull("company")
    pulling.pull("activity")
    links = "SELECT company_gsid, crm_id, is_known FROM company_link ORDER BY company_gsid"
    rows = {
        "company": "SELECT gsid, crm_id, account_id, match_method FROM company ORDER BY gsid",
        "activity": "SELECT activity_id, account_id, match_method FROM activity ORDER BY activity_id",
    }
    before, known = {name: pulling.query(query) for name, query in rows.items()}, pulling.query(links)
    for object_name in ("company", "activity_timeline"):
        pulling.sandbox.edit({"object": object_name, "action": "touch", "count": 60})
    pulling.sandbox.switch(unreadable_fields=["company.SfdcAccountId"])
    report = pulling.pull("company")
    assert "companies keep their stored CRM ids" in " ".join(report.notes)
    assert pulling.pull("activity").read >= 60
    assert pulling.query(links) == known
    assert {name: pulling.query(query) for name, query in rows.items()} == before


def test_ids_that_an_earlier_version_took_for_empty_are_read_again_once(pulling: Pulling) -> None:
    """The earlier version stored an empty id if a record omitted the key; migration 0010 marks the ids as doubtful."""
    pulling.pull("company")
    pulling.pull("activity")
    matched = "SELECT count(*) FROM activity WHERE match_method = 'direct'"
    before, ids = pulling.query(matched), pulling.query("SELECT * FROM company_link ORDER BY 1")
    pulling.query_and_commit("UPDATE company_link SET crm_id = NULL")
    assert pulling.pull("activity").calls.get("links", 0) == 0
    lost = "SELECT count(*) > 0 FROM company_link WHERE is_known AND crm_id IS NULL"
    assert pulling.query(lost) == [(True,)], "records that come again teach some of them, and no more"
    migration = Path(migrate.__file__).parent / "migrations" / "versions" / "0010_changes.sql"
    pulling.query_and_commit(next(each for each in migration.read_text().split(";") if "doubtful" in each))
    report = pulling.pull("activity")
    assert report.calls["links"] == 1
    assert any("The CRM ids of all companies were read again" in note for note in report.notes)
    assert pulling.query(matched) == before
    known = "SELECT company_gsid, crm_id FROM company_link WHERE crm_id IS NOT NULL ORDER BY 1"
    assert pulling.query(known) == [row[:2] for row in ids if row[1] is not None]
    assert pulling.pull("activity").calls.get("links", 0) == 0
