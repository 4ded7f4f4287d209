"""The sandbox's Salesforce over HTTPS, called with the unmodified simple-salesforce and with plain `requests`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import jwt
import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)
from simple_salesforce.login import SalesforceLogin

from gainsight_pipelines.sandbox.salesforce import salesforce_app
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import SALESFORCE_ORGANISATION, World, salesforce_id
from gainsight_pipelines_tests.sandbox.crm_serving import authority_file, renew, served, small_world

ORDERED = "SELECT Id, SystemModstamp FROM Account ORDER BY SystemModstamp, Id"


class ToSandbox(HTTPAdapter):
    """Sends requests for Salesforce's login hosts to the sandbox, as a DNS entry would."""

    def __init__(self, base_url: str) -> None:
        self.target = urlsplit(base_url)
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        parts = urlsplit(request.url)
        if parts.netloc.endswith(".salesforce.com"):
            request.url = urlunsplit((self.target.scheme, self.target.netloc, *parts[2:]))
        return super().send(request, *args, **kwargs)


@dataclass
class Served:
    """A running Salesforce with its world, switches, counters and secrets."""

    url: str
    world: World
    switches: Switches
    counters: Counters
    secrets: SandboxSecrets

    def session(self) -> requests.Session:
        session = requests.Session()
        session.headers["Connection"] = "close"  # a caught exception would keep its connection open
        session.mount("https://", ToSandbox(self.url))
        return session

    def by_client(self, **more: Any) -> Salesforce:
        return Salesforce(
            consumer_key=self.secrets.salesforce_client_id,
            consumer_secret=more.pop("secret", self.secrets.salesforce_client_secret),
            domain="sandbox.my",
            session=self.session(),
            **more,
        )

    def by_password(self, **changed: str) -> Salesforce:
        return Salesforce(
            username=changed.get("username", self.secrets.salesforce_username),
            password=changed.get("password", self.secrets.salesforce_password),
            security_token=changed.get("token", self.secrets.salesforce_security_token),
            session=self.session(),
        )

    def token(self, **form: str) -> requests.Response:
        return requests.post(f"{self.url}/services/oauth2/token", data=form, timeout=10)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def running(authority: trustme.CA) -> Iterator[Served]:
    world, switches, counters, secrets = small_world(), Switches(), Counters(), SandboxSecrets.random()
    with served(salesforce_app(world, switches, counters, secrets, batch_size=4), authority) as url:
        yield Served(url, world, switches, counters, secrets)


@pytest.fixture
def sandbox(running: Served, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    # `requests` prefers this variable to session.verify, and the machine may have set it already.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority_file(authority, tmp_path)))
    renew(running.world, small_world())
    running.switches.reset()
    running.counters.reset()
    return running


def live_ids(world: World) -> set[str]:
    return {salesforce_id(key) for key, account in world.accounts.items() if account.deleted_at is None}


# --- logins -----------------------------------------------------------------------------------------------------------


def test_client_credentials_log_in(sandbox: Served) -> None:
    records = sandbox.by_client().query("SELECT Id FROM Organization")["records"]
    assert [record["Id"] for record in records] == [SALESFORCE_ORGANISATION]


def test_wrong_client_secret_is_refused(sandbox: Served) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as failure:
        sandbox.by_client(secret="wrong")
    assert (failure.value.code, failure.value.auth_message) == ("invalid_client", "invalid client credentials")


def test_client_credentials_in_the_form(sandbox: Served) -> None:
    answer = sandbox.token(
        grant_type="client_credentials",
        client_id=sandbox.secrets.salesforce_client_id,
        client_secret=sandbox.secrets.salesforce_client_secret,
    ).json()
    assert answer["instance_url"] == sandbox.url
    assert answer["id"].split("/")[-2] == SALESFORCE_ORGANISATION
    assert answer["token_type"] == "Bearer"


def test_unknown_client_and_grant_are_named(sandbox: Served) -> None:
    assert sandbox.token(grant_type="client_credentials", client_id="x").json()["error"] == "invalid_client_id"
    refused = sandbox.token(grant_type="magic")
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")


def test_jwt_bearer_logs_in(sandbox: Served) -> None:
    client = Salesforce(
        username=sandbox.secrets.salesforce_username,
        consumer_key=sandbox.secrets.salesforce_client_id,
        privatekey=sandbox.secrets.salesforce_private_key_pem,
        session=sandbox.session(),
    )
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 10


@pytest.mark.parametrize(
    ("claim", "value", "error", "description"),
    [
        ("aud", "https://elsewhere.example", "invalid_grant", "audience is invalid"),
        ("exp", 1_700_000_000, "invalid_grant", "token validity expired"),
        ("sub", "nobody@sandbox.example", "invalid_grant", "user hasn't approved this consumer"),
        ("iss", "another app", "invalid_client_id", "client identifier invalid"),
    ],
)
def test_wrong_claims_are_refused(sandbox: Served, claim: str, value: object, error: str, description: str) -> None:
    claims = {
        "iss": sandbox.secrets.salesforce_client_id,
        "sub": sandbox.secrets.salesforce_username,
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 120,
    }
    assertion = jwt.encode({**claims, claim: value}, sandbox.secrets.salesforce_private_key_pem, algorithm="RS256")
    answer = sandbox.token(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=assertion)
    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_assertion_signed_by_another_key_is_refused(sandbox: Served) -> None:
    other = SandboxSecrets.random().salesforce_private_key_pem
    claims = {"iss": "a", "sub": "b", "aud": "c", "exp": int(time.time()) + 120}
    answer = sandbox.token(
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion=jwt.encode(claims, other, algorithm="RS256"),
    )
    assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}


