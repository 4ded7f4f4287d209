"""The gate: checks of the sandbox's CRM over HTTP, and the state they store (requirements G2 and G3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gainsight_pipelines.crm.protocol import PrimaryCRM
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.scheduling import gate
from gainsight_pipelines.scheduling.gate import Pace
from gainsight_pipelines.store.gate import Gate, find_gate
from gainsight_pipelines.sync import clients
from gainsight_pipelines_tests.pulling import Pulling


def connected(pulling: Pulling) -> PrimaryCRM:
    return clients.connect_crm(pulling.settings, clients.read_secrets(pulling.settings), pulling.clock)


def look(pulling: Pulling) -> Gate:
    return gate.check(pulling.store, lambda: connected(pulling), pulling.clock)


def test_an_open_gate_shows_the_number_of_accounts(pulling: Pulling) -> None:
    """The number is from the last refresh: a check doesn't count accounts, since counting millions takes minutes."""
    found = look(pulling)
    assert (found.is_open, found.reason, found.accounts) == (True, "open", None)
    assert "shows accounts" in found.message
    report = pulling.pull("company")
    found = look(pulling)
    assert found.accounts == report.accounts
    with pulling.store.connect("test") as connection:
        assert find_gate(connection) == found


@pytest.mark.parametrize(
    ("switches", "reason", "words"),
    [
        ({"crm_down": True}, "not_answering", "Salesforce"),
        ({"crm_reject": True}, "rejected", "SALESFORCE_CLIENT_SECRET"),
        ({"crm_empty": True}, "no_accounts", "no accounts"),
    ],
)
def test_each_reason_for_a_closed_gate_is_distinguished(
    pulling: Pulling, switches: dict[str, Any], reason: str, words: str
) -> None:
    pulling.sandbox.switch(**switches)
    found = look(pulling)
    assert (found.is_open, found.reason) == (False, reason)
    assert words in found.message


def test_the_gate_is_closed_without_a_crm_or_with_an_invalid_section(pulling: Pulling) -> None:
    primary = pulling.content.pop("primary_crm")
    assert look(pulling).reason == "not_configured"
    pulling.content["primary_crm"] = primary | {"kind": "gainsight"}
    found = look(pulling)
    assert found.reason == "settings"
    assert "owned by Salesforce or HubSpot" in found.message


def test_the_gate_says_since_when_its_reason_holds(pulling: Pulling) -> None:
    first = look(pulling)
    pulling.clock.ahead += timedelta(minutes=5)
    assert look(pulling).since == first.since
    pulling.sandbox.switch(crm_down=True)
    closed = look(pulling)
    assert closed.since > first.since + timedelta(minutes=4)
    pulling.clock.ahead += timedelta(minutes=1)
    again = look(pulling)
    assert again.since == closed.since
    assert again.checked_at > closed.checked_at


def test_a_fresh_check_is_reused_and_a_stale_one_is_repeated(pulling: Pulling) -> None:
    pace = Pace()

    def current() -> Gate:
        return gate.current(pulling.store, lambda: connected(pulling), pulling.clock, pace)

    first = current()
    pulling.sandbox.switch(crm_down=True)
    assert current() == first
    pulling.clock.ahead += 2 * pace.open + timedelta(seconds=5)
    assert not current().is_open


def test_a_clock_set_back_does_not_prevent_checks(pulling: Pulling) -> None:
    """Otherwise the gate would not be checked, nor a pull caught up, until the clock passed the stored time."""
    pulling.clock.ahead = timedelta(hours=3)
    wrong = look(pulling)
    pulling.clock.ahead = timedelta(0)
    assert Pace().is_due(wrong, pulling.clock)
    assert Pace().is_stale(wrong, pulling.clock)
    right = look(pulling)
    assert right.since == right.checked_at < pulling.clock.now()


def test_no_call_goes_to_gainsight(pulling: Pulling) -> None:
    look(pulling)
    assert pulling.sandbox.calls()["totals"].get("gainsight", 0) == 0


def test_the_pace_comes_from_the_environment() -> None:
    assert Pace.of({}) == Pace(60)
    assert Pace.of({gate.SECONDS_VARIABLE: "2"}).hold == timedelta(seconds=10)
    for wrong in ("0", "1.5", "soon", "4000"):
        with pytest.raises(SettingsError, match="1 to 3600"):
            Pace.of({gate.SECONDS_VARIABLE: wrong})
