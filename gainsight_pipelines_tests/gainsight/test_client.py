"""The client against responses of all kinds, over sockets: retries, error messages, and no leaked secrets."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme

from gainsight_pipelines.errors import (
    CredentialsRejected,
    PermanentError,
    PipelineError,
    RateLimited,
    SettingsError,
    TransientError,
)
from gainsight_pipelines.gainsight import client as client_module
from gainsight_pipelines.gainsight.client import GainsightClient, checked_base_url
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.gainsight.errors import SlowAnswer, UnknownField, UnknownObject
from gainsight_pipelines.gainsight.query import Condition, Operator, Query
from gainsight_pipelines_tests.gainsight.clocks import RecordingClock
from gainsight_pipelines_tests.gainsight.scripted import (
    GOOD,
    PAGE,
    Answer,
    Scripted,
    answer,
    drip,
    hang,
    reset,
    scripted,
)
from gainsight_pipelines_tests.waiting import wait_until

KEY = "5ecre7-key-that-nobody-may-see"
NAMES = Query(("Name",))


class Case:
    """A client, its server, and its clock."""

    def __init__(self, server: Scripted, **options: Any) -> None:
        self.server = server
        self.clock = RecordingClock()
        self.client = GainsightClient(server.url, AccessKey(KEY), clock=self.clock, **options)

    def names(self) -> list[Any]:
        return [record["Name"] for record in self.client.query("company", NAMES).records]

    def error(self) -> PipelineError:
        with pytest.raises(PipelineError) as caught:
            self.client.query("company", NAMES)
        for shown in (str(caught.value), repr(caught.value), repr(self.client)):
            assert KEY not in shown
        return caught.value


@pytest.fixture
def case() -> Iterator[Callable[..., Case]]:
    with ExitStack() as stack:

        def make(*answers: Answer, **options: Any) -> Case:
            case = Case(stack.enter_context(scripted(*answers)), **options)
            stack.callback(case.client.close)
            return case

        yield make


def refusal(code: str, text: str = "", status: int = 400, **headers: str) -> bytes:
    document = {"result": False, "errorCode": code, "errorDesc": text, "requestId": "r", "message": text}
    return answer(document, status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_query_is_sent_as_documented(case):
    one = case(answer(GOOD, headers={"Date": "Sat, 31 Jan 2026 10:00:00 GMT"}, zipped=True))
    where = (Condition("Name", Operator.EQ, ("one",)),)
    page = one.client.query("company", Query(("Name",), where, (("Name", "asc"),), limit=7))
    first, headers, body = one.server.requests[0]
    assert first == "POST /v1/data/objects/query/company HTTP/1.1"
    assert headers["accesskey"] == KEY
    assert "gzip" in headers["accept-encoding"]
    assert "authorization" not in headers
    assert json.loads(body) == {
        "select": ["Name"],
        "where": {
            "conditions": [{"name": "Name", "alias": "A", "value": ["one"], "operator": "EQ"}],
            "expression": "A",
        },
        "orderBy": {"Name": "asc"},
        "limit": 7,
        "offset": 0,
    }
    assert page.records == [{"Name": "one"}]
    assert page.server_time == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert one.client.bytes_received == page.size_bytes == len(json.dumps(GOOD))


def test_calls_share_one_connection(case):
    one = case(answer(GOOD))
    for _ in range(5):
        assert one.names() == ["one"]
    assert one.server.connections == 1
    assert one.client.calls == {"query": 5}


def test_each_request_is_announced_and_counted_by_kind(case):
    kinds: list[str] = []
    one = case(refusal("GU_1101", "Oops", 500), answer(GOOD), before_call=kinds.append)
    one.client.query("company", NAMES, kind="sweep")
    assert kinds == ["sweep", "sweep"]
    assert one.client.calls == {"sweep": 2}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(refusal("GU_1101", "Oops, something went wrong...", 500), id="500"),
        pytest.param(refusal("GU_1101", "Oops, something went wrong..."[:4], 200), id="result false on 200"),
        pytest.param(answer(PAGE, 502, content_type="text/html"), id="502 page of a gateway"),
        pytest.param(answer(PAGE, 503, content_type="text/html"), id="503"),
        pytest.param(answer(b"", 504), id="504 with nothing"),
        pytest.param(answer(b"", 200), id="nothing"),
        pytest.param(answer(b"", 408), id="408"),
        pytest.param(answer(json.dumps(GOOD).encode()[:-5]), id="truncated JSON"),
        pytest.param(answer(GOOD, length=10_000), id="content length too long"),
        pytest.param(answer(GOOD, length=20), id="content length too short"),
        pytest.param(answer(b"[]"), id="no object"),
        pytest.param(reset, id="reset in the body"),
        pytest.param(lambda connection: None, id="hung up at once"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="no HTTP"),
        pytest.param(answer(b"\x1f\x8b broken", headers={"Content-Encoding": "gzip"}), id="broken gzip"),
    ],
)
def test_a_transient_failure_is_retried(case, broken):
    one = case(broken, broken, answer(GOOD))
    assert one.names() == ["one"]
    assert one.client.calls == {"query": 3}
    assert len(one.clock.sleeps) == 2
    assert 0.5 <= one.clock.sleeps[0] <= 1.0 <= one.clock.sleeps[1] <= 2.0


def test_after_the_last_try_a_transient_error_is_raised(case):
    one = case(answer(PAGE, 502, content_type="text/html"))
    error = one.error()
    assert isinstance(error, SlowAnswer)
    assert "HTTP 502" in str(error)
    assert one.client.calls.total() == client_module.MAX_TRIES
    assert one.clock.sleeps == sorted(one.clock.sleeps)


def test_a_timeout_is_retried_and_then_reported(case):
    one = case(hang, answer(GOOD), read_timeout=0.2)
    assert one.names() == ["one"]
    error = case(hang, read_timeout=0.05).error()
    assert isinstance(error, SlowAnswer)
    assert "didn't respond to the query of company in time" in str(error)


def test_a_slow_drip_ends_at_the_time_limit(case):
    head = answer(b"", length=10_000_000)
    one = case(drip(head, b" ", 0.01), max_answer_seconds=0.15, read_timeout=5)
    started = time.monotonic()
    assert "takes longer than 0.15 seconds" in str(one.error())
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_slow_drip_of_headers_ends_at_the_time_limit(case, start):
    """A socket's timeout restarts with each byte."""
    one = case(drip(start, b"X" if not start else b"X: y\r\n", 0.01), max_answer_seconds=0.15, read_timeout=5)
    started = time.monotonic()
    assert "takes longer than 0.15 seconds" in str(one.error())
    assert time.monotonic() - started < 5
    assert one.client.calls.total() == 5  # the limit applies to each attempt