def test_password_and_security_token_log_in(sandbox: Served) -> None:
    client = sandbox.by_password()
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 10
    assert sandbox.counters.calls["salesforce"]["login"] == 1


def test_login_at_the_sandbox_itself(sandbox: Served) -> None:
    token, instance = SalesforceLogin(
        username=sandbox.secrets.salesforce_username,
        password=sandbox.secrets.salesforce_password,
        security_token=sandbox.secrets.salesforce_security_token,
        scratch_url=sandbox.url,
    )
    client = Salesforce(session_id=token, instance_url=f"https://{instance}")
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 10


@pytest.mark.parametrize("changed", [{"username": "x"}, {"password": "wrong"}, {"token": "wrong"}])
def test_wrong_login_is_refused(sandbox: Served, changed: dict[str, str]) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as failure:
        sandbox.by_password(**changed)
    assert failure.value.code == "INVALID_LOGIN"
    assert failure.value.auth_message == "Invalid username, password, security token; or user locked out."


def test_a_missing_security_token_is_reported(sandbox: Served) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as failure:
        sandbox.by_password(token="")
    assert failure.value.code == "LOGIN_MUST_USE_SECURITY_TOKEN"


def test_token_expires_and_is_renewed_within_a_query(sandbox: Served) -> None:
    client = sandbox.by_client()
    sandbox.switches.token_lifetime_calls = 2
    assert len(client.query_all(ORDERED)["records"]) == 10
    assert sandbox.counters.calls["salesforce"]["token"] == 2


def test_expired_token_without_login_is_an_error(sandbox: Served) -> None:
    client = Salesforce(session_id="00D!gone", instance_url=sandbox.url, session=sandbox.session())
    with pytest.raises(SalesforceExpiredSession) as failure:
        client.query("SELECT Id FROM Account")
    assert failure.value.content == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


# --- queries ----------------------------------------------------------------------------------------------------------


def test_pages_hold_every_record_once_in_order(sandbox: Served) -> None:
    client = sandbox.by_client()
    first = client.query(ORDERED)
    assert (first["totalSize"], first["done"], len(first["records"])) == (10, False, 4)
    assert first["nextRecordsUrl"].startswith("/services/data/v59.0/query/0r8")
    records = list(client.query_all_iter(ORDERED))
    assert {record["Id"] for record in records} == live_ids(sandbox.world)
    keys = [(record["SystemModstamp"], record["Id"]) for record in records]
    assert keys == sorted(keys)
    assert sandbox.counters.calls["salesforce"]["query_more"] == 2


