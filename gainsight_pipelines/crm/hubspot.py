"""HubSpot as the primary CRM, through hubspot-api-client. Read only: nothing here changes a record.

Fields are selected in fields.py, values parsed in values.py, errors translated in failures.py; calls, timeouts and rate
limits are in hubspot_calls.py. Facts about search are from
https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.failures import patiently
from gainsight_pipelines.crm.fields import AccountFieldMap, GsidFields, LiveFields, live_fields
from gainsight_pipelines.crm.hubspot_calls import HubSpotCalls, HubSpotCredentials
from gainsight_pipelines.crm.ids import hubspot_id
from gainsight_pipelines.crm.protocol import (
    Account,
    AccountField,
    AccountPage,
    CRMKind,
    Filled,
    Proof,
    finished_bookmark,
)
from gainsight_pipelines.crm.values import UnreadableValues, normalise_domain, parse_time, text_or_none
from gainsight_pipelines.errors import GateClosed, NoAccounts, PipelineError, SettingsError, TransientError

logger = logging.getLogger(__name__)

SEARCH_PAGE = 200
"""Maximum results of a search page."""
LIST_PAGE = 100
"""Maximum companies per list page."""

OVERLAP = timedelta(minutes=15)
"""How far before the requested time an incremental read starts. The search index lags behind changes: "a few moments"
by the documentation, minutes under load, and not in order."""
STAMP_UNIT = timedelta(milliseconds=1)
"""hs_lastmodifieddate has milliseconds."""

MODIFIED = "hs_lastmodifieddate"
RECORD_ID = "hs_object_id"
MERGED = "hs_merged_object_ids"
OWNER = "hubspot_owner_id"
USUAL_FIELDS = AccountFieldMap(domain="domain", parent="hs_parent_company_id", owner=OWNER)


@dataclass(frozen=True, slots=True)
class _Row:
    """A company as received: id, modification time (milliseconds since 1970), properties."""

    record_id: str
    modified: int | None
    archived: bool
    properties: Mapping[str, Any]


class HubSpot:
    """The companies of a HubSpot portal. Not thread-safe; makes no call before its first method.

    Args:
        credentials: the access token and the address.
        fields: company properties to read in place of the usual ones.
        gsid_fields: company properties that may hold a GSID.
        clock: the source of time.
        answer_seconds: read timeout; None: the default. If set, rate limits are not waited for.
    """

    kind: CRMKind = "hubspot"

    def __init__(
        self,
        credentials: HubSpotCredentials,
        fields: AccountFieldMap,
        gsid_fields: GsidFields,
        clock: Clock,
        *,
        answer_seconds: float | None = None,
    ) -> None:
        self._calls = HubSpotCalls(credentials, clock, answer_seconds)
        self._fields = fields
        self._gsid_fields = gsid_fields
        self._clock = clock

    def __repr__(self) -> str:
        return f"HubSpot({self._calls.peer.address!r})"

    @property
    def calls(self) -> int:
        """Number of HTTP requests made so far."""
        return self._calls.count

    def close(self) -> None:
        """Closes the connections."""
        self._calls.close()

    def organisation(self) -> str:
        """The portal's id (Hub ID)."""
        found = hubspot_id(str(self._calls.account_details().get("portalId") or ""))
        if found is None:
            raise GateClosed(f"{self._calls.peer} does not return its portal's id.", "Check HUBSPOT_BASE_URL.")
        return found

    @property
    def sweep_every(self) -> timedelta:
        """A day: archived companies disappear from search without a trace."""
        return timedelta(days=1)

    def probe(self) -> None:
        """Requests one company, with short timeouts."""
        if not self._calls.search({"limit": 1, "properties": [RECORD_ID]}, probe=True).get("total"):
            raise NoAccounts(
                f"{self._calls.peer} responds, but shows no companies.",
                "Give the private app the scope crm.objects.companies.read, then run again.",
            )

    @property
    def login(self) -> str:
        """HubSpot has one kind of credentials."""
        return "the access token (HUBSPOT_ACCESS_TOKEN)"

    def proofs(self) -> Iterator[Proof]:
        """Whether the token may read owners, whose names a pull stores; a probe reads companies only."""
        if not self._owner_is_user:
            return
        error: PipelineError | None = None
        try:
            self._calls.first_owner()
        except PipelineError as refused:
            error = refused
        yield Proof("owners", "the names of owners (scope crm.objects.owners.read)", error)

    def count_accounts(self) -> int:
        """The total of a search."""
        return int(self._calls.search({"limit": 1, "properties": [RECORD_ID]}).get("total") or 0)

    def fields_read(self) -> Sequence[str]:
        """The configured and usual properties, without those that every company has."""
        return sorted(self._plan.names())

    def account_fields(self) -> list[AccountField]:
        """The properties of companies."""
        return [
            AccountField(name, str(each.get("label") or name), str(each.get("type") or "string"))
            for name, each in self._described.items()
        ]

    def missing_gsid_fields(self) -> Mapping[str, SettingsError]:
        """The configured GSID fields that don't exist, each with its error."""
        return self._plan.missing

    def sample_accounts(self, size: int) -> list[Mapping[str, Any]]:
        """Some companies with all their properties."""
        names = list(self._described)
        answer = self._calls.search({"limit": min(size, SEARCH_PAGE), "properties": names})
        return [{name: (each.get("properties") or {}).get(name) for name in names} for each in answer["results"]]

    def find_accounts(self, field: str | None, values: Sequence[str]) -> list[Account]:
        """By id with batch reads of 100, which resolve a merged company to the one it was merged into."""
        found: dict[str, Account] = {}
        with self._reported() as unreadable:
            for start in range(0, len(values), LIST_PAGE):
                batch = values[start : start + LIST_PAGE]
                if field is None:
                    answer = self._calls.read_companies(batch, self._properties)
                else:
                    # As documented, text values must be lower case.
                    wanted = [value.lower() for value in batch]
                    holds = {"propertyName": self._plan.gsid(field), "operator": "IN", "values": wanted}
                    request = {"filterGroups": [{"filters": [holds]}], "properties": self._properties}
                    answer = self._calls.search(request | {"limit": SEARCH_PAGE})
                found |= {row.record_id: self._account(row, unreadable) for row in _rows(answer)}
        return list(found.values())

    def count_filled(self, field: str) -> Filled:
        """The total of a search."""
        if field not in self._described:
            raise SettingsError(f"HubSpot's company has no property {field!r}.", "Pick one from `crm-fields`.")
        has_value = {"propertyName": field, "operator": "HAS_PROPERTY"}
        request = {"filterGroups": [{"filters": [has_value]}], "properties": [RECORD_ID], "limit": 1}
        return Filled(int(self._calls.search(request).get("total") or 0))

    def changed_accounts(self, since: datetime | None) -> Iterator[AccountPage]:
        """Companies modified at or after `since` minus OVERLAP, in the order of hs_lastmodifieddate.

        Archived companies don't appear (the sweep finds them); merged ones appear in the winner's `absorbed`. With
        None, all are listed by id, without the search's limits; then only the last page has a bookmark.
        """
        if since is None:
            yield from self._listed(bookmarks=True)
            return
        with self._reported() as values:
            for rows, bookmark in self._changed_rows(_milliseconds(since - OVERLAP)):
                accounts = tuple(self._account(row, values) for row in rows)
                if accounts:
                    # Everything before `since` is already stored, so a bookmark never goes back behind it.
                    yield AccountPage(accounts, max(since, bookmark or since))

    def live_accounts(self) -> Iterator[AccountPage]:
        """Every company that isn't archived, by id."""
        return self._listed(bookmarks=False)

    def _listed(self, *, bookmarks: bool) -> Iterator[AccountPage]:
        properties = self._properties
        after: str | None = None
        read_from, last = None, None
        with self._reported() as values:
            while True:
                ask = partial(self._calls.list_companies, LIST_PAGE, after, properties)
                answer = patiently(ask, self._clock) if after else ask()
                read_from = read_from or self._calls.answered_at
                accounts = tuple(self._account(row, values) for row in _rows(answer))
                last = max(filter(None, (last, *(account.modified_at for account in accounts))), default=None)
                following = _after(answer)
                if following is not None and following == after:
                    raise TransientError(f"{self._calls.peer} returns the same page of companies again.", "Run again.")
                if accounts:
                    # A company modified after it was listed has a stamp later than both the start of the read and every
                    # stamp seen by then; the earlier of the two misses nothing.
                    end = min(filter(None, (last, read_from)), default=None) if bookmarks and not following else None
                    yield AccountPage(accounts, finished_bookmark(end, read_from, OVERLAP, STAMP_UNIT))
                if following is None:
                    return
                after = following

    def _changed_rows(self, reached: int) -> Iterator[tuple[list[_Row], datetime | None]]:
        """Pages of companies modified at or after `reached` (milliseconds), with their bookmarks.

        Each page is a separate search from the last stamp on. The search's own paging counts positions in an order that
        moves during the read, and ends at 10,000.
        """
        seen: set[str] = set()
        first = True
        read_from: datetime | None = None
        while True:
            answer = self._search([_filter(MODIFIED, "GTE", reached)], MODIFIED, first)
            read_from = read_from or self._calls.answered_at
            first = False
            rows = _rows(answer)
            stamps = [row.modified for row in rows if row.modified is not None]
            last = max(stamps, default=reached)
            if rows and (not stamps or min(stamps) < reached):
                raise TransientError(f"{self._calls.peer} does not search by {MODIFIED} as asked.", "Run again.")
            fresh = [row for row in rows if row.record_id not in seen]
            if _after(answer) is None:
                yield fresh, finished_bookmark(_moment(last), read_from, OVERLAP, STAMP_UNIT)
                return
            yield fresh, _moment(last)
            if last > reached:
                seen = {row.record_id for row in rows if row.modified == last}
                reached = last
                continue
            yield from self._rows_of_one_moment(last)
            seen = set()
            reached = last + 1

    def _rows_of_one_moment(self, moment: int) -> Iterator[tuple[list[_Row], datetime | None]]:
        """All companies modified in one millisecond (a bulk change), by id, if they are more than a page."""
        within = [_filter(MODIFIED, "GTE", moment), _filter(MODIFIED, "LT", moment + 1)]
        reached = 0
        while True:
            answer = self._search([*within, _filter(RECORD_ID, "GT", reached)], RECORD_ID, False)
            rows = _rows(answer)
            yield rows, _moment(moment)
            if not rows or _after(answer) is None:
                return
            before, reached = reached, max(int(row.record_id) for row in rows)
            if reached <= before:
                raise TransientError(f"{self._calls.peer} does not search by {RECORD_ID} as asked.", "Run again.")

    def _search(self, filters: Sequence[Mapping[str, str]], order: str, first: bool) -> Mapping[str, Any]:
        request = {
            "filterGroups": [{"filters": list(filters)}],
            "sorts": [{"propertyName": order, "direction": "ASCENDING"}],
            "properties": self._properties,
            "limit": SEARCH_PAGE,
        }
        ask = partial(self._calls.search, request)
        return ask() if first else patiently(ask, self._clock)

    @cached_property
    def _described(self) -> dict[str, Mapping[str, Any]]:
        return {str(each["name"]): each for each in self._calls.properties().get("results") or [] if each.get("name")}

    @cached_property
    def _plan(self) -> LiveFields:
        plan = live_fields(self._fields, USUAL_FIELDS, self._gsid_fields, self.account_fields(), "HubSpot's company")
        # In a portal with several currencies, an amount property may name the property that holds its currency.
        named = self._described.get(plan.arr or "", {}).get("currencyPropertyName")
        return replace(plan, currency=named if named in self._described else None)

    @cached_property
    def _properties(self) -> list[str]:
        return list(dict.fromkeys(["name", MODIFIED, RECORD_ID, MERGED, *self._plan.names()]))

    @cached_property
    def _owner_is_user(self) -> bool:
        described = self._described.get(self._plan.owner or "", {})
        return self._plan.owner == OWNER or described.get("referencedObjectType") == "OWNER"

    @cached_property
    def _owner_names(self) -> Mapping[str, str]:
        """The names of all owners by id, archived ones included."""
        names: dict[str, str] = {}
        for archived in (False, True):
            for owner in self._calls.owners(archived=archived):
                parts = (text_or_none(owner.get("firstName")), text_or_none(owner.get("lastName")))
                name = " ".join(part for part in parts if part) or text_or_none(owner.get("email"))
                if owner.get("id") is not None and name:
                    names.setdefault(str(owner["id"]), name)
        return names

    def _account(self, row: _Row, values: UnreadableValues) -> Account:
        plan, properties = self._plan, row.properties
        owner = text_or_none(properties.get(plan.owner)) if plan.owner else None
        gsids = {name: text_or_none(properties.get(spelling)) for name, spelling in plan.gsids.items()}
        return Account(
            account_id=row.record_id,
            name=text_or_none(properties.get("name")),
            domain=normalise_domain(text_or_none(properties.get(plan.domain))) if plan.domain else None,
            parent_account_id=hubspot_id(str(properties.get(plan.parent) or "")) if plan.parent else None,
            arr=values.number(plan.arr, properties.get(plan.arr)) if plan.arr else None,
            renewal_date=values.day(plan.renewal_date, properties.get(plan.renewal_date))
            if plan.renewal_date
            else None,
            owner_id=owner if self._owner_is_user else None,
            owner_name=self._owner_names.get(owner) if owner and self._owner_is_user else owner,
            gsids={name: value for name, value in gsids.items() if value},
            modified_at=_moment(row.modified),
            is_deleted=row.archived,
            currency=text_or_none(properties.get(plan.currency)) if plan.currency else None,
            absorbed=_merged_ids(properties.get(MERGED), row.record_id),
        )

    @contextmanager
    def _reported(self) -> Iterator[UnreadableValues]:
        values = UnreadableValues()
        try:
            yield values
        finally:
            values.report("HubSpot")


