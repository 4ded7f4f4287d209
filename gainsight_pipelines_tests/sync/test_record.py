"""Objects configured by name alone: pulls, matching and deletions, compared with the sandbox's data for both CRMs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.objects.record import KNOWN
from gainsight_pipelines_tests.pulling import Pulling, pulling_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox

OBJECTS = (
    "call_to_action",
    "cs_task",
    "cta_group",
    "person",
    "company_person",
    "relationship",
    "relationship_person",
    "gsuser",
    "health_scorecard_fact",
    "scorecard_fact",
    "scorecard_history",
    "email_logs",
)
REFERENCE = ("person", "gsuser")
assert set(KNOWN) <= set(OBJECTS), "whatever the docs name is tried"


@pytest.fixture
def records(pulling: Pulling) -> Pulling:
    pulling.content["objects"] = [{"object": name} for name in OBJECTS]
    return pulling


@pytest.fixture
def hubspot(small_sandbox: RunningSandbox, postgres_server: EmbeddedServer) -> Iterator[Pulling]:
    small_sandbox.reset()
    with pulling_on(postgres_server, small_sandbox, "hubspot") as found:
        found.content["objects"] = [{"object": name} for name in OBJECTS]
        yield found


def stored(pulling: Pulling, name: str) -> dict[str, tuple[str | None, str | None, dict[str, Any]]]:
    """Account, unmatched reason and attributes of the live records, by Gsid."""
    rows = pulling.query(
        """SELECT gsid, account_id, unmatched_reason, attributes FROM record
           WHERE object = %s AND deleted_at IS NULL""",
        (name,),
    )
    return {gsid: (account, reason, attributes) for gsid, account, reason, attributes in rows}


def expected(pulling: Pulling, name: str, kind: str) -> dict[str, tuple[str | None, str | None]]:
    """The account and unmatched reason that the sandbox expects for each record."""
    accounts = pulling.account_ids(kind)
    found: dict[str, tuple[str | None, str | None]] = {}
    for gsid, where in pulling.truth(name).items():
        if name in REFERENCE:
            found[gsid] = (None, None)
        elif where["account"] is not None and where["method"][kind] is not None:
            found[gsid] = (accounts[where["account"]], None)
        else:
            found[gsid] = (None, where["reason"] or "no_account")
    return found


def agree(pulling: Pulling, name: str, kind: str) -> None:
    """Asserts that each record has the expected account or reason, with picklists as labels and lists as lists."""
    rows = stored(pulling, name)
    assert {gsid: (account, reason) for gsid, (account, reason, _) in rows.items()} == expected(pulling, name, kind)
    for gsid, where in pulling.truth(name).items():
        for field, value in where.get("shown", {}).items():
            assert rows[gsid][2][field] == value, (name, field)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_further_object_is_stored_as_the_tenant_has_it(records: Pulling, name: str) -> None:
    report = records.pull(name)
    assert report.status == "completed"
    agree(records, name, "salesforce")
    again = records.pull(name)
    assert (again.written, again.relinked) == (0, 0)


@pytest.mark.parametrize("name", OBJECTS)
def test_further_objects_are_matched_with_hubspot_too(hubspot: Pulling, name: str) -> None:
    hubspot.pull(name)
    agree(hubspot, name, "hubspot")


def test_a_record_is_rematched_without_a_call_once_its_account_exists(records: Pulling) -> None:
    records.pull("call_to_action")
    gsid, where = next(
        (gsid, where) for gsid, where in records.truth("call_to_action").items() if where["reason"] == "no_account"
    )
    done = records.sandbox.edit({"account": None, "action": "insert", "values": {"gsid": where["company"]}})
    before = records.sandbox.calls()["calls"]["gainsight"].get("query:call_to_action", 0)
    report = records.pull("call_to_action")
    assert report.relinked >= 1
    assert stored(records, "call_to_action")[gsid][0] == records.account_ids()[done[0]["account"]]
    agree(records, "call_to_action", "salesforce")
    assert records.sandbox.calls()["calls"]["gainsight"]["query:call_to_action"] - before <= 2


def test_a_deleted_record_is_marked_and_its_row_kept(records: Pulling) -> None:
    records.pull("company_person")
    gsid = next(iter(records.truth("company_person")))
    records.sandbox.edit({"object": "company_person", "action": "delete", "gsid": gsid})
    records.clock.ahead += timedelta(days=1, minutes=1)
    assert records.pull("company_person").details["deleted"] == 1
    assert gsid not in stored(records, "company_person")
    agree(records, "company_person", "salesforce")
    assert records.query("SELECT deleted_at IS NOT NULL FROM record WHERE gsid = %s", (gsid,)) == [(True,)]


def test_the_next_pull_reads_only_the_change(records: Pulling) -> None:
    records.pull("call_to_action")
    gsid = next(iter(records.truth("call_to_action")))
    records.sandbox.edit({"object": "call_to_action", "gsid": gsid, "values": {"Name": "Another name"}})
    report = records.pull("call_to_action")
    assert report.written == 1
    assert stored(records, "call_to_action")[gsid][2]["Name"] == "Another name"


def test_fields_added_later_are_read_for_stored_records(records: Pulling) -> None:
    records.content["objects"] = [{"object": "Call_To_Action", "fields": ["Name"]}]
    records.pull("call_to_action")
    assert {key for _, _, kept in stored(records, "call_to_action").values() for key in kept} == {"Name"}
    records.content["objects"] = [{"object": "call_to_action", "fields": ["name", "statusid"]}]
    assert records.pull("call_to_action").details["reread"]
    agrees = stored(records, "call_to_action")
    for gsid, where in records.truth("call_to_action").items():
        assert agrees[gsid][2]["StatusId"] == where["shown"]["StatusId"]


def test_a_path_to_the_company_can_be_configured(records: Pulling) -> None:
    records.content["objects"] = [{"object": "cs_task", "company_field": "CtaId__gr.CompanyId"}]
    records.pull("cs_task")
    agree(records, "cs_task", "salesforce")
    records.content["objects"] = [{"object": "cs_task", "company_field": "PlanId__gr.CompanyId"}]
    with pytest.raises(SettingsError, match="not a lookup"):
        records.pull("cs_task")


def test_the_account_shows_how_many_records_it_has(records: Pulling) -> None:
    records.pull("call_to_action")
    shown = dict(records.query("SELECT account_id, objects FROM gainsight.account_360 WHERE objects <> '{}'"))
    counted = records.query(
        "SELECT account_id, count(*), max(modified_at) FROM record WHERE account_id IS NOT NULL GROUP BY 1"
    )
    assert {key: each["call_to_action"]["records"] for key, each in shown.items()} == {
        account: count for account, count, _ in counted
    }


def test_an_object_without_an_id_is_read_in_full_and_removed_rows_are_marked(records: Pulling) -> None:
    records.pull("health_scorecard_fact")
    records.query_and_commit(
        """INSERT INTO record (object, gsid, unmatched_reason, changed_at, run_id)
           VALUES ('health_scorecard_fact', 'gone', 'no_company', now(), 'r')"""
    )
    assert records.pull("health_scorecard_fact").details["deleted"] == 1
    agree(records, "health_scorecard_fact", "salesforce")


def test_each_field_is_a_column_of_a_view(records: Pulling) -> None:
    report = records.pull("call_to_action")
    assert report.details["view"]["view"] == "call_to_action"
    rows = records.query(
        """SELECT gsid, account_id, status_id, reason_id, due_date::text, is_closed, owner_id_name, snooze, snooze_2
           FROM gainsight.call_to_action WHERE deleted_at IS NULL"""
    )
    users = {row["Name"] for row in records_of(records, "gsuser")}
    accounts = expected(records, "call_to_action", "salesforce")
    for gsid, account, status, reasons, due, is_closed, owner, _, _ in rows:
        shown = records.truth("call_to_action")[gsid]["shown"]
        assert (status, reasons, due, is_closed) == tuple(shown.values())
        assert account == accounts[gsid][0]
        assert owner in users
    assert len(rows) == len(accounts)


def records_of(records: Pulling, name: str) -> list[dict[str, Any]]:
    """Pulls an object and returns the attributes of its records."""
    records.pull(name)
    return [attributes for _, _, attributes in stored(records, name).values()]


def test_companies_and_survey_fields_have_views_too(records: Pulling) -> None:
    records.pull("company")
    (row,) = records.query(
        """SELECT count(*), count(*) FILTER (WHERE c.attributes ->> 'Industry' IS DISTINCT FROM v.industry),
                  count(*) FILTER (WHERE (c.attributes ->> 'Arr')::numeric IS DISTINCT FROM v.arr)
           FROM company_attributes v JOIN company c USING (gsid)"""
    )
    assert row == (len(records.truth("company")), 0, 0)
    records.content["surveys"]["register_custom_fields"] = True
    records.pull("survey_survey_response")
    (row,) = records.query("SELECT count(*), count(region), count(wants_call) FROM gainsight.survey_survey_response")
    assert row[0] >= row[1] >= row[2] > 0


def test_a_removed_field_keeps_its_column(records: Pulling) -> None:
    records.pull("cta_group")
    field = {"fieldName": "OpenCtas", "gone": True}
    records.sandbox.edit({"object": "cta_group", "action": "describe", "field": field})
    records.clock.ahead += timedelta(days=1, minutes=1)
    report = records.pull("cta_group")
    assert report.details["view"]["gone"] == ["open_ctas"]
    assert records.query("SELECT count(open_ctas) FROM gainsight.cta_group") == [(0,)]
