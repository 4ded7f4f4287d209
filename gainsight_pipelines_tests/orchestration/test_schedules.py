"""Ticks of the schedules: the runs that they request, and why they are skipped (requirement G2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from gainsight_pipelines.scheduling.cadence import cadence_of
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines_tests.orchestration.running import Located

pytestmark = pytest.mark.usefixtures("hours_from_a_tick")


def latest(located: Located, name: str) -> datetime:
    return cadence_of(located.pulling.settings, name).latest(datetime.now(UTC))


def test_a_tick_requests_one_run(located: Located) -> None:
    at = latest(located, "company")
    request = located.tick("company", at)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"company {at:%Y-%m-%dT%H:%M:%SZ}"


def test_a_tick_is_skipped_with_the_reason_while_the_gate_is_closed(located: Located) -> None:
    located.pulling.sandbox.switch(crm_down=True)
    reason = located.tick("company", latest(located, "company"))
    assert str(reason).startswith("The gate is closed: Salesforce")
    assert located.pulling.sandbox.calls()["totals"].get("gainsight", 0) == 0


def test_a_gate_that_cannot_be_evaluated_is_closed(located: Located) -> None:
    del located.pulling.content["primary_crm"]
    assert "No primary CRM is connected" in str(located.tick("company", latest(located, "company")))


def test_a_tick_is_skipped_while_the_object_is_pulled(located: Located) -> None:
    with object_lease(located.pulling.store, "company", "somebody"):
        assert located.tick("company", latest(located, "company")) == "`company` is still being pulled by another run."
    assert isinstance(located.tick("company", latest(located, "company")), dg.RunRequest)


def test_missed_ticks_do_not_pile_up(located: Located) -> None:
    at = latest(located, "activity")
    for missed in (at - timedelta(days=3), at - timedelta(days=1)):
        assert located.tick("activity", missed) == "A later tick has replaced this one."
    assert isinstance(located.tick("activity", at), dg.RunRequest)
