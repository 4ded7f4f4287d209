"""The shared API quota: in real PostgreSQL, over time that the test controls."""

from __future__ import annotations

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
