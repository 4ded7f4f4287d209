"""The Salesforce client against the sandbox, which was written independently, from Salesforce's documentation."""

from __future__ import annotations

import gc
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import trustme

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.credentials import crm_from_environment
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.crm.protocol import Account, PrimaryCRM
from gainsight_pipelines.errors import CredentialsRejected, GateClosed, PipelineError, RateLimited
from gainsight_pipelines.sandbox.generate import Size, account_truth, generate
from gainsight_pipelines.sandbox.salesforce import salesforce_app
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import SALESFORCE_ORGANISATION, World, salesforce_id
from gainsight_pipelines_tests.sandbox.crm_serving import authority_file, renew, served

FIELDS = AccountFieldMap(arr="ARR__c", renewal_date="Renewal_Date__c")
GSID = "Gainsight_GSID__c"


@dataclass
class Sandbox:
    """A running Salesforce, and the environment variables to log in to it."""

    address: str
    world: World
    switches: Switches
    counters: Counters
    environments: dict[str, dict[str, str]]
    made: bytes
    """The pickled world: loading it takes a quarter of the time of generating it."""


@pytest.fixture(scope="module")
def running(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    world, switches, counters = generate(7, datetime.now(UTC), Size.of(300, 10)), Switches(), Counters()
    secrets = SandboxSecrets.random()
    key = tmp_path_factory.mktemp("keys") / "key.pem"
    key.write_text(secrets.salesforce_private_key_pem)
    with served(salesforce_app(world, switches, counters, secrets, batch_size=40), authority) as address:
        client = {"SALESFORCE_INSTANCE_URL": address, "SALESFORCE_CLIENT_ID": secrets.salesforce_client_id}
        environments = {
            "client credentials": client | {"SALESFORCE_CLIENT_SECRET": secrets.salesforce_client_secret},
            "jwt": client | {"SALESFORCE_JWT_KEY_FILE": str(key), "SALESFORCE_USERNAME": secrets.salesforce_username},
            "password": {
                "SALESFORCE_LOGIN_URL": address,
                "SALESFORCE_USERNAME": secrets.salesforce_username,
                "SALESFORCE_PASSWORD": secrets.salesforce_password,
                "SALESFORCE_SECURITY_TOKEN": secrets.salesforce_security_token,
            },
        }
        yield Sandbox(address, world, switches, counters, environments, pickle.dumps(world))
    with warnings.catch_warnings():
        # uvicorn ends without waiting for the last TLS connections, and their warnings would appear in another test.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def sandbox(running: Sandbox, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The module's Salesforce with its original accounts, and without faults."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority_file(authority, tmp_path)))
    renew(running.world, pickle.loads(running.made))
    running.switches.reset()
    running.counters.reset()
    return running


@contextmanager
def connected(sandbox: Sandbox, way: str = "client credentials", **changed: str) -> Iterator[PrimaryCRM]:
    crm = crm_from_environment("salesforce", sandbox.environments[way] | changed, FIELDS, [GSID], SystemClock())
    try:
        yield crm
    finally:
        crm.close()


def as_truth(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "domain": account.domain,
        "parent_account_id": account.parent_account_id,
        "arr": account.arr,
        "renewal_date": account.renewal_date.isoformat() if account.renewal_date else None,
        "owner_id": account.owner_id,
        "owner_name": account.owner_name,
        "gsid": account.gsids.get(GSID),
        "deleted": account.is_deleted,
        "merged_into": account.merged_into,
    }


def truth(world: World) -> dict[str, dict[str, object]]:
    rows = account_truth(world)["salesforce"]
    for row in rows.values():
        del row["key"]
        row["arr"] = Decimal(row["arr"]) if row["arr"] is not None else None
    return rows


@pytest.mark.parametrize("way", ["client credentials", "jwt", "password"])
def test_reads_every_account_unchanged(sandbox: Sandbox, way: str) -> None:
    """Requirement G4: with each kind of credentials."""
    with connected(sandbox, way) as crm:
        assert crm.organisation() == SALESFORCE_ORGANISATION
        live = sum(not row["deleted"] for row in truth(sandbox.world).values())
        crm.probe()
        assert crm.count_accounts() == live
        pages = list(crm.changed_accounts(None))
        assert len(pages) > 3
        read = {account.account_id: as_truth(account) for page in pages for account in page.accounts}
        assert read == truth(sandbox.world)
        swept = {account.account_id: as_truth(account) for page in crm.live_accounts() for account in page.accounts}
        assert swept == {key: row for key, row in truth(sandbox.world).items() if not row["deleted"]}
        assert crm.calls == sandbox.counters.totals["salesforce"]
    assert sandbox.world.crm_writes == 0


def test_increments(sandbox: Sandbox) -> None:
    """Requirement G5."""
    for account in sandbox.world.accounts.values():
        account.modified_at = min(account.modified_at, datetime.now(UTC) - timedelta(days=2))
    with connected(sandbox) as crm:
        bookmark = list(crm.changed_accounts(None))[-1].bookmark
        assert list(crm.changed_accounts(bookmark)) == []
        changed = sandbox.world.accounts[5]
        changed.name, changed.modified_at = "Renamed", datetime.now(UTC)
        deleted = sandbox.world.accounts[6]
        deleted.deleted_at = deleted.modified_at = datetime.now(UTC)
        (page,) = crm.changed_accounts(bookmark)
        assert {account.account_id: (account.name, account.is_deleted) for account in page.accounts} == {
            salesforce_id(5): ("Renamed", changed.deleted_at is not None),
            salesforce_id(6): (deleted.name, True),
        }


def test_survives_constantly_expiring_tokens(sandbox: Sandbox) -> None:
    with connected(sandbox) as crm:
        sandbox.switches.token_lifetime_calls = 2
        read = {account.account_id for page in crm.changed_accounts(None) for account in page.accounts}
        assert read == set(truth(sandbox.world))
    assert sandbox.counters.calls["salesforce"]["token"] > 2


def test_metrics_of_the_gate(sandbox: Sandbox) -> None:
    with connected(sandbox) as crm:
        sandbox.switches.crm_empty = True
        with pytest.raises(GateClosed, match="shows no accounts"):
            crm.probe()
        sandbox.switches.crm_empty = False
        crm.probe()
        sandbox.switches.crm_down = True
        with pytest.raises(GateClosed):
            crm.probe()
    sandbox.switches.crm_down, sandbox.switches.crm_reject = False, True
    for way in sandbox.environments:
        with connected(sandbox, way) as crm, pytest.raises(CredentialsRejected):
            crm.probe()
    sandbox.switches.crm_reject = False
    for way, name in (("client credentials", "SALESFORCE_CLIENT_SECRET"), ("password", "SALESFORCE_PASSWORD")):
        with connected(sandbox, way, **{name: "wr0ng-one"}) as crm, pytest.raises(CredentialsRejected) as caught:
            crm.probe()
        assert "wr0ng-one" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("said", "error", "words", "todo"),
    [
        (("invalid_grant", "ip restricted"), CredentialsRejected, "not from this machine's address", "Login IP Ranges"),
        (("invalid_grant", "IP restricted or invalid login hours"), CredentialsRejected, "at this hour", "Login Hours"),
        (("invalid_grant", "user is locked out"), CredentialsRejected, "locked out", "Unlock the user"),
        (("invalid_grant", "login rate exceeded"), RateLimited, "logs in too often", "in an hour"),
        (("rate_limit_exceeded", "number of logins exceeded"), RateLimited, "logs in too often", "Login History"),
        (
            ("invalid_app_access", "user is not admin approved to access this app"),
            CredentialsRejected, "not admitted to the connected app", "permission set",
        ),
        (("invalid_grant", "user hasn't approved this consumer"), CredentialsRejected, "not admitted", "Permitted"),
        (("inactive_user", "user is inactive"), CredentialsRejected, "the user is inactive", "Activate"),
        (("invalid_grant", "inactive user"), CredentialsRejected, "the user is inactive", "Activate"),
        (("inactive_org", "org is locked, closed, or suspended"), CredentialsRejected, "is locked, closed", "Ask"),
        (("invalid_grant", "expired password"), CredentialsRejected, "password has expired", "SALESFORCE_PASSWORD"),
        (("invalid_grant", "audience is invalid"), CredentialsRejected, "another login host", "SALESFORCE_LOGIN_URL"),
        (("invalid_grant", "invalid assertion"), CredentialsRejected, "certificate", "SALESFORCE_JWT_KEY_FILE"),
        (("invalid_client_id", "client identifier invalid"), CredentialsRejected, "client id", "SALESFORCE_CLIENT_ID"),
        (("invalid_client", "invalid client credentials"), CredentialsRejected, "wrong client secret", "CLIENT_SECRET"),
        (("unsupported_grant_type", "grant type not supported"), CredentialsRejected, "switched off", ".env.example"),
        (("server_error", ""), GateClosed, "is not available", "wait"),
        (("something_new", "s3cr3t"), CredentialsRejected, "refused the login (something_new)", "valid credentials"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["client credentials", "jwt"])
def test_a_login_error_of_salesforce_is_explained(
    sandbox: Sandbox, way: str, said: tuple[str, str], error: type[PipelineError], words: str, todo: str
) -> None:
    sandbox.switches.crm_login_error = list(said)
    with connected(sandbox, way) as crm, pytest.raises(PipelineError) as caught:
        crm.organisation()
    assert type(caught.value) is error
    assert words in caught.value.message
    assert todo in caught.value.todo
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "error", "words", "todo"),
    [
        ("PASSWORD_LOCKOUT", CredentialsRejected, "locked out", "Unlock the user"),
        ("LOGIN_DURING_RESTRICTED_DOMAIN", CredentialsRejected, "not from this machine's address", "Login IP Ranges"),
        ("LOGIN_DURING_RESTRICTED_TIME", CredentialsRejected, "not at this hour", "Login Hours"),
        ("LOGIN_MUST_USE_SECURITY_TOKEN", CredentialsRejected, "token is missing", "SALESFORCE_SECURITY_TOKEN"),
        ("API_DISABLED_FOR_ORG", CredentialsRejected, "may not use the API", "API Enabled"),
        ("ORG_LOCKED", CredentialsRejected, "organisation is locked", "Ask"),
        ("INVALID_OPERATION", CredentialsRejected, "by password is switched off", "JWT key"),
        ("LOGIN_RATE_EXCEEDED", RateLimited, "more logins in this hour", "later"),
        ("SERVER_UNAVAILABLE", GateClosed, "is not available", "wait"),
    ],
)
def test_a_password_error_of_salesforce_is_explained(
    sandbox: Sandbox, code: str, error: type[PipelineError], words: str, todo: str
) -> None:
    sandbox.switches.crm_login_error = [code, "what it is"]
    with connected(sandbox, "password") as crm, pytest.raises(PipelineError) as caught:
        crm.organisation()
    assert type(caught.value) is error
    assert words in caught.value.message
    assert todo in caught.value.todo


def test_every_kind_of_credentials_that_is_set_is_checked(sandbox: Sandbox) -> None:
    """The client uses and reports one kind; it doesn't report a wrong secret of another kind as working."""
    every = sandbox.environments["client credentials"] | sandbox.environments["password"]
    with connected(sandbox, "jwt", **every) as crm:
        assert crm.login.startswith("the JWT key (SALESFORCE_JWT_KEY_FILE")
        proofs = list(crm.proofs())
        assert [(each.name, each.error) for each in proofs] == [
            ("client_credentials", None),
            ("user_name_and_password", None),
        ]
    with connected(sandbox, "jwt", SALESFORCE_CLIENT_SECRET="wr0ng-one") as crm:
        crm.probe()
        (proof,) = crm.proofs()
        assert isinstance(proof.error, CredentialsRejected)
        assert "wrong client secret" in str(proof.error)
        assert "wr0ng-one" not in str(proof.error)
    with connected(sandbox, "jwt") as crm:
        assert list(crm.proofs()) == []
    with connected(sandbox, "jwt", SALESFORCE_PASSWORD="half", SALESFORCE_SECURITY_TOKEN=" ") as crm:
        (proof,) = crm.proofs()
        assert proof.error is not None
