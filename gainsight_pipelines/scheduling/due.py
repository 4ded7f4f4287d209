"""Finds missed pulls: due but not completed, because the CRM was down, the daemon was off, or the run died or failed.

Decided from the cadences and `sync_run` only. The caller starts the runs.
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
"""The longest wait between two attempts, in multiples of `hold`: an hour at the default pace."""


@dataclass(frozen=True, slots=True)
class MissedPull:
    """A pull to catch up: the tick it missed, and how many runs have failed since."""

    name: str
    tick: datetime
    attempts: int

    @property
    def key(self) -> str:
        """Identifies this attempt, so that it is requested once."""
        return f"{self.name} {self.tick:%Y-%m-%dT%H:%M:%SZ} {self.attempts}"


def wait_after(attempts: int, hold: timedelta) -> timedelta:
    """The wait after so many failed attempts in a row: doubles each time, up to an hour."""
    return hold * int(min(2 ** (attempts - 1), LONGEST_WAIT_IN_HOLDS))


def find_missed(
    connection: psycopg.Connection,
    cadences: Mapping[str, Cadence],
    now: datetime,
    *,
    open_since: datetime,
    grace: timedelta,
    hold: timedelta,
) -> list[MissedPull]:
    """The pulls whose last completed run began before their latest tick, and that may be tried now.

    A permanent failure is not retried before the next tick: a person has to act first. A transient one is retried after
    `hold`, then after twice as long each time, up to an hour.

    Args:
        connection: to the store.
        cadences: of the configured pulls, by name. A pull seen for the first time has missed nothing.
        now: the current time.
        open_since: when the gate opened. Earlier failures don't lengthen the wait.
        grace: how long a tick is left to its schedule.
        hold: the wait after the first failed attempt.
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
        found.append(MissedPull(name, tick, len(attempts)))
    return found
