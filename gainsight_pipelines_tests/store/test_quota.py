"""The shared API quota, in a real PostgreSQL and with a clock that the tests control."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import RateLimited
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines.store.quota import Quota
from gainsight_pipelines_tests.clocks import StandingClock
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture
def store(database_url: str) -> Store:
    found = Store(database_url)
    migrate(found)
    return found


def test_waits_for_the_next_minute_of_the_wall_clock(store: Store) -> None:
    clock = StandingClock(datetime(2026, 11, 23, 12, 0, 48, tzinfo=UTC))
    quota = Quota(store, clock, share=0.05)
    for _ in range(5):
        quota("query")
    assert clock.slept == []
    quota("query")
    assert clock.slept == [12.0]
    assert quota.used_today() == 6


def test_the_quota_is_shared_by_all_clients_of_the_database(store: Store) -> None:
    clock = StandingClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Quota(store, clock, share=0.8)("query"), range(80)))
    assert clock.slept == []
    Quota(store, clock, share=0.8)("query")
    assert clock.slept == [60.0]


def test_a_used_up_day_says_until_when(store: Store) -> None:
    clock = StandingClock(datetime(2026, 11, 23, 18, 0, 0, tzinfo=UTC))
    quota = Quota(store, clock, share=0.00004)
    quota("query")
    clock.time += timedelta(minutes=1)
    quota("query")
    clock.time += timedelta(minutes=1)
    with pytest.raises(RateLimited, match="quota_share") as raised:
        quota("query")
    assert raised.value.retry_after == pytest.approx(6 * 3600 - 120)
    assert quota.used_today() == 2
    clock.time = datetime(2026, 11, 24, 0, 0, 0, tzinfo=UTC)
    quota("query")
    assert quota.used_today() == 1


def test_a_scarce_quota_is_shared_fairly(store: Store) -> None:
    """Each pull makes one call at a time, so a large object can't use up the quota of a whole minute."""
    clock, made = StandingClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)), Counter[str]()

    def pull(name: str) -> None:
        quota = Quota(store, clock, share=0.08)
        while made.total() < 60:
            quota("query")
            made[name] += 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(pull, ["company", "activity", "product_usage"]))
    assert min(made[name] for name in ("company", "activity", "product_usage")) >= 5, made


def test_processes_share_the_quota(store: Store) -> None:
    """With processes instead of threads, as each pull is a process."""
    program = f"""if True:
        from gainsight_pipelines.clock import SystemClock
        from gainsight_pipelines.store.connection import Store
        from gainsight_pipelines.store.quota import Quota
        quota = Quota(Store({store.url!r}), SystemClock(), 1.0)
        for _ in range(15):
            quota("query")"""
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with store.connect("test") as connection:
        windows = connection.execute(
            "SELECT window_seconds, sum(calls) FROM api_quota GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert windows == [(60, 45), (86_400, 45)]


def test_a_refusal_pauses_all_clients(store: Store) -> None:
    """No client calls Gainsight during the pause; then one client does, and the others once its call has succeeded."""
    clock = StandingClock(datetime(2026, 11, 23, 12, 0, 10, tzinfo=UTC))
    told, other = Quota(store, clock, 1.0), Quota(store, clock, 1.0)
    told.refused(20)
    other("query")
    assert clock.slept == [20.0]
    assert used(store) == 1
    told("query")
    assert clock.slept[1:], "the first one's call is not answered yet"
    clock.slept.clear()
    other("query")
    told("query")
    assert clock.slept == []


def test_a_second_refusal_pauses_all_clients_again(store: Store) -> None:
    clock = StandingClock(datetime(2026, 11, 23, 12, 0, 10, tzinfo=UTC))
    told, other = Quota(store, clock, 1.0), Quota(store, clock, 1.0)
    told.refused(1)
    told("query")
    told.refused(30)
    other("query")
    assert clock.slept == [1.0, 30.0]


def test_a_long_pause_says_until_when(store: Store) -> None:
    clock = StandingClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC))
    Quota(store, clock, 1.0).refused(3600)
    with pytest.raises(RateLimited, match="no calls until 2026-11-23 13:00:00 UTC") as raised:
        Quota(store, clock, 1.0)("query")
    assert raised.value.retry_after == 3600
    assert used(store) == 0


def used(store: Store) -> int:
    with store.connect("test") as connection:
        row = connection.execute("SELECT coalesce(max(calls), 0) FROM api_quota").fetchone()
    assert row is not None
    return int(row[0])


def test_four_concurrent_clients_cause_only_two_refusals(small_sandbox: RunningSandbox, store: Store) -> None:
    """Gainsight refuses the first call, and the single call after the pause; nobody calls in between."""
    small_sandbox.reset()
    small_sandbox.switch(rate_limit_next=2, rate_limit_retry_after="2")
    starts: list[float] = []
    refusals: list[float] = []

    def pull() -> None:
        quota = Quota(store, SystemClock(), 1.0)

        def before(kind: str) -> None:
            quota(kind)
            starts.append(time.monotonic())

        def refused(seconds: float) -> None:
            quota.refused(seconds)
            refusals.append(time.monotonic())

        client = GainsightClient(
            small_sandbox.urls["gainsight"],
            AccessKey(small_sandbox.env["GAINSIGHT_API_KEY"]),
            clock=SystemClock(),
            before_call=before,
            on_refusal=refused,
        )
        with client:
            for _ in range(3):
                client.describe("company")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pull(), range(4)))
    assert len(refusals) == 2
    assert len(starts) == 4 * 3 + 2
    for moment in refusals:
        # Half a second allows for calls that the quota let through just before the refusal.
        assert not [start for start in starts if moment + 0.5 < start < moment + 1.9]