def _rows(answer: Mapping[str, Any]) -> list[_Row]:
    rows = []
    for each in answer.get("results") or []:
        properties = each.get("properties") or {}
        record_id = hubspot_id(str(each.get("id") or properties.get(RECORD_ID) or ""))
        if record_id is None:
            logger.warning("HubSpot: a company without a usable id was skipped")
            continue
        modified = parse_time(properties.get(MODIFIED)) or parse_time(each.get("updatedAt"))
        rows.append(_Row(record_id, _milliseconds(modified), bool(each.get("archived")), properties))
    return rows


def _after(answer: Mapping[str, Any]) -> str | None:
    """The start of the next page; None after the last one."""
    following = ((answer.get("paging") or {}).get("next") or {}).get("after")
    return None if following is None else str(following)


def _filter(name: str, operator: str, value: int) -> Mapping[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _merged_ids(value: object, own: str) -> tuple[str, ...]:
    """The ids in hs_merged_object_ids: separated by semicolons, some followed by `:<time>`."""
    parts = re.split(r"[;,\s]+", str(value or ""))
    ids = (hubspot_id(part.partition(":")[0]) for part in parts)
    return tuple(dict.fromkeys(each for each in ids if each and each != own))


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def _milliseconds(moment: datetime | None) -> Any:
    return None if moment is None else (moment - datetime(1970, 1, 1, tzinfo=UTC)) // STAMP_UNIT
