"""Records deleted in Gainsight (requirement A1: an account doesn't show a deleted company)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import RateLimited
from gainsight_pipelines.sync import SyncReport, sync
from gainsight_pipelines_tests.pulling import Pulling, pulling_on, until_noon
from gainsight_pipelines_tests.sandbox_process import start_sandbox
from gainsight_pipelines_tests.sync.test_company import ask

DAY, WEEK = timedelta(days=1, minutes=1), timedelta(days=7, minutes=1)


def gone(pulling: Pulling, table: str, column: str) -> set[str]:
    return {row[0] for row in pulling.query(f"SELECT {column} FROM {table} WHERE deleted_at IS NOT NULL")}


def later(pulling: Pulling, time: timedelta) -> None:
    """Moves our clock and the tenant's forward."""
    pulling.clock.ahead += time
    pulling.sandbox.switch(now_offset_seconds=pulling.clock.ahead.total_seconds())


def delete(pulling: Pulling, object_name: str, count: int, **having: object) -> set[str]:
    records = [gsid for gsid, each in pulling.truth(object_name).items() if having.items() <= each.items()]
    chosen = records[:count]
    pulling.sandbox.edit(*({"object": object_name, "action": "delete", "gsid": gsid} for gsid in chosen))
    return set(chosen)


def pull_accepting(pulling: Pulling, name: str) -> SyncReport:
    run_id = uuid.uuid4().hex
    prepare = pulling.prepared(name, run_id)
    return sync(pulling.store, pulling.clock, name, run_id, lambda: replace(prepare(), is_vanishing_accepted=True))


def test_deleted_companies_are_marked_by_the_tenants_log(pulling: Pulling) -> None:
    pulling.pull("company")
    pulling.pull("activity")
    deleted = delete(pulling, "company", 2, reason=None)
    later(pulling, DAY)
    report = pulling.pull("company")
    assert gone(pulling, "company", "gsid") == deleted
    assert report.details["deleted"] == 2
    assert report.calls["deletions"] == 1
    companies = pulling.query("SELECT jsonb_array_elements(companies) ->> 'gsid' FROM account_360")
    assert not {gsid for (gsid,) in companies} & deleted
    # Rows matched by the company's CRM id no longer have an account.
    pulling.pull("activity")
    reasons = pulling.query("SELECT DISTINCT match_method FROM activity WHERE company_gsid = ANY(%s)", (list(deleted),))
    assert ("direct",) not in reasons
    assert pulling.pull("company").calls == {"query": 1, "crm": report.calls["crm"]}


def test_deletions_of_any_object_are_found(pulling: Pulling) -> None:
    for name, object_name, table, column in (
        ("activity", "activity_timeline", "activity", "activity_id"),
        ("survey_survey_response", "survey_response", "activity", "activity_id"),
        ("product_usage", "product_usage__gc", "usage_metric", "record_id"),
    ):
        pulling.pull(name)
        before = {row[0] for row in pulling.query(f"SELECT {column} FROM {table}")}
        already = gone(pulling, table, column)
        deleted = delete(pulling, object_name, 3)
        later(pulling, DAY)
        pulling.pull(name)
        assert gone(pulling, table, column) - already == deleted & before


def logged(pulling: Pulling, gsids: set[str]) -> list[str]:
    """The ids of the deletion log's entries for these records."""
    entries = ask(pulling, "record_delete_log", "RecordId")
    return [entry for entry, each in entries.items() if each["RecordId"] in gsids]


@pytest.mark.parametrize("name", ["Activity Timeline", "ACTIVITY_TIMELINE", "Timeline"])
def test_a_log_with_object_labels_is_understood(pulling: Pulling, name: str) -> None:
    pulling.pull("activity")
    stored = {row[0] for row in pulling.query("SELECT activity_id FROM activity")}
    deleted = delete(pulling, "activity_timeline", 3)
    log = logged(pulling, deleted)
    assert len(log) == 3
    pulling.sandbox.edit(
        *({"object": "record_delete_log", "gsid": each, "values": {"ObjectName": name}} for each in log)
    )
    later(pulling, DAY)
    pulling.pull("activity")
    assert gone(pulling, "activity", "activity_id") == (set() if name == "Timeline" else deleted & stored)


