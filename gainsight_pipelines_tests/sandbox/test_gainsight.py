"""Gainsight's protocol over a real socket, called with plain `requests` and compared with the documented samples."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import is_alive, quick_seconds, wait_until

FIXTURES = Path(__file__).parents[1] / "fixtures"
QUERIES: dict[str, Any] = json.loads((FIXTURES / "gainsight_queries.json").read_text())
SAMPLES = [name for name in QUERIES if name != "about"]
KEYSET = {"LastModifiedDate": "asc", "Gsid": "asc"}


def _fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    running.reset()
    return running


class Caller:
    """A minimal client with an API key."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.url = sandbox.urls["gainsight"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["AccessKey"] = sandbox.env["GAINSIGHT_API_KEY"]

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=20, **more)

    def post(self, path: str, body: Any, **more: Any) -> requests.Response:
        return self.session.post(self.url + path, json=body, timeout=20, **more)

    def query(self, name: str, select: list[str], **body: Any) -> requests.Response:
        return self.post(f"/v1/data/objects/query/{name}", {"select": select, "limit": 5000} | body)

    def rows(self, name: str, select: list[str], **body: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.query(name, select, **body).json()["data"]["records"]
        return rows


@pytest.fixture
def caller(sandbox: RunningSandbox) -> Iterator[Caller]:
    made = Caller(sandbox)
    yield made
    made.session.close()


def test_no_answer_waits_for_the_acknowledgement_of_its_headers(caller: Caller) -> None:
    """Without TCP_NODELAY each response does, and Linux delays the acknowledgement by at least 40 ms."""
    assert quick_seconds(lambda: caller.query("company", ["Gsid"], limit=1)) < 0.04


def _same_shape(body: dict[str, Any], sample: dict[str, Any]) -> None:
    """Asserts the same keys, and the same values except where the sample leaves them open."""
    assert set(body) == set(sample)
    for key, value in sample.items():
        assert body[key] == value or value == "…" or key == "requestId", key


# -- metadata ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post"])
def test_object_list_has_the_shape_of_the_sample(caller: Caller, method: str) -> None:
    path = "/v1/meta/services/objects/list?po=company&em=false"
    body = (caller.get(path) if method == "get" else caller.post(path, {})).json()
    sample = _fixture("gainsight_object_list")
    assert set(body) == set(sample)
    by_type = {row["objectType"]: row for row in sample["data"]}
    assert {row["objectType"] for row in body["data"]} == set(by_type)
    for row in body["data"]:
        assert set(row) == set(by_type[row["objectType"]])
    assert {"company", "activity_timeline", "survey_response", "gsuser"} <= {row["objectName"] for row in body["data"]}


def test_describe_has_the_shape_of_the_samples(caller: Caller) -> None:
    flags = "?ic=false&cl=0&idd=false&ihc=false&piec=false"
    body = caller.get(f"/v1/meta/services/objects/Company/describe{flags}").json()
    (node,) = body["data"]
    assert set(node) == {"objectName", "label", "objectType", "labelPlural", "keyPrefix", "fields"}
    fields = {field["fieldName"]: field for field in node["fields"]}
    plain, lookup = _fixture("gainsight_describe_field"), _fixture("gainsight_describe_lookup")
    assert set(fields["Region__gc"]) == set(plain)
    assert set(fields["Region__gc"]["meta"]) == set(plain["meta"])
    assert set(lookup["meta"]) <= set(fields["CreatedBy"]["meta"])
    assert set(lookup["meta"]["properties"]) <= set(fields["CreatedBy"]["meta"]["properties"])
    assert set(fields["CreatedBy"]["meta"]["lookupDetail"]) == set(lookup["meta"]["lookupDetail"])
    options = fields["Stage"]["options"]
    assert set(options[0]) == set(_fixture("gainsight_picklist_option"))
    assert {option["active"] for option in options} == {True, False}
    assert fields["Goals__gc"]["meta"]["filterable"] is False


def test_describe_of_several_objects(caller: Caller) -> None:
    names = ["company", "activity_timeline"]
    body = caller.post("/v1/meta/services/objects/describe", {"objectNames": names}).json()
    assert [node["objectName"] for node in body["data"]] == names


def test_dropdown(caller: Caller) -> None:
    (node,) = caller.get("/v1/meta/services/objects/company/describe").json()["data"]
    stage = next(field for field in node["fields"] if field["fieldName"] == "Stage")
    data = caller.get(f"/v1/meta/services/dropdowns/{stage['options'][0]['groupId']}").json()["data"]
    sample = _fixture("gainsight_dropdown")
    assert set(sample["categoryDetails"]) <= set(data["categoryDetails"])
    assert set(data["childItems"][0]) == set(sample["childItem"])
    assert [item["gsid"] for item in data["childItems"]] == [option["value"] for option in stage["options"]]


# -- query ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_queries_are_answered(caller: Caller, name: str) -> None:
    sample = QUERIES[name]
    response = caller.post(f"/v1/data/objects/query/{sample['object']}", sample["body"])
    body = response.json()
    assert response.status_code == 200
    assert {"result", "errorCode", "errorDesc", "requestId", "data", "message"} <= set(body)
    assert body["data"]["records"]
    # The keys of a record are the paths as the query spelled them.
    assert set(body["data"]["records"][0]) == set(sample["body"]["select"])


def test_reply_headers(caller: Caller, sandbox: RunningSandbox) -> None:
    response = caller.query("activity_timeline", ["Gsid", "Notes"])
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["x-gs-request-id"] == response.headers["x-request-id"] == response.json()["requestId"]
    assert abs(parsedate_to_datetime(response.headers["date"]) - datetime.now(UTC)) < timedelta(seconds=30)
    sandbox.switch(now_offset_seconds=86400)
    later = parsedate_to_datetime(caller.query("gsuser", ["Gsid"]).headers["date"])
    assert later - datetime.now(UTC) > timedelta(hours=23)


def test_keyset_reading_finds_every_activity(caller: Caller, sandbox: RunningSandbox) -> None:
    seen: set[str] = set()
    condition = {"name": "LastModifiedDate", "alias": "A", "operator": "GTE", "value": ["2000-01-01T00:00:00Z"]}
    while True:
        where = {"conditions": [condition], "expression": "A"}
        rows = caller.rows("Activity_Timeline", ["Gsid", "LastModifiedDate"], where=where, orderBy=KEYSET, limit=50)
        new = {row["Gsid"] for row in rows} - seen
        if not new:
            break
        seen |= new
        condition["value"] = [rows[-1]["LastModifiedDate"]]
    condition |= {"operator": "IS_NULL", "value": []}
    where = {"conditions": [condition], "expression": "A"}
    undated = {row["Gsid"] for row in caller.rows("activity_timeline", ["Gsid"], where=where)}
    assert seen | undated == set(sandbox.truth("activity_timeline"))
    assert len(undated) == 4


def test_dates_in_each_form(caller: Caller, sandbox: RunningSandbox) -> None:
    select = ["Gsid", "CreatedDate", "RenewalDate"]
    iso = {row["Gsid"]: row for row in caller.rows("company", select)}
    first = next(row for row in iso.values() if row["RenewalDate"])
    null = next(row for row in iso.values() if row["RenewalDate"] is None)
    moment = datetime.strptime(first["CreatedDate"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    sandbox.switch(date_format="epoch_ms")
    epoch = {row["Gsid"]: row for row in caller.rows("company", select)}
    assert epoch[first["Gsid"]]["CreatedDate"] == moment.timestamp() * 1000
    assert isinstance(epoch[first["Gsid"]]["RenewalDate"], int)
    sandbox.switch(date_format="iso_ms", empty_dates=True)
    other = {row["Gsid"]: row for row in caller.rows("company", select)}
    assert other[first["Gsid"]]["CreatedDate"] == first["CreatedDate"].replace("Z", ".000Z")
    assert other[null["Gsid"]]["RenewalDate"] == ""


def test_data_as_a_list(caller: Caller, sandbox: RunningSandbox) -> None:
    sandbox.switch(data_shape="list")
    assert isinstance(caller.query("gsuser", ["Gsid"]).json()["data"], list)


@pytest.mark.parametrize(
    ("form", "status", "code"), [("records", 200, None), ("legacy", 200, "GSOBJ_1XXX"), ("http400", 400, "GSOBJ_1011")]
)
def test_nothing_found(caller: Caller, sandbox: RunningSandbox, form: str, status: int, code: str | None) -> None:
    sandbox.switch(no_data=form)
    response = caller.query("gsuser", ["Gsid"], offset=4000)
    assert (response.status_code, response.json()["errorCode"]) == (status, code)
    assert response.json()["result"] is (code is None)
    assert response.json()["data"] == ({"records": []} if code is None else None)


def test_keys_in_other_case_and_missing(caller: Caller, sandbox: RunningSandbox) -> None:
    sandbox.switch(case_drift=True)
    select = ["Gsid", "CreatedDate", "ContextName", "InternalAttendees", "ExternalAttendees", "LastModifiedDate"]
    rows = caller.rows("activity_timeline", select)
    keys = {key for row in rows for key in row}
    assert keys != set(select)
    assert {key.lower() for key in keys} == {name.lower() for name in select} - {"createddate"}


def test_dirty_text(caller: Caller, sandbox: RunningSandbox) -> None:
    sandbox.switch(dirty_text=True)
    content = caller.query("activity_timeline", ["Gsid", "Subject"]).content
    assert b"\\u0000" in content
    assert b'\\ud83d"' in content


def test_edits_while_reading(caller: Caller, sandbox: RunningSandbox) -> None:
    sandbox.switch(edit_while_reading=5)
    before = datetime.now(UTC).replace(microsecond=0)
    caller.query("activity_timeline", ["Gsid"], limit=10)
    sandbox.switch(edit_while_reading=0)
    condition = {"name": "LastModifiedDate", "alias": "A", "operator": "GTE", "value": [before.isoformat()]}
    where = {"conditions": [condition], "expression": "A"}
    assert len(caller.rows("activity_timeline", ["Gsid"], where=where, orderBy=KEYSET)) == 5


# -- refusals ------------------------------------------------------------------------------------------------------


def test_bad_key(sandbox: RunningSandbox, caller: Caller) -> None:
    sample = _fixture("gainsight_errors")["bad_key"]
    for headers in ({"accesskey": "wrong"}, {"ACCESSKEY": ""}, {"Authorization": "Bearer nothing"}):
        response = requests.get(f"{caller.url}/v1/meta/services/objects/list", headers=headers, timeout=20)
        assert response.status_code == sample["status"]
        _same_shape(response.json(), sample["body"])
    sandbox.switch(reject_key=True)
    assert caller.query("gsuser", ["Gsid"]).status_code == 401


def test_errors_have_the_bodies_of_the_samples(caller: Caller, sandbox: RunningSandbox) -> None:
    samples = _fixture("gainsight_errors")
    answers = {
        "unknown_route": caller.get("/v1/nothing/here"),
        "unknown_object": caller.query("no_such_object", ["Gsid"]),
    }
    described = caller.get("/v1/meta/services/objects/no_such_object/describe")
    _same_shape(described.json(), samples["unknown_object"]["body"])
    sandbox.switch(server_errors_next=1)
    answers["server_fault"] = caller.query("gsuser", ["Gsid"])
    sandbox.switch(ip_refused=True)
    answers["ip_refused"] = caller.query("gsuser", ["Gsid"])
    for name, response in answers.items():
        assert response.status_code == samples[name]["status"]
        _same_shape(response.json(), samples[name]["body"])


def test_deleted_and_unreadable_fields(caller: Caller, sandbox: RunningSandbox) -> None:
    assert caller.query("company", ["Old_Segment__gc"]).json()["errorCode"] == "GSOBJ_1002"
    sandbox.switch(unreadable_fields=["company.Region__gc"])
    assert caller.query("company", ["region__gc"]).json()["errorCode"] == "P_5005"


@pytest.mark.parametrize(("kind", "status"), [("502", 502), ("503", 503), ("504", 504), ("html", 200)])
def test_gateway_pages(caller: Caller, sandbox: RunningSandbox, kind: str, status: int) -> None:
    sandbox.switch(server_errors_next=1, server_error_kind=kind)
    response = caller.query("gsuser", ["Gsid"])
    assert response.status_code == status
    assert response.text.startswith("<html>")
    assert caller.query("gsuser", ["Gsid"]).json()["result"] is True


def test_result_false_on_200_and_cut_replies(caller: Caller, sandbox: RunningSandbox) -> None:
    sandbox.switch(result_false_next=1, truncate_next=1, broken_objects=["survey_response"])
    response = caller.query("gsuser", ["Gsid"])
    assert (response.status_code, response.json()["result"]) == (200, False)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        caller.query("gsuser", ["Gsid"])
    assert caller.query("survey_response", ["Gsid"]).status_code == 500
    assert caller.query("gsuser", ["Gsid"]).status_code == 200


@pytest.mark.parametrize("status", [429, 200])
def test_rate_limit_refusals(caller: Caller, sandbox: RunningSandbox, status: int) -> None:
    sandbox.switch(rate_limit_next=1, rate_limit_status=status, rate_limit_retry_after="7" if status == 200 else None)
    response = caller.query("gsuser", ["Gsid"])
    assert (response.status_code, response.json()["errorCode"]) == (status, "GS_APIG_2404")
    assert response.headers.get("retry-after") == ("7" if status == 200 else None)
    assert caller.query("gsuser", ["Gsid"]).json()["result"] is True


def test_fixed_window_limit(caller: Caller, sandbox: RunningSandbox) -> None:
    sandbox.switch(limit_per_day=10**6, limit_per_minute=1)
    statuses = [caller.query("gsuser", ["Gsid"]).status_code for _ in range(3)]
    assert statuses.count(200) <= 2
    assert 429 in statuses
    sandbox.switch(limit_per_minute=1, now_offset_seconds=600)
    assert caller.query("gsuser", ["Gsid"]).status_code == 200


def test_m2m_token(sandbox: RunningSandbox, caller: Caller) -> None:
    response = requests.post(
        f"{caller.url}/v1/users/m2m/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=("m2m-nobody", "wrong"),
        timeout=20,
    )
    assert response.status_code == 401
    folder_env = sandbox.folder / "sandbox.m2m.env"
    pair = dict(line.split("=", 1) for line in folder_env.read_text().splitlines())
    response = requests.post(
        f"{caller.url}/v1/users/m2m/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(pair["GAINSIGHT_CLIENT_ID"], pair["GAINSIGHT_CLIENT_SECRET"]),
        timeout=20,
    )
    assert response.json()["expires_in"] == 86400
    headers = {"Authorization": f"Bearer {response.json()['access_token']}"}
    listed = requests.get(f"{caller.url}/v1/meta/services/objects/list", headers=headers, timeout=20)
    assert listed.status_code == 200


# -- control -------------------------------------------------------------------------------------------------------


def test_counters_and_requests(caller: Caller, sandbox: RunningSandbox) -> None:
    caller.query("Company", ["Gsid"])
    caller.get("/v1/meta/services/objects/list")
    calls = sandbox.calls()
    assert calls["totals"] == {"gainsight": 2, "salesforce": 0, "hubspot": 0}
    assert calls["calls"]["gainsight"] == {"query": 1, "query:company": 1, "list": 1}
    last = sandbox.gainsight_requests(1)
    assert last[0]["path"] == "/v1/meta/services/objects/list"
    text = json.dumps(sandbox.gainsight_requests())
    assert not any(secret in text for secret in sandbox.secrets)


def test_wrong_switches_are_refused(sandbox: RunningSandbox) -> None:
    for values in ({"no_such_switch": 1}, {"date_format": "roman"}, {"gainsight_down": "maybe"}):
        with pytest.raises(ValueError, match="switch"):
            sandbox.switch(**values)
    sandbox.switch(gainsight_down=True)
    assert sandbox.switches()["gainsight_down"] is True
    sandbox.reset()
    assert sandbox.switches()["gainsight_down"] is False


def test_edits_keep_the_truth_in_step(caller: Caller, sandbox: RunningSandbox) -> None:
    companies = sandbox.truth("company")
    lost = next(gsid for gsid, each in companies.items() if each["reason"] == "no_account")
    values = {
        "Subject": "New",
        "GsCompanyId": lost,
        "ReportingCategory": "call ",
        "ActivityDate": "2026-01-01T10:00:00Z",
    }
    (made,) = sandbox.edit({"object": "activity_timeline", "action": "insert", "values": values})
    truth = sandbox.truth("activity_timeline")[made["gsid"]]
    assert (truth["reason"], truth["activity_type"], truth["company"]) == ("no_account", "MEETING", lost)
    (account,) = sandbox.edit({"account": None, "action": "insert", "values": {"name": "Healed", "gsid": lost}})
    truth = sandbox.truth("activity_timeline")[made["gsid"]]
    assert (truth["account"], truth["reason"]) == (account["account"], None)
    assert truth["method"] == {"salesforce": "gsid_field", "hubspot": "gsid_field"}
    sandbox.edit({"account": account["account"], "action": "delete"})
    assert sandbox.truth("company")[lost]["reason"] == "no_account"
    sandbox.edit({"object": "activity_timeline", "action": "delete", "gsid": made["gsid"]})
    assert made["gsid"] not in sandbox.truth("activity_timeline")
    log = caller.rows("record_delete_log", ["RecordId"], orderBy={"DeletedOn": "desc"}, limit=1)
    assert log[0]["RecordId"] == made["gsid"]


# -- the process ---------------------------------------------------------------------------------------------------


def test_files_are_private_and_hold_no_secret_in_the_open(running: RunningSandbox) -> None:
    for path in running.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    for name in ("sandbox.json", "gainsight.salesforce.yaml", "gainsight.hubspot.yaml", "truth.json"):
        text = (running.folder / name).read_text()
        assert not any(secret in text for secret in running.secrets)


def test_a_second_start_makes_the_same_world_at_the_same_ports(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, activities=60, accounts=40) as first:
        urls, truth = first.urls, first.truth()
    with start_sandbox(tmp_path, activities=60, accounts=40) as second:
        assert second.urls == urls
        assert second.truth() == truth


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """The parent is killed, so it can't stop the sandbox."""
    command = [sys.executable, "-m", "gainsight_pipelines.sandbox", "--folder", str(tmp_path)]
    code = (
        f"import subprocess, time; s = subprocess.Popen({command}, stdout=subprocess.PIPE); "
        "s.stdout.readline(); print(s.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
