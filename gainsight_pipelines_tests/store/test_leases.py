"""Leases: which run holds an object, waits for it or takes it over, and that a run without its lease can't write."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from gainsight_pipelines.errors import ObjectBusy
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import (
    ACCOUNTS,
    DELIVERY,
    LeaseLost,
    TookTooLong,
    account_lease,
    delivery_lease,
    held,
    holder_of,
    is_held,
    object_lease,
    take_away,
)
from gainsight_pipelines_tests.waiting import wait_until

ELSEWHERE = "UPDATE lease SET machine = 'another machine', host = 'another'"
"""Makes the holder a process on another machine; whether that is alive can't be checked."""

HOLD = """
import sys, time
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import object_lease

with object_lease(Store(sys.argv[1]), "company", "killed"):
    print("taken", flush=True)
    sys.stdin.read()
"""


def end_in(connection: psycopg.Connection, seconds: float) -> None:
    connection.execute("UPDATE lease SET expires_at = clock_timestamp() + %s * interval '1 s'", (seconds,))


@contextmanager
def another_process(store: Store) -> Iterator[subprocess.Popen[str]]:
    """A process on this machine that holds the lease of `company`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "taken\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_only_one_run_pulls_an_object(store: Store, connection: psycopg.Connection) -> None:
    with object_lease(store, "company", "r1"):
        assert is_held(connection, "company")
        with (
            pytest.raises(ObjectBusy, match=r"pulled by run r1 on \S+ since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
            object_lease(store, "company", "r2"),
        ):
            pass
        with object_lease(store, "activity", "r3"):
            assert set(held(connection)) == {"activity", "company"}
    assert held(connection) == {}
    with object_lease(store, "company", "r2"):
        pass


def test_a_killed_process_of_this_machine_is_not_waited_for(store: Store, connection: psycopg.Connection) -> None:
    with another_process(store) as process:
        with pytest.raises(ObjectBusy), object_lease(store, "company", "r2"):
            pass
        assert not take_away(connection, "company")
        process.kill()
        process.wait()
        assert not is_held(connection, "company")
        holder = holder_of(connection, "company")
        assert holder is not None and holder.left > 20 and not holder.is_alive
        with object_lease(store, "company", "r2"):
            assert is_held(connection, "company")


def test_a_lease_that_this_process_failed_to_release_is_taken_at_once(
    store: Store, connection: psycopg.Connection
) -> None:
    """As after a lost connection to the database: the same process tries again a moment later."""
    with object_lease(store, "company", "r1"):
        connection.execute("CREATE TABLE kept AS SELECT * FROM lease")
    connection.execute("INSERT INTO lease SELECT * FROM kept")
    assert not is_held(connection, "company")
    with object_lease(store, "company", "r1"):
        assert is_held(connection, "company")


def test_the_lease_of_a_lost_machine_is_taken_when_it_expires(store: Store, connection: psycopg.Connection) -> None:
    with object_lease(store, "company", "lost"):
        connection.execute(ELSEWHERE)
        end_in(connection, 0.3)  # not renewed
        started = time.monotonic()
        with object_lease(store, "company", "r2"):
            assert time.monotonic() - started > 0.2
            holder = holder_of(connection, "company")
            assert holder is not None and holder.run_id == "r2"


@pytest.mark.parametrize("left", [29, 10], ids=["just renewed", "overdue"])
def test_a_run_elsewhere_is_alive_once_it_renews_its_lease(
    store: Store, connection: psycopg.Connection, left: float
) -> None:
    """Until it renews, it may have been killed a moment ago, and the waiting run may be its retry."""
    with object_lease(store, "company", "late"), ThreadPoolExecutor(1) as pool:
        connection.execute(ELSEWHERE)
        connection.execute(
            """CREATE TABLE attempt (n int);
               CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO attempt VALUES (1); RETURN NEW; END $$;
               CREATE TRIGGER note BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION note()"""
        )
        end_in(connection, left)

        def ask() -> None:
            with object_lease(store, "company", "r2"):
                pass

        asking = pool.submit(ask)
        wait_until(lambda: asked(connection) > 0)
        renewed_until_done(connection, asking)
        with pytest.raises(ObjectBusy, match="run late"):
            asking.result(10)


def renewed_until_done(connection: psycopg.Connection, asking: Future[None]) -> None:
    """Renews the lease, as its holder does every ten seconds, until the other run stops waiting."""

    def is_done() -> bool:
        end_in(connection, 30)
        return asking.done()

    wait_until(is_done)


def asked(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM attempt").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("take", "name", "words"),
    [(account_lease, ACCOUNTS, "being refreshed"), (delivery_lease, DELIVERY, "being delivered")],
)
def test_a_refresh_of_the_accounts_and_a_delivery_are_waited_for_by_name(
    store: Store, connection: psycopg.Connection, take: Any, name: str, words: str
) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with take(store, "first"):

            def second() -> str:
                with take(store, "second", said.append):
                    holder = holder_of(connection, name)
                    return holder.run_id if holder else ""

            waiting = pool.submit(second)
            wait_until(lambda: bool(said))
        assert waiting.result(10) == "second"
    assert f"{words} by run first on" in said[0]


def test_a_run_that_lost_its_lease_writes_nothing(store: Store, connection: psycopg.Connection) -> None:
    with object_lease(store, "company", "r1") as lease:
        with lease.writing(connection):
            connection.execute("INSERT INTO api_pause (until) VALUES (now())")
        end_in(connection, -1)
        assert take_away(connection, "company")
        with pytest.raises(LeaseLost, match="run lost `company`"), lease.writing(connection):
            connection.execute("DELETE FROM api_pause")
        assert connection.execute("SELECT count(*) FROM api_pause").fetchone() == (1,)


def test_a_session_that_lost_its_schema_writes_nothing(store: Store, connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE public.api_pause (LIKE api_pause INCLUDING DEFAULTS)")
    with object_lease(store, "company", "r1") as lease:
        connection.execute("SET search_path TO public")
        with pytest.raises(LeaseLost), lease.writing(connection):
            connection.execute("INSERT INTO api_pause (until) VALUES (now())")
    assert connection.execute("SELECT count(*) FROM api_pause").fetchone() == (0,)


def test_a_lease_cannot_be_taken_between_proof_and_commit(store: Store, connection: psycopg.Connection) -> None:
    """A run that wants the lease waits for the commit, and then finds the lease renewed."""
    with (
        object_lease(store, "company", "r1") as lease,
        ThreadPoolExecutor(1) as pool,
        store.connect("watch") as watch,
    ):
        watch.execute(ELSEWHERE)

        def ask() -> None:
            with object_lease(store, "company", "r2"):
                pass

        connection.autocommit = False
        end_in(connection, 0.01)
        connection.commit()
        with lease.writing(connection):
            connection.execute("UPDATE lease SET expires_at = expires_at")  # as the proof does
            asking = pool.submit(ask)
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE %s"
            wait_until(lambda: watch.execute(waits, ("%lease company r2",)).fetchone() is not None)
        renewed_until_done(watch, asking)
        with pytest.raises(ObjectBusy, match="run r1"):
            asking.result(10)


def test_a_transaction_that_takes_too_long_is_rolled_back(store: Store) -> None:
    quick = Store(store.url, longest_transaction=timedelta(seconds=0.05))
    with object_lease(quick, "company", "r1") as lease, quick.connect("test") as connection:
        with pytest.raises(TookTooLong, match="rolled back"), lease.writing(connection):
            connection.execute("INSERT INTO api_pause (until) SELECT now() FROM pg_sleep(0.1)")
        assert connection.execute("SELECT count(*) FROM api_pause").fetchone() == (0,)
