"""Malformed records, as some tenants have: each is stored or rejected with a reason, and never fails its page."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gainsight_pipelines.sync import SyncReport
from gainsight_pipelines_tests.gainsight.tenant import Tenant
from gainsight_pipelines_tests.pulling import Pulling
from gainsight_pipelines_tests.sync.odd_tenant import GOOD, NOW, entry, field


def one(pulling: Pulling, number: int, columns: str) -> tuple[Any, ...]:
    (row,) = pulling.query(f"SELECT {columns} FROM activity WHERE activity_id = '1T01{number:032d}'")
    return row


def reasons(pulling: Pulling) -> list[str]:
    return [row[0] for row in pulling.query("SELECT reason FROM rejected_record ORDER BY 1")]


def pull_all_but(pulling: Pulling, rejected: int, stored: int) -> SyncReport:
    report = pulling.pull("activity")
    assert (report.rejected, report.written) == (rejected, stored), reasons(pulling)
    assert pulling.query("SELECT count(*) FROM activity") == [(stored,)]
    return report


def test_characters_that_postgresql_cannot_store_are_replaced(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows += [
        entry(500, Subject="a\x00b", Ant__Anything__c={"k\x00": ["\ud800"]}),
        entry(501, Subject="lone \ud83d here"),
    ]
    report = pull_all_but(odd, 0, GOOD + 2)
    assert report.cleaned >= 3
    assert one(odd, 500, "subject, custom_fields") == ("ab", {"Ant__Anything__c": {"k": ["\ufffd"]}})
    assert one(odd, 501, "subject") == ("lone \ufffd here",)


def test_notes_of_a_megabyte_are_stored(odd: Pulling, tenant: Tenant) -> None:
    words = " ".join(f"word{number}" for number in range(120_000))
    tenant.rows.append(entry(500, Notes=f"<p>{words}</p>"))
    pull_all_but(odd, 0, GOOD + 1)
    assert one(odd, 500, "length(body), body_text") == (len(words) + 7, words)


def test_notes_and_texts_of_another_type_are_converted(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows += [
        entry(500, Notes={"html": "<p>x</p>"}, Subject=12),
        entry(501, Notes=["a"], ReportingCategory=["Call"], InternalAttendees=[1, {"a": 2}]),
        entry(502, Notes=7.5, Subject={"a": 1}, GsCompanyId=["1P02COMPANY"]),
    ]
    pull_all_but(odd, 0, GOOD + 3)
    assert one(odd, 500, "subject") == ("12",)


def test_numbers_as_strings_and_out_of_range(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows += [
        entry(500, Duration="45", Ant__Score__c="1,234.50"),
        entry(501, Duration="1e200000"),  # more digits than PostgreSQL's numeric can hold
        entry(502, Ant__Score__c="1e200000", Ant__Anything__c=10**60),
        entry(503, Duration="half an hour"),
        entry(504, Duration=float("inf")),
    ]
    report = pull_all_but(odd, 0, GOOD + 5)
    assert one(odd, 500, "duration_minutes, custom_fields->>'Ant__Score__c'") == (45, "1234.5")
    assert one(odd, 501, "duration_minutes, unreadable") == (None, {"Duration": "1e200000"})
    assert one(odd, 502, "custom_fields->>'Ant__Score__c', unreadable") == (None, {"Ant__Score__c": "1e200000"})
    assert one(odd, 502, "custom_fields->>'Ant__Anything__c'") == ("1" + "0" * 60,)
    assert one(odd, 503, "subject, duration_minutes, unreadable") == ("entry 503", None, {"Duration": "half an hour"})
    assert one(odd, 504, "duration_minutes, unreadable") == (None, None)
    assert report.details["unreadable"] == {"Duration": 2, "Ant__Score__c": 1}
    assert report.notes[-1] == (
        "3 values can't be read and will stay empty: Duration (2), Ant__Score__c (1)."
        " See the column `unreadable` of `activity`."
    )
    assert odd.query("SELECT values_unreadable FROM sync_run WHERE object = 'activity'") == [(3,)]


def test_impossible_dates_are_unreadable_values(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows += [
        entry(500, ActivityDate="2026-02-30T10:00:00Z"),
        entry(501, ActivityDate="soon"),
        entry(502, ActivityDate=10**18),
        entry(503, ActivityDate="0001-01-01T00:00:00Z"),
        entry(504, ActivityDate="", CreatedDate="2026-01-01"),
    ]
    report = pull_all_but(odd, 0, GOOD + 5)
    assert [one(odd, number, "occurred_at, unreadable") for number in (500, 501, 502)] == [
        (None, {"ActivityDate": odd_date}) for odd_date in ("2026-02-30T10:00:00Z", "soon", 10**18)
    ]
    assert one(odd, 503, "extract(year FROM occurred_at), unreadable") == (1, None)
    assert one(odd, 504, "occurred_at, unreadable") == (datetime(2026, 1, 1, tzinfo=UTC), None)
    assert report.details["unreadable"] == {"ActivityDate": 3}


def test_duplicate_and_missing_gsids_in_a_page(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows += [
        entry(500, Subject="first"),
        entry(501) | {"Gsid": f"1T01{500:032d}", "Subject": "second"},
        entry(502, Gsid=None),
        entry(503, Gsid="  "),
    ]
    pull_all_but(odd, 2, GOOD + 1)
    assert reasons(odd) == ["no Gsid"] * 2
    assert one(odd, 500, "subject") == ("second",)


def test_oversized_ids_and_names_are_rejected(odd: Pulling, tenant: Tenant) -> None:
    endless = "".join(random.Random(1).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=9000))
    tenant.rows += [entry(500, Gsid=endless), entry(501, GsCompanyId=endless), entry(502, Subject=endless)]
    pull_all_but(odd, 1, GOOD + 2)
    assert reasons(odd) == ["Gsid is longer than an id can be"]
    assert one(odd, 501, "unmatched_reason, unreadable") == ("no_company", {"GsCompanyId": endless})


def test_invisible_characters_around_ids_and_names_are_ignored(odd: Pulling, tenant: Tenant) -> None:
    pasted = {"GsCompanyId": "\u200b1p02company\ufeff", "ReportingCategory": "\uff23all\u200b"}
    tenant.rows.append(entry(500, **pasted))
    report = pull_all_but(odd, 0, GOOD + 1)
    assert one(odd, 500, "company_gsid, activity_type, unreadable") == ("1P02COMPANY", "MEETING", None)
    assert "unmapped_categories" not in report.details


@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_standard_fields_are_read_in_the_tenants_spelling(odd: Pulling, tenant: Tenant, spell: Any) -> None:
    tenant.describes["activity_timeline"] = [
        each | {"fieldName": spell(each["fieldName"])} for each in tenant.describes["activity_timeline"]
    ]
    tenant.cursor = spell(tenant.cursor)
    tenant.rows = [{spell(name): value for name, value in row.items()} for row in tenant.rows]
    pull_all_but(odd, 0, GOOD)
    assert one(odd, 7, "subject, duration_minutes, occurred_at, body_text") == (
        "entry 7", 30, datetime(2026, 1, 31, 10, tzinfo=UTC), "Well",
    )  # fmt: skip


def test_keys_in_another_case_are_read(odd: Pulling, tenant: Tenant) -> None:
    tenant.lower_keys = True
    pull_all_but(odd, 0, GOOD)
    assert one(odd, 7, "subject, duration_minutes") == ("entry 7", 30)


@pytest.mark.parametrize("depth", [200, 260, 700])
def test_deeply_nested_values_are_handled(odd: Pulling, tenant: Tenant, depth: int) -> None:
    nested: Any = "bottom"
    for _ in range(depth):
        nested = {"in": nested}
    tenant.rows.append(entry(500, Ant__Anything__c=nested))
    report = odd.pull("activity")
    assert (report.rejected, odd.query("SELECT count(*) FROM activity")) == (0, [(GOOD + 1,)])
    if report.unreadable:
        assert one(odd, 500, "custom_fields, unreadable") == ({}, {"Ant__Anything__c": "(nested too deeply)"})
    else:
        assert one(odd, 500, f"custom_fields #>> '{{Ant__Anything__c,{','.join(['in'] * depth)}}}'") == ("bottom",)


def test_ten_thousand_custom_fields_are_stored(odd: Pulling, tenant: Tenant) -> None:
    names = [f"Ant__Field_{number}__c" for number in range(10_000)]
    tenant.describes["activity_timeline"] += [field(name, "STRING") for name in names]
    tenant.rows[0] |= {name: f"value of {name}" for name in names}
    pull_all_but(odd, 0, GOOD)
    assert one(odd, 0, "(SELECT count(*) FROM jsonb_object_keys(custom_fields))") == (10_000,)
    assert odd.query("SELECT count(*) FROM custom_field") == [(10_002,)]


def test_unknown_picklist_ids_are_kept(odd: Pulling, tenant: Tenant) -> None:
    known = {"value": "1I00A", "label": "Meeting"}
    nodes = [each for each in tenant.describes["activity_timeline"] if each["fieldName"] != "ReportingCategory"]
    nodes.append(field("ReportingCategory", "PICKLIST", options=[known]))
    tenant.describes["activity_timeline"] = nodes
    tenant.rows = [entry(number, ReportingCategory="1I00A") for number in range(GOOD)]
    tenant.rows.append(entry(500, ReportingCategory="1I00GONE"))
    report = pull_all_but(odd, 0, GOOD + 1)
    assert one(odd, 500, "activity_type, reporting_category") == ("TYPE_MANUAL", "1I00GONE")
    assert one(odd, 3, "activity_type, reporting_category") == ("MEETING", "Meeting")
    assert report.details["unmapped_categories"] == {"1I00GONE": 1}


def test_a_rejected_record_is_stored_once_however_often_it_comes(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows.append(entry(500, Gsid=" ", Subject="nobody's", LastModifiedDate=NOW))
    odd.pull("activity")
    odd.pull("activity")
    ((payload, reason),) = odd.query("SELECT payload, reason FROM rejected_record")
    assert (payload["Subject"], reason) == ("nobody's", "no Gsid")


def test_an_unreadable_value_that_is_corrected_is_read_with_the_next_change(odd: Pulling, tenant: Tenant) -> None:
    tenant.rows.append(entry(500, Duration="many", LastModifiedDate=NOW))
    odd.pull("activity")
    assert one(odd, 500, "duration_minutes, unreadable") == (None, {"Duration": "many"})
    tenant.rows[-1] |= {"Duration": 5, "LastModifiedDate": NOW + timedelta(seconds=30)}
    assert odd.pull("activity").unreadable == 0
    assert one(odd, 500, "duration_minutes, unreadable") == (5, None)


@pytest.mark.parametrize("name", ["activity", "product_usage"])
def test_a_value_that_only_postgresql_refuses_rejects_its_record(odd: Pulling, tenant: Tenant, name: str) -> None:
    """Any error that our own checks don't anticipate; a trigger that refuses a value simulates it."""
    if name == "product_usage":
        nodes = [("Gsid", "GSID"), ("ModifiedDate", "DATETIME"), ("GsCompanyId", "LOOKUP"), ("Logins__gc", "NUMBER")]
        tenant.describes = {"usage__gc": [field(*each) for each in nodes]}
        tenant.cursor = "ModifiedDate"
        tenant.rows = [
            {"Gsid": f"1Z02{n:032d}", "ModifiedDate": NOW + timedelta(seconds=n), "GsCompanyId": None, "Logins__gc": n}
            for n in range(GOOD)
        ]
        odd.content["product_usage"] = {"enabled": True, "object": "usage__gc"}
        table, column, refused = "usage_metric", "value", "7"
    else:
        tenant.rows[7]["Subject"] = tenant.rows[93]["Subject"] = "unheard of"
        table, column, refused = "activity", "subject", "'unheard of'"
    with odd.store.connect("test") as connection:
        connection.execute(
            f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN IF NEW.{column} = {refused} THEN RAISE numeric_value_out_of_range; END IF; RETURN NEW; END $$"""
        )
        connection.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
    expected = 1 if name == "product_usage" else 2
    report = odd.pull(name)
    assert (report.read, report.rejected, report.written) == (GOOD, expected, GOOD - expected)
    assert sum(report.unmatched.values()) + report.matched == GOOD - expected
    if name == "activity":  # a page that is split and retried is counted once
        assert sum(report.details["categories"].values()) == GOOD - expected
    assert reasons(odd) == ["PostgreSQL can't hold one of its values"] * expected
