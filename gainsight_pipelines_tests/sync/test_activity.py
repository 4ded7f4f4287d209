"""Pulls of the timeline (requirements T1 and T2), compared with the sandbox's data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gainsight_pipelines_tests.pulling import Pulling
from gainsight_pipelines_tests.sync.test_company import ask


def stored(pulling: Pulling, column: str) -> dict[str, Any]:
    return dict(pulling.query(f"SELECT activity_id, {column} FROM activity WHERE source = 'timeline'"))


def everything(pulling: Pulling) -> None:
    pulling.content["activity"]["initial_lookback_days"] = None


def test_t1_t2_entries_are_typed_by_their_category(pulling: Pulling) -> None:
    """Requirements T1 and T2."""
    everything(pulling)
    report = pulling.pull("activity")
    truth = pulling.truth("activity_timeline")
    assert stored(pulling, "activity_type") == {gsid: each["activity_type"] for gsid, each in truth.items()}
    counted = report.details["categories"]
    assert sum(counted.values()) == len(truth)
    assert set(report.details["unmapped_categories"]) <= set(counted)


def test_t1_an_entry_without_a_date_has_its_creation_date(pulling: Pulling) -> None:
    """Requirement T1."""
    everything(pulling)
    gsid = next(iter(pulling.truth("activity_timeline")))
    pulling.sandbox.edit({"object": "activity_timeline", "gsid": gsid, "values": {"ActivityDate": None}})
    pulling.pull("activity")
    created = ask(pulling, "activity_timeline", "CreatedDate")[gsid]["CreatedDate"]
    assert f"{stored(pulling, 'occurred_at')[gsid]:%Y-%m-%dT%H:%M:%S}" == created[:19]


@pytest.mark.parametrize("kind", ["picklist", "lookup"])
def test_t1_a_category_may_be_a_picklist_or_a_lookup(pulling: Pulling, kind: str) -> None:
    """Requirement T1."""
    everything(pulling)
    users = ask(pulling, "gsuser", "Name")
    items = {
        "picklist": {"1I00A": "Call", "1I00B": "Meeting", "1I00C": "Something Else"},
        "lookup": {gsid: each["Name"] for gsid, each in list(users.items())[:3]},
    }[kind]
    field: dict[str, Any] = {"fieldName": "ReportingCategory", "values": list(items)}
    if kind == "picklist":
        field |= {"dataType": "PICKLIST", "options": [{"value": id_, "label": name} for id_, name in items.items()]}
    else:
        field |= {"dataType": "LOOKUP", "lookup": "gsuser"}
    pulling.sandbox.edit({"object": "activity_timeline", "action": "describe", "field": field})
    names = list(items.values())
    pulling.content["activity"]["reporting_categories"] = {names[0].upper(): "EMAIL", f" {names[1]}": "MEETING"}
    pulling.pull("activity")
    rows = pulling.query("SELECT DISTINCT reporting_category, activity_type FROM activity")
    assert set(rows) == {(names[0], "EMAIL"), (names[1], "MEETING"), (names[2], "TYPE_MANUAL")}


def test_t1_authors_attendees_duration_and_text(pulling: Pulling) -> None:
    """Requirement T1."""
    everything(pulling)
    pulling.pull("activity")
    asked = ask(
        pulling, "activity_timeline", "AuthorId__gr.Name", "AuthorId__gr.Email", "Duration", "InternalAttendees",
        "ExternalAttendees", "Notes", "NotesPlainText", "Ant__CustomNumber__c", "Ant__Competitor_Mentioned__c",
    )  # fmt: skip
    rows = pulling.query(
        """SELECT activity_id, author, author_email, duration_minutes::int, internal_attendees, external_attendees,
                  body, body_text, custom_fields FROM activity"""
    )
    assert {row[0]: row[1:8] for row in rows} == {
        gsid: (
            each["AuthorId__gr.Name"],
            each["AuthorId__gr.Email"],
            each["Duration"],
            [each["InternalAttendees"]] if each["InternalAttendees"] else None,
            [each["ExternalAttendees"]] if each["ExternalAttendees"] else None,
            each["Notes"],
            each["NotesPlainText"],
        )
        for gsid, each in asked.items()
    }
    for row in rows:
        assert row[8]["Ant__CustomNumber__c"] == asked[row[0]]["Ant__CustomNumber__c"]
        assert row[8]["Ant__Competitor_Mentioned__c"] is asked[row[0]]["Ant__Competitor_Mentioned__c"]
        assert row[8].get("Ant__Sentiment__c") in (None, "Positive", "Neutral", "Negative")


def test_t1_plain_text_is_derived_from_the_notes_if_missing(pulling: Pulling) -> None:
    """Requirement T1."""
    pulling.sandbox.edit(
        {"object": "activity_timeline", "action": "describe", "field": {"fieldName": "NotesPlainText", "gone": True}}
    )
    pulling.pull("activity")
    texts = stored(pulling, "body_text")
    assert texts and all(text and "<p" not in text and "<div" not in text for text in texts.values())


def test_t1_entries_of_a_relationship_are_matched_through_its_company(pulling: Pulling) -> None:
    """Requirement T1."""
    everything(pulling)
    relationships = {gsid: each for gsid, each in pulling.truth("relationship").items() if each["reason"] is None}
    gsid, where = next(iter(relationships.items()))
    records = list(pulling.truth("activity_timeline"))[:2]
    for record, relationship in zip(records, (gsid, None), strict=True):
        pulling.sandbox.edit(
            {
                "object": "activity_timeline",
                "gsid": record,
                "values": {"GsCompanyId": None, "GsRelationshipId": relationship, "ContextName": "CTA"},
            }
        )
    pulling.pull("activity")
    rows = {
        row[0]: row[1:]
        for row in pulling.query("SELECT activity_id, company_gsid, account_id, unmatched_reason FROM activity")
    }
    assert rows[records[0]] == (where["company"], pulling.account_ids()[where["account"]], None)
    assert rows[records[1]] == (None, None, "no_company")


def test_t1_the_first_read_goes_back_as_far_as_configured(pulling: Pulling) -> None:
    """Requirement T1."""
    pulling.content["activity"]["initial_lookback_days"] = 60
    report = pulling.pull("activity")
    assert report.since is not None
    asked = ask(pulling, "activity_timeline", "LastModifiedDate")
    start = f"{pulling.clock.now() - timedelta(days=60):%Y-%m-%dT%H:%M:%S}"
    expected = {gsid for gsid, each in asked.items() if each["LastModifiedDate"] is None
                or each["LastModifiedDate"] >= start}  # fmt: skip
    assert stored(pulling, "activity_id").keys() == expected


LEFT_OUT = ["Subject", "Notes", "NotesPlainText", "ActivityDate", "CreatedDate", "Duration", "ReportingCategory"]
LEFT_OUT += ["InternalAttendees", "ExternalAttendees", "AuthorId__gr.Name", "AuthorId__gr.Email", "GsCompanyId"]


@pytest.mark.parametrize("missing", [LEFT_OUT, ["CreatedDate", "Subject"]])
def test_omitted_fields_keep_their_stored_values(pulling: Pulling, missing: list[str]) -> None:
    """A selected key that the response omits leaves the column unchanged; one that it contains is stored."""
    pulling.content["activity"]["initial_lookback_days"] = None
    pulling.pull("activity")
    rows = "SELECT to_jsonb(a) - '{modified_at,changed_at,run_id}'::text[] FROM activity a ORDER BY activity_id"
    before = [row for (row,) in pulling.query(rows)]
    assert sum(row["subject"] is not None and row["duration_minutes"] is not None for row in before) > 50
    pulling.sandbox.edit({"object": "activity_timeline", "action": "touch", "count": 250})
    gsid = before[0]["activity_id"]
    pulling.sandbox.edit({"object": "activity_timeline", "gsid": gsid, "values": {"Subject": "x", "Duration": 77}})
    pulling.sandbox.switch(case_drift=True, missing_keys=missing)
    assert pulling.pull("activity").read >= 250  # not `written`: an entry touched twice in one second is unchanged
    after = [row for (row,) in pulling.query(rows)]
    if "Duration" not in missing:
        assert after[0].pop("duration_minutes") == 77
        before[0].pop("duration_minutes")
    assert after == before
