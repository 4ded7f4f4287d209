"""Which account a record belongs to. Pure: no database, no network, no clock.

Order (requirements M1 and M2): first the CRM id that Gainsight stores on the company, then the account whose GSID field
holds the company's GSID. If several live accounts have the GSID, the match is ambiguous; nothing is guessed. Deleted
accounts don't count, and a merged account stands for the one it was merged into. Rows with their own key (usage by CRM
id or domain) are matched by that key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gainsight_pipelines.crm.ids import hubspot_id, salesforce_id_18
from gainsight_pipelines.crm.protocol import CRMKind
from gainsight_pipelines.crm.values import normalise_domain
from gainsight_pipelines.text import canonical_gsid, visible


class Method(StrEnum):
    """How an account was found."""

    DIRECT = "direct"
    GSID_FIELD = "gsid_field"
    DOMAIN = "domain"


class Reason(StrEnum):
    """Why there is no account."""

    NO_COMPANY = "no_company"
    NO_ACCOUNT = "no_account"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Link:
    """The result of matching: an account and the method, or the reason why there is none.

    `candidates`: the accounts of an ambiguous match. `is_contradicted`: the GSID field names another account than the
    direct match, which wins.
    """

    account_id: str | None = None
    method: Method | None = None
    reason: Reason | None = None
    candidates: tuple[str, ...] = ()
    is_contradicted: bool = False


NO_COMPANY = Link(reason=Reason.NO_COMPANY)
NO_ACCOUNT = Link(reason=Reason.NO_ACCOUNT)


@dataclass(frozen=True, slots=True)
class IndexedAccount:
    """The attributes of an account that matching uses. `gsid`: the value of the GSID field that applies."""

    account_id: str
    gsid: str | None = None
    is_deleted: bool = False
    merged_into: str | None = None
    domain: str | None = None


CANONICAL_ID: Mapping[CRMKind, Callable[[str], str | None]] = {"salesforce": salesforce_id_18, "hubspot": hubspot_id}


class AccountIndex:
    """Finds the account of a company in constant time, without I/O."""

    def __init__(self, crm: CRMKind, accounts: Iterable[IndexedAccount]) -> None:
        self._canonical_id = CANONICAL_ID[crm]
        everything = tuple(accounts)
        self._merged_into = {account.account_id: account.merged_into for account in everything if account.merged_into}
        self._live = {
            account.account_id for account in everything if not account.is_deleted and not account.merged_into
        }
        holders: defaultdict[str, set[str]] = defaultdict(set)
        for account in everything:
            holder = self._master(account.account_id)
            if holder is not None and (gsid := canonical_gsid(account.gsid)):
                holders[gsid].add(holder)
        self._by_gsid = {gsid: tuple(sorted(ids)) for gsid, ids in holders.items()}
        self._domains = [(account.account_id, account.domain) for account in everything if account.domain]

    def link(self, company_gsid: str | None, crm_id: str | None) -> Link:
        """Matches a company by its GSID and by the CRM id that Gainsight has for it; either may be missing."""
        gsid = canonical_gsid(company_gsid)
        if gsid is None and not (crm_id and visible(crm_id)):
            return NO_COMPANY
        direct = self._live_account(crm_id)
        holders = self._by_gsid.get(gsid, ()) if gsid else ()
        if direct is not None:
            return Link(direct, Method.DIRECT, is_contradicted=bool(holders) and direct not in holders)
        if len(holders) == 1:
            return Link(holders[0], Method.GSID_FIELD)
        if holders:
            return Link(reason=Reason.AMBIGUOUS, candidates=holders)
        return NO_ACCOUNT

    def link_by_domain(self, domain: str | None) -> Link:
        """Matches by domain: the account with this domain or website."""
        wanted = normalise_domain(domain)
        if wanted is None:
            return NO_COMPANY
        found = self._by_domain.get(wanted, ())
        if len(found) == 1:
            return Link(found[0], Method.DOMAIN)
        return Link(reason=Reason.AMBIGUOUS, candidates=found) if found else NO_ACCOUNT

    def link_of(self, company_gsid: str | None, key: str | None, key_kind: str | None, crm_id: str | None) -> Link:
        """Matches a row: by its own key if that finds an account, otherwise by its company.

        Args:
            company_gsid: the company's GSID.
            key: the row's own key to its account, if rows of this kind have one.
            key_kind: what the key is: `domain`, or a CRM id.
            crm_id: the CRM id that Gainsight has for the company.
        """
        own = self.link_by_key(key, key_kind)
        if own is None or own.account_id is None:
            by_company = self.link(company_gsid, crm_id)
            return own if own is not None and by_company.reason is Reason.NO_COMPANY else by_company
        # The company's GSID field may still contradict a CRM id.
        return own if key_kind == "domain" else self.link(company_gsid, key)

    def link_by_key(self, key: str | None, key_kind: str | None) -> Link | None:
        """Matches a row by its own key; None if it has no key."""
        if key_kind == "domain":
            return self.link_by_domain(key)
        return self.link(None, key) if key else None

    @cached_property
    def _by_domain(self) -> dict[str, tuple[str, ...]]:
        """Built on first use: most pulls never match by domain."""
        holders: defaultdict[str, set[str]] = defaultdict(set)
        for account_id, domain in self._domains:
            holder, normal = self._master(account_id), normalise_domain(domain)
            if holder is not None and normal is not None:
                holders[normal].add(holder)
        return {domain: tuple(sorted(ids)) for domain, ids in holders.items()}

    def _live_account(self, crm_id: str | None) -> str | None:
        account_id = self._canonical_id(crm_id) if crm_id else None
        return None if account_id is None else self._master(account_id)

    def _master(self, account_id: str) -> str | None:
        """The live account that this one is or was merged into, over any number of merges."""
        seen = set()
        while account_id in self._merged_into and account_id not in seen:
            seen.add(account_id)
            account_id = self._merged_into[account_id]
        return account_id if account_id in self._live else None