def test_silence_ends_at_the_time_limit(case):
    started = time.monotonic()
    one = case(hang, max_answer_seconds=0.1, read_timeout=60, max_tries=1)
    assert isinstance(one.error(), SlowAnswer)
    assert time.monotonic() - started < 5


def test_a_closed_client_makes_no_further_call(case):
    """Even if another thread is waiting for a response or for the next attempt."""
    one = case(refusal("GU_1101", "", 500))
    waits, goes_on = threading.Event(), threading.Event()

    def sleep(_seconds):
        waits.set()
        assert goes_on.wait(30)

    one.clock.sleep = sleep
    silent = case(hang, read_timeout=60)
    with ThreadPoolExecutor(2) as pool:
        trying, asking = pool.submit(one.names), pool.submit(silent.names)
        assert waits.wait(30)
        wait_until(lambda: silent.server.requests)
        for each in (one, silent):
            each.client.close()
        goes_on.set()
        for each in (trying, asking):
            assert isinstance(each.exception(30), PipelineError)
    assert [len(each.server.requests) for each in (one, silent)] == [1, 1]


@pytest.mark.parametrize("zipped", [False, True])
def test_an_endless_response_ends_at_the_size_limit(case, zipped):
    if zipped:
        one = case(answer(b" " * 5_000_000, zipped=True), max_response_bytes=100_000)
    else:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        one = case(drip(head, b"10000\r\n" + b" " * 0x10000 + b"\r\n", 0), max_response_bytes=1_000_000)
    error = one.error()
    assert isinstance(error, PermanentError)  # the same query would fail again
    assert "larger than" in str(error)
    assert one.client.calls.total() == 1


