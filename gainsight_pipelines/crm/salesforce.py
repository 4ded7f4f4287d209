"""Salesforce as the primary CRM, through simple-salesforce. Read only: nothing here changes a record.

Fields are selected in fields.py, values parsed in values.py, errors translated in failures.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.failures import Peer, QueryForgotten, border, patiently, through_blips
from gainsight_pipelines.crm.fields import AccountFieldMap, GsidFields, LiveFields, live_fields
from gainsight_pipelines.crm.ids import salesforce_id_18
from gainsight_pipelines.crm.protocol import (
    LOOKED_AT,
    Account,
    AccountField,
    AccountPage,
    CRMKind,
    Filled,
    Proof,
    finished_bookmark,
)
from gainsight_pipelines.crm.values import UnreadableValues, normalise_domain, parse_time, text_or_none
from gainsight_pipelines.errors import GateClosed, NoAccounts, PipelineError, RateLimited, SettingsError, TransientError
from gainsight_pipelines.text import canonical_gsid, clean_value, name_key

if TYPE_CHECKING:
    from gainsight_pipelines.crm.salesforce_session import SalesforceCredentials

T = TypeVar("T")
logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 130.0
"""Seconds. Salesforce aborts queries after 120 s."""
PROBE_TIMEOUTS = (3.0, 10.0)
"""Connect and read timeout of a probe, in seconds."""

OVERLAP = timedelta(minutes=15)
"""How far before the requested time an incremental read starts. SystemModstamp is set when a transaction saves the
record, but the record becomes visible only with the commit: up to ten minutes later, after rows with later stamps have
been read. The rest is a reserve for bulk loads."""
SWEEP, SWEEP_OF_FORMULAS = timedelta(days=7), timedelta(days=1)
STAMP_UNIT = timedelta(seconds=1)
"""The API shows SystemModstamp in whole seconds."""
VALUES_PER_QUERY = 200
"""Values per IN (…): with GSIDs, some 10,000 of the 16,384 characters allowed in a URL."""

CURRENCY = "CurrencyIsoCode"
"""Exists only in organisations with several currencies; it applies to all amounts of the record."""
USUAL_FIELDS = AccountFieldMap(domain="Website", parent="ParentId", owner="OwnerId")


class Salesforce:
    """The accounts of a Salesforce organisation. Not thread-safe.

    Makes no call before its first method, which opens the session. An expired session is reopened, even in the middle
    of a read.

    Args:
        credentials: how to log in.
        fields: account fields to read in place of the usual ones.
        gsid_fields: account fields that may hold a GSID.
        clock: the source of time.
        authorities: PEM file with the certificate authorities to trust; None: those of `requests`.
        others: credentials that are also set but not used, or the error that says what they lack.
        answer_seconds: read timeout; None: as long as Salesforce allows a query.
    """

    kind: CRMKind = "salesforce"

    def __init__(
        self,
        credentials: SalesforceCredentials,
        fields: AccountFieldMap,
        gsid_fields: GsidFields,
        clock: Clock,
        authorities: str | None = None,
        *,
        others: Sequence[SalesforceCredentials | SettingsError] = (),
        answer_seconds: float | None = None,
    ) -> None:
        from gainsight_pipelines.crm.salesforce_session import SalesforceSession

        self._others = others
        self._authorities = authorities

        self._timeouts = (CONNECT_TIMEOUT, answer_seconds or READ_TIMEOUT)
        self._session = SalesforceSession(credentials, clock, self._timeouts, authorities)
        self._peer: Peer = self._session.peer
        self._fields = fields
        self._gsid_fields = gsid_fields
        self._clock = clock
        self._client: Any = None
        self._read_from: datetime | None = None
        """When the server answered the first call of the current query, by its own clock."""

    def __repr__(self) -> str:
        return f"Salesforce({self._peer.address!r})"

    @property
    def calls(self) -> int:
        """Number of HTTP requests made so far, logins included."""
        return self._session.calls

    def close(self) -> None:
        """Closes the connections and drops the token."""
        self._client = None
        self._session.close()

    def organisation(self) -> str:
        """The organisation's 18-character id (00D…)."""
        answer = self._call(lambda client: client.query("SELECT Id FROM Organization LIMIT 1"))
        records = answer.get("records") or [{}]
        text = str(records[0].get("Id") or "")
        found = salesforce_id_18(text) or text
        if not found:
            raise GateClosed(f"{self._peer} does not return its organisation's id.", "Check SALESFORCE_INSTANCE_URL.")
        return found

    @property
    def sweep_every(self) -> timedelta:
        """A week; a day if a field is a formula, which changes without updating the account's SystemModstamp."""
        is_calculated = any(self._described.get(name, {}).get("calculated") for name in self._plan.names())
        return SWEEP_OF_FORMULAS if is_calculated else SWEEP

    def probe(self) -> None:
        """Requests one live account, with short timeouts: counting millions takes minutes."""
        self._session.timeouts = PROBE_TIMEOUTS
        try:
            answer = self._call(lambda client: client.query("SELECT Id FROM Account LIMIT 1"))
        finally:
            self._session.timeouts = self._timeouts
        if not answer.get("records"):
            raise NoAccounts(
                f"{self._peer} responds, but shows no accounts.",
                "Give the integration's user read access to accounts (View All), then run again.",
            )

    @property
    def login(self) -> str:
        """The kind of credentials, with their variables."""
        return f"{self._session.credentials.words} ({self._session.credentials.names})"

    def proofs(self) -> Iterator[Proof]:
        """Logs in with each other kind of credentials that is set."""
        for other in self._others:
            if isinstance(other, SettingsError):
                yield Proof("other_credentials", "other credentials", other, is_spare=True)
            else:
                what = f"{other.words} ({other.names})"
                yield Proof(other.words.replace(" ", "_"), what, self._log_in_by(other), is_spare=True)

    def _log_in_by(self, credentials: SalesforceCredentials) -> PipelineError | None:
        from gainsight_pipelines.crm.salesforce_session import SalesforceSession

        session = SalesforceSession(credentials, self._clock, self._timeouts, self._authorities)
        try:
            with border(session.peer):
                through_blips(session.log_in, self._clock)
        except PipelineError as error:
            return error
        finally:
            session.close()
        return None

    def count_accounts(self) -> int | None:
        """Counts with a query, which Salesforce aborts after two minutes."""
        try:
            answer = self._call(lambda client: client.query("SELECT COUNT() FROM Account"))
        except RateLimited:
            raise
        except (TransientError, GateClosed) as error:
            logger.info("Accounts aren't counted: %s", error.message)  # a real failure shows with the next call
            return None
        return int(answer.get("totalSize") or 0)

    def fields_read(self) -> Sequence[str]:
        """The configured and usual fields, without those that every account has."""
        return sorted(filter(None, (*self._plan.names(), self._owner_name)))

    def account_fields(self) -> list[AccountField]:
        """The fields of Account that the integration's user may see."""
        return [
            AccountField(
                name,
                str(each.get("label") or name),
                str(each.get("type") or "string"),
                is_filterable=bool(each.get("filterable", True)),
            )
            for name, each in self._described.items()
        ]

    def missing_gsid_fields(self) -> Mapping[str, SettingsError]:
        """The configured GSID fields that don't exist, each with its error."""
        return self._plan.missing

    def sample_accounts(self, size: int) -> list[Mapping[str, Any]]:
        """Some accounts with all fields that the integration's user may see; FIELDS(ALL) returns 200 at most."""
        answer = self._call(lambda client: client.query(f"SELECT FIELDS(ALL) FROM Account LIMIT {min(size, 200)}"))
        return [
            {key: value for key, value in each.items() if key != "attributes"} for each in answer.get("records", [])
        ]

    def find_accounts(self, field: str | None, values: Sequence[str]) -> list[Account]:
        """By id: also in the recycle bin, and the accounts that they were merged into. By value: in batches of 200."""
        column = "Id" if field is None else self._plan.gsid(field)
        if field is not None and not self._is_filterable(column):
            return self._newest_with(field, values)
        found = self._accounts_where(column, values, include_deleted=field is None)
        masters = {each.merged_into for each in found if each.merged_into} - {each.account_id for each in found}
        return found + self._accounts_where("Id", sorted(masters), include_deleted=True)

    def count_filled(self, field: str) -> Filled:
        """Counts with a query; long text areas can't be filtered by, so a sample is read."""
        spelled = self._described_name(field)
        if self._is_filterable(spelled):
            answer = self._call(lambda client: client.query(f"SELECT COUNT() FROM Account WHERE {spelled} != null"))
            return Filled(int(answer.get("totalSize") or 0))
        answer = self._call(lambda client: client.query(f"SELECT {spelled} FROM Account LIMIT {LOOKED_AT}"))
        records = answer.get("records") or []
        return Filled(sum(text_or_none(record.get(spelled)) is not None for record in records), len(records))

    def changed_accounts(self, since: datetime | None) -> Iterator[AccountPage]:
        """Accounts with a SystemModstamp at or after `since` minus OVERLAP, in its order; deleted and merged ones too.

        Deleted accounts appear as long as the recycle bin holds them (15 days, less when it overflows).
        """
        reached = since - OVERLAP if since else None
        last: datetime | None = None
        fresh = True
        while True:
            try:
                for page, seen, done in self._changed_pages(reached, fresh):
                    last = max(filter(None, (last, seen)), default=None)
                    if done:
                        last = finished_bookmark(last, self._read_from, OVERLAP, STAMP_UNIT)
                    if page:
                        # Everything before `since` is already stored, so a bookmark never goes back behind it.
                        yield AccountPage(page, max(filter(None, (last, since)), default=None))
                    fresh = False
                return
            except QueryForgotten:
                if last is None or last == reached:
                    raise self._lost_query() from None
                reached = last

    def live_accounts(self) -> Iterator[AccountPage]:
        """Every account that isn't deleted, by id."""
        plan = self._plan
        after: str | None = None
        first = True
        with self._reported() as values:
            while True:
                where = f"WHERE Id > '{after}' " if after else ""
                start = after
                try:
                    for records, _ in self._query(f"{_select(plan, self._owner_name)} {where}ORDER BY Id", first):
                        accounts = tuple(self._account(record, values) for record in records)
                        after = accounts[-1].account_id if accounts else after
                        first = False
                        if accounts:
                            yield AccountPage(accounts, None)
                    return
                except QueryForgotten:
                    if after == start:
                        raise self._lost_query() from None

    def _accounts_where(self, column: str, values: Sequence[str], *, include_deleted: bool) -> list[Account]:
        select, found = _select(self._plan, self._owner_name), []
        with self._reported() as unreadable:
            for start in range(0, len(values), VALUES_PER_QUERY):
                listed = ", ".join(_quoted(value) for value in values[start : start + VALUES_PER_QUERY])
                soql = f"{select} WHERE {column} IN ({listed})"
                for records, _ in self._query(soql, first=True, include_deleted=include_deleted):
                    found += [self._account(record, unreadable) for record in records]
        return found

    def _is_filterable(self, name: str) -> bool:
        return bool(self._described.get(name, {}).get("filterable", True))

    def _newest_with(self, field: str, values: Sequence[str]) -> list[Account]:
        """The recently changed accounts that have one of the values in a field that can't be filtered by."""
        select = f"{_select(self._plan, self._owner_name)} ORDER BY SystemModstamp DESC LIMIT {LOOKED_AT}"
        with self._reported() as unreadable:
            read = [self._account(each, unreadable) for rows, _ in self._query(select, first=True) for each in rows]
        wanted = set(map(canonical_gsid, values))
        return [account for account in read if canonical_gsid(account.gsids.get(field)) in wanted]

    def _described_name(self, field: str) -> str:
        """A field in Salesforce's spelling.

        Raises:
            SettingsError: Account has no such field.
        """
        spelled = {name_key(name): name for name in self._described}.get(name_key(field))
        if spelled is None:
            raise SettingsError(f"Salesforce's Account has no field {field!r}.", "Pick one from `crm-fields`.")
        return spelled

    def _changed_pages(
        self, reached: datetime | None, first: bool
    ) -> Iterator[tuple[tuple[Account, ...], datetime | None, bool]]:
        """Pages, with the stamp up to which everything is read, and whether each is the last."""
        where = f"WHERE SystemModstamp >= {_soql_time(reached)} " if reached else ""
        select = f"{_select(self._plan, self._owner_name)} {where}ORDER BY SystemModstamp, Id"
        with self._reported() as values:
            for records, done in self._query(select, first, include_deleted=True):
                accounts = tuple(self._account(record, values) for record in records)
                stamps = [account.modified_at for account in accounts if account.modified_at]
                # An account edited during the query shows its new stamp in its old place, which says nothing about the
                # accounts after it.
                settled = [stamp for stamp in stamps if self._read_from is None or stamp <= self._read_from]
                yield accounts, max(settled, default=None), done

    def _query(self, soql: str, first: bool, *, include_deleted: bool = False) -> Iterator[tuple[list[Any], bool]]:
        """The pages of a query, and whether each is the last; only the first call of a read isn't retried patiently."""

        def begin() -> Any:
            return self._call(lambda client: client.query(soql, include_deleted=include_deleted))

        answer = begin() if first else patiently(begin, self._clock)
        self._read_from = self._session.answered_at
        while True:
            following = None if answer.get("done", True) else answer.get("nextRecordsUrl")
            yield answer.get("records") or [], not following
            if not following:
                return
            answer = patiently(partial(self._next_page, following), self._clock)

    def _next_page(self, following: str) -> Any:
        return self._call(lambda client: client.query_more(following, identifier_is_url=True))

    def _call(self, ask: Callable[[Any], T]) -> T:
        """Makes one call; repeats it if the response is lost, with a new session if the old one has expired."""
        return through_blips(partial(self._call_once, ask), self._clock)

    def _call_once(self, ask: Callable[[Any], T]) -> T:
        from simple_salesforce.exceptions import SalesforceExpiredSession

        with border(self._peer):
            self._client = self._client or self._session.log_in()
            try:
                return self._cleaned(ask(self._client))
            except SalesforceExpiredSession:
                self._client = None
            self._client = self._session.log_in()
            return self._cleaned(ask(self._client))

    def _cleaned(self, answer: T) -> T:
        return answer if self._session.is_clean else cast(T, clean_value(answer)[0])

    @cached_property
    def _described(self) -> dict[str, dict[str, Any]]:
        answer = self._call(lambda client: client.Account.describe())
        return {str(each["name"]): each for each in answer.get("fields") or []}

    @cached_property
    def _plan(self) -> LiveFields:
        described = self.account_fields()
        plan = live_fields(self._fields, USUAL_FIELDS, self._gsid_fields, described, "Salesforce's Account")
        if not plan.domain:
            logger.warning("%s hides Account.Website from this user: accounts have no domain", self._peer)
        return replace(plan, currency=CURRENCY if CURRENCY in self._described else None)

    @cached_property
    def _owner_name(self) -> str | None:
        """The path to the owner's name, if the owner is a lookup (Owner.Name)."""
        relationship = self._described.get(self._plan.owner or "", {}).get("relationshipName")
        return f"{relationship}.Name" if relationship else None

    def _account(self, record: Mapping[str, Any], values: UnreadableValues) -> Account:
        plan = self._plan
        owner = text_or_none(record.get(plan.owner)) if plan.owner else None
        owner_name = owner
        if self._owner_name:
            owner_name = text_or_none((record.get(self._owner_name.split(".")[0]) or {}).get("Name"))
            owner = salesforce_id_18(owner or "")
        website = record.get(plan.domain) if plan.domain else None
        gsids = {name: text_or_none(record.get(spelling)) for name, spelling in plan.gsids.items()}
        return Account(
            account_id=_id(record),
            name=text_or_none(record.get("Name")),
            domain=normalise_domain(website if isinstance(website, str) else None),
            parent_account_id=salesforce_id_18(str(record.get(plan.parent) or "")) if plan.parent else None,
            arr=values.number(plan.arr, record.get(plan.arr)) if plan.arr else None,
            renewal_date=values.day(plan.renewal_date, record.get(plan.renewal_date)) if plan.renewal_date else None,
            owner_id=owner if self._owner_name else None,
            owner_name=owner_name,
            gsids={name: value for name, value in gsids.items() if value},
            modified_at=parse_time(record.get("SystemModstamp")),
            is_deleted=bool(record.get("IsDeleted")),
            merged_into=salesforce_id_18(str(record.get("MasterRecordId") or "")),
            currency=text_or_none(record.get(plan.currency)) if plan.currency else None,
        )

    @contextmanager
    def _reported(self) -> Iterator[UnreadableValues]:
        values = UnreadableValues()
        try:
            yield values
        finally:
            values.report("Salesforce")

    def _lost_query(self) -> PipelineError:
        return TransientError(f"{self._peer} drops query results before they are read.", "Run again.")


def _select(plan: LiveFields, owner_name: str | None) -> str:
    """The SELECT clause. Every name comes from the live schema or from this module, so nothing needs quoting."""
    names = ["Id", "Name", "SystemModstamp", "IsDeleted", "MasterRecordId", *plan.names()]
    names += [owner_name] if owner_name else []
    return f"SELECT {', '.join(dict.fromkeys(names))} FROM Account"


def _quoted(value: str) -> str:
    """A text as a SOQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _soql_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _id(record: Mapping[str, Any]) -> str:
    return salesforce_id_18(str(record.get("Id") or "")) or str(record.get("Id"))
