"""Refreshes the account table from the primary CRM. The refresh is also the gate of every pull.

It runs at the start of each pull, under its own lease, before any call to Gainsight: if the CRM doesn't respond,
nothing is pulled.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import CRM_NAMES, Account, PrimaryCRM
from gainsight_pipelines.errors import NoAccounts
from gainsight_pipelines.store import accounts as table
from gainsight_pipelines.store import data_versions, tenant
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import Lease, TookTooLong, account_lease
from gainsight_pipelines.store.scopes import AccountChanges, AccountSweep, Scopes

logger = logging.getLogger("gainsight_pipelines")
OBJECT = "account"
MAY_VANISH_AT_LEAST, MAY_VANISH_SHARE = 100, 0.1
"""If a sweep misses more rows than the larger of these, it counts as incomplete, not as deletions."""


def most_that_may_vanish(live: int) -> int:
    """How many of this many stored rows a sweep may mark deleted without a person's consent."""
    return max(MAY_VANISH_AT_LEAST, int(live * MAY_VANISH_SHARE))


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The result of a refresh: changed rows, live accounts, and notes for people."""

    changed: int
    live: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh of the account table.

    `fingerprint`: of the configured account fields; if it changes, all accounts are read again. `gsid_field`: the field
    that the pull matches by, if it uses one. `is_full`: a person asked to read everything again.
    `is_vanishing_accepted`: a sweep may mark any number of accounts deleted.
    """

    store: Store
    crm: PrimaryCRM
    clock: Clock
    gainsight_host: str
    fingerprint: str
    run_id: str
    gsid_field: str | None = None
    is_full: bool = False
    is_vanishing_accepted: bool = False

    def run(self, since: datetime) -> Refreshed:
        """Refreshes the account table, unless another run has done so since `since`.

        Raises:
            GateClosed: the CRM doesn't respond, or has no accounts.
            CredentialsRejected: it refuses the credentials.
            SettingsError: the database holds another tenant's data, or a required CRM field doesn't exist.
        """
        organisation = self.crm.organisation()
        missing = self.crm.missing_gsid_fields()
        if self.gsid_field is not None and self.gsid_field in missing:
            raise missing[self.gsid_field]
        with (
            account_lease(self.store, self.run_id, clock=self.clock) as lease,
            self.store.connect(f"accounts {self.run_id}") as connection,
        ):
            tenant.claim(connection, self.gainsight_host, self.crm.kind, organisation)
            scopes = Scopes(connection, OBJECT, self.run_id)
            changes = scopes.take(AccountChanges)
            # A field that is new, or newly visible, must be read from all accounts.
            fingerprint = f"{self.fingerprint} {_digest(self.crm.fields_read())}"
            is_same = changes.fingerprint == fingerprint
            read_at = changes.read_started_at if changes.completed_at is not None and is_same else None
            sweep = scopes.take(AccountSweep)
            if self.is_full:
                read_at = min(filter(None, (read_at, sweep.read_started_at)), default=None) if read_at else None
            if read_at is not None and read_at >= since and not self.is_vanishing_accepted:
                return Refreshed(changed=0, live=self._live(connection))
            table.prepare(connection)
            start = changes if is_same else AccountChanges()
            return self._read(scopes, lease, start.moved_to(fingerprint=fingerprint), sweep)

    def _read(self, scopes: Scopes, lease: Lease, changes: AccountChanges, sweep: AccountSweep) -> Refreshed:
        connection = scopes.connection
        started_at = self.clock.now()
        is_complete = changes.modified_at is None
        is_sweep_due = is_complete or self._is_sweep_due(sweep, started_at)
        shown = None if is_sweep_due else self._count_in_crm()
        changed = 0
        changes = changes.moved_to(read_started_at=started_at, completed_at=None)
        for page in self.crm.changed_accounts(changes.modified_at):
            if page.bookmark is not None:
                changes = changes.moved_to(modified_at=page.bookmark)
            changed += self._write(connection, lease, page.accounts, is_seen=is_complete)
            scopes.save(changes)
        if is_complete:
            # Before the cursor is saved: what the CRM's user may see from the next run on must be read then.
            self._live(connection)
        surplus = _surplus(sweep)
        if shown is not None and shown != self._live(connection) + surplus:
            # Accounts added or removed since the count are among the changes; others are not.
            shown = self._count_in_crm()
            is_sweep_due = shown is not None and shown != self._live(connection) + surplus
        notes: tuple[str, ...] = ()
        if is_sweep_due:
            if not is_complete:
                changed += self._sweep(connection, lease)
            vanished, notes = self._mark_vanished(connection, lease, started_at)
            changed += vanished
            with lease.writing(connection):
                rest = None if shown is None else str(shown - self._live(connection))
                scopes.save(AccountSweep(started_at, completed_at=started_at, surplus=rest))
        with connection.transaction():
            scopes.save(changes.moved_to(modified_at=changes.modified_at or started_at, completed_at=self.clock.now()))
        return Refreshed(changed=changed, live=self._live(connection), notes=notes)

    def _is_sweep_due(self, sweep: AccountSweep, now: datetime) -> bool:
        """Whether all live accounts must be read, whatever changed.

        By calendar days, since pulls never start at exactly the same second.
        """
        if self.is_full or self.is_vanishing_accepted or sweep.completed_at is None:
            return True
        return (now.astimezone(UTC).date() - sweep.completed_at.astimezone(UTC).date()) >= self.crm.sweep_every

    def _count_in_crm(self) -> int | None:
        """The number of live accounts by the CRM; None if it can't count them.

        Incremental reads don't show accounts that the user gained or lost sight of without a change; a count does.
        """
        shown = self.crm.count_accounts()
        if shown == 0:
            raise self._no_accounts()
        return shown

    def _sweep(self, connection: psycopg.Connection, lease: Lease) -> int:
        """Reads every live account; returns the number of changed rows."""
        changed, seen = 0, 0
        for page in self.crm.live_accounts():
            changed += self._write(connection, lease, page.accounts, is_seen=True)
            seen += len(page.accounts)
        if not seen:
            raise self._no_accounts()
        return changed

    def _write(
        self, connection: psycopg.Connection, lease: Lease, accounts: Sequence[Account], *, is_seen: bool
    ) -> int:
        """Writes a page of accounts; in halves if it takes too long."""
        try:
            with lease.writing(connection):
                if is_seen:
                    table.note_seen(
                        connection, (a.account_id for a in accounts if not a.is_deleted and not a.merged_into)
                    )
                changed = table.write_accounts(connection, self.crm.kind, accounts, self.run_id, self.clock.now())
                if changed:
                    data_versions.bump(connection, OBJECT)
        except TookTooLong:
            half = len(accounts) // 2
            if not half:
                raise
            first = self._write(connection, lease, accounts[:half], is_seen=is_seen)
            return first + self._write(connection, lease, accounts[half:], is_seen=is_seen)
        logger.info("accounts: %s read, %s changed", len(accounts), changed)
        return changed

    def _mark_vanished(
        self, connection: psycopg.Connection, lease: Lease, started_at: datetime
    ) -> tuple[int, tuple[str, ...]]:
        unseen, live = table.count_unseen(connection, started_at)
        if unseen > most_that_may_vanish(live) and not self.is_vanishing_accepted:
            note = (
                f"The CRM showed {live - unseen} of {live} accounts that it had before; so many don't count as"
                " deleted. If they are, run once with --accept-deletions; otherwise check what the CRM's user may read."
            )
            return 0, (note,)
        return table.mark_unseen(connection, lease, started_at, self.run_id, self.clock.now()), ()

    def _live(self, connection: psycopg.Connection) -> int:
        live = table.live_accounts(connection)
        if live == 0:
            raise self._no_accounts()
        return live

    def _no_accounts(self) -> NoAccounts:
        return NoAccounts(
            f"{CRM_NAMES[self.crm.kind]} responds but shows no accounts, so nothing is pulled.",
            "Check that the CRM's user may read its accounts, then run again.",
        )


def _surplus(sweep: AccountSweep) -> int:
    """By how many accounts the CRM's count exceeded ours right after the last sweep: a sweep doesn't change that."""
    return int(sweep.surplus or 0)


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
