"""What a primary CRM has to offer, and the account as the rest of the package knows it.

Nothing here knows Salesforce, HubSpot, a database or Dagster. Every method may raise ``GateClosed`` (not answering),
``CredentialsRejected``, ``SettingsError`` (a configured field isn't there; of those for GSIDs, one that is asked for),
``TransientError`` (``RateLimited`` among them) or ``PermanentError`` (a refusal that nobody has foreseen); no other
error leaves an implementation.
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
"""As people write them."""

ACCOUNT_OBJECTS: Mapping[CRMKind, str] = {"salesforce": "Salesforce Account", "hubspot": "HubSpot company"}
"""What each calls its accounts."""

LOOKED_AT = 2000
"""Accounts that are read where the CRM can't be asked for those with some value."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the CRM, live or not.

    ``account_id`` is the canonical id: 18 characters for Salesforce, the decimal number for HubSpot.
    ``gsids`` maps the names of the configured GSID fields to their non-blank values, trimmed.
    ``merged_into`` is the account that took this one over (Salesforce: MasterRecordId of the deleted record).
    ``currency`` is the ISO code of the currency of ``arr``; None where the CRM has one currency, or doesn't say.
    ``absorbed`` are the ids that were merged into this one (HubSpot: hs_merged_object_ids).
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

    ``bookmark`` is the modification time that is completely read once this page is stored: the next incremental read
    may start there. None while nothing can be said yet (for example, pages of a read in another order). It never goes
    back within one read, nor behind `since`. The last page's may lie after its last account: see finished_bookmark.
    """

    accounts: tuple[Account, ...]
    bookmark: datetime | None


@dataclass(frozen=True, slots=True)
class AccountField:
    """A field of the CRM's account object, as its live schema describes it.

    `is_filterable`: accounts can be asked for by its value; Salesforce's long text areas can't.
    """

    name: str
    label: str
    data_type: str
    is_filterable: bool = True


@dataclass(frozen=True, slots=True)
class Filled:
    """How many accounts have a value in a field; `of` how many that were looked at, None: of all live ones."""

    filled: int
    of: int | None = None

    def words(self, accounts: int | None = None) -> str:
        """As people read it: `12 of 300 accounts`; `accounts` is how many live ones there are, if that is known."""
        if self.of is not None:
            return f"{self.filled:,} of {self.of:,} accounts that were looked at (it can't be counted for all)"
        return f"{self.filled:,} accounts" if accounts is None else f"{self.filled:,} of {accounts:,} accounts"


@dataclass(frozen=True, slots=True)
class Proof:
    """Something of the credentials that a probe doesn't show.

    `name` is for programs, `what` for people; `error` is there if it doesn't hold. `is_spare`: of credentials that are
    set and not used.
    """

    name: str
    what: str
    error: PipelineError | None = None
    is_spare: bool = False


class PrimaryCRM(Protocol):
    """Salesforce or HubSpot: the owner of the account records. Read only."""

    kind: CRMKind

    @property
    def sweep_every(self) -> timedelta:
        """How often (whole days) all live accounts have to be read, since increments don't show everything."""
        ...

    def organisation(self) -> str:
        """The id of the Salesforce organisation or HubSpot portal that answers: whose accounts these are."""
        ...

    def probe(self) -> None:
        """A light call (seconds, own timeouts) that proves that the CRM answers and shows accounts.

        Raises:
            GateClosed: the CRM does not answer, or answers with no accounts at all.
            CredentialsRejected: it answers and refuses the credentials.
        """
        ...

    @property
    def login(self) -> str:
        """How it is logged in to: the kind of credentials, with the variables that hold them."""
        ...

    def proofs(self) -> Iterator[Proof]:
        """What people want to know of the credentials that are set, besides that a probe succeeds.

        Each kind that is set but not used has to work too, and each permission that a pull needs later has to be there.
        """
        ...

    def count_accounts(self) -> int | None:
        """How many live accounts the CRM shows, by one call; None where it takes too long to count them."""
        ...

    def fields_read(self) -> Sequence[str]:
        """The fields of an account that are read, by their names in the CRM, sorted."""
        ...

    def changed_accounts(self, since: datetime | None) -> Iterator[AccountPage]:
        """Accounts changed at or after `since` (None: every account), oldest change first, page by page.

        Deleted and merged ones are included as far as the CRM tells of them by their change. `since` is a bookmark:
        the implementation itself starts earlier by as much as its changes may become visible late. So accounts may
        come again, also within one read; storing them twice changes nothing. Nothing new: no page at all.
        """
        ...

    def live_accounts(self) -> Iterator[AccountPage]:
        """Every live account with all its fields, page by page: the sweep. What it doesn't hold at its end is gone."""
        ...

    def account_fields(self) -> list[AccountField]:
        """The fields of the account object (Salesforce Account, HubSpot company), from the live schema."""
        ...

    def missing_gsid_fields(self) -> Mapping[str, SettingsError]:
        """The configured GSID fields that the account object doesn't have, each with the error that says so."""
        ...

    def sample_accounts(self, size: int) -> list[Mapping[str, Any]]:
        """Up to `size` (at most 200) live accounts with all their fields, by one call: raw values by field name."""
        ...

    def find_accounts(self, field: str | None, values: Sequence[str]) -> list[Account]:
        """Accounts with one of these ids, or one of these values in a configured GSID field, by few calls.

        Args:
            field: the GSID field as the settings name it; None: the account's id.
            values: canonical ids, or GSIDs.

        Returns:
            By id deleted and merged ones too, with those that took them over, as far as the CRM tells of them; by
            GSID the live ones that hold exactly that text (blanks around it are dropped by a pull alone). A field
            that isn't filterable is looked at in the accounts that changed last, LOOKED_AT of them.
        """
        ...

    def count_filled(self, field: str) -> Filled:
        """How many live accounts have a value in this field, by one call; a sample where it isn't filterable."""
        ...

    @property
    def calls(self) -> int:
        """Number of API calls made so far by this object."""
        ...

    def close(self) -> None:
        """Gives connections back."""
        ...


def finished_bookmark(
    last: datetime | None, answered_at: datetime | None, overlap: timedelta, unit: timedelta
) -> datetime | None:
    """The bookmark after a read that reached its end, for implementations.

    Args:
        last: the latest change that was read.
        answered_at: when the read began, by the CRM's own clock; None if it didn't say.
        overlap: how far before a bookmark the next read will start.
        unit: the resolution of change times.

    Returns:
        When `last` is so old that nothing more can become visible at or before it, the bookmark from which the next
        read starts just after `last`, so that nothing new means nothing read; else `last`.
    """
    if last is None or answered_at is None:
        return last
    beyond = last + unit + overlap
    return beyond if beyond <= answered_at else last
