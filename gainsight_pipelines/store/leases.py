"""Leases: one pull per object, one refresh of the accounts and one delivery at a time, across all machines.

A lease is a row that its holder renews, by the database's clock. A killed process, a lost machine and a pooler in
between are therefore one case: a lease that isn't renewed expires after half a minute. Every page is written within
`writing`, whose last statement proves that the lease is still ours and locks it until the commit, so a run that lost it
can't write.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.errors import ObjectBusy, PipelineError, TransientError
from gainsight_pipelines.store.connection import Store

ACCOUNTS = "account"
"""The name of the account table's lease."""

DELIVERY = "a delivery"
"""Name of the lease of deliveries. No object has a name with a blank in it."""

LENGTH = timedelta(seconds=30)
RENEWED_EVERY = timedelta(seconds=10)
OVERDUE = RENEWED_EVERY * 1.5
"""After this long without renewal the holder may be dead, so waiting for the expiry is worthwhile."""

TRIED_AGAIN_AFTER = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=30)
SAID_EVERY = timedelta(seconds=30)
LOCKED_AT_MOST = timedelta(seconds=5)
"""A lease's row is locked from a page's proof to its commit. A longer wait is retried before the own lease expires."""

CLOCK = SystemClock()

COLUMNS = """run_id, host, machine, process, token, taken_at,
extract(epoch FROM expires_at - clock_timestamp())::float8 AS left"""
TAKE = """
INSERT INTO lease AS l (name, run_id, token, host, machine, process, taken_at, expires_at)
VALUES (%(name)s, %(run_id)s, %(token)s, %(host)s, %(machine)s, %(process)s, clock_timestamp(),
        clock_timestamp() + %(length)s)
ON CONFLICT (name) DO UPDATE
SET run_id = excluded.run_id, token = excluded.token, host = excluded.host, machine = excluded.machine,
    process = excluded.process, taken_at = excluded.taken_at, expires_at = excluded.expires_at
WHERE l.expires_at < clock_timestamp() OR l.token = %(gone)s
RETURNING 1
"""
RENEW = "UPDATE lease SET expires_at = clock_timestamp() + %s WHERE name = %s AND token = %s"
# The schema by name: a session that lost its search path must not write to another schema.
FENCE = """
UPDATE {schema}.lease SET expires_at = clock_timestamp() + %(length)s
WHERE name = %(name)s AND token = %(token)s AND current_schema() = %(schema)s
RETURNING clock_timestamp() < now() + %(most)s
"""
logger = logging.getLogger("gainsight_pipelines")
_of_this_process: set[uuid.UUID] = set()


class LeaseLost(TransientError):
    """Another run has the lease, taken from a run that stopped renewing it."""


class TookTooLong(TransientError):
    """A transaction was rolled back because readers of changes would have seen it too late."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lease. `left`: seconds until it expires, by the database's clock; negative: it has."""

    run_id: str
    host: str
    machine: str
    process: str
    token: uuid.UUID
    taken_at: datetime
    left: float

    @property
    def is_gone(self) -> bool:
        """Whether the holder was a process of this machine that no longer runs: no need to wait for the expiry.

        Also true for this process, if it could not release the lease.
        """
        if self.machine != this_machine():
            return False
        return self.token not in _of_this_process if self.process == _this_process() else not _is_running(self.process)

    @property
    def is_alive(self) -> bool:
        """Whether the lease has not expired."""
        return self.left > 0 and not self.is_gone

    @property
    def is_overdue(self) -> bool:
        """Whether it should have been renewed by now."""
        return self.left < (LENGTH - OVERDUE).total_seconds()

    def is_at_work(self, before: Holder | None) -> bool:
        """Whether the holder is known to be running: a process of this machine, or one that has renewed its lease.

        Args:
            before: the holder as seen a moment ago; None: this is the first look.
        """
        if before is not None and (self.token != before.token or self.left > before.left):
            return True
        return self.machine == this_machine() and not self.is_gone and not self.is_overdue

    def __str__(self) -> str:
        return f"run {self.run_id} on {self.host} since {self.taken_at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease held by this process."""

    store: Store
    name: str
    run_id: str
    token: uuid.UUID
    lost: threading.Event = field(default_factory=threading.Event, repr=False)

    @contextmanager
    def writing(self, connection: psycopg.Connection) -> Iterator[None]:
        """A transaction that commits only while the lease is ours, and in time for readers of changes.

        Raises:
            LeaseLost: another run has it; the transaction was rolled back.
            TookTooLong: it took longer than `Store.longest_transaction`, and was rolled back.
        """
        if self.lost.is_set():
            raise self._lost()
        with connection.transaction():
            yield
            row = connection.execute(
                sql.SQL(FENCE).format(schema=sql.Identifier(self.store.schema)),
                {
                    "name": self.name,
                    "token": self.token,
                    "length": LENGTH,
                    "most": self.store.longest_transaction,
                    "schema": self.store.schema,
                },
            ).fetchone()
            if row is None:
                raise self._lost()
            if not row[0]:
                raise TookTooLong(
                    f"Writing rows of `{self.name}` took longer than four minutes, so they were rolled back: readers of"
                    " changes would have missed them.",
                    "Find out what locks or slows down the database, then run again; it goes on from the last page.",
                )

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"This run lost `{self.name}`: it did not renew its lease for {LENGTH.seconds} s, and another run took it.",
            "Nothing is lost: the next run goes on from the last page.",
        )


