"""The shared API quota: in real PostgreSQL, over time that the test controls."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Lock

import pytest

from gainsight_pipelines.errors import RateLimited
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines.store.quota import Quota


class TestClock:
    """A clock that stands still until somebody sleeps."""

    __test__ = False

    def __init__(self, now: datetime) -> None:
        self.time = now
        self.slept: list[float] = []
        self._lock = Lock()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.time = max(self.time, self.time + timedelta(seconds=seconds))


@pytest.fixture
def store(database_url: str) -> Store:
    found = Store(database_url)
    migrate(found)
    return found


def test_waits_for_the_next_minute_of_the_wall_clock(store: Store) -> None:
    clock = TestClock(datetime(2026, 11, 23, 12, 0, 48, tzinfo=UTC))
    quota = Quota(store, clock, share=0.05)
    for _ in range(5):
        quota("query")
    assert clock.slept == []
    quota("query")
    assert clock.slept == [12.0]
    assert quota.used_today() == 6


def test_is_shared_by_everybody_on_the_database(store: Store) -> None:
    clock = TestClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Quota(store, clock, share=0.8)("query"), range(80)))
    assert clock.slept == []
    Quota(store, clock, share=0.8)("query")
    assert clock.slept == [60.0]


def test_a_used_up_day_is_an_error_that_says_until_when(store: Store) -> None:
    clock = TestClock(datetime(2026, 11, 23, 18, 0, 0, tzinfo=UTC))
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


def test_nobody_is_left_behind_when_the_quota_is_short(store: Store) -> None:
    """Each pull makes one call at a time, so a large object can't take all of a minute from the others."""
    clock, made = TestClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)), Counter[str]()

    def pull(name: str) -> None:
        quota = Quota(store, clock, share=0.08)
        while made.total() < 60:
            quota("query")
            made[name] += 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(pull, ["company", "activity", "product_usage"]))
    assert min(made[name] for name in ("company", "activity", "product_usage")) >= 5, made


def test_processes_share_it(store: Store) -> None:
    """Not only threads: here each caller is a process of its own, as pulls are."""
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