def test_record_looks_like_salesforces(sandbox: Served) -> None:
    soql = (
        "SELECT Id, Name, Website, ParentId, Parent.Name, OwnerId, Owner.Name, ARR__c, Renewal_Date__c, IsDeleted, "
        "Gainsight_GSID__c, SystemModstamp FROM Account WHERE Name = 'Account 02'"
    )
    own, parent, owner = salesforce_id(2), salesforce_id(1), salesforce_id(1, "005")
    assert sandbox.by_client(object_pairs_hook=None).query(soql)["records"] == [
        {
            "attributes": {"type": "Account", "url": f"/services/data/v59.0/sobjects/Account/{own}"},
            "Id": own,
            "Name": "Account 02",
            "Website": "https://www.account2.example/home",
            "ParentId": parent,
            "Parent": {
                "attributes": {"type": "Account", "url": f"/services/data/v59.0/sobjects/Account/{parent}"},
                "Name": "Account 01",
            },
            "OwnerId": owner,
            "Owner": {
                "attributes": {"type": "User", "url": f"/services/data/v59.0/sobjects/User/{owner}"},
                "Name": "Ada O'Brien",
            },
            "ARR__c": 2000.5,
            "Renewal_Date__c": "2026-12-02",
            "IsDeleted": False,
            "Gainsight_GSID__c": "1P02GSID0002",
            "SystemModstamp": "2026-01-31T10:00:00.000+0000",
        }
    ]


def test_absent_parent_is_one_null(sandbox: Served) -> None:
    record = sandbox.by_client().query("SELECT Parent.Name, Owner.Name FROM Account WHERE Name = 'Account 07'")
    assert (record["records"][0]["Parent"], record["records"][0]["Owner"]) == (None, None)


def test_query_hides_deleted_and_query_all_shows_them(sandbox: Served) -> None:
    client = sandbox.by_client()
    soql = "SELECT Id, MasterRecordId, SystemModstamp FROM Account WHERE IsDeleted = true ORDER BY SystemModstamp"
    assert client.query(soql)["totalSize"] == 0
    deleted, merged = client.query(soql, include_deleted=True)["records"]
    assert (deleted["Id"], deleted["MasterRecordId"]) == (salesforce_id(11), None)
    assert deleted["SystemModstamp"] == "2026-02-02T10:00:00.000+0000"
    assert (merged["Id"], merged["MasterRecordId"]) == (salesforce_id(12), salesforce_id(4))
    assert client.query_all("SELECT Id FROM Account", include_deleted=True)["totalSize"] == 12


def test_batch_size_is_a_wish(authority: trustme.CA, sandbox: Served) -> None:
    for key in range(13, 413):
        sandbox.world.accounts[key] = type(sandbox.world.accounts[1])(
            key, f"More {key}", None, None, None, None, None, None, sandbox.world.now, sandbox.world.now
        )
    app = salesforce_app(sandbox.world, sandbox.switches, sandbox.counters, sandbox.secrets)
    with served(app, authority) as url:
        client = replace(sandbox, url=url).by_client()
        assert client.query("SELECT Id FROM Account")["done"]
        page = client.query("SELECT Id FROM Account", headers={"Sforce-Query-Options": "batchSize=10"})
        assert len(page["records"]) == 200  # the smallest batch that Salesforce returns


def test_locators_end(sandbox: Served, authority: trustme.CA) -> None:
    seconds = [0.0]
    app = salesforce_app(
        sandbox.world, sandbox.switches, sandbox.counters, sandbox.secrets, batch_size=4, clock=lambda: seconds[0]
    )
    with served(app, authority) as url:
        client = replace(sandbox, url=url).by_client()
        first = client.query(ORDERED)["nextRecordsUrl"]
        seconds[0] += 800
        second = client.query_more(first, identifier_is_url=True)["nextRecordsUrl"]
        seconds[0] += 1000
        with pytest.raises(SalesforceMalformedRequest) as failure:
            client.query_more(second, identifier_is_url=True)
        assert failure.value.content == [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]