@contextmanager
def object_lease(store: Store, name: str, run_id: str, clock: Clock = CLOCK) -> Iterator[Lease]:
    """Holds the lease of an object for the duration of the block.

    The lease of a dead process of this machine is taken at once. A holder on another machine may be dead as well: the
    block waits until it renews its lease, ten seconds at most, or until the lease expires, half a minute at most.

    Raises:
        ObjectBusy: another run holds it.
    """
    with _kept(Lease(store, name, run_id, uuid.uuid4())) as lease:
        before = None
        while (holder := _take(lease)) is not None:
            if holder.is_at_work(before):
                raise ObjectBusy(f"`{name}` is being pulled by {holder}.", "Wait for it to end.")
            if before is None:
                logger.info("%s: held by %s, perhaps no longer running: waiting to see.", name, holder)
            before = holder
            clock.sleep(min(max(holder.left, 0.05), 1.0))
        with _renewed(lease):
            yield lease


@contextmanager
def account_lease(
    store: Store, run_id: str, say: Callable[[str], None] = logger.info, clock: Clock = CLOCK
) -> Iterator[Lease]:
    """Holds the lease of the account table; waits for a running refresh. `say` receives what is waited for.

    Raises:
        TransientError: another run has been refreshing the accounts for more than half an hour.
    """
    with _waited(store, ACCOUNTS, run_id, say, clock, "the accounts are being refreshed by {}") as lease:
        yield lease


@contextmanager
def delivery_lease(store: Store, run_id: str, say: Callable[[str], None] = logger.info) -> Iterator[Lease]:
    """Takes the lease of deliveries, waiting for one that is running: both would use the same tables in the warehouse.

    Args:
        store: what is delivered.
        run_id: of the run that delivers.
        say: is told what is waited for.

    Raises:
        TransientError: another delivery takes more than half an hour.
    """
    with _waited(store, DELIVERY, run_id, say, CLOCK, "tables are being delivered by {}") as lease:
        yield lease


@contextmanager
def _waited(
    store: Store, name: str, run_id: str, say: Callable[[str], None], clock: Clock, what: str
) -> Iterator[Lease]:
    with _kept(Lease(store, name, run_id, uuid.uuid4())) as lease:
        _wait(lease, say, clock, what)
        with _renewed(lease):
            yield lease


def _wait(lease: Lease, say: Callable[[str], None], clock: Clock, what: str) -> None:
    started = clock.monotonic()
    said = started - SAID_EVERY.total_seconds() + 2
    pause = 0.05
    while (holder := _take(lease)) is not None:
        now = clock.monotonic()
        told = what.format(holder)
        if now - started > LONGEST_WAIT.total_seconds():
            raise TransientError(
                f"{told[0].upper()}{told[1:]}, longer than this run waits for it.", "Run again once it has ended."
            )
        if now - said > SAID_EVERY.total_seconds():
            said = now
            say(f"waiting: {told}")
        clock.sleep(pause)
        pause = min(pause * 2, 1.0)


@contextmanager
def _kept(lease: Lease) -> Iterator[Lease]:
    """Records, for the duration of the block, that this process holds the lease."""
    _of_this_process.add(lease.token)
    try:
        yield lease
    finally:
        _of_this_process.discard(lease.token)


