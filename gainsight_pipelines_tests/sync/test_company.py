"""Pulls of companies (requirements A1 and A2), compared with the sandbox's data."""

from __future__ import annotations

from typing import Any

from gainsight_pipelines_tests.pulling import Pulling


def ask(pulling: Pulling, object_name: str, *fields: str) -> dict[str, dict[str, Any]]:
    """The tenant's response to a plain query, by Gsid, requested without the product's code."""
    answer = pulling.sandbox.session.post(
        f"{pulling.sandbox.urls['gainsight']}/v1/data/objects/query/{object_name}",
        json={"select": ["Gsid", *fields], "limit": 5000, "offset": 0},
        headers={"accesskey": pulling.sandbox.env["GAINSIGHT_API_KEY"]},
        timeout=30,
        verify=pulling.sandbox.env.get("REQUESTS_CA_BUNDLE", True),
    )
    return {record["Gsid"]: record for record in answer.json()["data"]["records"]}


def attributes(pulling: Pulling) -> dict[str, dict[str, Any]]:
    return dict(pulling.query("SELECT gsid, attributes FROM company"))


def test_a1_companies_bring_typed_attributes_and_labels(pulling: Pulling) -> None:
    """Requirement A1."""
    pulling.pull("company")
    stored = attributes(pulling)
    asked = ask(
        pulling, "company", "Csm", "Csm__gr.Name", "Seats__gc", "Is_Reference__gc", "Tags", "RenewalDate", "Arr"
    )
    assert stored.keys() == asked.keys() == pulling.truth("company").keys()
    labels = {"Reference", "Beta", "At Risk", "Strategic"}
    for gsid, record in asked.items():
        own = stored[gsid]
        assert (own["Csm"], own["Csm__name"]) == (record["Csm"], record["Csm__gr.Name"])
        assert (own["Seats__gc"], own["Is_Reference__gc"]) == (record["Seats__gc"], record["Is_Reference__gc"])
        assert own["RenewalDate"] == record["RenewalDate"] and own["Arr"] == record["Arr"]
        assert own["Tags"] is None if record["Tags"] is None else set(own["Tags"]) <= labels
    assert {own["Status"] for own in stored.values()} <= {"Active", "Inactive", "Trial", "Churn"}
    # Hidden and deleted fields are left out.
    assert not {"Internal_Code__gc", "Old_Segment__gc"} & {name for own in stored.values() for name in own}


def test_a1_the_crms_account_is_not_changed(pulling: Pulling) -> None:
    """Requirements A1 and G1."""
    pulling.pull("activity")
    columns = "SELECT account_id, name, domain, arr, renewal_date, owner_id, changed_at FROM account ORDER BY 1"
    before = pulling.query(columns)
    pulling.pull("company")
    assert pulling.query(columns) == before
    assert pulling.sandbox.calls()["crm_writes"] == 0


def test_a2_only_listed_attributes_are_requested(pulling: Pulling) -> None:
    """Requirement A2."""
    pulling.content["company"] = {"enabled": True, "attributes": ["industry", "Csm"]}
    pulling.pull("company")
    assert {tuple(sorted(own)) for own in attributes(pulling).values()} == {("Csm", "Csm__name", "Industry")}
    asked = [each for each in pulling.sandbox.gainsight_requests() if each["path"].endswith("query/company")]
    assert "Arr" not in asked[-1]["body"]["select"]


def test_options_missing_in_describe_are_requested(pulling: Pulling) -> None:
    pulling.sandbox.edit({"object": "company", "action": "describe", "field": {"fieldName": "Industry", "options": []}})
    pulling.pull("company")
    labels = {"Software", "Health Care", "Logistics", "Retail", "Energy", "Education"}
    assert {own["Industry"] for own in attributes(pulling).values()} <= labels


def test_an_id_without_an_option_stays_an_id(pulling: Pulling) -> None:
    gsid = next(iter(pulling.truth("company")))
    pulling.sandbox.edit({"object": "company", "gsid": gsid, "values": {"Status": "1I00GONE"}})
    pulling.pull("company")
    assert attributes(pulling)[gsid]["Status"] == "1I00GONE"


def test_two_companies_at_one_account_are_both_kept_and_flagged(pulling: Pulling) -> None:
    report = pulling.pull("company")
    accounts = pulling.account_ids()
    at_account: dict[str, set[str]] = {}
    for gsid, each in pulling.truth("company").items():
        if each["account"] is not None:
            at_account.setdefault(accounts[each["account"]], set()).add(gsid)
    several = {account: gsids for account, gsids in at_account.items() if len(gsids) > 1}
    assert several
    flagged = report.details["accounts_with_several_companies"]
    assert flagged["accounts"] == len(several)
    assert all(set(gsids) == several[account] for account, gsids in flagged["examples"].items())
    shown = pulling.query(
        """SELECT account_id, array(SELECT jsonb_array_elements(companies) ->> 'gsid') FROM account_360
           WHERE has_several_companies"""
    )
    assert {account: set(gsids) for account, gsids in shown} == several
