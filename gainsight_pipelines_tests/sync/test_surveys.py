"""Pulls of survey responses (requirements S1 to S8), compared with the sandbox's data."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gainsight_pipelines.errors import CredentialsRejected, PermanentError, SettingsError
from gainsight_pipelines.sync import Prepared, SyncReport, sync
from gainsight_pipelines.sync.day_backfill import DayRead, sync_days
from gainsight_pipelines_tests.pulling import Pulling
from gainsight_pipelines_tests.sync.test_company import ask

NAME = "survey_survey_response"
OBJECT = "survey_response"
STORED = "SELECT activity_id FROM activity WHERE source = 'survey'"


def stored(pulling: Pulling) -> set[str]:
    return {row[0] for row in pulling.query(STORED)}


def in_lookback(pulling: Pulling) -> set[str]:
    return {gsid for gsid, each in pulling.truth(OBJECT).items() if each["is_in_lookback"]}


def days_of(pulling: Pulling) -> dict[str, date]:
    """The UTC day that each response belongs to."""
    return {
        gsid: datetime.fromisoformat(each["dated_at"]).astimezone(UTC).date()
        for gsid, each in pulling.truth(OBJECT).items()
    }


def read_days(pulling: Pulling, days: Sequence[date], **how: Any) -> tuple[SyncReport | None, list[DayRead]]:
    run_id = uuid.uuid4().hex
    read: list[DayRead] = []
    report = sync_days(
        pulling.store, pulling.clock, NAME, run_id, pulling.prepared(NAME, run_id), days, read.append, **how
    )
    return report, read


def test_s1_responses_become_activities_with_type_score_and_nps_group(pulling: Pulling) -> None:
    """Requirement S1."""
    pulling.pull(NAME)
    rows = pulling.query(
        """SELECT activity_id, activity_type, survey_type, score, nps_group FROM activity
           WHERE source = 'survey'"""
    )
    truth = pulling.truth(OBJECT)
    assert {row[0]: (row[2], row[3]) for row in rows} == {
        gsid: (truth[gsid]["survey_type"], truth[gsid]["score"]) for gsid in in_lookback(pulling)
    }
    assert {row[1] for row in rows} == {"SURVEY"}
    scored = [row for row in rows if row[3] is not None]
    assert {row[2] for row in scored} >= {"NPS", "CSAT"}
    for _, _, survey_type, score, group in scored:
        expected = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
        assert group == (expected if survey_type == "NPS" else None)


def test_s2_a_survey_object_names_its_company_field(pulling: Pulling) -> None:
    """Requirement S2: for an object with several lookups to company; a changed setting applies to stored rows too."""
    name, other = "csat_survey__gc", next(iter(pulling.truth("company")))
    pulling.sandbox.edit(
        {
            "object": name,
            "action": "describe",
            "field": {"fieldName": "Partner__gc", "dataType": "LOOKUP", "lookup": "company", "values": [other]},
        }
    )
    row: dict[str, Any] = {"object": name, "survey_type": "CSAT"}
    # All fields are read from the start, so only the choice of the company field changes.
    pulling.content["surveys"] = {"mode": "multiple", "objects": [row], "register_custom_fields": True}
    with pytest.raises(SettingsError, match=r"surveys.objects\[0\].company_field.*Account__gc, Partner__gc"):
        pulling.pull(f"survey_{name}")
    companies = f"SELECT activity_id, company_gsid FROM activity WHERE source_object = '{name}'"
    row["company_field"] = "Partner__gc"
    pulling.pull(f"survey_{name}")
    assert {gsid for _, gsid in pulling.query(companies)} == {other}
    row["company_field"] = "Account__gc"
    pulling.pull(f"survey_{name}")
    truth = pulling.truth(name)
    assert dict(pulling.query(companies)) == {
        gsid: each["company"] for gsid, each in truth.items() if each["is_in_lookback"]
    }


def test_s3_the_limit_is_shown_and_the_next_run_goes_on(pulling: Pulling) -> None:
    """Requirement S3."""
    expected = in_lookback(pulling)
    pulling.content["surveys"]["response_limit"] = 20
    runs = 0
    while True:
        report = pulling.pull(NAME)
        runs += 1
        if not report.is_truncated:
            break
        assert report.details["read_up_to"]
        assert any("limit of 20" in note for note in report.notes)
        ((shown,),) = pulling.query("SELECT is_truncated FROM sync_run ORDER BY started_at DESC LIMIT 1")
        assert shown
        assert runs < 50
    assert runs >= len(expected) // 40
    assert stored(pulling) == expected


def test_s3_nothing_ages_out_while_the_limit_delays_a_read(pulling: Pulling) -> None:
    """Requirement S3."""
    expected = in_lookback(pulling)
    pulling.content["surveys"]["response_limit"] = 20
    assert pulling.pull(NAME).is_truncated
    pulling.clock.ahead = timedelta(days=20)  # most responses would be older than a new lookback window
    pulling.content["surveys"]["response_limit"] = 4000
    pulling.pull(NAME)
    assert expected <= stored(pulling)


def test_s4_only_responses_within_the_lookback_are_read(pulling: Pulling) -> None:
    """Requirement S4: by response date; responses without one by their creation date."""
    report = pulling.pull(NAME)
    assert stored(pulling) == in_lookback(pulling)
    assert report.is_truncated is False


def test_s5_custom_fields_are_registered_kept_and_not_lost_when_toggled_off(pulling: Pulling) -> None:
    """Requirement S5."""
    pulling.content["surveys"]["register_custom_fields"] = True
    pulling.pull(NAME)
    registered = {
        row[0]: row[1:]
        for row in pulling.query("SELECT name, label, data_type FROM custom_field WHERE entity = 'activity'")
    }
    assert registered["NPSScore"] == ("NPS Score", "NUMBER")
    assert all(label and kind for label, kind in registered.values())
    values = dict(pulling.query("SELECT activity_id, custom_fields FROM activity"))
    kept = {name for each in values.values() for name in each}
    assert kept
    assert kept <= set(registered)

    pulling.content["surveys"]["register_custom_fields"] = False
    gsid = min(values)
    pulling.sandbox.edit({"object": OBJECT, "action": "update", "gsid": gsid, "values": {}})
    assert pulling.pull(NAME).read >= 1
    assert dict(pulling.query("SELECT activity_id, custom_fields FROM activity")) == values


def test_s6_a_filter_replaces_the_lookback(pulling: Pulling) -> None:
    """Requirement S6."""
    pulling.content["surveys"]["filter"] = {
        "conditions": [{"name": "NPSScore", "alias": "A", "value": [9], "operator": "GTE"}],
        "expression": "A",
    }
    truth = pulling.truth(OBJECT)
    expected = {gsid for gsid, each in truth.items() if each["survey_type"] == "NPS" and each["score"] >= 9}
    assert any(not truth[gsid]["is_in_lookback"] for gsid in expected)
    pulling.pull(NAME)
    assert stored(pulling) == expected
    again = pulling.pull(NAME)
    assert again.written == 0


def test_s6_expressions_may_be_nested(pulling: Pulling) -> None:
    """Requirement S6."""
    conditions = [("NPSScore", "GTE", 9), ("SurveyType", "EQ", "NPS"), ("CSATScore", "LTE", 2)]
    pulling.content["surveys"]["filter"] = {
        "conditions": [
            {"name": name, "alias": alias, "value": [value], "operator": operator}
            for alias, (name, operator, value) in zip("ABC", conditions, strict=True)
        ],
        "expression": "((A AND B) OR C)",
    }
    asked = ask(pulling, OBJECT, "NPSScore", "CSATScore")
    truth = pulling.truth(OBJECT)
    expected = {
        gsid
        for gsid, each in asked.items()
        if ((each["NPSScore"] or 0) >= 9 and truth[gsid]["survey_type"] == "NPS")
        or (each["CSATScore"] is not None and each["CSATScore"] <= 2)
    }
    assert {truth[gsid]["survey_type"] for gsid in expected} == {"NPS", "CSAT"}
    pulling.pull(NAME)
    assert stored(pulling) == expected


def test_s6_a_filter_reads_the_newest_up_to_the_limit(pulling: Pulling) -> None:
    """Requirement S6."""
    pulling.content["surveys"] |= {
        "response_limit": 10,
        "filter": {
            "conditions": [{"name": "NPSScore", "alias": "A", "value": [], "operator": "IS_NOT_NULL"}],
            "expression": "A",
        },
    }
    report = pulling.pull(NAME)
    assert report.is_truncated
    assert len(stored(pulling)) == 10


def test_s6_undated_records_that_fill_the_limit_of_a_filter_are_noted(pulling: Pulling) -> None:
    """Requirement S6: a tenant may sort them first, as PostgreSQL does with NULLs in descending order."""
    scored = sorted(gsid for gsid, each in pulling.truth(OBJECT).items() if each["survey_type"] == "NPS")[:4]
    pulling.sandbox.edit(*({"object": OBJECT, "gsid": gsid, "values": {"ModifiedDate": None}} for gsid in scored))
    pulling.content["surveys"] |= {
        "response_limit": 10,
        "filter": {
            "conditions": [{"name": "NPSScore", "alias": "A", "value": [], "operator": "IS_NOT_NULL"}],
            "expression": "A",
        },
    }
    report = pulling.pull(NAME)
    assert set(scored) <= stored(pulling)
    said = "Of the records read, 4 have no ModifiedDate: this tenant puts them first"
    assert any(said in note for note in report.notes)


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({"name": "NPSScor", "alias": "A", "value": [9], "operator": "GTE"}, "surveys.filter.conditions[0].name"),
        (
            {"name": "NPSScore", "alias": "A", "value": [9], "operator": "CONTAINS"},
            "surveys.filter.conditions[0].operator",
        ),
        (
            {"name": "NPSScore", "alias": "A", "value": ["many"], "operator": "GTE"},
            "surveys.filter.conditions[0].value",
        ),
        ({"name": "NPSScore", "alias": "A", "value": [9], "operator": "GREATER"}, "surveys.filter.conditions[0]"),
    ],
)
def test_s6_an_invalid_filter_is_reported_before_it_is_sent(
    pulling: Pulling, condition: dict[str, Any], place: str
) -> None:
    """Requirement S6."""
    pulling.content["surveys"]["filter"] = {"conditions": [condition], "expression": "A"}
    with pytest.raises(SettingsError) as raised:
        pulling.pull(NAME)
    assert place in str(raised.value)
    assert not any(each["path"].endswith(f"/query/{OBJECT}") for each in pulling.sandbox.gainsight_requests())


def test_s7_the_mapping_is_shown_with_its_reasons(pulling: Pulling) -> None:
    """Requirement S7."""
    shown = pulling.pull(NAME).details["field_mappings"]
    assert shown["responded_at"] == {"field": "RespondedDate", "reason": "usual name RespondedDate"}
    assert {score["survey_type"] for score in shown["score"]} == {"NPS", "CSAT"}


def test_s7_an_override_wins(pulling: Pulling) -> None:
    """Requirement S7."""
    pulling.content["surveys"]["objects"][0]["field_mappings"] = {"responded_at": "CreatedDate"}
    shown = pulling.pull(NAME).details["field_mappings"]
    assert shown["responded_at"] == {"field": "CreatedDate", "reason": "override"}


def test_s8_days_are_read_exactly_and_the_cursor_does_not_move(pulling: Pulling) -> None:
    """Requirement S8."""
    pulling.pull(NAME)
    cursor = pulling.query("SELECT modified_at, gsid, completed_at FROM sync_cursor WHERE scope = 'pull'")
    before = stored(pulling)
    by_day = days_of(pulling)
    old = sorted({day for gsid, day in by_day.items() if gsid not in before})[:5]
    report, read = read_days(pulling, old)
    assert report is not None
    wanted = {gsid for gsid, day in by_day.items() if day in old}
    assert stored(pulling) == before | wanted
    assert {each.day: each.read for each in read} == Counter(by_day[gsid] for gsid in wanted)
    assert pulling.query("SELECT modified_at, gsid, completed_at FROM sync_cursor WHERE scope = 'pull'") == cursor
    assert pulling.query("SELECT status FROM sync_run WHERE object = %s", (f"{NAME}_by_day",)) == [("completed",)]


def test_s8_a_backfill_stopped_by_the_limit_says_where_and_can_be_continued(pulling: Pulling) -> None:
    """Requirement S8."""
    pulling.content["surveys"]["response_limit"] = 4
    by_day = days_of(pulling)
    days = sorted(set(by_day.values()))
    with pytest.raises(PermanentError, match=r"limit of 4 records was reached on .* days left") as raised:
        read_days(pulling, days)
    assert "response_limit" in raised.value.todo
    assert len(stored(pulling)) == 4
    report, read = read_days(pulling, days, limit=len(by_day))  # a limit equal to the number of records is enough
    assert report is not None
    assert [each.day for each in read] == days
    assert stored(pulling) == set(by_day)


def test_s8_a_connection_lost_between_days_reports_no_day_twice(pulling: Pulling) -> None:
    days = sorted(set(days_of(pulling).values()))[-4:]
    run_id, read = uuid.uuid4().hex, list[DayRead]()

    def note(day: DayRead) -> None:
        read.append(day)
        if len(read) == 2:
            ended = pulling.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'gainsight_pipelines sync survey%%'"
            )
            assert ended == [(True,)]

    report = sync_days(pulling.store, pulling.clock, NAME, run_id, pulling.prepared(NAME, run_id), days, note)
    assert any("The run went on from its last page" in said for said in report.notes)
    assert [day.day for day in read] == days
    assert report.written == sum(day.written for day in read) == len(stored(pulling))


def test_s5_a_backfill_registers_the_custom_fields_that_it_stores(pulling: Pulling) -> None:
    """Requirement S5."""
    pulling.content["surveys"]["register_custom_fields"] = True
    read_days(pulling, [max(days_of(pulling).values())])
    kept = {name for (values,) in pulling.query("SELECT custom_fields FROM activity") for name in values}
    registered = {name for (name,) in pulling.query("SELECT name FROM custom_field")}
    assert kept and kept <= registered


def test_s8_a_day_includes_responses_without_a_modification_date(pulling: Pulling) -> None:
    """Requirement S8."""
    gsid, day = min(days_of(pulling).items(), key=lambda item: item[1])
    pulling.sandbox.edit({"object": OBJECT, "gsid": gsid, "values": {"ModifiedDate": None}})
    read_days(pulling, [day])
    assert gsid in stored(pulling)


@pytest.mark.parametrize("missing", [["RespondedDate"], ["ModifiedDate"], ["RespondedDate", "ModifiedDate"]])
def test_s3_responses_without_a_date_count_towards_the_limit(pulling: Pulling, missing: list[str]) -> None:
    """Requirement S3: a separate daily read gets them; if the limit stops it, the next run continues."""
    edited = sorted(in_lookback(pulling))[:24]
    pulling.sandbox.edit(*({"object": OBJECT, "gsid": gsid, "values": dict.fromkeys(missing, None)} for gsid in edited))
    asked = ask(pulling, OBJECT, "RespondedDate", "CreatedDate")
    start = f"{pulling.clock.now() - timedelta(days=30):%Y-%m-%dT%H:%M:%S}"
    expected = {gsid for gsid, each in asked.items() if (each["RespondedDate"] or each["CreatedDate"]) >= start}
    pulling.content["surveys"]["response_limit"] = 10
    for _ in range(40):
        report = pulling.pull(NAME)
        assert report.read <= 10
        if report.read == 0:
            break
        assert report.is_truncated or stored(pulling) == expected
    assert stored(pulling) == expected
    daily = report.calls.get("daily", 0)
    assert daily == 0
    pulling.clock.ahead += timedelta(days=1, minutes=1)
    assert pulling.pull(NAME).calls["daily"] >= 1


def test_another_pinned_type_applies_to_responses_outside_the_window(pulling: Pulling) -> None:
    """The score then comes from another field, also for responses that a backfill stored."""
    survey = pulling.content["surveys"]["objects"][0]
    survey["survey_type"] = "NPS"
    pulling.pull(NAME)
    in_window = stored(pulling)
    read_days(pulling, sorted({day for gsid, day in days_of(pulling).items() if gsid not in in_window}))
    before = stored(pulling)
    assert before == set(days_of(pulling))
    survey["survey_type"] = "CSAT"
    pulling.content["surveys"]["response_limit"] = 15
    pulling.sandbox.reset()
    runs = 0
    while "reread" in pulling.pull(NAME).details:
        runs += 1
        assert runs < 10
    assert runs > 1  # each run re-reads up to the limit, and the next continues
    scores = {gsid: each["CSATScore"] for gsid, each in ask(pulling, OBJECT, "CSATScore").items()}
    rows = pulling.query("SELECT activity_id, survey_type, score::float, nps_group FROM activity")
    assert {row[0]: row[1:] for row in rows} == {gsid: ("CSAT", scores[gsid], None) for gsid in before}


def test_another_pinned_type_applies_to_responses_of_a_filter(pulling: Pulling) -> None:
    survey = pulling.content["surveys"]["objects"][0]
    survey["survey_type"] = "NPS"
    pulling.pull(NAME)
    before = stored(pulling)
    survey["survey_type"] = "CSAT"
    pulling.content["surveys"]["filter"] = {
        "conditions": [{"name": "NPSScore", "alias": "A", "value": [10], "operator": "GTE"}],
        "expression": "A",
    }
    pulling.pull(NAME)
    types = dict(pulling.query("SELECT activity_id, survey_type FROM activity"))
    assert {types[gsid] for gsid in before} == {"CSAT"}


def test_a_longer_lookback_reads_its_window_and_no_other_stored_responses(pulling: Pulling) -> None:
    read_days(pulling, sorted(set(days_of(pulling).values())))
    pulling.content["surveys"]["lookback_days"] = 10
    pulling.pull(NAME)
    pulling.content["surveys"]["lookback_days"] = 30
    report = pulling.pull(NAME)
    assert any("go further back" in note for note in report.notes)
    assert 0 < report.unchanged < len(stored(pulling))
    assert report.calls["query"] <= 3


def full(prepare: Callable[[], Prepared]) -> Callable[[], Prepared]:
    return lambda: replace(prepare(), is_full=True)


def test_each_full_run_reads_all_stored_responses_again(pulling: Pulling) -> None:
    pulling.pull(NAME)
    read_days(pulling, sorted(set(days_of(pulling).values())))
    everything = stored(pulling)
    for _ in range(2):
        run_id = uuid.uuid4().hex
        prepare = pulling.prepared(NAME, run_id)
        report = sync(pulling.store, pulling.clock, NAME, run_id, full(prepare))
        assert report.read >= len(everything)
    assert pulling.pull(NAME).details.get("reread") is None


def test_settings_changed_back_after_a_reread_leave_consistent_rows(pulling: Pulling) -> None:
    survey = pulling.content["surveys"]["objects"][0]
    survey["survey_type"] = "CSAT"
    pulling.pull(NAME)
    survey["survey_type"] = "NPS"
    pulling.pull(NAME)
    survey["survey_type"] = "CSAT"
    pulling.content["surveys"]["response_limit"] = 5
    assert pulling.pull(NAME).is_truncated  # some rows are CSAT by now
    survey["survey_type"] = "NPS"
    pulling.content["surveys"]["response_limit"] = 5000
    pulling.pull(NAME)
    assert pulling.query("SELECT DISTINCT survey_type FROM activity") == [("NPS",)]


def days_later(pulling: Pulling, days: float) -> None:
    """Moves our clock and the tenant's forward."""
    pulling.clock.ahead += timedelta(days=days)
    pulling.sandbox.switch(now_offset_seconds=pulling.clock.ahead.total_seconds())