def holder_of(connection: psycopg.Connection, name: str) -> Holder | None:
    """The holder of an object's lease, or its last one if it never released it; None: nobody."""
    with connection.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(f"SELECT {COLUMNS} FROM lease WHERE name = %s", (name,)).fetchone()


def is_held(connection: psycopg.Connection, name: str) -> bool:
    """Whether a run is pulling the object now, on any machine."""
    holder = holder_of(connection, name)
    return holder is not None and holder.is_alive


def held(connection: psycopg.Connection) -> dict[str, Holder]:
    """All leases that have not expired, by object name."""
    names = [name for (name,) in connection.execute("SELECT name FROM lease ORDER BY name")]
    found = {name: holder_of(connection, name) for name in names}
    return {name: holder for name, holder in found.items() if holder is not None and holder.is_alive}


def take_away(connection: psycopg.Connection, name: str) -> bool:
    """Expires the lease of a run that stopped renewing it, so that it can't go on: call it before declaring a run dead.

    Returns:
        Whether the lease is free now; False: it is alive.
    """
    holder = holder_of(connection, name)
    gone = holder.token if holder is not None and holder.is_gone else None
    connection.execute(
        "DELETE FROM lease WHERE name = %s AND (expires_at < clock_timestamp() OR token = %s)", (name, gone)
    )
    return holder_of(connection, name) is None


def _take(lease: Lease) -> Holder | None:
    """Takes the lease if it is free; otherwise returns its holder."""
    with _connected(lease) as connection:
        holder = holder_of(connection, lease.name)
        gone = holder.token if holder is not None and holder.is_gone else None
        row = connection.execute(
            TAKE,
            {
                "name": lease.name,
                "run_id": lease.run_id,
                "token": lease.token,
                "host": socket.gethostname(),
                "machine": this_machine(),
                "process": _this_process(),
                "length": LENGTH,
                "gone": gone,
            },
        ).fetchone()
        if row is not None:
            return None
        return holder_of(connection, lease.name) or holder


def _connected(lease: Lease) -> AbstractContextManager[psycopg.Connection]:
    return lease.store.connect(f"lease {lease.name} {lease.run_id}", longest_wait=LOCKED_AT_MOST)


@contextmanager
def _renewed(lease: Lease) -> Iterator[None]:
    """Renews the lease in a thread until the end of the block, then releases it.

    Connects for each renewal: a permanent connection would occupy a pooler's slot.
    """
    done = threading.Event()

    def renew() -> None:
        pause = RENEWED_EVERY
        while not done.wait(pause.total_seconds()):
            try:
                with _connected(lease) as connection:
                    renewed = connection.execute(RENEW, (LENGTH, lease.name, lease.token)).rowcount
            except PipelineError as error:
                logger.warning("%s: its lease could not be renewed, trying again. %s", lease.name, error)
                pause = TRIED_AGAIN_AFTER
                continue
            if not renewed:
                lease.lost.set()
                return
            pause = RENEWED_EVERY

    thread = threading.Thread(target=copy_context().run, args=(renew,), name=f"lease {lease.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _give_back(lease)


def _give_back(lease: Lease) -> None:
    try:
        with _connected(lease) as connection:
            connection.execute("DELETE FROM lease WHERE name = %s AND token = %s", (lease.name, lease.token))
    except PipelineError as error:
        # The block's own error, if any, says more, and the lease expires anyway.
        logger.warning("%s: its lease could not be released, and expires within %s s. %s", lease.name, 30, error)


@cache
def this_machine() -> str:
    """Identifies this machine and its process id namespace; containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux: only the expiry of leases is left
        return f"{socket.gethostname()} {uuid.uuid4()}"


def _this_process() -> str:
    return f"{os.getpid()} {_start_of(os.getpid())}"


def _is_running(process: str) -> bool:
    """Whether a process of this machine runs, identified by its id and start time, since ids are reused."""
    pid, _, start = process.partition(" ")
    return _start_of(int(pid)) == start


def _start_of(pid: int) -> str | None:
    """A process's start, in ticks since boot; None: it doesn't exist, or is a zombie."""
    try:
        # After the name, which may contain anything: the third field and the following ones.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
