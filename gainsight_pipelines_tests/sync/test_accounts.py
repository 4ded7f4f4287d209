"""Refreshing the accounts from the CRM: the stored rows, and the state kept for the next run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import NoAccounts
from gainsight_pipelines.sandbox.world import currency
from gainsight_pipelines_tests.pulling import Pulling, pulling_on, until_noon
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture(params=["salesforce", "hubspot"])
def either(
    request: pytest.FixtureRequest, small_sandbox: RunningSandbox, postgres_server: EmbeddedServer
) -> Iterator[Pulling]:
    """A `Pulling` with each CRM in turn."""
    small_sandbox.reset()
    with pulling_on(postgres_server, small_sandbox, request.param) as found:
        yield found


def truth(pulling: Pulling) -> dict[str, dict[str, Any]]:
    """The sandbox's live accounts, by their CRM id."""
    accounts = pulling.sandbox.truth()["accounts"][pulling.content["primary_crm"]["kind"]]
    return {key: each for key, each in accounts.items() if not each["deleted"] and not each["merged_into"]}


def stored(pulling: Pulling, column: str = "name") -> dict[str, Any]:
    """The values of a column, for all live accounts."""
    return dict(pulling.query(f"SELECT account_id, {column} FROM account WHERE deleted_at IS NULL"))


def calls(pulling: Pulling) -> int:
    """The number of calls to the CRM since the last time this was called."""
    kind = pulling.content["primary_crm"]["kind"]
    found: int = pulling.sandbox.calls()["totals"].get(kind, 0)
    pulling.sandbox.reset()
    return found


def change_unseen(pulling: Pulling) -> tuple[str, Decimal]:
    """Changes an account's ARR but not its modification date, as happens with a formula field."""
    ((account_id, modified_at, before),) = pulling.query(
        "SELECT account_id, crm_modified_at, arr FROM account WHERE deleted_at IS NULL ORDER BY 2 LIMIT 1"
    )
    keys = pulling.account_ids(pulling.content["primary_crm"]["kind"])
    key = next(key for key, each in keys.items() if each == account_id)
    arr = (before or 0) + 1
    pulling.sandbox.edit({"account": key, "values": {"arr": str(arr), "modified_at": modified_at.isoformat()}})
    return account_id, Decimal(arr)


def test_characters_that_postgresql_cannot_store_are_replaced(either: Pulling) -> None:
    """U+0000 is removed and half an emoji becomes U+FFFD; other names are stored unchanged."""
    either.sandbox.switch(dirty_text=True)
    assert either.pull("company").status == "completed"
    names, names_of_owners = stored(either), stored(either, "owner_name")
    assert {key: name.rstrip("\ufffd") for key, name in names.items()} == {
        key: each["name"] for key, each in truth(either).items()
    }
    assert {key: name and name.rstrip("\ufffd") for key, name in names_of_owners.items()} == {
        key: each["owner_name"] for key, each in truth(either).items()
    }
    assert 1 < sum(name.endswith("\ufffd") for name in names.values()) < len(names) / 7


def test_accounts_that_become_visible_later_are_all_read(either: Pulling) -> None:
    """The CRM user gets permission to read accounts after the first run: the next run reads them all."""
    either.sandbox.switch(crm_empty=True)
    with pytest.raises(NoAccounts):
        either.pull("company")
    assert either.sandbox.calls()["totals"].get("gainsight", 0) == 0
    either.sandbox.switch(crm_empty=False)
    assert either.pull("company").accounts == len(truth(either))
    assert stored(either) == {key: each["name"] for key, each in truth(either).items()}


def test_a_crm_that_stops_showing_accounts_deletes_nothing(either: Pulling) -> None:
    """Not even when a sweep is due: the gate is closed, and rows stay until the CRM user may read accounts again."""
    either.pull("company")
    before = stored(either)
    for ahead in (timedelta(0), timedelta(days=8)):
        either.clock.ahead = ahead
        either.sandbox.switch(crm_empty=True)
        with pytest.raises(NoAccounts):
            either.pull("company")
        assert stored(either) == before
    either.sandbox.switch(crm_empty=False)
    assert either.pull("company").accounts == len(before)


def test_an_account_that_becomes_visible_is_read(either: Pulling) -> None:
    """A sharing rule doesn't change SystemModstamp, but the count differs, so all accounts are read, once."""
    either.pull("company")
    values = {"name": "Shared now", "modified_at": "2020-02-02T00:00:00+00:00"}
    (made,) = either.sandbox.edit({"account": None, "action": "insert", "values": values})
    either.pull("company")
    assert stored(either) == {key: each["name"] for key, each in truth(either).items()}
    calls(either)
    either.pull("company")
    without_sweep = calls(either)
    either.sandbox.edit({"account": made["account"], "values": {"name": "Renamed"}})
    either.pull("company")
    assert calls(either) == without_sweep
    assert "Renamed" in stored(either).values()


def test_a_count_that_always_differs_causes_one_sweep(either: Pulling) -> None:
    """If the counts still differ after a sweep, the difference is remembered, so that no further sweep follows."""
    either.pull("company")
    either.pull("company")
    calls(either)
    either.pull("company")
    usual = calls(either)
    counts = []
    for _ in range(3):
        either.sandbox.switch(crm_count_off=5)
        either.pull("company")
        counts.append(calls(either))
    assert counts[0] > usual
    assert counts[1:] == [usual, usual]


def test_a_full_pull_reads_all_accounts(either: Pulling) -> None:
    either.pull("company")
    account_id, arr = change_unseen(either)
    either.pull("company")
    assert stored(either, "arr")[account_id] != arr
    either.pull("company", is_full=True)
    assert stored(either, "arr")[account_id] == arr


def test_formulas_are_read_from_all_accounts_every_day(pulling: Pulling) -> None:
    """Once per calendar day, so a pull that starts a second earlier in the day than yesterday's reads them too."""
    pulling.clock.ahead = noon = until_noon()
    pulling.pull("company")
    account_id, arr = change_unseen(pulling)
    pulling.clock.ahead = noon + timedelta(days=1, seconds=-1)
    pulling.pull("company")
    assert stored(pulling, "arr")[account_id] != arr  # describe shows no formula field, so the weekly sweep suffices
    pulling.sandbox.switch(crm_formulas=["ARR__c"])
    pulling.pull("company")
    assert stored(pulling, "arr")[account_id] == arr


def test_amounts_have_their_currency(either: Pulling) -> None:
    """If the CRM has several: Salesforce's CurrencyIsoCode, or the HubSpot property that ARR's definition names."""
    either.pull("company")
    assert set(stored(either, "currency").values()) == {None}
    either.sandbox.switch(crm_currencies=True)
    either.pull("company")
    kind = either.content["primary_crm"]["kind"]
    keys = {account_id: key for key, account_id in either.account_ids(kind).items()}
    expected = {account_id: currency(keys[account_id]) for account_id in stored(either)}
    assert set(expected.values()) == {"USD", "EUR", "JPY"}
    assert stored(either, "currency") == expected
    assert dict(either.query("SELECT account_id, currency FROM account_360")) == expected
