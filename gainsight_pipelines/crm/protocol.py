"""The interface of a primary CRM, and the account as the rest of the package sees it.

Nothing here knows Salesforce, HubSpot, a database or Dagster. Every method may raise ``GateClosed`` (unavailable),
``CredentialsRejected``, ``SettingsError`` (a configured field doesn't exist; GSID fields only where one is used),
``TransientError`` (including ``RateLimited``) or ``PermanentError`` (an unexpected refusal). Implementations raise no
other errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from gainsight_pipelines.errors import PipelineError, SettingsError

CRMKind = Literal["salesforce", "hubspot"]

CRM_NAMES: Mapping[CRMKind, str] = {"salesforce": "Salesforce", "hubspot": "HubSpot"}
"""Display names."""

ACCOUNT_OBJECTS: Mapping[CRMKind, str] = {"salesforce": "Salesforce Account", "hubspot": "HubSpot company"}
"""What each calls its accounts."""

LOOKED_AT = 2000
"""Accounts to sample where the CRM can't filter by the field."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the CRM, live or not.

    ``account_id``: the canonical id; 18 characters for Salesforce, the decimal number for HubSpot.
    ``gsids``: the configured GSID fields' names → their non-blank values, trimmed.
    ``merged_into``: the account that this one was merged into (Salesforce: MasterRecordId of the deleted record).
    ``currency``: ISO code of the currency of ``arr``; None if the CRM has one currency, or doesn't say.
    ``absorbed``: the ids that were merged into this one (HubSpot: hs_merged_object_ids).
    """

    account_id: str
    name: str | None = None
    domain: str | None = None
    parent_account_id: str | None = None
    arr: Decimal | None = None
    renewal_date: date | None = None
    owner_id: str | None = None
    owner_name: str | None = None
    gsids: Mapping[str, str] = field(default_factory=dict)
    modified_at: datetime | None = None
    is_deleted: bool = False
    merged_into: str | None = None
    currency: str | None = None
    absorbed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One page of accounts.

    ``bookmark``: the modification time up to which everything is read once this page is stored; the next incremental
    read may start there. None while that is undecided (for example, in a read by id). It never goes back within a read,
    nor before `since`. The last page's may be later than its last account: see finished_bookmark.
    """

    accounts: tuple[Account, ...]
    bookmark: datetime | None


@dataclass(frozen=True, slots=True)
class AccountField:
    """A field of the CRM's account object, from its live schema.

    `is_filterable`: queries can filter by it; Salesforce's long text areas can't.
    """

    name: str
    label: str
    data_type: str
    is_filterable: bool = True


@dataclass(frozen=True, slots=True)
class Filled:
    """How many accounts have a value in a field, out of `of` sampled ones (None: out of all live ones)."""

    filled: int
    of: int | None = None

    def words(self, accounts: int | None = None) -> str:
        """For people: `12 of 300 accounts`; `accounts`: the number of live accounts, if known."""
        if self.of is not None:
            return f"{self.filled:,} of {self.of:,} sampled accounts (it can't be counted for all)"
        return f"{self.filled:,} accounts" if accounts is None else f"{self.filled:,} of {accounts:,} accounts"


@dataclass(frozen=True, slots=True)
class Proof:
    """A check of the credentials beyond what a probe proves.

    `name` is for programs, `what` for people; `error` is set if it failed. `is_spare`: the credentials are set, but not
    used.
    """

    name: str
    what: str
    error: PipelineError | None = None
    is_spare: bool = False


class PrimaryCRM(Protocol):
    """Salesforce or HubSpot: the owner of the accounts. Read only."""

    kind: CRMKind

    @property
    def sweep_every(self) -> timedelta:
        """How often (in whole days) all live accounts must be read: incremental reads don't show every change."""
        ...

    def organisation(self) -> str:
        """The id of the Salesforce organisation or HubSpot portal: whose accounts these are."""
        ...

    def probe(self) -> None:
        """A light call (seconds, with its own timeouts) that proves that the CRM responds and shows accounts.

        Raises:
            GateClosed: the CRM does not respond, or shows no accounts at all.
            CredentialsRejected: it refuses the credentials.
        """
        ...

    @property
    def login(self) -> str:
        """The credentials in use: their kind, with the variables that hold them."""
        ...

    def proofs(self) -> Iterator[Proof]:
        """Checks the credentials beyond a successful probe.

        Each kind of credentials that is set must work, even if unused, and each permission that a pull needs later must
        be granted.
        """
        ...

    def count_accounts(self) -> int | None:
        """The number of live accounts, by one call; None if counting takes too long."""
        ...

    def fields_read(self) -> Sequence[str]:
        """The account fields that are read, by the CRM's names, sorted."""
        ...

    def changed_accounts(self, since: datetime | None) -> Iterator[AccountPage]:
        """Accounts changed at or after `since` (None: every account), oldest change first, page by page.

        Includes deleted and merged accounts as far as the CRM reports them. `since` is a bookmark: implementations
        start earlier, by as much as changes may become visible late. Accounts may therefore come again, even within one
        read; storing them twice changes nothing. If nothing is new, there is no page.
        """
        ...

    def live_accounts(self) -> Iterator[AccountPage]:
        """The sweep: every live account with all its fields, page by page. Accounts not in it are gone."""
        ...

    def account_fields(self) -> list[AccountField]:
        """The fields of the account object (Salesforce Account, HubSpot company), from the live schema."""
        ...

    def missing_gsid_fields(self) -> Mapping[str, SettingsError]:
        """The configured GSID fields that don't exist, each with its error."""
        ...

    def sample_accounts(self, size: int) -> list[Mapping[str, Any]]:
        """Up to `size` (at most 200) live accounts with all their fields, by one call: raw values by field name."""
        ...

    def find_accounts(self, field: str | None, values: Sequence[str]) -> list[Account]:
        """Finds accounts by id or by the value of a configured GSID field, with few calls.

        Args:
            field: the GSID field as named in the settings; None: the account's id.
            values: canonical ids, or GSIDs.

        Returns:
            By id: also deleted and merged accounts and those they were merged into, as far as the CRM reports them. By
            GSID: live accounts that hold exactly that text (only a pull strips whitespace). If the field isn't
            filterable, only the LOOKED_AT accounts changed last are searched.
        """
        ...

    def count_filled(self, field: str) -> Filled:
        """How many live accounts have a value in this field, by one call; a sample if it isn't filterable."""
        ...

    @property
    def calls(self) -> int:
        """Number of API calls made by this object."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


def finished_bookmark(
    last: datetime | None, answered_at: datetime | None, overlap: timedelta, unit: timedelta
) -> datetime | None:
    """The bookmark after a completed read; for implementations.

    Args:
        last: the latest change that was read.
        answered_at: when the read began, by the CRM's clock; None if it didn't say.
        overlap: how far before a bookmark the next read will start.
        unit: the resolution of change times.

    Returns:
        If `last` is so old that nothing more can become visible at or before it: the bookmark with which the next read
        starts just after `last`, so that no change means no call for pages. Otherwise `last`.
    """
    if last is None or answered_at is None:
        return last
    beyond = last + unit + overlap
    return beyond if beyond <= answered_at else last
