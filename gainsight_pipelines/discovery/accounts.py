"""Finds the accounts that some companies would be matched to, with few CRM calls and without a pull.

`matching` does the matching; this module builds an index of just the accounts in question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gainsight_pipelines.crm.protocol import Account, PrimaryCRM
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.reader import read_by_ids
from gainsight_pipelines.matching import CANONICAL_ID, AccountIndex, IndexedAccount, Link
from gainsight_pipelines.objects.fields import Record, spelled
from gainsight_pipelines.objects.pull import COMPANY_OBJECT, CompanyFields, crm_ids_of
from gainsight_pipelines.text import canonical_gsid


@dataclass(frozen=True, slots=True)
class CompanyKeys:
    """The keys that find a record's account: its company's GSID, that company's CRM id, or the record's own key."""

    company_gsid: str | None
    crm_id: str | None = None
    key: str | None = None
    key_kind: str | None = None


@dataclass(frozen=True, slots=True)
class FoundLinks:
    """The match of each record, in order, and the accounts found, by id."""

    links: tuple[Link, ...]
    accounts: dict[str, Account] = field(default_factory=dict)


def keys_of(
    records: Sequence[Record],
    company: CompanyFields,
    crm_id_field: str | None,
    client: GainsightClient,
    company_schema: Callable[[], ObjectSchema],
) -> list[CompanyKeys]:
    """The keys of records; companies whose CRM id isn't in the record are requested, 200 per call."""
    if company.key_kind is not None:
        return [
            CompanyKeys(company.gsid_of(record), None, company.crm_id_of(record), company.key_kind)
            for record in records
        ]
    gsids = [company.gsid_of(record) for record in records]
    came = [company.crm_id_of(record) if company.own_gsid_of(record) else None for record in records]
    learnt: dict[str, Any] = {}
    if crm_id_field is not None:
        # Except ids that came with the record: a blank one is known to be blank.
        missing = [
            gsid
            for record, gsid in zip(records, gsids, strict=True)
            if gsid and not (company.crm_id and company.own_gsid_of(record))
        ]
        gsid_field = spelled(company_schema(), "Gsid")
        for page in read_by_ids(client, COMPANY_OBJECT, (gsid_field, crm_id_field), gsid_field, missing, kind="probe"):
            learnt |= dict(crm_ids_of(page, gsid_field, crm_id_field))
    return [CompanyKeys(gsid, crm_id or learnt.get(gsid or "")) for gsid, crm_id in zip(gsids, came, strict=True)]


def find_links(crm: PrimaryCRM, gsid_field: str | None, keys: Sequence[CompanyKeys]) -> FoundLinks:
    """The account that each record would be matched to.

    Args:
        crm: the CRM to query; created for `gsid_field`.
        gsid_field: the CRM field that matching falls back to.
        keys: of records; not by domain, since the CRM can't be queried for a domain as matching compares it.

    Raises:
        PipelineError: the CRM doesn't respond or refuses.
    """
    canonical = CANONICAL_ID[crm.kind]
    own = (one.key for one in keys if one.key_kind == "crm_id")
    ids = {found for value in (*own, *(one.crm_id for one in keys)) if value and (found := canonical(value))}
    gsids = {found for one in keys if (found := canonical_gsid(one.company_gsid))}
    accounts = {account.account_id: account for account in (crm.find_accounts(None, sorted(ids)) if ids else ())}
    if gsid_field is not None and gsids:
        accounts |= {account.account_id: account for account in crm.find_accounts(gsid_field, sorted(gsids))}
    index = AccountIndex(crm.kind, _indexed(accounts.values(), gsid_field))
    links = tuple(index.link_of(one.company_gsid, one.key, one.key_kind, one.crm_id) for one in keys)
    return FoundLinks(links, accounts)


def _indexed(accounts: Iterable[Account], gsid_field: str | None) -> Iterable[IndexedAccount]:
    for account in accounts:
        gsid = account.gsids.get(gsid_field) if gsid_field else None
        yield IndexedAccount(account.account_id, gsid, account.is_deleted, account.merged_into, account.domain)
        for absorbed in account.absorbed:
            yield IndexedAccount(absorbed, merged_into=account.account_id)
