"""Pulls of product usage (requirements P1 to P4): flat and wide rows, all kinds of keys, objects without Gsid."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gainsight_pipelines.errors import PermanentError, SettingsError
from gainsight_pipelines.sync import Prepared, sync
from gainsight_pipelines_tests.pulling import Pulling

FACTS = {"enabled": True, "object": "health_scorecard_fact", "product_name": "health"}
WIDE = {"enabled": True, "object": "product_usage_wide__gc", "product_name": "rockets"}


def flat(**aggregate: Any) -> dict[str, Any]:
    names = {"metric_name_field": "MetricName__gc", "metric_value_field": "MetricValue__gc"}
    return {"enabled": True, "object": "product_usage__gc", "aggregate": {**names, **aggregate}}


def test_a_page_with_too_many_rows_to_hold_goes_in_parts(pulling: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    pulling.content["product_usage"] = WIDE
    monkeypatch.setattr("gainsight_pipelines.sync.page_writer.ROWS_AT_ONCE", 100)
    report = pulling.pull("product_usage")
    assert report.read == len(pulling.truth("product_usage_wide__gc"))
    parts = "SELECT count(DISTINCT xmin::text), count(DISTINCT record_id), count(*) FROM usage_metric"
    ((transactions, records, rows),) = pulling.query(parts)
    assert transactions > 2
    assert (records, rows) == (report.read, report.written)
    assert pulling.pull("product_usage").written == 0


def own_or_companys(truth: dict[str, Any], accounts: dict[str, str]) -> tuple[str | None, str | None]:
    """Expected account and reason of a row with its own CRM id; without an account there, its company's."""
    own = truth["by_crm_id"]
    if own["account"] is not None or truth["reason"] == "no_company":
        return accounts.get(own["account"]), own["reason"]
    return accounts.get(truth["account"]), truth["reason"]


def test_p2_flat_rows_by_the_crms_own_id(pulling: Pulling) -> None:
    """Requirement P2."""
    pulling.content["product_usage"] = flat(
        key="AccountId", dimension_field="Dimension__gc", additional_value_fields=["SecondaryValue__gc"]
    )
    report = pulling.pull("product_usage")
    accounts, truth = pulling.account_ids(), pulling.truth("product_usage__gc")
    stored = pulling.query(
        """SELECT record_id, account_id, unmatched_reason, metric, value::float, dimension,
                  secondary ->> 'SecondaryValue__gc' FROM usage_metric"""
    )
    assert {row[0]: row[1:] for row in stored} == {
        gsid: (
            *own_or_companys(each, accounts),
            each["metric"],
            each["value"],
            each["dimension"],
            each["secondary"] if each["secondary"] in ("12", "3.5") else None,
        )
        for gsid, each in truth.items()
    }
    blank, secondaries = report.details["blank_values"], [each["secondary"] for each in truth.values()]
    assert report.details["unreadable"] == {"SecondaryValue__gc": secondaries.count("n/a")}
    assert report.unreadable == secondaries.count("n/a")
    assert blank["SecondaryValue__gc"] == sum(not (each or "").strip() for each in secondaries)
    assert blank["MetricValue__gc"] == sum(each["value"] is None for each in truth.values())


def test_p2_flat_rows_by_domain(pulling: Pulling) -> None:
    """Requirement P2."""
    domains = [each["domain"] for each in pulling.sandbox.truth()["accounts"]["salesforce"].values() if each["domain"]]
    values = [f"https://www.{domains[0]}/x", domains[1].upper(), "nobody.example", None]
    pulling.sandbox.edit(
        {
            "object": "product_usage__gc",
            "action": "describe",
            "field": {"fieldName": "Account_Domain__gc", "dataType": "STRING", "values": values},
        }
    )
    pulling.content["product_usage"] = flat(key="Account_Domain__gc")
    pulling.pull("product_usage")
    stored = pulling.query(
        "SELECT record_id, account_key, match_method, account_id, unmatched_reason FROM usage_metric"
    )
    assert {key for _, key, *_ in stored} == set(values)
    live = {
        each["domain"]
        for each in pulling.sandbox.truth()["accounts"]["salesforce"].values()
        if not each["deleted"] and not each["merged_into"]
    }
    accounts, truth = pulling.account_ids(), pulling.truth("product_usage__gc")
    found = {value for value, domain in zip(values[:2], domains[:2], strict=True) if domain in live}
    assert found
    for record_id, key, method, *link in stored:
        if key in found:
            assert (method, link[1]) == ("domain", None)
        else:  # matched by its company
            where = truth[record_id]
            reason = "no_account" if where["reason"] == "no_company" and key is not None else where["reason"]
            assert link == [accounts.get(where["account"]), reason]


