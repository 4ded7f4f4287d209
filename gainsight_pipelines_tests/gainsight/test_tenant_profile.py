"""Profiling a tenant's API behaviour with small calls, and the sandbox that imitates a tenant from its profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.gainsight.tenant_profile import TenantProfile, probe_tenant
from gainsight_pipelines.sandbox.tenant_report import NoReport, switches_like
from gainsight_pipelines_tests.pulling import ShiftedClock
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

HEALTHY = {
    "data_shape": "records",
    "date_style": "iso",
    "empty_dates": False,
    "case_drift": False,
    "missing_keys": False,
    "where": "honoured",
    "order_by": "honoured",
    "offset": "honoured",
    "dates": "honoured",
    "or_conditions": "honoured",
    "parentheses": "honoured",
    "largest_page": 300,
    "page_cap": None,
    "no_data": "records",
    "delete_log": True,
    "refusals": {
        "unknown_field": {"status": 400, "code": "GSOBJ_1002"},
        "unknown_object": {"status": 400, "code": ""},
        "limit": {"status": 400, "code": "GSOBJ_1002"},
    },
    "notes": (),
}


@pytest.fixture
def sandbox(small_sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    small_sandbox.reset()
    yield small_sandbox
    small_sandbox.reset()


def probe(sandbox: RunningSandbox) -> TenantProfile:
    client = GainsightClient(
        sandbox.urls["gainsight"], AccessKey(sandbox.env["GAINSIGHT_API_KEY"]), clock=ShiftedClock(), max_tries=1
    )
    with closing(client):
        return probe_tenant(client, client.list_objects(), client.describe("activity_timeline"))


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, {}),
        ({"data_shape": "list"}, {"data_shape": "list"}),
        ({"date_format": "epoch_ms"}, {"date_style": "epoch_ms"}),
        ({"date_format": "iso_ms"}, {"date_style": "iso_ms"}),
        ({"page_cap": 120}, {"page_cap": 120, "largest_page": 120}),
        ({"no_data": "legacy"}, {"no_data": "legacy"}),
        ({"no_data": "http400"}, {"no_data": "http400"}),
        ({"order_by_ignored": True}, {"order_by": "ignored"}),
        ({"offset_ignored": True}, {"offset": "ignored"}),
        ({"or_refused": True}, {"or_conditions": "refused", "parentheses": "refused"}),
        ({"parentheses_refused": True}, {"parentheses": "refused"}),
        ({"delete_log": False}, {"delete_log": False}),
        ({"case_drift": True}, {"case_drift": True, "missing_keys": True}),
        (
            {"refusals": {"unknown_field": [422, "GSOBJ_9999"]}},
            {"refusals": HEALTHY["refusals"] | {"unknown_field": {"status": 422, "code": "GSOBJ_9999"}}},  # type: ignore[operator]
        ),
        (
            {"where_ignored": True},
            {
                "where": "ignored",
                "dates": "unknown",
                "or_conditions": "unknown",
                "parentheses": "unknown",
                "no_data": "unknown",
            },
        ),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else None,
)
def test_a_profile_is_reported_and_imitated(
    sandbox: RunningSandbox, tmp_path: Path, switches: dict[str, Any], expected: dict[str, Any]
) -> None:
    sandbox.switch(**switches)
    profile = probe(sandbox)
    found = profile.as_json()
    assert found == HEALTHY | expected, profile.notes
    assert profile.meanings()
    assert sandbox.calls()["calls"]["gainsight"]["query"] <= 16
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"report": "gainsight-tenant-profile", "version": 1, "profile": found}))
    sandbox.reset()
    sandbox.switch(**switches_like(report))
    assert probe(sandbox) == profile


def test_a_step_that_fails_is_noted(sandbox: RunningSandbox) -> None:
    sandbox.switch(page_cap=None, slow_above=4000, slow_seconds=30)
    client = GainsightClient(
        sandbox.urls["gainsight"],
        AccessKey(sandbox.env["GAINSIGHT_API_KEY"]),
        clock=ShiftedClock(),
        max_tries=1,
        read_timeout=0.5,
    )
    with closing(client):
        profile = probe_tenant(client, client.list_objects(), client.describe("activity_timeline"))
    assert profile.where == "honoured"
    assert "the largest page: Gainsight didn't respond" in profile.notes[0]


@pytest.mark.parametrize("content", ["", "{", '{"report": "another"}', '{"report": "x", "version": 1, "profile": {}}'])
def test_a_file_that_is_not_a_report_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(content)
    with pytest.raises(NoReport, match="report"):
        switches_like(file)


def test_the_sandbox_starts_from_a_report(tmp_path: Path) -> None:
    profile = HEALTHY | {"page_cap": 77, "date_style": "epoch_ms", "order_by": "ignored"}
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"report": "gainsight-tenant-profile", "version": 1, "profile": profile}))
    with start_sandbox(tmp_path / "sandbox", activities=100, accounts=40, like=report) as sandbox:
        switches = sandbox.switches()
        assert (switches["page_cap"], switches["date_format"], switches["order_by_ignored"]) == (77, "epoch_ms", True)
