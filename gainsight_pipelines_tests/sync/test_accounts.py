"""The refresh of the accounts: what it stores of what the CRM shows, and what it remembers of it for the next run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import NoAccounts
from gainsight_pipelines_tests.pulling import Pulling, pulling_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture(params=["salesforce", "hubspot"])
def either(
    request: pytest.FixtureRequest, small_sandbox: RunningSandbox, postgres_server: EmbeddedServer
) -> Iterator[Pulling]:
    """Pulls with either CRM."""
    small_sandbox.reset()
    with pulling_on(postgres_server, small_sandbox, request.param) as found:
        yield found


def truth(pulling: Pulling) -> dict[str, dict[str, Any]]:
    """What the sandbox knows of the live accounts, by their id in the CRM."""
    accounts = pulling.sandbox.truth()["accounts"][pulling.content["primary_crm"]["kind"]]
    return {key: each for key, each in accounts.items() if not each["deleted"] and not each["merged_into"]}


def stored(pulling: Pulling, column: str = "name") -> dict[str, Any]:
    """A column of the live accounts."""
    return dict(pulling.query(f"SELECT account_id, {column} FROM account WHERE deleted_at IS NULL"))


def test_characters_that_postgresql_has_no_place_for(either: Pulling) -> None:
    """Names with U+0000 are stored without it, those with half an emoji with U+FFFD in its place; the rest as it is."""
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


def test_a_crm_that_showed_no_accounts_is_forgotten(either: Pulling) -> None:
    """The user was allowed to read accounts a minute later: the next run has them all."""
    either.sandbox.switch(crm_empty=True)
    with pytest.raises(NoAccounts):
        either.pull("company")
    assert either.sandbox.calls()["totals"].get("gainsight", 0) == 0
    either.sandbox.switch(crm_empty=False)
    assert either.pull("company").accounts == len(truth(either))
    assert stored(either) == {key: each["name"] for key, each in truth(either).items()}