def test_no_more_than_ten_locators(sandbox: Served) -> None:
    client = sandbox.by_client()
    urls = [client.query(ORDERED)["nextRecordsUrl"] for _ in range(11)]
    with pytest.raises(SalesforceMalformedRequest):
        client.query_more(urls[0], identifier_is_url=True)
    assert client.query_more(urls[1], identifier_is_url=True)["records"]


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Nothing__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
    ],
)
def test_bad_query_is_a_400_with_salesforces_code(sandbox: Served, soql: str, code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as failure:
        sandbox.by_client().query(soql)
    assert failure.value.content[0]["errorCode"] == code  # type: ignore[index]


def test_too_long_query_is_refused(sandbox: Served) -> None:
    ids = ", ".join(f"'{salesforce_id(key)}'" for key in range(900))
    with pytest.raises(SalesforceGeneralError) as failure:
        sandbox.by_client().query(f"SELECT Id FROM Account WHERE Id IN ({ids})")
    assert failure.value.status == 414


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_describe_lists_fields_with_types(sandbox: Served) -> None:
    described = sandbox.by_client().Account.describe()
    assert described is not None
    types = {each["name"]: each["type"] for each in described["fields"]}
    assert {types[name] for name in types} >= {"id", "string", "url", "currency", "date", "datetime", "reference"}
    wanted = {
        "Id": "id",
        "Website": "url",
        "AnnualRevenue": "currency",
        "ARR__c": "currency",
        "Renewal_Date__c": "date",
        "Gainsight_GSID__c": "string",
        "OwnerId": "reference",
        "IsDeleted": "boolean",
        "SystemModstamp": "datetime",
    }
    assert types.items() >= wanted.items()
    custom = {each["name"] for each in described["fields"] if each["custom"]}
    assert custom == {"Gainsight_GSID__c", "ARR__c", "Renewal_Date__c", "Is_Strategic__c"}


def test_every_described_field_can_be_selected(sandbox: Served) -> None:
    client = sandbox.by_client()
    for name in ("Account", "User", "Organization"):
        described = getattr(client, name).describe()
        fields = ", ".join(each["name"] for each in described["fields"])
        assert client.query(f"SELECT {fields} FROM {name} LIMIT 3")["records"]


def test_record_by_id(sandbox: Served) -> None:
    client = sandbox.by_client()
    assert client.Account.get(salesforce_id(3))["Name"] == "Account 03"
    with pytest.raises(SalesforceResourceNotFound):
        client.Account.get(salesforce_id(11))


def test_limits_versions_and_usage_header(sandbox: Served) -> None:
    client = sandbox.by_client()
    assert client.limits()["DailyApiRequests"]["Max"] > client.limits()["DailyApiRequests"]["Remaining"]
    client.query("SELECT Id FROM Organization")
    assert client.api_usage["api-usage"].used == sandbox.counters.totals["salesforce"]
    versions = requests.get(f"{sandbox.url}/services/data/", timeout=10).json()
    assert {"label": "Winter '24", "url": "/services/data/v59.0", "version": "59.0"} in versions
    assert client.is_sandbox() is False


def test_writes_are_counted_and_refused(sandbox: Served) -> None:
    client = sandbox.by_client()
    with pytest.raises(SalesforceRefusedRequest):
        client.Account.create({"Name": "New"})
    with pytest.raises(SalesforceRefusedRequest):
        client.Account.update(salesforce_id(1), {"Name": "New"})
    with pytest.raises(SalesforceRefusedRequest):
        client.Account.delete(salesforce_id(1))
    with pytest.raises(SalesforceRefusedRequest):
        client.restful("composite", method="POST", json={"compositeRequest": []})
    with pytest.raises(SalesforceRefusedRequest):
        client.bulk2.Account.insert(records=[{"Name": "New"}])  # type: ignore[union-attr]
    assert sandbox.world.crm_writes == 5


def test_down_rejecting_and_empty(sandbox: Served) -> None:
    client = sandbox.by_client()
    sandbox.switches.crm_empty = True
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 0
    sandbox.switches.crm_empty = False
    sandbox.switches.crm_reject = True
    with pytest.raises(SalesforceAuthenticationFailed):
        client.query("SELECT Id FROM Account")
    with pytest.raises(SalesforceAuthenticationFailed):
        sandbox.by_password()
    sandbox.switches.crm_reject = False
    sandbox.switches.crm_down = True
    with pytest.raises(SalesforceGeneralError) as failure:
        client.query("SELECT Id FROM Account")
    assert failure.value.status == 503


def test_delay_is_felt(sandbox: Served) -> None:
    sandbox.switches.crm_delay = 0.5
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{sandbox.url}/services/data", timeout=0.1)


def test_unknown_paths_and_versions_are_404(sandbox: Served) -> None:
    client = sandbox.by_client()
    with pytest.raises(SalesforceResourceNotFound):
        client.restful("sobjects/Nothing/describe")
    with pytest.raises(SalesforceResourceNotFound):
        sandbox.by_client(version="99.0").query("SELECT Id FROM Account")