def test_an_object_missing_in_the_log_gets_a_monthly_sweep(pulling: Pulling) -> None:
    pulling.pull("activity")
    stored = {row[0] for row in pulling.query("SELECT activity_id FROM activity")}
    deleted = delete(pulling, "activity_timeline", 3)
    pulling.sandbox.edit(
        *({"object": "record_delete_log", "gsid": each, "action": "delete"} for each in logged(pulling, deleted))
    )
    for _ in range(3):
        later(pulling, timedelta(days=9))
        assert "sweep" not in pulling.pull("activity").calls
    assert gone(pulling, "activity", "activity_id") == set()
    later(pulling, timedelta(days=3))
    assert pulling.pull("activity").calls["sweep"] >= 1
    assert gone(pulling, "activity", "activity_id") == deleted & stored


def test_daily_work_is_done_by_a_run_that_starts_a_second_earlier(pulling: Pulling) -> None:
    """Undated records, deletions and corrected CRM ids are checked once per calendar day, not every 24 hours."""
    later(pulling, until_noon())
    pulling.pull("activity")
    for _ in range(2):
        later(pulling, timedelta(days=1, seconds=-1))
        calls = pulling.pull("activity").calls
        assert calls["daily"] >= 1
        assert calls["deletions"] >= 1
        assert calls["links"] >= 1
    calls = pulling.pull("activity").calls
    assert not calls.keys() & {"daily", "deletions", "links"}


def test_without_a_log_a_weekly_sweep_finds_deletions(pulling: Pulling) -> None:
    pulling.sandbox.switch(delete_log=False)
    pulling.pull("company")
    deleted = delete(pulling, "company", 2)
    later(pulling, DAY)
    assert "sweep" not in pulling.pull("company").calls
    assert gone(pulling, "company", "gsid") == set()
    later(pulling, WEEK)
    report = pulling.pull("company")
    assert report.calls["sweep"] == 1
    assert gone(pulling, "company", "gsid") == deleted


def test_a_log_that_does_not_reach_back_far_enough_causes_a_sweep(pulling: Pulling) -> None:
    pulling.pull("company")
    deleted = delete(pulling, "company", 1)
    later(pulling, timedelta(days=20))
    assert pulling.pull("company").calls["sweep"] == 1
    assert gone(pulling, "company", "gsid") == deleted


def test_a_sweep_that_misses_too_much_marks_nothing_without_consent(pulling: Pulling) -> None:
    pulling.sandbox.switch(delete_log=False)
    pulling.content["activity"]["initial_lookback_days"] = None
    pulling.pull("activity")
    deleted = delete(pulling, "activity_timeline", 120)
    later(pulling, WEEK)
    report = pulling.pull("activity")
    assert gone(pulling, "activity", "activity_id") == set()
    assert report.details["vanished"] == 120
    assert "--accept-deletions" in " ".join(report.notes)
    pull_accepting(pulling, "activity")
    assert gone(pulling, "activity", "activity_id") == deleted


def test_a_restored_record_is_live_again(pulling: Pulling) -> None:
    pulling.pull("company")
    gsid = next(iter(pulling.truth("company")))
    with pulling.store.connect("test") as connection:
        connection.execute("UPDATE company SET deleted_at = now() WHERE gsid = %s", (gsid,))
    pulling.sandbox.edit({"object": "company", "gsid": gsid, "values": {"Employees": 7}})
    pulling.pull("company")
    assert gone(pulling, "company", "gsid") == set()


def test_deletions_between_a_failed_first_run_and_the_next_are_found(
    tmp_path: Path, postgres_server: EmbeddedServer
) -> None:
    with (
        start_sandbox(tmp_path, activities=300, accounts=60) as sandbox,
        pulling_on(postgres_server, sandbox) as pulling,
    ):
        sandbox.switch(page_cap=100, limit_per_day=8)
        with pytest.raises(RateLimited):
            pulling.pull("activity")
        stored = {row[0] for row in pulling.query("SELECT activity_id FROM activity")}
        assert 0 < len(stored) < 300
        gsid = min(stored)
        sandbox.edit({"object": "activity_timeline", "action": "delete", "gsid": gsid})
        sandbox.reset()
        later(pulling, timedelta(days=3))
        pulling.pull("activity")
        assert gone(pulling, "activity", "activity_id") == {gsid}