def test_a_smaller_query_is_sent_if_the_caller_has_one(case):
    one = case(refusal("GU_1101", "", 500), refusal("GU_1101", "", 500), answer(GOOD))
    page = one.client.query("company", NAMES, shrink=lambda query, error: query.with_limit(query.limit // 2))
    assert [json.loads(body)["limit"] for _, _, body in one.server.requests] == [5000, 2500, 1250]
    assert page.limit == 1250


def test_a_redirect_is_never_followed_with_the_key(case):
    other = case(answer(GOOD))
    one = case(answer(b"", 302, headers={"Location": other.server.url + "/v1/data/objects/query/company"}))
    error = one.error()
    assert isinstance(error, PermanentError)
    assert f"redirects to host {other.server.url.removeprefix('http://')}: set that as gainsight.base_url" in str(error)
    assert other.server.requests == []
    assert one.client.calls.total() == 1


def test_a_redirect_within_the_host_is_a_login_page(case):
    assert "login page" in str(case(answer(b"", 302, headers={"Location": "/login?next=/v1"})).error())


@pytest.mark.parametrize("status", [401, 200])
def test_a_rejected_key(case, status):
    one = case(refusal("GS_APIG_2401", "Unauthorized", status))
    error = one.error()
    assert isinstance(error, CredentialsRejected)
    assert str(error) == "the API key was rejected (expired or rotated): set the new key and run again"
    assert one.client.calls.total() == 1


@pytest.mark.parametrize("status", [401, 403, 400])
def test_an_ip_address_that_is_not_on_the_allow_list_is_reported(case, status):
    error = case(refusal("GS_APIG_2402", "IP Address does not lie in range of whitelisted ips", status)).error()
    assert isinstance(error, CredentialsRejected)
    assert "IP allow-list" in str(error)


@pytest.mark.parametrize("status", [429, 200, 400])
def test_a_rate_limit_waits_for_the_next_minute_of_the_server_clock(case, status):
    one = case(refusal("GS_APIG_2404", "limit", status, Date="Sat, 31 Jan 2026 10:00:47 GMT"), answer(GOOD))
    assert one.names() == ["one"]
    assert len(one.clock.sleeps) == 1
    assert 13.0 < one.clock.sleeps[0] < 15.0


def test_retry_after_is_obeyed_in_seconds_and_as_a_date(case):
    date = datetime(2026, 1, 31, 10, tzinfo=UTC)
    in_half_a_minute = format_datetime(date + timedelta(seconds=30), usegmt=True)
    one = case(
        refusal("", "slow down", 429, Retry_After="7"),
        refusal("", "slow down", 429, Retry_After=in_half_a_minute, Date=format_datetime(date, usegmt=True)),
        refusal("", "busy", 503, Retry_After="3"),
        answer(GOOD),
    )
    assert one.names() == ["one"]
    assert one.clock.sleeps == [7.0, 30.0, 3.0]


def test_an_exhausted_daily_quota_is_left_to_a_later_run(case):
    one = case(refusal("GS_APIG_2404", "limit", 429))
    error = one.error()
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert len(one.clock.sleeps) == client_module.MAX_RATE_LIMIT_WAITS
    long = case(refusal("GS_APIG_2404", "limit", 429, Retry_After="7200"))
    error = long.error()
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7200
    assert long.clock.sleeps == []


def test_a_web_page_blames_the_base_url_at_first_and_a_gateway_later(case):
    login = answer(PAGE, content_type="text/html")
    one = case(login)
    error = one.error()
    assert isinstance(error, PermanentError)
    assert "Check gainsight.base_url" in str(error)
    assert one.client.calls.total() == 3
    two = case(login, answer(GOOD), *[login] * 4, answer(GOOD))
    assert two.names() == two.names() == ["one"]
    assert two.client.calls.total() == 7


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"result": True, "data": {"records": []}}, 200),
        ({"result": True, "data": []}, 200),
        ({"result": True, "data": {"records": None}}, 200),
        ({"result": True, "data": None}, 200),
        ({"result": False, "errorCode": "GSOBJ_1XXX", "errorDesc": "No data found for given criteria"}, 200),
        ({"result": False, "errorCode": "GSOBJ_1011", "errorDesc": "No entity matches the given criteria"}, 400),
        ({"result": False, "errorCode": None, "errorDesc": "No data found for given criteria", "data": None}, 200),
    ],
)
def test_no_data_is_an_empty_page(case, document, status):
    assert case(answer(document, status)).names() == []


@pytest.mark.parametrize("data", ["text", {"other": 1}, [1], {"records": {"Name": "one"}}])
def test_data_in_another_format_is_an_error(case, data):
    assert "can't be read" in str(case(answer({"result": True, "data": data})).error())