@pytest.mark.parametrize("dates", [["RespondedDate"], [], ["RespondedDate", "ModifiedDate"]])
def test_an_outage_longer_than_the_lookback_loses_nothing(pulling: Pulling, dates: list[str]) -> None:
    """Responses given during the outage are read, even those without a date."""
    company = next(iter(pulling.truth("company")))
    pulling.content["surveys"]["lookback_days"] = 7
    pulling.pull(NAME)
    days_later(pulling, 0.5)
    pulling.pull(NAME)
    days_later(pulling, 0.1)
    before = set(pulling.truth(OBJECT))
    values = {"GsCompanyId": company, "SurveyType": "NPS", "NPSScore": 9, "RespondedDate": None}
    if "RespondedDate" in dates:
        values["RespondedDate"] = pulling.clock.now().isoformat()
    if "ModifiedDate" in dates:
        values["ModifiedDate"] = None
    pulling.sandbox.edit({"object": OBJECT, "action": "insert", "values": values})
    (new,) = set(pulling.truth(OBJECT)) - before
    pulling.sandbox.switch(reject_key=True)
    days_later(pulling, 1)
    with pytest.raises(CredentialsRejected):
        pulling.pull(NAME)
    pulling.sandbox.switch(reject_key=False)
    days_later(pulling, 9)
    pulling.pull(NAME)
    assert new in stored(pulling)
    days_later(pulling, 1)
    pulling.pull(NAME)
    ((since,),) = pulling.query("SELECT window_from FROM sync_run ORDER BY started_at DESC LIMIT 1")
    assert timedelta(days=6) < pulling.clock.now() - since < timedelta(days=8)


