"""Client and reader against the sandbox, which implements the API behaviour of test_reader.py independently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import CredentialsRejected, RateLimited
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.gainsight.errors import CannotReadCompletely, UnknownField, UnknownObject
from gainsight_pipelines.gainsight.query import Condition, Operator, Query
from gainsight_pipelines.gainsight.reader import ReadPlan, read_by_ids, read_changed, read_full, read_without_modified
from gainsight_pipelines_tests.gainsight.clocks import RecordingClock
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

TIMELINE = ReadPlan("activity_timeline", ("Gsid", "Subject", "GsCompanyId", "LastModifiedDate"), "LastModifiedDate")


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=1200, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running) -> RunningSandbox:
    running.reset()
    return running


@pytest.fixture
def client(sandbox) -> Iterator[GainsightClient]:
    with GainsightClient(
        sandbox.urls["gainsight"], AccessKey(sandbox.env["GAINSIGHT_API_KEY"]), clock=RecordingClock()
    ) as client:
        yield client


def read(client: GainsightClient, plan: ReadPlan = TIMELINE, **options: Any) -> list[dict[str, Any]]:
    pages = list(read_changed(client, plan, page_size=250, **options))
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    return [record for page in pages for record in page.records]


@pytest.fixture(scope="module")
def dated(running) -> set[str]:
    """The GSIDs of all dated activities, read without paging."""
    with GainsightClient(
        running.urls["gainsight"], AccessKey(running.env["GAINSIGHT_API_KEY"]), clock=SystemClock()
    ) as client:
        records = client.query("activity_timeline", Query(("Gsid", "LastModifiedDate"))).records
    assert len(records) >= 1200
    return {record["Gsid"] for record in records if record.get("LastModifiedDate")}


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"data_shape": "list"},
        {"date_format": "epoch_ms"},
        {"date_format": "iso_ms"},
        {"date_fraction_hidden": True},
        {"empty_dates": True},
        {"case_drift": True},
        {"case_drift": True, "missing_keys": ["Gsid", "CreatedDate"], "empty_dates": True},
        {"no_data": "legacy"},
        {"no_data": "http400"},
        {"page_cap": 120},
        {"parentheses_refused": True, "or_refused": True},
        {"edit_while_reading": 3},
        {"dirty_text": True},
        {"timezone": "America/Los_Angeles"},
        {"order_by_ignored": True},
        {"where_ignored": True},
        {"where_ignored": True, "order_by_ignored": True},
        {"where_ignored": True, "page_cap": 120},
        {"server_errors_next": 2},
        {"server_errors_next": 2, "server_error_kind": "html"},
        {"truncate_next": 1},
        {"rate_limit_next": 2, "rate_limit_status": 200},
        {"rate_limit_next": 1, "rate_limit_retry_after": "3"},
    ],
    ids=str,
)
def test_every_dated_record_is_read_for_each_api_behaviour(sandbox, client, dated, switches):
    sandbox.switch(**switches)
    records = read(client)
    if "Gsid" in switches.get("missing_keys", []):
        assert len(records) >= len(dated)
        return
    gsids = [record["Gsid"] for record in records]
    assert dated <= set(gsids)
    if "edit_while_reading" not in switches:
        assert len(gsids) == len(set(gsids)) or "where_ignored" in switches or "order_by_ignored" in switches


def test_calls_are_pages_plus_one(sandbox, client, dated):
    read(client)
    assert client.calls.total() == sandbox.calls()["totals"]["gainsight"]
    assert client.calls["query"] <= len(dated) // 249 + 2


def test_dated_and_undated_records_are_all_records(sandbox, client, dated):
    undated = [record["Gsid"] for page in read_without_modified(client, TIMELINE) for record in page.records]
    whole = [record["Gsid"] for page in read_full(client, TIMELINE, page_size=200) for record in page.records]
    assert set(undated).isdisjoint(dated)
    assert set(undated) | dated == set(whole)


def test_a_tenant_without_offsets_fails_with_the_reason(sandbox, client):
    sandbox.switch(where_ignored=True, order_by_ignored=True, offset_ignored=True)
    with pytest.raises(CannotReadCompletely, match="activity_timeline can't be read completely"):
        read(client)


def test_objects_and_fields(client):
    names = {info.name for info in client.list_objects()}
    assert {"company", "activity_timeline", "gsuser"} <= {name.casefold() for name in names}
    schema = client.describe("activity_timeline")
    modified = schema.field("lastmodifieddate")
    assert modified is not None
    assert modified.is_date
    company = schema.field("GsCompanyId")
    assert company is not None
    assert (company.is_lookup, company.lookup_path) == (True, "GsCompanyId__gr")
    page = client.query("activity_timeline", Query(("Gsid", "GsCompanyId__gr.Name"), limit=3))
    assert all("GsCompanyId__gr.Name" in record for record in page.records)


def test_reads_companies_by_id(client):
    everyone = [record["Gsid"] for record in client.query("company", Query(("Gsid",))).records]
    lists = list(read_by_ids(client, "company", ("Name",), "Gsid", everyone))
    assert {record["Gsid"] for records in lists for record in records} == set(everyone)


def test_sandbox_refusals_become_errors(sandbox, client):
    with pytest.raises(UnknownObject):
        client.describe("no_such__gc")
    with pytest.raises(UnknownObject):
        client.query("no_such__gc", Query(("Gsid",)))
    with pytest.raises(UnknownField):
        client.query("company", Query(("Gsid", "NoSuchField__gc")))
    with pytest.raises(UnknownField):
        client.query("company", Query(("Gsid",), (Condition("NoSuchField__gc", Operator.IS_NULL),)))
    sandbox.switch(reject_key=True)
    with pytest.raises(CredentialsRejected, match="the API key was rejected"):
        client.list_objects()
    sandbox.switch(reject_key=False, ip_refused=True)
    with pytest.raises(CredentialsRejected, match="allow-list"):
        client.list_objects()
    sandbox.switch(ip_refused=False, rate_limit_next=50)
    with pytest.raises(RateLimited):
        client.list_objects()