NOT_FOUND = {
    "requestId": "r",
    "result": False,
    "instance": "2021-02-03 10:31:28 UTC",
    "title": "OBJECT_NOT_FOUND",
    "detail": "Requested object not found.",
    "errorDesc": "Requested object not found.",
}


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_an_unknown_object(case, status):
    one = case(answer(NOT_FOUND, status))
    assert isinstance(one.error(), UnknownObject)
    with pytest.raises(UnknownObject, match="describe of no_such"):
        one.client.describe("no_such")
    assert one.client.calls.total() == 2


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("COCKPIT_5101", "Invalid fields in select clause - gsidasdf"),
        ("P_5005", "Field not readable"),
        ("GSOBJ_1002", "Invalid mapping (Name = Secret Corp)"),
        ("XYZ_1", "The field Foo does not exist (Name = Secret Corp)"),
    ],
)
def test_an_unknown_field(case, code, text):
    error = case(refusal(code, text)).error()
    assert isinstance(error, UnknownField)
    assert "Secret Corp" not in str(error)
    assert ("gsidasdf" in str(error)) == (code == "COCKPIT_5101")


def test_texts_with_record_values_are_not_shown(case):
    error = case(refusal("GSOBJ_1006", "Invalid dateTimes format (OriginalContractDate = 210318).")).error()
    assert isinstance(error, PermanentError)
    assert "210318" not in str(error)
    assert "GSOBJ_1006, a date can't be read" in str(error)


def test_a_wrong_host(case):
    error = case(refusal("GS_APIG_1000", "Not Found", 404)).error()
    assert isinstance(error, PermanentError)
    assert "Check gainsight.base_url" in str(error)


def test_a_refused_connection_and_an_unknown_host_are_reported():
    clock = RecordingClock()
    with scripted(answer(GOOD)) as server:
        pass
    with (
        GainsightClient(server.url, AccessKey(KEY), clock=clock) as client,
        pytest.raises(TransientError, match="refuses"),
    ):
        client.query("company", NAMES)
    with (
        GainsightClient("https://no-such-host.invalid", AccessKey(KEY), clock=clock) as client,
        pytest.raises(TransientError, match=r"no-such-host\.invalid"),
    ):
        client.query("company", NAMES)


def test_an_untrusted_certificate_is_a_permanent_error():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with (
        scripted(answer(GOOD), tls=context) as server,
        GainsightClient(server.url, AccessKey(KEY), clock=RecordingClock()) as client,
        pytest.raises(PermanentError, match=r"isn't trusted.*REQUESTS_CA_BUNDLE"),
    ):
        client.query("company", NAMES)
    assert server.requests == []


def test_damaged_text_is_cleaned_and_counted(case):
    names = (b'"a\\u0000b"', b'"\\ud800x"', b'"\xffy"', b"1e999", b'"ok"')
    body = b'{"result":true,"data":[' + b",".join(b'{"Name":%s}' % name for name in names) + b"]}"
    page = case(answer(body)).client.query("company", NAMES)
    assert [record["Name"] for record in page.records] == ["ab", "\ufffdx", "\ufffdy", None, "ok"]
    assert page.cleaned == 4


@pytest.mark.parametrize("name", ["company/../x", "", "a b", "company?x=1", "ünter", "x" * 200, "company\n"])
def test_names_are_validated_before_they_go_into_a_path(case, name):
    one = case(answer(GOOD))
    with pytest.raises(SettingsError):
        one.client.query(name, NAMES)
    with pytest.raises(SettingsError):
        one.client.describe(name)
    assert one.server.requests == []


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://acme.gainsightcloud.com", "https://acme.gainsightcloud.com"),
        (" https://acme.us2.gainsightcloud.com/ ", "https://acme.us2.gainsightcloud.com"),
        ("HTTPS://Acme.gainsightcloud.com:8443", "https://acme.gainsightcloud.com:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_valid_base_urls(url, checked):
    assert checked_base_url(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.gainsightcloud.com",
        "http://127.0.0.1.evil.example",
        "acme.gainsightcloud.com",
        "ftp://acme.gainsightcloud.com",
        "https://acme.gainsightcloud.com/v1/ui/home",
        "https://acme.gainsightcloud.com?x=1",
        "https://user:password@acme.gainsightcloud.com",
        "https://",
        "https://acme:port",
        "",
    ],
)
def test_invalid_base_urls(url):
    with pytest.raises(SettingsError, match=r"gainsight\.base_url") as caught:
        checked_base_url(url)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "“quoted”"])
def test_invalid_keys(key):
    with pytest.raises(SettingsError, match="GAINSIGHT_API_KEY") as caught:
        AccessKey(key)
    assert key.strip() == "" or key not in str(caught.value)