@pytest.mark.parametrize("kind", ["auto", "gsid"])
def test_p2_flat_rows_by_the_companys_gsid(pulling: Pulling, kind: str) -> None:
    """Requirement P2."""
    pulling.content["product_usage"] = flat(key="GsCompanyId", key_kind=kind)
    pulling.pull("product_usage")
    accounts = pulling.account_ids()
    assert {
        gsid: (account, reason)
        for gsid, account, reason in pulling.query("SELECT record_id, account_id, unmatched_reason FROM usage_metric")
    } == {
        gsid: (accounts[each["account"]] if each["reason"] is None else None, each["reason"])
        for gsid, each in pulling.truth("product_usage__gc").items()
    }


def test_p3_every_field_is_one_of_the_objects_schema(pulling: Pulling) -> None:
    """Requirement P3: the error names the missing field, its setting and a similar field, before anything is read."""
    whole = flat(key="AccountId", dimension_field="Dimension__gc")
    for place, near in [
        ("company_field", "GsCompanyId"),
        ("observed_at_field", "ObservedDate__gc"),
        ("aggregate.key", "AccountId"),
        ("aggregate.dimension_field", "Dimension__gc"),
        ("aggregate.metric_name_field", "MetricName__gc"),
        ("aggregate.metric_value_field", "MetricValue__gc"),
        ("aggregate.additional_value_fields", "SecondaryValue__gc"),
    ]:
        usage = {**whole, "aggregate": dict(whole["aggregate"])}
        section, _, name = place.rpartition(".")
        wrong = f"{near}x"
        (usage["aggregate"] if section else usage)[name] = [wrong] if name == "additional_value_fields" else wrong
        pulling.content["product_usage"] = usage
        with pytest.raises(SettingsError) as raised:
            pulling.pull("product_usage")
        assert f"`product_usage.{place}` names the field {wrong!r}" in str(raised.value)
        assert near in raised.value.todo
    assert not any("/query/product_usage" in each["path"] for each in pulling.sandbox.gainsight_requests())


def test_p4_each_numeric_field_of_wide_rows_is_a_metric(pulling: Pulling) -> None:
    """Requirement P4."""
    pulling.content["product_usage"] = WIDE
    pulling.pull("product_usage")
    stored = pulling.query("SELECT record_id, metric, value::float, product_name FROM usage_metric")
    assert {(row[0], row[1]): row[2] for row in stored} == {
        (gsid, metric): value
        for gsid, each in pulling.truth("product_usage_wide__gc").items()
        for metric, value in each["metrics"].items()
        if value is not None
    }
    assert {row[3] for row in stored} == {"rockets"}


def test_p4_a_removed_metric_is_marked_deleted(pulling: Pulling) -> None:
    """Requirement P4: the row's other metrics stay."""
    pulling.content["product_usage"] = WIDE
    pulling.pull("product_usage")
    gsid, metrics = next(
        (gsid, [name for name, value in each["metrics"].items() if value is not None])
        for gsid, each in pulling.truth("product_usage_wide__gc").items()
        if sum(value is not None for value in each["metrics"].values()) > 1
    )
    pulling.sandbox.edit({"object": "product_usage_wide__gc", "gsid": gsid, "values": {metrics[0]: None}})
    pulling.pull("product_usage")
    rows = pulling.query("SELECT metric FROM usage_metric WHERE record_id = %s AND deleted_at IS NULL", (gsid,))
    assert {name for (name,) in rows} == set(metrics[1:])


def test_p1_views_roll_up_per_account(pulling: Pulling) -> None:
    """Requirement P1."""
    pulling.pull("product_usage")
    accounts = pulling.account_ids()
    expected: dict[tuple[Any, ...], list[tuple[str, float]]] = {}
    for each in pulling.truth("product_usage__gc").values():
        if each["reason"] is None and each["value"] is not None:
            key = (accounts[each["account"]], each["dimension"], each["metric"])
            expected.setdefault(key, []).append((each["observed_at"], each["value"]))
    rolled = pulling.query("SELECT account_id, dimension, metric, sum, rows FROM product_usage")
    assert {row[:3]: (float(row[3]), row[4]) for row in rolled} == {
        key: (pytest.approx(sum(value for _, value in rows)), len(rows)) for key, rows in expected.items()
    }
    weekly = pulling.query("SELECT account_id, dimension, metric, week::text, sum, rows FROM product_usage_weekly")
    weeks: dict[tuple[Any, ...], list[float]] = {}
    for key, rows in expected.items():
        for observed_at, value in rows:  # all dates in the sandbox are Mondays
            weeks.setdefault((*key, observed_at[:10]), []).append(value)
    assert {row[:4]: (float(row[4]), row[5]) for row in weekly} == {
        key: (pytest.approx(sum(values)), len(values)) for key, values in weeks.items()
    }


def live(pulling: Pulling) -> list[tuple[Any, ...]]:
    return sorted(
        pulling.query(
            """SELECT company_gsid, metric, value, observed_at::date::text, account_id IS NOT NULL
               FROM usage_metric WHERE deleted_at IS NULL"""
        )
    )


