"""A missed pull is caught up once; a permanent failure isn't retried before the next tick (requirement G3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from gainsight_pipelines.scheduling.cadence import Cadence
from gainsight_pipelines.scheduling.due import MissedPull, find_missed
from gainsight_pipelines.store.runs import watch_objects

DAILY = {"company": Cadence("0 5 * * *", "UTC")}
TICK = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
NOW = TICK + timedelta(hours=2)
OPEN_SINCE = TICK - timedelta(days=3)
HOLD, GRACE = timedelta(minutes=5), timedelta(minutes=2)


def owed(connection: psycopg.Connection, now: datetime = NOW, open_since: datetime = OPEN_SINCE) -> list[MissedPull]:
    return find_missed(connection, DAILY, now, open_since=open_since, grace=GRACE, hold=HOLD)


@pytest.fixture
def watched(connection: psycopg.Connection) -> psycopg.Connection:
    watch_objects(connection, ["company"], TICK - timedelta(days=9))
    return connection


def ran(
    connection: psycopg.Connection, started_at: datetime, status: str = "completed", *, is_retryable: bool = False
) -> None:
    connection.execute(
        """INSERT INTO sync_run (run_id, object, status, started_at, finished_at, details, product_version)
           VALUES (%s, 'company', %s, %s, %s, %s, '0')""",
        (
            f"run {started_at}",
            status,
            started_at,
            None if status == "running" else started_at + timedelta(seconds=10),
            Jsonb({"worth_retrying": True} if is_retryable else {}),
        ),
    )


def test_a_missed_tick_is_caught_up_after_its_grace_period(watched: psycopg.Connection) -> None:
    assert owed(watched, TICK + timedelta(minutes=1)) == []
    assert owed(watched) == [MissedPull("company", TICK, 0)]


def test_a_new_object_has_missed_nothing(connection: psycopg.Connection) -> None:
    """Requirement B5: an object that has never run waits for its schedule, or for a user to start it."""
    assert owed(connection) == []
    assert owed(connection, NOW + timedelta(hours=20)) == []
    assert owed(connection, NOW + timedelta(days=1)) == [MissedPull("company", TICK + timedelta(days=1), 0)]


@pytest.mark.parametrize(("minutes", "is_owed"), [(-1, True), (0, False), (30, False)])
def test_only_a_pull_that_began_after_the_tick_counts(watched: psycopg.Connection, minutes: int, is_owed: bool) -> None:
    ran(watched, TICK + timedelta(minutes=minutes))
    assert bool(owed(watched)) is is_owed


def test_missed_ticks_of_several_days_are_caught_up_once(watched: psycopg.Connection) -> None:
    assert owed(watched, NOW + timedelta(days=5)) == [MissedPull("company", TICK + timedelta(days=5), 0)]


def test_a_permanent_failure_waits_for_the_next_tick(watched: psycopg.Connection) -> None:
    ran(watched, TICK, "failed")
    assert owed(watched) == []
    assert owed(watched, NOW + timedelta(days=1))


def test_a_running_pull_is_left_alone(watched: psycopg.Connection) -> None:
    ran(watched, TICK, "running")
    assert owed(watched) == []


def test_a_transient_failure_is_retried_with_backoff(watched: psycopg.Connection) -> None:
    at = TICK
    for attempt, wait in enumerate((5, 10, 20, 40, 60, 60), start=1):
        ran(watched, at, "failed", is_retryable=True)
        ended = at + timedelta(seconds=10)
        assert owed(watched, ended + timedelta(minutes=wait, seconds=-1)) == []
        at = ended + timedelta(minutes=wait)
        assert owed(watched, at) == [MissedPull("company", TICK, attempt)]


def test_failures_behind_a_closed_gate_do_not_delay_the_catch_up(watched: psycopg.Connection) -> None:
    for minutes in range(6):
        ran(watched, TICK + timedelta(minutes=10 * minutes), "gated")
    opened = TICK + timedelta(minutes=55)
    assert owed(watched, opened + HOLD, opened) == [MissedPull("company", TICK, 6)]


def test_a_gate_that_opens_only_for_the_probe_starts_no_storm(watched: psycopg.Connection) -> None:
    """The sensor's check succeeds but the runs fail: each attempt waits longer than the previous one."""
    ran(watched, NOW, "gated")
    assert owed(watched, NOW + timedelta(minutes=4)) == []
    ran(watched, NOW + timedelta(minutes=6), "gated")
    assert owed(watched, NOW + timedelta(minutes=14)) == []
    assert owed(watched, NOW + timedelta(minutes=17))


def test_each_attempt_has_its_own_key() -> None:
    keys = {MissedPull("company", TICK, 0).key, MissedPull("company", TICK, 1).key, MissedPull("activity", TICK, 0).key}
    assert len(keys) == 3
