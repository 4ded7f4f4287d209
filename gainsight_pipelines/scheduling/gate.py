"""The gate: is the primary CRM available? A light check, stored in PostgreSQL for everything that asks.

The gate sensor checks it, and so does any caller that finds the last check too old. Each pull also refreshes the
accounts itself; the stored state only avoids runs that would fail, and says since when.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import CRM_NAMES, PrimaryCRM
from gainsight_pipelines.errors import (
    CredentialsRejected,
    GateClosed,
    NoAccounts,
    NoPrimaryCRM,
    PipelineError,
    SettingsError,
    variables_named,
)

if TYPE_CHECKING:
    from gainsight_pipelines.store.connection import Store
    from gainsight_pipelines.store.gate import Gate

SECONDS_VARIABLE = "GAINSIGHT_PIPELINES_GATE_SECONDS"
DEFAULT_SECONDS = 60

SENSOR = "gainsight_gate"
"""The name of the Dagster sensor in the standalone code location."""

REASONS: tuple[tuple[type[PipelineError], str], ...] = (
    (NoPrimaryCRM, "not_configured"),
    (NoAccounts, "no_accounts"),
    (GateClosed, "not_answering"),
    (CredentialsRejected, "rejected"),
    (SettingsError, "settings"),
    (PipelineError, "not_evaluated"),
)
"""The gate's reason for each error; the first match wins."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the gate is checked: every `seconds` while closed, five times as long while open."""

    seconds: int = DEFAULT_SECONDS

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Pace:
        """The pace from GAINSIGHT_PIPELINES_GATE_SECONDS; 60 s by default.

        Raises:
            SettingsError: not a whole number from 1 to 3600.
        """
        text = environ.get(SECONDS_VARIABLE, "").strip()
        if not text:
            return cls()
        if not text.isdecimal() or not 1 <= int(text) <= 3600:
            raise SettingsError(f"{SECONDS_VARIABLE} is {text!r}.", "It takes a whole number of seconds, 1 to 3600.")
        return cls(int(text))

    @property
    def closed(self) -> timedelta:
        """The interval of checks while the gate is closed."""
        return timedelta(seconds=self.seconds)

    @property
    def open(self) -> timedelta:
        """The interval of checks while it is open."""
        return 5 * self.closed

    @property
    def hold(self) -> timedelta:
        """How long the CRM must stay available before missed pulls are caught up; a flapping CRM starts no storm."""
        return 5 * self.closed

    def is_due(self, gate: Gate | None, clock: Clock) -> bool:
        """Whether the next check is due."""
        return gate is None or not _is_younger(gate, clock, self._interval(gate))

    def is_stale(self, gate: Gate | None, clock: Clock) -> bool:
        """Whether the last check is too old to rely on: older than two intervals."""
        return gate is None or not _is_younger(gate, clock, 2 * self._interval(gate))

    def _interval(self, gate: Gate) -> timedelta:
        return self.open if gate.is_open else self.closed


def _is_younger(gate: Gate, clock: Clock, age: timedelta) -> bool:
    """Whether the last check is younger than `age`. One in the future was made by a wrong clock."""
    return timedelta(0) <= clock.now() - gate.checked_at < age


def check(store: Store, connect: Callable[[], PrimaryCRM], clock: Clock) -> Gate:
    """Checks the CRM within seconds, and stores the result. If it can't be evaluated, the gate is closed.

    Args:
        store: holds the gate's state.
        connect: creates the CRM; an error closes the gate too.
        clock: the source of time.

    Raises:
        PipelineError: the store can't be reached.
    """
    from gainsight_pipelines.store.accounts import live_accounts
    from gainsight_pipelines.store.gate import Gate, save_gate

    started_at = clock.now()
    try:
        with variables_named(store.prefix), closing(connect()) as crm:
            crm.probe()
        found = (True, "open", f"{CRM_NAMES[crm.kind]} responds and shows accounts.")
    except PipelineError as error:
        reason = next(word for kind, word in REASONS if isinstance(error, kind))
        found = (False, reason, str(error))
    with store.connect("gate") as connection:
        accounts = (live_accounts(connection) or None) if found[0] else None
        return save_gate(connection, Gate(*found, accounts=accounts, since=started_at, checked_at=started_at))


def current(store: Store, connect: Callable[[], PrimaryCRM], clock: Clock, pace: Pace) -> Gate:
    """The gate as last checked, or checked again if that is too old. Raises what `check` raises."""
    from gainsight_pipelines.store.gate import find_gate

    with store.connect("gate") as connection:
        gate = find_gate(connection)
    if gate is None or pace.is_stale(gate, clock):
        return check(store, connect, clock)
    return gate