def test_an_object_without_gsid_and_modified_date_is_read_in_full(pulling: Pulling) -> None:
    pulling.content["product_usage"] = FACTS
    first = pulling.pull("product_usage")
    assert first.read == first.written == 40
    rows = live(pulling)
    assert {row[1] for row in rows} == {"Score"}
    companies = pulling.truth("company")
    assert all(row[4] == (companies[row[0]]["account"] is not None) for row in rows)
    second = pulling.pull("product_usage")
    assert (second.read, second.written, second.unchanged) == (40, 0, 40)
    assert live(pulling) == rows


def test_readers_never_see_a_part_of_a_swap(pulling: Pulling) -> None:
    pulling.content["product_usage"] = FACTS
    pulling.pull("product_usage")
    pulling.sandbox.edit(
        {
            "object": "health_scorecard_fact",
            "action": "describe",
            "field": {"fieldName": "Score", "dataType": "NUMBER", "values": [1001, 1002]},
        }
    )
    pulling.sandbox.switch(gainsight_delay=0.3)
    look = "SELECT count(*), count(*) FILTER (WHERE value > 1000) FROM usage_metric WHERE deleted_at IS NULL"
    with ThreadPoolExecutor(1) as pool:
        pull = pool.submit(pulling.pull, "product_usage")
        seen = set(pulling.query(look))
        while not pull.done():
            seen |= set(pulling.query(look))
    assert pull.result().status == "completed"
    assert seen | set(pulling.query(look)) == {(40, 0), (40, 40)}


def test_identical_rows_are_all_kept(pulling: Pulling) -> None:
    """Without a Gsid, identical rows can only be counted."""
    pulling.content["product_usage"] = FACTS
    for name in ("Id", "SnapshotDate"):
        pulling.sandbox.edit(
            {"object": "health_scorecard_fact", "action": "describe", "field": {"fieldName": name, "gone": True}}
        )
    gsid = next(iter(pulling.truth("company")))
    pulling.sandbox.edit(
        {
            "object": "health_scorecard_fact",
            "action": "describe",
            "field": {"fieldName": "GsCompanyId", "dataType": "LOOKUP", "lookup": "company", "values": [gsid]},
        },
        {
            "object": "health_scorecard_fact",
            "action": "describe",
            "field": {"fieldName": "Score", "dataType": "NUMBER", "values": [5, 5, 7]},
        },
    )
    pulling.pull("product_usage")
    assert sorted(value for _, _, value, _, _ in live(pulling)) == [Decimal(5)] * 27 + [Decimal(7)] * 13
    again = pulling.pull("product_usage")
    assert (again.written, again.unchanged) == (0, 40)


def test_a_much_smaller_snapshot_needs_consent(pulling: Pulling) -> None:
    pulling.content["product_usage"] = {"enabled": True, "object": "product_usage_wide__gc"}
    pulling.sandbox.edit(
        {"object": "product_usage_wide__gc", "action": "describe", "field": {"fieldName": "ModifiedDate", "gone": True}}
    )
    pulling.pull("product_usage")
    before = live(pulling)
    gsids = list(pulling.truth("product_usage_wide__gc"))
    pulling.sandbox.edit(
        *(
            {"object": "product_usage_wide__gc", "action": "delete", "gsid": gsid}
            for number, gsid in enumerate(gsids)
            if number % 3
        )
    )
    with pytest.raises(PermanentError, match="--accept-deletions"):
        pulling.pull("product_usage")
    assert live(pulling) == before
    run_id = uuid.uuid4().hex
    prepare = pulling.prepared("product_usage", run_id)

    def accepting() -> Prepared:
        return replace(prepare(), is_vanishing_accepted=True)

    report = sync(pulling.store, pulling.clock, "product_usage", run_id, accepting)
    assert report.details["deleted"] > 0
    assert len(live(pulling)) < len(before)


@pytest.mark.parametrize("is_followed", [True, False])
def test_a_temporarily_refused_metric_is_kept(pulling: Pulling, is_followed: bool) -> None:
    """In an incremental read and in a full read alike."""
    change = {"fieldName": "ModifiedDate"} | ({"dataType": "DATETIME"} if is_followed else {"gone": True})
    pulling.sandbox.edit({"object": "product_usage_wide__gc", "action": "describe", "field": change})
    pulling.content["product_usage"] = {"enabled": True, "object": "product_usage_wide__gc"}
    pulling.pull("product_usage")
    live = "SELECT record_id, metric, value FROM usage_metric WHERE deleted_at IS NULL ORDER BY 1, 2"
    before = pulling.query(live)
    metric = before[0][1]
    pulling.sandbox.edit({"object": "product_usage_wide__gc", "action": "touch", "count": 300})
    pulling.sandbox.switch(unreadable_fields=[f"product_usage_wide__gc.{metric}"])
    report = pulling.pull("product_usage")
    assert report.details["unreadable_fields"] == [metric]
    assert pulling.query(live) == before
