"""The HubSpot client against the sandbox, which was written independently, from HubSpot's documentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.credentials import crm_from_environment
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.crm.protocol import Account, PrimaryCRM
from gainsight_pipelines.errors import CredentialsRejected, GateClosed
from gainsight_pipelines.sandbox.generate import Size, account_truth, generate
from gainsight_pipelines.sandbox.hubspot import hubspot_app
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import HUBSPOT_PORTAL, World, hubspot_id
from gainsight_pipelines_tests.sandbox.crm_serving import served

FIELDS = AccountFieldMap(arr="arr", renewal_date="renewal_date")
GSID = "gainsight_gsid"


@dataclass
class Sandbox:
    """A running HubSpot, and the environment variables to call it."""

    world: World
    switches: Switches
    counters: Counters
    environment: dict[str, str]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    world, switches, counters = generate(7, datetime.now(UTC), Size.of(300, 10)), Switches(), Counters()
    secrets = SandboxSecrets.random()
    with served(hubspot_app(world, switches, counters, secrets)) as address:
        environment = {"HUBSPOT_BASE_URL": address, "HUBSPOT_ACCESS_TOKEN": secrets.hubspot_access_token}
        yield Sandbox(world, switches, counters, environment)


@contextmanager
def connected(sandbox: Sandbox, **changed: str) -> Iterator[PrimaryCRM]:
    crm = crm_from_environment("hubspot", sandbox.environment | changed, FIELDS, [GSID], SystemClock())
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
    }


def live_truth(world: World) -> dict[str, dict[str, object]]:
    rows = account_truth(world)["hubspot"]
    live = {key: row for key, row in rows.items() if not row["deleted"]}
    for row in live.values():
        for name in ("key", "deleted", "merged_into"):
            del row[name]
        row["arr"] = Decimal(row["arr"]) if row["arr"] is not None else None
    return live


def test_reads_every_account_unchanged(sandbox: Sandbox) -> None:
    """Requirement G4."""
    merged = {
        key: row["merged_into"] for key, row in account_truth(sandbox.world)["hubspot"].items() if row["merged_into"]
    }
    truth = live_truth(sandbox.world)
    with connected(sandbox) as crm:
        assert crm.organisation() == str(HUBSPOT_PORTAL)
        crm.probe()
        assert crm.count_accounts() == len(truth)
        ways = (crm.changed_accounts(None), crm.live_accounts(), crm.changed_accounts(datetime(2000, 1, 1, tzinfo=UTC)))
        for way in ways:
            accounts = [account for page in way for account in page.accounts]
            assert {account.account_id: as_truth(account) for account in accounts} == truth
            assert {loser: account.account_id for account in accounts for loser in account.absorbed} == merged
        assert {field.name for field in crm.account_fields()} >= {"arr", "renewal_date", GSID}
        assert crm.calls == sandbox.counters.totals["hubspot"]
    assert merged
    assert sandbox.world.crm_writes == 0


def test_increments(sandbox: Sandbox) -> None:
    """Requirement G5."""
    for account in sandbox.world.accounts.values():
        account.modified_at = min(account.modified_at, datetime.now(UTC) - timedelta(days=2))
    with connected(sandbox) as crm:
        bookmark = list(crm.changed_accounts(None))[-1].bookmark
        assert list(crm.changed_accounts(bookmark)) == []
        changed = next(each for each in sandbox.world.accounts.values() if not each.deleted_at)
        changed.name, changed.modified_at = "Renamed", datetime.now(UTC)
        (page,) = crm.changed_accounts(bookmark)
        assert [(account.account_id, account.name) for account in page.accounts] == [
            (hubspot_id(changed.key), "Renamed")
        ]


def test_metrics_of_the_gate(sandbox: Sandbox) -> None:
    with connected(sandbox) as crm:
        sandbox.switches.crm_empty = True
        with pytest.raises(GateClosed, match="shows no companies"):
            crm.probe()
        sandbox.switches.crm_empty, sandbox.switches.crm_down = False, True
        with pytest.raises(GateClosed):
            crm.probe()
        sandbox.switches.crm_down, sandbox.switches.crm_reject = False, True
        with pytest.raises(CredentialsRejected):
            crm.probe()
        sandbox.switches.crm_reject = False
        crm.probe()
    with connected(sandbox, HUBSPOT_ACCESS_TOKEN="pat-wr0ng") as crm, pytest.raises(CredentialsRejected) as caught:
        crm.probe()
    assert "HUBSPOT_ACCESS_TOKEN" in str(caught.value)
    assert "wr0ng" not in str(caught.value)
