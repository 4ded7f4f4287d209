"""What was due and didn't run is run once when it may; a failure for good waits for somebody (requirement G3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from gainsight_pipelines.scheduling.cadence import Cadence
from gainsight_pipelines.scheduling.due import Owed, find_owed
from gainsight_pipelines.store.runs import watch_objects

DAILY = {"company": Cadence("0 5 * * *", "UTC")}
TICK = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
NOW = TICK + timedelta(hours=2)
OPEN_SINCE = TICK - timedelta(days=3)
HOLD, GRACE = timedelta(minutes=5), timedelta(minutes=2)


def owed(connection: psycopg.Connection, now: datetime = NOW, open_since: datetime = OPEN_SINCE) -> list[Owed]:
    return find_owed(connection, DAILY, now, open_since=open_since, grace=GRACE, hold=HOLD)


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


def test_a_missed_tick_is_owed_once_its_grace_is_over(watched: psycopg.Connection) -> None:
    assert owed(watched, TICK + timedelta(minutes=1)) == []
    assert owed(watched) == [Owed("company", TICK, 0)]


def test_an_object_that_is_new_owes_nothing_from_before(connection: psycopg.Connection) -> None:
    """Requirement B5: one that never ran waits for its schedule, or for a person."""
    assert owed(connection) == []
    assert owed(connection, NOW + timedelta(hours=20)) == []
    assert owed(connection, NOW + timedelta(days=1)) == [Owed("company", TICK + timedelta(days=1), 0)]


@pytest.mark.parametrize(("minutes", "is_owed"), [(-1, True), (0, False), (30, False)])
def test_a_pull_that_began_since_the_tick_pays(watched: psycopg.Connection, minutes: int, is_owed: bool) -> None:
    ran(watched, TICK + timedelta(minutes=minutes))
    assert bool(owed(watched)) is is_owed


def test_days_of_missed_ticks_are_one(watched: psycopg.Connection) -> None:
    assert owed(watched, NOW + timedelta(days=5)) == [Owed("company", TICK + timedelta(days=5), 0)]


def test_a_failure_for_good_waits_for_the_next_tick(watched: psycopg.Connection) -> None:
    ran(watched, TICK, "failed")
    assert owed(watched) == []
    assert owed(watched, NOW + timedelta(days=1))


def test_a_run_under_way_is_left_alone(watched: psycopg.Connection) -> None:
    ran(watched, TICK, "running")
    assert owed(watched) == []


def test_what_may_mend_is_tried_ever_more_rarely(watched: psycopg.Connection) -> None:
    at = TICK
    for attempt, wait in enumerate((5, 10, 20, 40, 60, 60), start=1):
        ran(watched, at, "failed", is_retryable=True)
        ended = at + timedelta(seconds=10)
        assert owed(watched, ended + timedelta(minutes=wait, seconds=-1)) == []
        at = ended + timedelta(minutes=wait)
        assert owed(watched, at) == [Owed("company", TICK, attempt)]


def test_runs_that_a_closed_gate_stopped_make_nobody_wait_once_it_is_open(watched: psycopg.Connection) -> None:
    for minutes in range(6):
        ran(watched, TICK + timedelta(minutes=10 * minutes), "gated")
    opened = TICK + timedelta(minutes=55)
    assert owed(watched, opened + HOLD, opened) == [Owed("company", TICK, 6)]


def test_a_gate_that_opens_for_the_look_alone_starts_no_storm(watched: psycopg.Connection) -> None:
    """Its probe answers, its runs don't: each attempt waits longer than the one before."""
    ran(watched, NOW, "gated")
    assert owed(watched, NOW + timedelta(minutes=4)) == []
    ran(watched, NOW + timedelta(minutes=6), "gated")
    assert owed(watched, NOW + timedelta(minutes=14)) == []
    assert owed(watched, NOW + timedelta(minutes=17))


def test_each_attempt_has_a_key_of_its_own() -> None:
    keys = {Owed("company", TICK, 0).key, Owed("company", TICK, 1).key, Owed("activity", TICK, 0).key}
    assert len(keys) == 3
