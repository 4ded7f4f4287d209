"""The Salesforce client over TLS, against a scripted server that follows Salesforce's documentation."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gainsight_pipelines.crm.failures import BLIP_WAITS
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.crm.protocol import Account, PrimaryCRM
from gainsight_pipelines.crm.salesforce import OVERLAP, Salesforce
from gainsight_pipelines.crm.salesforce_session import ClientCredentials, JwtBearer, UsernamePassword
from gainsight_pipelines.errors import (
    CredentialsRejected,
    GateClosed,
    PermanentError,
    PipelineError,
    RateLimited,
    SettingsError,
    TransientError,
)
from gainsight_pipelines_tests.crm.conftest import TestClock
from gainsight_pipelines_tests.crm.scripted import BLIPS, Answer, Request, Server, serve

SECRET = "s3cr3t-client-secret"
FIELDS = [
    {"name": "Id", "label": "Account ID", "type": "id"},
    {"name": "Name", "label": "Account Name", "type": "string"},
    {"name": "Website", "label": "Website", "type": "url"},
    {"name": "ParentId", "label": "Parent Account ID", "type": "reference", "relationshipName": "Parent"},
    {"name": "OwnerId", "label": "Owner ID", "type": "reference", "relationshipName": "Owner"},
    {"name": "AnnualRevenue", "label": "Annual Revenue", "type": "currency"},
    {"name": "ARR__c", "label": "ARR", "type": "currency"},
    {"name": "Renewal_Date__c", "label": "Renewal Date", "type": "date"},
    {"name": "Gainsight_GSID__c", "label": "Gainsight GSID", "type": "string"},
]
ALL_FIELDS = AccountFieldMap(arr="arr__c", renewal_date="Renewal_Date__c")


def record(number: int, stamp: str, **more: Any) -> dict[str, Any]:
    return {
        "attributes": {"type": "Account"},
        "Id": f"0015g0000000{number:03d}",
        "Name": f"Account {number}",
        "SystemModstamp": f"{stamp}.000+0000",
        "IsDeleted": False,
        "MasterRecordId": None,
    } | more


class Organisation:
    """A scripted Salesforce: `pages` by query locator, and the errors to return first."""

    def __init__(self) -> None:
        self.token = "token-1"
        self.address = ""
        self.pages: dict[str, list[list[dict[str, Any]]]] = {}
        self.before: Callable[[Request], Answer | None] = lambda request: None
        self.count = 3

    def __call__(self, request: Request) -> Answer:
        special = self.before(request)
        if special is not None:
            return special
        if request.path == "/services/oauth2/token":
            if "client_secret" in request.form and request.form["client_secret"] != SECRET:
                return Answer({"error": "invalid_client", "error_description": "invalid client credentials"}, 401)
            return Answer({"access_token": self.token, "instance_url": self.address, "token_type": "Bearer"})
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        if request.path.endswith("/sobjects/Account/describe"):
            return Answer({"name": "Account", "fields": FIELDS})
        soql = request.query.get("q", "")
        if "COUNT()" in soql:
            return Answer({"totalSize": self.count, "done": True, "records": []})
        if soql == "SELECT Id FROM Account LIMIT 1":
            return Answer({"totalSize": 1, "done": True, "records": [record(1, "2026-03-01T10:00:00")][: self.count]})
        if "FROM Organization" in soql:
            return Answer({"totalSize": 1, "done": True, "records": [{"Id": "00D5g000004sand"}]})
        return self._page(request, soql)

    def _page(self, request: Request, soql: str) -> Answer:
        match = re.search(r"/query/0r8(\d+)-(\d+)$", request.path)
        key, position = (list(self.pages)[int(match[1])], int(match[2])) if match else (soql, 0)
        pages = self.pages.get(key) or next(iter(self.pages.values()))
        number = list(self.pages).index(key) if key in self.pages else 0
        more = {"nextRecordsUrl": f"/services/data/v59.0/query/0r8{number}-{position + 1}"}
        done = position + 1 >= len(pages)
        return Answer({"totalSize": 9, "done": done, "records": pages[position]} | ({} if done else more))


@pytest.fixture
def organisation() -> Organisation:
    return Organisation()


@pytest.fixture
def server(organisation: Organisation, tls: ssl.SSLContext) -> Iterator[Server]:
    with serve(organisation, tls) as running:
        organisation.address = running.address
        yield running


@pytest.fixture
def crm(server: Server, clock: TestClock) -> Iterator[Salesforce]:
    with connected(server, clock) as salesforce:
        yield salesforce


@contextmanager
def connected(server: Server, clock: TestClock, **more: Any) -> Iterator[Salesforce]:
    arguments: dict[str, Any] = {"fields": ALL_FIELDS, "gsid_fields": ["gainsight_gsid__c"]} | more
    credentials = arguments.pop("credentials", None) or ClientCredentials(server.address, "client", SECRET)
    salesforce = Salesforce(credentials, arguments["fields"], arguments["gsid_fields"], clock)
    try:
        yield salesforce
    finally:
        salesforce.close()


def queries(server: Server) -> list[str]:
    return [request.query["q"] for request in server.requests if "q" in request.query]


def test_implements_the_primary_crm_protocol(crm: Salesforce) -> None:
    as_protocol: PrimaryCRM = crm
    assert as_protocol.kind == "salesforce"
    assert crm.calls == 0
    assert as_protocol.organisation() == "00D5g000004sandEAA"
    as_protocol.probe()
    assert as_protocol.calls == 3  # login, two queries
    assert as_protocol.count_accounts() == 3
    assert as_protocol.sweep_every == timedelta(days=7)
    assert {field.name for field in crm.account_fields()} >= {"ARR__c", "Website"}


def test_reads_an_account_with_all_its_fields(crm: Salesforce, organisation: Organisation, server: Server) -> None:
    master = record(
        1, "2026-03-01T10:00:00",
        Website="https://www.Acme.com/", ParentId="0015g0000000007", OwnerId="0055g0000000001",
        Owner={"attributes": {"type": "User"}, "Name": "Ada Byron"}, ARR__c=120000.5, Renewal_Date__c="2026-12-31",
        Gainsight_GSID__c=" 1P02AB ", AnnualRevenue=5,
    )  # fmt: skip
    merged = record(2, "2026-03-01T10:00:05", IsDeleted=True, MasterRecordId="0015g0000000001")
    organisation.pages["any"] = [[master, merged]]
    (page,) = crm.changed_accounts(None)
    assert page.accounts == (
        Account(
            account_id="0015g0000000001AAA",
            name="Account 1",
            domain="acme.com",
            parent_account_id="0015g0000000007AAA",
            arr=Decimal("120000.5"),
            renewal_date=date(2026, 12, 31),
            owner_id="0055g0000000001AAA",
            owner_name="Ada Byron",
            gsids={"gainsight_gsid__c": "1P02AB"},
            modified_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
        ),
        Account(
            account_id="0015g0000000002AAA",
            name="Account 2",
            modified_at=datetime(2026, 3, 1, 10, 0, 5, tzinfo=UTC),
            is_deleted=True,
            merged_into="0015g0000000001AAA",
        ),
    )
    assert queries(server) == [
        (
            "SELECT Id, Name, SystemModstamp, IsDeleted, MasterRecordId, Website, ParentId, OwnerId, ARR__c, "
            "Renewal_Date__c, Gainsight_GSID__c, Owner.Name FROM Account ORDER BY SystemModstamp, Id"
        )
    ]
    assert server.requests[-1].path == "/services/data/v59.0/queryAll/"


def test_arr_is_never_guessed(server: Server, organisation: Organisation, clock: TestClock) -> None:
    organisation.pages["any"] = [[record(1, "2026-03-01T10:00:00")]]
    with connected(server, clock, fields=AccountFieldMap(), gsid_fields=[]) as crm:
        list(crm.live_accounts())
    assert "AnnualRevenue" not in queries(server)[0]
    assert "FROM Account ORDER BY Id" in queries(server)[0]
    assert server.requests[-1].path == "/services/data/v59.0/query/"


def test_incremental_reads_overlap_and_end_after_the_last_change(
    crm: Salesforce, organisation: Organisation, server: Server
) -> None:
    since = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
    organisation.pages["any"] = [
        [record(1, "2026-03-01T10:00:00"), record(2, "2026-03-01T10:20:00")],
        [record(3, "2026-03-01T10:20:00"), record(4, "2026-03-01T10:30:00")],
    ]
    pages = list(crm.changed_accounts(since))
    assert "WHERE SystemModstamp >= 2026-03-01T10:00:00Z ORDER BY SystemModstamp, Id" in queries(server)[0]
    assert [len(page.accounts) for page in pages] == [2, 2]
    assert pages[0].bookmark == datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
    # The last change is two days old: the next read starts a second after it and finds nothing.
    assert pages[1].bookmark == datetime(2026, 3, 1, 10, 30, 1, tzinfo=UTC) + OVERLAP

    organisation.pages = {"any": [[]]}
    assert list(crm.changed_accounts(pages[1].bookmark)) == []
    assert "SystemModstamp >= 2026-03-01T10:30:01Z" in queries(server)[-1]


def test_recent_changes_are_read_again(crm: Salesforce, organisation: Organisation) -> None:
    organisation.pages["any"] = [[record(1, "2026-03-03T11:55:00")]]
    since = datetime(2026, 3, 3, 11, 58, tzinfo=UTC)
    (page,) = crm.changed_accounts(None)
    assert page.bookmark == datetime(2026, 3, 3, 11, 55, tzinfo=UTC)
    (page,) = crm.changed_accounts(since)
    assert page.bookmark == since  # the bookmark never moves back


def test_an_edit_while_paging_does_not_move_the_bookmark_past_unread_accounts(
    crm: Salesforce, organisation: Organisation
) -> None:
    organisation.pages["any"] = [
        [record(1, "2026-03-01T10:00:00"), record(2, "2026-03-03T12:30:00")],  # edited after the query began
        [record(3, "2026-03-01T10:10:00")],
    ]
    pages = list(crm.changed_accounts(None))
    assert pages[0].bookmark == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert pages[1].bookmark == datetime(2026, 3, 1, 10, 10, 1, tzinfo=UTC) + OVERLAP


def test_a_token_that_expires_while_paging_is_renewed(
    crm: Salesforce, organisation: Organisation, server: Server
) -> None:
    organisation.pages["any"] = [[record(n, f"2026-03-01T10:00:0{n}")] for n in range(4)]
    read = crm.changed_accounts(None)
    numbers = [next(read).accounts[0].name]
    organisation.token = "token-2"
    numbers += [page.accounts[0].name for page in read]
    assert numbers == [f"Account {n}" for n in range(4)]
    paths = [request.path.rpartition("/")[2] for request in server.requests]
    assert paths == ["token", "describe", "", "0r80-1", "token", "0r80-1", "0r80-2", "0r80-3"]


def test_a_dropped_query_restarts_at_the_bookmark(crm: Salesforce, organisation: Organisation, server: Server) -> None:
    organisation.pages["first"] = [[record(1, "2026-03-01T10:00:00"), record(2, "2026-03-01T10:00:07")], []]
    again = [[record(2, "2026-03-01T10:00:07"), record(3, "2026-03-01T10:00:09")]]
    expired = [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]

    def before(request: Request) -> Answer | None:
        if request.path.endswith("/0r80-1"):
            organisation.pages = {"second": again}
            return Answer(expired, 400)
        return None

    organisation.before = before
    read = list(crm.changed_accounts(None))
    assert [account.name for page in read for account in page.accounts] == [
        "Account 1", "Account 2", "Account 2", "Account 3",
    ]  # fmt: skip
    assert "WHERE SystemModstamp >= 2026-03-01T10:00:07Z" in queries(server)[-1]


def test_an_interrupted_sweep_resumes_after_the_last_id(
    crm: Salesforce, organisation: Organisation, server: Server
) -> None:
    organisation.pages["first"] = [[record(1, "2026-03-01T10:00:00")], []]

    def before(request: Request) -> Answer | None:
        if request.path.endswith("/0r80-1"):
            organisation.pages = {"second": [[record(2, "2026-03-01T10:00:00")]]}
            return Answer([{"errorCode": "INVALID_QUERY_LOCATOR"}], 400)
        return None

    organisation.before = before
    pages = list(crm.live_accounts())
    assert [page.accounts[0].name for page in pages] == ["Account 1", "Account 2"]
    assert {page.bookmark for page in pages} == {None}
    assert "WHERE Id > '0015g0000000001AAA' ORDER BY Id" in queries(server)[-1]


def test_a_read_ends_if_its_queries_are_dropped_at_once(crm: Salesforce, organisation: Organisation) -> None:
    organisation.pages["first"] = [[record(1, "2026-03-01T10:00:00")], []]
    forgotten = Answer([{"errorCode": "INVALID_QUERY_LOCATOR"}], 400)
    organisation.before = lambda request: forgotten if request.path.endswith("-1") else None
    with pytest.raises(TransientError, match="drops query results"):
        list(crm.changed_accounts(None))
    with pytest.raises(TransientError, match="drops query results"):
        list(crm.live_accounts())


def test_a_failing_page_is_retried_patiently_but_not_the_first(
    crm: Salesforce, organisation: Organisation, clock: TestClock
) -> None:
    organisation.pages["any"] = [[record(1, "2026-03-01T10:00:00")], [record(2, "2026-03-01T10:00:01")]]
    failures = iter([503, 502, 503, 503, 500, 503])

    def before(request: Request) -> Answer | None:
        status = next(failures, None) if request.path.endswith("-1") else None
        return Answer(b"<html>busy</html>", status) if status else None

    organisation.before = before
    assert len(list(crm.changed_accounts(None))) == 2
    assert clock.slept == [*BLIP_WAITS, 5, *BLIP_WAITS, 20]
    clock.slept.clear()
    organisation.before = lambda request: Answer(b"<html>busy</html>", 503) if "query" in request.path else None
    with pytest.raises(GateClosed, match="HTTP 503"):
        list(crm.changed_accounts(None))
    assert clock.slept == [*BLIP_WAITS]


@pytest.mark.parametrize("blip", BLIPS)
@pytest.mark.parametrize("call", ["oauth2/token", "query", "describe"])
def test_a_blip_is_retried(
    crm: Salesforce, organisation: Organisation, clock: TestClock, blip: Answer, call: str
) -> None:
    organisation.pages["any"] = [[record(1, "2026-03-01T10:00:00")]]
    blips = iter([blip, blip])
    organisation.before = lambda request: next(blips, None) if request.path.rstrip("/").endswith(call) else None
    assert crm.organisation() == "00D5g000004sandEAA"
    assert crm.missing_gsid_fields() == {}
    assert clock.slept == [*BLIP_WAITS]
    assert sum(clock.slept) < 5


def test_a_rejected_login_fails_at_once(
    crm: Salesforce, organisation: Organisation, clock: TestClock, server: Server
) -> None:
    refused = Answer({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
    organisation.before = lambda request: refused
    with pytest.raises(CredentialsRejected):
        crm.organisation()
    assert len(server.requests) == 1
    assert clock.slept == []


def test_an_outage_is_reported_within_seconds(
    crm: Salesforce, organisation: Organisation, clock: TestClock, server: Server
) -> None:
    """A server that takes seconds for each error is not retried once five seconds have passed."""

    def before(request: Request) -> Answer | None:
        clock.slept.append(4.0)  # the duration of the response
        return Answer(b"", 503)

    organisation.before = before
    with pytest.raises(GateClosed, match="HTTP 503"):
        crm.organisation()
    assert (len(server.requests), clock.slept) == (2, [4.0, BLIP_WAITS[0], 4.0])


SAYINGS = [
    (Answer([{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], 403), RateLimited, "has used up its API calls"),
    (Answer([{"errorCode": "API_DISABLED_FOR_ORG"}], 403), CredentialsRejected, "refused access.*API_DISABLED"),
    (Answer([{"errorCode": "INVALID_SESSION_ID"}], 401), CredentialsRejected, "rejected the credentials"),
    (
        Answer([{"errorCode": "INVALID_TYPE", "message": "SELECT 42"}], 400),
        CredentialsRejected,
        "does not show accounts",
    ),
    (Answer([{"errorCode": "QUERY_TIMEOUT"}], 400), TransientError, "took too long"),
    (Answer([{"errorCode": "SERVER_UNAVAILABLE"}], 503), GateClosed, "is not available"),
    (Answer(b"<html>maintenance</html>", 200), GateClosed, "not the API"),
    (Answer([{"errorCode": "NOT_FOUND"}], 404), GateClosed, "not as the API"),
    (Answer(b"", 302, {"Location": "https://elsewhere.invalid/"}), GateClosed, "redirects"),
    (Answer([{"errorCode": "UNFORESEEN", "message": "value 42"}], 418), PermanentError, "UNFORESEEN"),
    (Answer("surprise", 400), PermanentError, "HTTP 400"),
]


@pytest.mark.parametrize(("answer", "error", "text"), SAYINGS)
def test_errors_are_translated(
    crm: Salesforce, organisation: Organisation, answer: Answer, error: type[PipelineError], text: str
) -> None:
    organisation.before = lambda request: None if "oauth2" in request.path else answer
    with pytest.raises(PipelineError, match=text) as caught:
        crm.probe()
    assert type(caught.value) is error
    assert caught.value.todo
    assert "42" not in str(caught.value).replace(crm._peer.address, "")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (
            Answer({"error": "invalid_client"}, 401),
            CredentialsRejected,
            "refused the login: wrong client secret .invalid_client.*SECRET",
        ),
        (
            Answer({"error": "invalid_grant", "error_description": "no client credentials user enabled"}, 400),
            CredentialsRejected,
            "run-as user",
        ),
        (Answer({"error": "temporarily_unavailable"}, 503), GateClosed, "is not available"),
        (Answer(b"<html>", 404), GateClosed, "not as the API"),
        (Answer(b"", 301, {"Location": "https://elsewhere.invalid/"}), GateClosed, "redirects"),
        (Answer({"error": "rate"}, 429), RateLimited, "more calls"),
        (Answer({"instance_url": "https://x"}), GateClosed, "not as the API"),
        (Answer({"access_token": "t", "instance_url": "http://x"}), GateClosed, "without https"),
    ],
)
def test_a_refused_login_says_why(
    crm: Salesforce, organisation: Organisation, answer: Answer, error: type[PipelineError], text: str
) -> None:
    organisation.before = lambda request: answer
    with pytest.raises(PipelineError, match=text) as caught:
        crm.probe()
    assert type(caught.value) is error
    assert SECRET not in str(caught.value)


def test_a_crm_without_accounts_closes_the_gate(crm: Salesforce, organisation: Organisation) -> None:
    organisation.count = 0
    with pytest.raises(GateClosed, match="shows no accounts"):
        crm.probe()


def test_the_probe_counts_nothing(crm: Salesforce, organisation: Organisation, server: Server) -> None:
    """Salesforce takes minutes to count millions of accounts; an aborted count is no error."""
    crm.probe()
    assert queries(server) == ["SELECT Id FROM Account LIMIT 1"]
    gives_up = Answer([{"errorCode": "QUERY_TIMEOUT"}], 400)
    organisation.before = lambda request: gives_up if "COUNT()" in request.query.get("q", "") else None
    assert crm.count_accounts() is None


def test_jwt_bearer(server: Server, organisation: Organisation, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "key.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    credentials = JwtBearer(file, "client", "ada@acme.com", "https://test.salesforce.com", server.address)
    clock = TestClock()
    with connected(server, clock, credentials=credentials) as crm:
        crm.probe()
    form = server.requests[0].form
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        form["assertion"], key.public_key(), ["RS256"], audience="https://test.salesforce.com",
        options={"verify_exp": False},
    )  # fmt: skip
    assert claims == {
        "iss": "client",
        "sub": "ada@acme.com",
        "aud": "https://test.salesforce.com",
        "exp": int(clock.now().timestamp()) + 180,
    }


def test_an_invalid_jwt_key_is_reported(server: Server, clock: TestClock, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text("no key")
    jwt_connection = partial(connected, server, clock, credentials=JwtBearer(file, "c", "u", server.address))
    no_key = pytest.raises(SettingsError, match="SALESFORCE_JWT_KEY_FILE")
    with jwt_connection() as crm, no_key:
        crm.probe()
    file.unlink()
    with jwt_connection() as crm, no_key:
        crm.probe()


SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" '
    'xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)


def test_password_login(server: Server, organisation: Organisation, clock: TestClock) -> None:
    result = (
        f"<loginResponse><result><serverUrl>{server.address}/services/Soap/u/59.0/00D</serverUrl>"
        f"<sessionId>{organisation.token}</sessionId></result></loginResponse>"
    )
    fault = "<soapenv:Fault><sf:exceptionCode>{}</sf:exceptionCode></soapenv:Fault>"

    def before(request: Request) -> Answer | None:
        if "/services/Soap/u/" not in request.path:
            return None
        if b"<n1:password>pass&amp;wordTOKEN</n1:password>" in request.body:
            return Answer(SOAP.format(result).encode())
        return Answer(SOAP.format(fault.format("INVALID_LOGIN")).encode(), 500)

    organisation.before = before
    good = UsernamePassword("ada@acme.com", "pass&word", "TOKEN", server.address)
    with connected(server, clock, credentials=good) as crm:
        crm.probe()
    bad = UsernamePassword("ada@acme.com", "wr0ngpass", "T0KEN", server.address)
    with connected(server, clock, credentials=bad) as crm, pytest.raises(CredentialsRejected) as caught:
        crm.probe()
    assert "INVALID_LOGIN" in str(caught.value)
    assert "SALESFORCE_PASSWORD" in str(caught.value)
    assert "wr0ngpass" not in str(caught.value) + repr(bad) + repr(crm)
    organisation.before = lambda request: Answer(b"<html>not xml", 503)
    with connected(server, clock, credentials=good) as crm, pytest.raises(GateClosed, match="HTTP 503"):
        crm.probe()


def test_missing_fields_are_named_with_their_settings(server: Server, clock: TestClock) -> None:
    fields = AccountFieldMap(arr="ARR_c")
    with connected(server, clock, fields=fields) as crm, pytest.raises(SettingsError) as caught:
        list(crm.changed_accounts(None))
    assert "primary_crm.fields.arr: Salesforce's Account has no field 'ARR_c' (did you mean ARR__c" in str(caught.value)
    with connected(server, clock, gsid_fields={"Gainsight_GSID": "activity.gsid_field"}) as crm:
        missing = crm.missing_gsid_fields()
        with pytest.raises(SettingsError, match="did you mean Gainsight_GSID__c"):
            crm.find_accounts("Gainsight_GSID", ["1P02"])
    assert str(missing["Gainsight_GSID"]).startswith("activity.gsid_field: ")


def test_an_unreachable_crm_says_why(
    server: Server, clock: TestClock, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(address: str) -> str:
        crm = Salesforce(ClientCredentials(address, "client", SECRET), AccountFieldMap(), [], clock)
        with pytest.raises(GateClosed) as caught:
            crm.probe()
        crm.close()
        assert SECRET not in str(caught.value)
        return str(caught.value)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    assert "connection refused" in reason(f"https://127.0.0.1:{closed}")
    assert "host name is not known" in reason("https://no-such-host.invalid")
    with serve(lambda request: Answer({})) as plain:
        assert "no TLS connection" in reason(plain.address.replace("http:", "https:"))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr("gainsight_pipelines.crm.salesforce.PROBE_TIMEOUTS", (0.3, 0.3))
        assert "timeout" in reason(f"https://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setattr("gainsight_pipelines.crm.salesforce.PROBE_TIMEOUTS", (3, 3))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().cafile or "")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    assert "certificate is not trusted" in reason(server.address)
    assert clock.slept == []


def test_repr_shows_no_secret(crm: Salesforce) -> None:
    assert SECRET not in repr(crm) + repr(ClientCredentials("https://x", "client", SECRET))
