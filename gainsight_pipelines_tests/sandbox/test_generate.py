"""The generated world has every case that the tests need, and its truth agrees with its data."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gainsight_pipelines.sandbox.generate import Size, generate
from gainsight_pipelines.sandbox.world import World, salesforce_id

OTHER_SURVEYS = ("nps_survey__gc", "csat_survey__gc", "ces_survey__gc")
NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return generate(1, NOW, Size())


def _records(world: World, name: str) -> dict[str, dict[str, Any]]:
    return {record.get("Gsid") or str(record["Id"]): record for record in world.tables[name].records}


def test_the_same_seed_makes_the_same_world() -> None:
    size = Size.of(60, 300)
    one, two, other = generate(5, NOW, size), generate(5, NOW, size), generate(6, NOW, size)
    assert one.tables["company"].records == two.tables["company"].records
    assert one.truth == two.truth
    assert one.truth != other.truth


def test_another_time_moves_dates_and_keeps_gsids() -> None:
    size = Size.of(60, 300)
    one, two = generate(5, NOW, size), generate(5, NOW + timedelta(days=9), size)
    assert set(_records(one, "activity_timeline")) == set(_records(two, "activity_timeline"))


def test_sizes(world: World) -> None:
    assert len(world.accounts) == 300
    assert len(world.tables["activity_timeline"].records) == 20_000
    assert len(world.tables["survey_response"].records) == 1_200
    assert len(world.tables["product_usage__gc"].records) == 6_000
    recent = [each for each in world.truth["records"]["survey_response"].values() if each["is_in_lookback"]]
    assert 500 < len(recent) < 1_000


def test_every_record_has_its_truth(world: World) -> None:
    for name, truth in world.truth["records"].items():
        assert set(truth) == set(_records(world, name)), name


@pytest.mark.parametrize(
    "name", ["company", "activity_timeline", "survey_response", "product_usage__gc", *OTHER_SURVEYS]
)
@pytest.mark.parametrize("small", [False, True])
def test_every_kind_of_link_occurs(world: World, name: str, small: bool) -> None:
    world = generate(1, NOW, Size.of(60, 300)) if small else world
    truth = world.truth["records"][name].values()
    reasons = Counter(each["reason"] for each in truth)
    methods = Counter((each["method"]["salesforce"], each["method"]["hubspot"]) for each in truth)
    assert {"no_account", "ambiguous", None} <= set(reasons)
    assert (name == "company") or reasons["no_company"]
    assert {("direct", "direct"), ("gsid_field", "gsid_field"), ("direct", "gsid_field")} <= set(methods)


def test_no_truth_names_an_account_that_is_gone(world: World) -> None:
    for truth in world.truth["records"].values():
        for each in truth.values():
            account = world.accounts.get(each.get("account") or 0)
            assert account is None or account.deleted_at is None
            assert (each.get("account") is None) == (each.get("reason") is not None) or "method" not in each


def test_stored_links_agree_with_the_truth(world: World) -> None:
    """Without matching: the ids in the data show which method the truth must name."""
    holders: dict[str, list[int]] = {}
    for account in world.accounts.values():
        if account.gsid and account.deleted_at is None:
            holders.setdefault(account.gsid.strip(), []).append(account.key)
    companies = _records(world, "company")
    for gsid, where in world.truth["records"]["company"].items():
        crm_id = (companies[gsid]["SfdcAccountId"] or "").strip()
        if where["method"]["salesforce"] == "direct":
            ids = [salesforce_id(where["account"])]
            ids += [salesforce_id(a.key) for a in world.accounts.values() if a.merged_into == where["account"]]
            assert any(crm_id in {each, each[:15]} for each in ids)
        if "gsid_field" in where["method"].values():
            assert holders[gsid] == [where["account"]]
        if where["reason"] == "ambiguous":
            assert len(holders[gsid]) == 2
            assert not crm_id
        if where["reason"] == "no_account":
            assert gsid not in holders


def test_forms_of_crm_ids(world: World) -> None:
    ids = [record["SfdcAccountId"] for record in world.tables["company"].records]
    forms = Counter(None if each is None else (len(each.strip()), each != each.strip()) for each in ids)
    assert {None, (15, False), (18, False), (15, True), (18, True)} <= set(forms)
    assert any(account.merged_into for account in world.accounts.values())
    assert any(account.deleted_at and not account.merged_into for account in world.accounts.values())


def test_gsids(world: World) -> None:
    for table in world.tables.values():
        for record in table.records:
            if "Gsid" in record:
                assert re.fullmatch("[0-9A-Z]{36}", record["Gsid"])
                assert record["Gsid"].startswith(table.describe.get("keyPrefix", "1D01"))
    company = next(iter(_records(world, "company")))
    assert company.startswith("1P02")


def test_activities_have_the_odd_cases(world: World) -> None:
    records = world.tables["activity_timeline"].records
    categories = {record["ReportingCategory"] for record in records}
    assert {"EBR ", " MEETING ", "Email", "Verified Outcome", None} <= categories
    seconds = Counter(record["LastModifiedDate"] for record in records if record["LastModifiedDate"])
    assert seconds.most_common(1)[0][1] >= 24
    assert any("🎉" in record["Subject"] for record in records)
    assert sum(record["LastModifiedDate"] is None for record in records) == 4
    for record in records:
        assert record["ActivityDate"] <= record["CreatedDate"] <= NOW
        assert (record["LastModifiedDate"] or NOW) <= NOW


def test_surveys_keep_off_the_edge_of_the_window(world: World) -> None:
    edge = NOW - timedelta(days=30)
    for record in world.tables["survey_response"].records:
        is_in = world.truth["records"]["survey_response"][record["Gsid"]]["is_in_lookback"]
        for moment in (record["CreatedDate"], record["ModifiedDate"], record["RespondedDate"]):
            assert moment is None or (moment > edge + timedelta(hours=12)) == is_in
            assert moment is None or abs(moment - edge) > timedelta(hours=12)
            assert moment is None or moment <= NOW


@pytest.mark.parametrize(
    ("name", "responded_at"),
    [
        ("nps_survey__gc", "Submitted_On__gc"),
        ("csat_survey__gc", "Response_Date__gc"),
        ("ces_survey__gc", "RespondedDate"),
    ],
)
def test_other_surveys(world: World, name: str, responded_at: str) -> None:
    records, truth = _records(world, name), world.truth["records"][name]
    assert len(records) == 80
    recent = [each for each in truth.values() if each["is_in_lookback"]]
    assert len(recent) == 40
    edge = NOW - timedelta(days=30)
    for gsid, record in records.items():
        given, known = record[responded_at], truth[gsid]
        assert (given is None) == (known["responded_at"] is None)
        assert known["dated_at"] == (known["responded_at"] or record["CreatedDate"].isoformat())
        for moment in (record["CreatedDate"], record["ModifiedDate"], datetime.fromisoformat(known["dated_at"])):
            assert (moment > edge) == known["is_in_lookback"]
            assert moment <= NOW
    assert any(record[responded_at] is None for record in records.values()) == (name == "nps_survey__gc")


def test_other_surveys_leave_the_rest_as_it_is() -> None:
    few, many = (replace(Size.of(60, 300), other_surveys=count) for count in (30, 70))
    one, two = generate(5, NOW, few), generate(5, NOW, many)
    for name in one.tables.keys() - set(OTHER_SURVEYS):
        assert one.tables[name].records == two.tables[name].records
        assert one.truth["records"].get(name) == two.truth["records"].get(name)


def test_account_truth(world: World) -> None:
    truth = world.truth["accounts"]
    assert len(truth["salesforce"]) == len(truth["hubspot"]) == 300
    domains = [each["domain"] for each in truth["salesforce"].values()]
    assert None in domains
    assert all(domain is None or re.fullmatch(r"[a-z0-9-]+\.example", domain) for domain in domains)
    for kind in truth.values():
        for each in kind.values():
            assert (
                each["parent_account_id"] is None or not kind[each["parent_account_id"]]["deleted"] or each["deleted"]
            )
