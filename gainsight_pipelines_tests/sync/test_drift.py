"""Settings or schemas that change between two pulls: what is re-read or mapped again, and what the run reports."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.gainsight.errors import UnknownField
from gainsight_pipelines.sync import SyncReport, sync
from gainsight_pipelines_tests.pulling import Pulling


def pull_full(pulling: Pulling, name: str) -> SyncReport:
    run_id = uuid.uuid4().hex
    prepare = pulling.prepared(name, run_id)
    return sync(pulling.store, pulling.clock, name, run_id, lambda: replace(prepare(), is_full=True))


def queries(pulling: Pulling, object_name: str) -> int:
    found: int = pulling.sandbox.calls()["calls"]["gainsight"].get(f"query:{object_name}", 0)
    return found


def notes(report: SyncReport) -> str:
    return " ".join(report.notes)


def types(pulling: Pulling) -> Counter[tuple[str, str]]:
    return Counter(pulling.query("SELECT reporting_category, activity_type FROM activity WHERE source = 'timeline'"))


def test_a_changed_mapping_is_applied_to_stored_rows_without_calling_gainsight(pulling: Pulling) -> None:
    pulling.pull("activity")
    before = types(pulling)
    assert any(category and category.strip().lower() == "call" for category, _ in before)
    pulling.content["activity"] = {
        **pulling.content["activity"],
        "reporting_categories": {"call": "EMAIL", "meeting": "MEETING"},
    }
    pulling.sandbox.reset()
    report = pulling.pull("activity")
    assert queries(pulling, "activity_timeline") == 1
    after = types(pulling)
    assert sum(after.values()) == sum(before.values())
    for category, kind in after:
        expected = {"call": "EMAIL", "meeting": "MEETING"}.get((category or "").strip().lower(), "TYPE_MANUAL")
        assert kind == expected
    assert report.details["remapped"] > 0
    assert "without calling Gainsight: `activity.reporting_categories` changed" in notes(report)
    assert pulling.pull("activity").details.get("remapped") is None


def test_attributes_added_later_are_read_for_all_companies(pulling: Pulling) -> None:
    pulling.content["company"] = {"enabled": True, "attributes": ["Name", "Region__gc"]}
    pulling.pull("company")
    assert {
        tuple(row[0])
        for row in pulling.query("SELECT DISTINCT array(SELECT jsonb_object_keys(attributes)) FROM company")
    } == {("Name", "Region__gc")}
    pulling.content["company"]["attributes"] = ["Name", "Region__gc", "Seats__gc"]
    report = pulling.pull("company")
    rows = pulling.query("SELECT (attributes ->> 'Seats__gc')::int FROM company")
    assert all(seats for (seats,) in rows)
    assert "`company.attributes`" in notes(report) and "Seats__gc" in notes(report)
    pulling.sandbox.reset()
    pulling.pull("company")
    assert queries(pulling, "company") == 1


def test_a_longer_lookback_reads_older_records_and_nothing_twice(pulling: Pulling) -> None:
    pulling.content["activity"]["initial_lookback_days"] = 20
    first = pulling.pull("activity")
    truth = pulling.truth("activity_timeline")
    assert 0 < first.read < len(truth)
    pulling.content["activity"]["initial_lookback_days"] = None
    second = pulling.pull("activity")
    assert "go further back" in notes(second)
    assert {row[0] for row in pulling.query("SELECT activity_id FROM activity")} == set(truth)
    # Records at the boundary of the two reads, or in the overlap, may be read twice.
    assert second.read <= len(truth) - first.read + 20
    assert second.unchanged <= 20


def test_a_full_run_reads_everything_again_and_resumes_after_an_interruption(pulling: Pulling) -> None:
    everything = pulling.pull("company").read
    pulling.sandbox.edit(
        {"object": "company", "action": "describe", "field": {"fieldName": "Region__gc", "values": ["Moon"]}}
    )
    assert pulling.pull("company").written == 0
    pulling.sandbox.switch(broken_objects=["company"])
    with pytest.raises(PipelineError):
        pull_full(pulling, "company")
    pulling.sandbox.reset()
    report = pulling.pull("company")
    assert report.written == everything
    assert "a full run was requested" in notes(report)
    assert {row[0] for row in pulling.query("SELECT attributes ->> 'Region__gc' FROM company")} == {"Moon"}
    assert pull_full(pulling, "company").unchanged >= everything
    assert pulling.pull("company").read == 0


def test_settings_changed_back_midway_leave_consistent_rows(pulling: Pulling) -> None:
    pulling.pull("activity")
    before = types(pulling)
    mapping = dict(pulling.content["activity"])
    pulling.content["activity"] = {**mapping, "reporting_categories": {"call": "EMAIL"}}
    pulling.sandbox.edit({"object": "activity_timeline", "action": "touch", "count": 40})
    pulling.sandbox.switch(broken_objects=["record_delete_log"])
    pulling.clock.ahead += timedelta(days=2)  # the check for deletions is due, and fails at the end of the run
    with pytest.raises(PipelineError):
        pulling.pull("activity")
    pulling.sandbox.reset()
    pulling.content["activity"] = mapping
    pulling.pull("activity")
    assert types(pulling) == before


def test_another_usage_object_replaces_the_former(pulling: Pulling) -> None:
    pulling.pull("product_usage")
    assert pulling.query("SELECT count(*) FROM product_usage")[0][0] > 0
    usage = pulling.content["product_usage"]
    pulling.content["product_usage"] = {"enabled": True, "object": "product_usage_wide__gc"}
    report = pulling.pull("product_usage")
    assert "replaces `product_usage__gc`" in notes(report)
    live = pulling.query("SELECT DISTINCT object FROM usage_metric WHERE deleted_at IS NULL")
    assert live == [("product_usage_wide__gc",)]
    pulling.content["product_usage"] = usage
    pulling.pull("product_usage")
    assert pulling.query("SELECT count(DISTINCT record_id) FROM usage_metric WHERE deleted_at IS NULL") == [
        (len(pulling.truth("product_usage__gc")),)
    ]


def test_a_usage_object_is_the_same_in_any_spelling(pulling: Pulling) -> None:
    """Even if an earlier version stored the other spelling as another object: each record's live row stays."""
    pulling.pull("product_usage")
    rows = "SELECT record_id, metric FROM usage_metric WHERE deleted_at IS NULL"
    before = set(pulling.query(rows))
    with pulling.store.connect("test") as connection:
        connection.execute("CREATE TEMP TABLE twin AS SELECT * FROM usage_metric LIMIT 7")
        connection.execute("UPDATE twin SET object = 'Product_Usage__gc', deleted_at = now()")
        connection.execute("INSERT INTO usage_metric SELECT * FROM twin")
    pulling.content["product_usage"]["object"] = "Product_Usage__gc"
    report = pulling.pull("product_usage")
    assert report.read <= 20  # the overlap
    assert set(pulling.query(rows)) == before
    assert pulling.query("SELECT DISTINCT object, deleted_at FROM usage_metric") == [("Product_Usage__gc", None)]


