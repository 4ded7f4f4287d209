"""What was due and didn't run, whatever kept it: the CRM was down, the daemon was off, the run died or found no answer.

Decided from the cadences and `sync_run` alone. Who asks starts the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gainsight_pipelines.scheduling.cadence import Cadence

if TYPE_CHECKING:
    import psycopg

LONGEST_WAIT_IN_HOLDS = 12
"""The longest wait between two attempts, in holds: an hour at the usual pace."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A pull that is to be caught up: the tick that it missed, and how many runs since then came to nothing."""

    name: str
    tick: datetime
    attempts: int

    @property
    def key(self) -> str:
        """Names this attempt, so that it is asked for once."""
        return f"{self.name} {self.tick:%Y-%m-%dT%H:%M:%SZ} {self.attempts}"


def wait_after(attempts: int, hold: timedelta) -> timedelta:
    """How long to wait after so many attempts in a row that came to nothing: twice as long each time, to an hour."""
    return hold * int(min(2 ** (attempts - 1), LONGEST_WAIT_IN_HOLDS))


def find_owed(
    connection: psycopg.Connection,
    cadences: Mapping[str, Cadence],
    now: datetime,
    *,
    open_since: datetime,
    grace: timedelta,
    hold: timedelta,
) -> list[Owed]:
    """The pulls whose last completed run began before their latest tick, and that may be tried now.

    A run that failed for good is not tried again before the next tick: somebody has to act first. One that a later run
    may find mended is, after `hold`, then twice as long each time, up to an hour.

    Args:
        connection: to the store.
        cadences: of the configured pulls, by name. Those seen for the first time owe nothing from before.
        now: the time.
        open_since: when the gate opened. What came to nothing before makes nobody wait.
        grace: how long a tick is left to the schedule itself.
        hold: the wait after a first attempt that came to nothing.
    """
    from gainsight_pipelines.store import runs

    watched = runs.watch_objects(connection, list(cadences), now)
    completed = runs.last_completed(connection)
    found = []
    for name, cadence in cadences.items():
        tick = cadence.latest(now)
        if tick <= watched[name] or now - tick < grace or (name in completed and completed[name] >= tick):
            continue
        attempts = runs.attempts_since(connection, name, tick)
        if any(each.status == "running" or each.is_final for each in attempts):
            continue
        recent = [each for each in attempts if each.ended_at >= open_since]
        if recent and now - recent[-1].ended_at < wait_after(len(recent), hold):
            continue
        found.append(Owed(name, tick, len(attempts)))
    return found