def test_changed_settings_apply_to_rows_of_a_filter_too(pulling: Pulling) -> None:
    """A changed survey type re-reads them, and so does a full run."""
    survey = pulling.content["surveys"]["objects"][0]
    survey["survey_type"] = "NPS"
    condition = {"name": "NPSScore", "alias": "A", "value": [9], "operator": "GTE"}
    pulling.content["surveys"]["filter"] = {"conditions": [condition]}
    pulling.pull(NAME)
    before = stored(pulling)
    condition["value"] = [10]
    survey["survey_type"] = "CSAT"
    pulling.pull(NAME)
    types = dict(pulling.query("SELECT activity_id, survey_type FROM activity"))
    assert len(before) > 3
    assert {types[gsid] for gsid in before} == {"CSAT"}
    run_id = uuid.uuid4().hex
    report = sync(pulling.store, pulling.clock, NAME, run_id, full(pulling.prepared(NAME, run_id)))
    assert report.read >= len(before)
    assert pulling.pull(NAME).details.get("reread") is None


def test_changed_settings_apply_to_backfilled_rows_too(pulling: Pulling) -> None:
    survey = pulling.content["surveys"]["objects"][0]
    survey["survey_type"] = "NPS"
    pulling.content["surveys"]["lookback_days"] = 10
    today = datetime.now(UTC).date()
    read_days(pulling, [today - timedelta(days=ago) for ago in range(30, -1, -1)])
    everything = stored(pulling)
    survey["survey_type"] = "CSAT"
    report = pulling.pull(NAME)
    scores = {gsid: each["CSATScore"] for gsid, each in ask(pulling, OBJECT, "CSATScore").items()}
    rows = pulling.query("SELECT activity_id, survey_type, score::float FROM activity")
    assert len(everything) > 10
    assert {gsid: ("CSAT", scores[gsid]) for gsid in everything}.items() <= {row[0]: row[1:] for row in rows}.items()
    assert report.read <= len(everything) + 20  # each response once, either within the window or by its Gsid
    assert pulling.pull(NAME).details.get("reread") is None


def test_a_survey_object_is_the_same_in_any_spelling(pulling: Pulling) -> None:
    """The rows take the settings' spelling and stay live; nothing is re-read."""
    pulling.content["surveys"]["register_custom_fields"] = True
    pulling.pull(NAME)
    before = stored(pulling)
    registered = pulling.query("SELECT name, label FROM custom_field ORDER BY name")
    pulling.content["surveys"]["objects"][0]["object"] = "Survey_Response"
    report = pulling.pull(NAME)
    assert report.read <= 20  # the overlap
    rows = pulling.query("SELECT DISTINCT source_object, deleted_at FROM activity")
    assert rows == [("Survey_Response", None)]
    assert stored(pulling) == before
    assert pulling.query("SELECT name, label FROM custom_field ORDER BY name") == registered
    pulling.content["surveys"]["objects"][0]["object"] = OBJECT
    pulling.pull(NAME)
    assert pulling.query("SELECT DISTINCT source_object FROM custom_field") == [(OBJECT,)]