def test_another_spelling_of_a_field_is_no_change(pulling: Pulling) -> None:
    """Whether the tenant or the settings change the spelling."""
    pulling.content["company"]["attributes"] = ["Name", "Region__gc"]
    pulling.pull("company")
    pulling.content["company"]["attributes"] = ["name", "REGION__GC"]
    report = pulling.pull("company")
    assert "reread" not in report.details
    change_schema(pulling, "company", fieldName="Region__gc", gone=True)
    change_schema(pulling, "company", fieldName="region__gc", dataType="STRING", values=["Moon"])
    report = pulling.pull("company")
    assert "schema_drift" not in report.details
    assert "reread" not in report.details


def test_another_product_name_is_applied_to_stored_rows(pulling: Pulling) -> None:
    pulling.pull("product_usage")
    pulling.content["product_usage"]["product_name"] = "Rocket"
    report = pulling.pull("product_usage")
    assert report.read <= 10  # the overlap
    assert pulling.query("SELECT DISTINCT product_name FROM usage_metric") == [("Rocket",)]


def test_another_crm_id_field_rematches_rows(pulling: Pulling) -> None:
    pulling.pull("activity")
    pulling.content["company"]["crm_id_field"] = "HubSpot_Company_ID__gc"  # no account of Salesforce has such an id
    report = pulling.pull("activity")
    assert "ids of all companies were read again" in notes(report)
    assert pulling.query("SELECT count(*) FROM activity WHERE match_method = 'direct'") == [(0,)]


def change_schema(pulling: Pulling, object_name: str, **field: Any) -> None:
    pulling.sandbox.edit({"object": object_name, "action": "describe", "field": field})
    pulling.clock.ahead += timedelta(days=1, hours=1)


def test_schema_drift_is_reported_and_stops_nothing_else(pulling: Pulling) -> None:
    pulling.pull("company")
    change_schema(pulling, "company", fieldName="Moons__gc", dataType="NUMBER", values=[3])
    change_schema(pulling, "company", fieldName="Employees", gone=True)
    change_schema(pulling, "company", fieldName="Seats__gc", dataType="STRING")
    report = pulling.pull("company")
    assert report.details["schema_drift"] == {
        "new": ["Moons__gc"],
        "gone": ["Employees"],
        "retyped": {"Seats__gc": "NUMBER → STRING"},
    }
    assert "Moons__gc" in notes(report)
    assert "Seats__gc (numeric(38,9), now text), Employees (gone) (the settings can stay as they are)" in notes(report)
    rows = pulling.query("SELECT attributes ->> 'Moons__gc', attributes ? 'Employees' FROM company")
    assert set(rows) == {("3", False)}
    assert "schema_drift" not in pulling.pull("company").details


def test_a_removed_field_stops_only_pulls_that_name_it(pulling: Pulling) -> None:
    pulling.content["company"]["attributes"] = ["Name", "Lost__gc"]
    change_schema(pulling, "company", fieldName="Lost__gc", dataType="STRING")
    pulling.pull("company")
    change_schema(pulling, "company", fieldName="Lost__gc", gone=True)
    with pytest.raises(SettingsError, match="Lost__gc"):
        pulling.pull("company")
    assert pulling.pull("activity").status == "completed"


def test_unreadable_fields_are_left_out_and_named(pulling: Pulling) -> None:
    pulling.sandbox.switch(unreadable_fields=["company.Arr", "company.Tags", "activity_timeline.Duration"])
    report = pulling.pull("company")
    assert set(report.details["unreadable_fields"]) == {"Arr", "Tags"}
    assert "`Arr`" in notes(report)
    assert pulling.query("SELECT count(*) FROM company") == [(len(pulling.truth("company")),)]
    assert pulling.query("SELECT count(*) FROM company WHERE attributes ?| array['Arr', 'Tags']") == [(0,)]
    assert pulling.pull("activity").details["unreadable_fields"] == ["Duration"]
    pulling.sandbox.reset()
    assert pulling.pull("company").calls["query"] == 1
    pulling.clock.ahead += timedelta(days=1, hours=1)
    assert "Arr" in notes(pulling.pull("company"))
    attributes = "SELECT gsid, attributes - 'ModifiedDate' FROM company ORDER BY gsid"
    before = pulling.query(attributes)
    pulling.sandbox.edit({"object": "company", "action": "touch", "count": 60})
    pulling.sandbox.switch(unreadable_fields=["company.Arr", "company.Csm__gr.Name", "company.Seats__gc"])
    assert pulling.pull("company").read >= 60
    assert pulling.query(attributes) == before
    assert any("Csm__name" in each for _, each in before)
    pulling.sandbox.reset()
    assert pulling.query("SELECT count(*) FROM company WHERE attributes ? 'Arr'") == [(len(pulling.truth("company")),)]


@pytest.mark.parametrize("name", ["Duration", "AuthorId__gr.Name", "GsCompanyId__gr.SfdcAccountId"])
def test_a_refusal_without_field_name_costs_only_that_field(pulling: Pulling, name: str) -> None:
    """A few small calls find the refused field; all other fields are still read."""
    columns = """SELECT activity_id, author, author_email, duration_minutes, match_method, custom_fields, activity_type
                 FROM activity ORDER BY activity_id"""
    pulling.pull("activity")
    before = pulling.query(columns)
    assert sum(row[1] is not None and row[3] is not None for row in before) > 50
    pulling.sandbox.edit({"object": "activity_timeline", "action": "touch", "count": 200})
    pulling.sandbox.switch(unreadable_fields=[f"activity_timeline.{name}"], nameless_refusals=True)
    report = pulling.pull("activity")
    assert report.details["unreadable_fields"] == [name]
    assert f"Gainsight refuses `{name}` of" in notes(report)
    assert report.calls["probe"] <= 12
    # The field's stored values stay.
    assert pulling.query(columns) == before


def test_a_refusal_of_something_else_drops_no_field(pulling: Pulling) -> None:
    """The tenant refuses the filter, without saying which part; no selected field is the cause."""
    pulling.content["surveys"]["filter"] = {
        "conditions": [
            {"name": "NPSScore", "alias": "A", "value": [9], "operator": "GTE"},
            {"name": "NPSScore", "alias": "B", "value": [0], "operator": "EQ"},
        ],
        "expression": "A OR B",
    }
    pulling.sandbox.switch(or_refused=True, nameless_refusals=True)
    with pytest.raises(UnknownField):
        pulling.pull("survey_survey_response")
    assert pulling.query("SELECT DISTINCT unreadable FROM object_schema") == [([],)]


def test_a_field_that_was_just_added_can_be_named_at_once(pulling: Pulling) -> None:
    """The schema read earlier that day is read once more before a settings error is raised."""
    pulling.pull("company")
    field = {"fieldName": "Asteroids__gc", "dataType": "NUMBER", "values": [3]}
    pulling.sandbox.edit({"object": "company", "action": "describe", "field": field})
    pulling.content["company"]["attributes"] = ["Name", "Asteroids__gc"]
    report = pulling.pull("company")
    assert report.calls["metadata"] == 1
    assert set(pulling.query("SELECT attributes ->> 'Asteroids__gc' FROM company")) == {("3",)}
    pulling.content["company"]["attributes"] = ["Name", "Suns__gc"]
    pulling.sandbox.reset()
    with pytest.raises(SettingsError, match="Suns__gc"):
        pulling.pull("company")
    assert pulling.sandbox.calls()["calls"]["gainsight"]["describe"] == 1
    pulling.content["company"] = {"enabled": True, "crm_id_field": "Salesforce_Id__gc"}
    field = {"fieldName": "Salesforce_Id__gc", "dataType": "SFDCID", "values": [None]}
    pulling.sandbox.edit({"object": "company", "action": "describe", "field": field})
    assert pulling.pull("activity").status == "completed"


def test_a_configured_field_that_the_key_may_not_read_is_an_error(pulling: Pulling) -> None:
    pulling.content["company"]["attributes"] = ["Name", "Arr"]
    pulling.sandbox.switch(unreadable_fields=["company.Arr"])
    with pytest.raises(SettingsError, match="API key may not read"):
        pulling.pull("company")
