"""The HubSpot client against a scripted server that follows HubSpot's documentation, with its own small search."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trustme

from gainsight_pipelines.crm import hubspot as module
from gainsight_pipelines.crm.failures import BLIP_WAITS
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.crm.hubspot import OVERLAP, HubSpot
from gainsight_pipelines.crm.hubspot_calls import HubSpotCredentials
from gainsight_pipelines.crm.protocol import Account, PrimaryCRM
from gainsight_pipelines.errors import (
    CredentialsRejected,
    GateClosed,
    PermanentError,
    PipelineError,
    RateLimited,
    SettingsError,
    TransientError,
)
from gainsight_pipelines_tests.crm.conftest import TestClock
from gainsight_pipelines_tests.crm.scripted import BLIPS, Answer, Request, Server, serve

TOKEN = "pat-na1-s3cr3t"
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
NAMES = (
    "name domain hs_parent_company_id hubspot_owner_id hs_lastmodifieddate gainsight_gsid arr renewal_date "
    "annualrevenue csm csm_text"
)
PROPERTIES = [{"name": name, "label": name.title(), "type": "string"} for name in NAMES.split()]


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def company(number: int, moment: datetime, **properties: Any) -> dict[str, Any]:
    properties = {
        "name": f"Company {number}",
        "hs_lastmodifieddate": iso(moment),
        "hs_object_id": str(number),
    } | properties
    return {"id": str(number), "properties": properties, "archived": False, "updatedAt": iso(moment)}


def _number(each: dict[str, Any], name: str) -> int:
    return _milliseconds(each["properties"][name]) if "date" in name else int(each["properties"][name])


@cache
def _milliseconds(value: str) -> int:
    return round(datetime.fromisoformat(value).timestamp() * 1000)


class Portal:
    """A scripted HubSpot: companies, and the errors to return first."""

    def __init__(self) -> None:
        self.companies: list[dict[str, Any]] = []
        self.owners = {
            "false": [{"id": "1", "firstName": "Ada", "lastName": "Byron"}],
            "true": [{"id": "2", "email": "e@x"}],
        }
        self.before: Callable[[Request], Answer | None] = lambda request: None

    def __call__(self, request: Request) -> Answer:
        special = self.before(request)
        if special is not None:
            return special
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer({"status": "error", "category": "INVALID_AUTHENTICATION", "message": TOKEN}, 401)
        match request.path.rstrip("/"):
            case "/account-info/v3/details":
                return Answer({"portalId": 8640311, "accountType": "STANDARD"})
            case "/crm/v3/properties/companies":
                described = [
                    each | ({"referencedObjectType": "OWNER"} if each["name"] == "csm" else {}) for each in PROPERTIES
                ]
                return Answer({"results": described})
            case "/crm/v3/owners":
                return Answer({"results": self.owners[request.query["archived"]]})
            case "/crm/v3/objects/companies":
                return Answer(self._list(int(request.query["limit"]), int(request.query.get("after", 0))))
            case "/crm/v3/objects/companies/search":
                return self._search(request.json)
        return Answer({"category": "OBJECT_NOT_FOUND"}, 404)

    def _list(self, limit: int, after: int) -> dict[str, Any]:
        assert limit <= 100
        rows = sorted((each for each in self.companies if int(each["id"]) > after), key=lambda each: int(each["id"]))
        paging = {"paging": {"next": {"after": rows[limit - 1]["id"]}}} if len(rows) > limit else {}
        return {"results": rows[:limit]} | paging

    def _search(self, request: dict[str, Any]) -> Answer:
        assert request["limit"] <= 200
        assert len(request.get("sorts", [])) <= 1

        rows = list(self.companies)
        for each in (request.get("filterGroups") or [{"filters": []}])[0]["filters"]:
            name, bound = each["propertyName"], int(each["value"])
            test = {"GTE": int.__ge__, "GT": int.__gt__, "LT": int.__lt__}[each["operator"]]
            rows = [row for row in rows if test(_number(row, name), bound)]
        for sort in request.get("sorts", []):
            rows.sort(key=lambda row: _number(row, sort["propertyName"]))
        start = int(request.get("after", 0))
        if start + request["limit"] > 10_000:
            return Answer({"category": "VALIDATION_ERROR"}, 400)
        shown = rows[start : start + request["limit"]]
        end = start + len(shown)
        paging = {"paging": {"next": {"after": str(end)}}} if end < len(rows) else {}
        return Answer({"total": len(rows), "results": shown} | paging)


@pytest.fixture
def portal() -> Portal:
    return Portal()


@pytest.fixture
def server(portal: Portal) -> Iterator[Server]:
    with serve(portal) as running:
        yield running


@contextmanager
def connected(
    server: Server, clock: TestClock, fields: AccountFieldMap | None = None, gsids: Any = ()
) -> Iterator[HubSpot]:
    crm = HubSpot(HubSpotCredentials(TOKEN, server.address), fields or AccountFieldMap(), gsids, clock)
    try:
        yield crm
    finally:
        crm.close()


@pytest.fixture
def crm(server: Server, clock: TestClock) -> Iterator[HubSpot]:
    with connected(
        server, clock, AccountFieldMap(arr="arr", renewal_date="renewal_date"), ["Gainsight_GSID"]
    ) as hubspot:
        yield hubspot


def names(pages: Any) -> list[str]:
    return [account.name for page in pages for account in page.accounts]


def searches(server: Server) -> list[Any]:
    return [request.json for request in server.requests if request.path.endswith("/search")]


def test_implements_the_primary_crm_protocol(crm: HubSpot, portal: Portal) -> None:
    as_protocol: PrimaryCRM = crm
    assert (as_protocol.kind, as_protocol.sweep_every, as_protocol.calls) == ("hubspot", timedelta(days=1), 0)
    portal.companies = [company(1, START)]
    assert as_protocol.organisation() == "8640311"
    as_protocol.probe()
    assert as_protocol.count_accounts() == 1
    assert as_protocol.calls == 3
    assert TOKEN not in repr(crm) + repr(HubSpotCredentials(TOKEN))


@pytest.mark.parametrize("since", [None, START])
def test_reads_an_account_with_all_its_fields(
    crm: HubSpot, portal: Portal, server: Server, since: datetime | None
) -> None:
    portal.companies = [
        company(
            7, START, domain="Acme.com", hs_parent_company_id="12", hubspot_owner_id="1", arr="120000.50",
            renewal_date="2026-12-31", gainsight_gsid=" 1P02 ", hs_merged_object_ids="3;4:1700000000000;7",
            annualrevenue="5",
        ),
        company(8, START, hubspot_owner_id="2", renewal_date="1798675200000", arr="", hs_parent_company_id=None),
        company(9, START, hubspot_owner_id="99", arr="much"),
    ]  # fmt: skip
    (page,) = crm.changed_accounts(since)
    assert page.accounts == (
        Account(
            account_id="7", name="Company 7", domain="acme.com", parent_account_id="12", arr=Decimal("120000.50"),
            renewal_date=date(2026, 12, 31), owner_id="1", owner_name="Ada Byron", gsids={"Gainsight_GSID": "1P02"},
            modified_at=START, absorbed=("3", "4"),
        ),
        Account("8", "Company 8", owner_id="2", owner_name="e@x", renewal_date=date(2026, 12, 31), modified_at=START),
        Account("9", "Company 9", owner_id="99", modified_at=START),
    )  # fmt: skip
    assert sum("/owners" in request.path for request in server.requests) == 2
    assert page.bookmark == START + timedelta(milliseconds=1) + OVERLAP
    assert list(crm.changed_accounts(page.bookmark)) == []


def test_reads_another_owner_property(server: Server, portal: Portal, clock: TestClock) -> None:
    portal.companies = [company(1, START, csm="1", csm_text="Grace")]
    with connected(server, clock, AccountFieldMap(owner="csm")) as crm:
        account = next(crm.live_accounts()).accounts[0]
        assert (account.owner_id, account.owner_name) == ("1", "Ada Byron")
    with connected(server, clock, AccountFieldMap(owner="csm_text")) as crm:
        account = next(crm.live_accounts()).accounts[0]
        assert (account.owner_id, account.owner_name) == (None, "Grace")


def test_a_full_read_lists_by_id_and_gives_its_bookmark_at_the_end(
    crm: HubSpot, portal: Portal, server: Server
) -> None:
    portal.companies = [company(n, START + timedelta(seconds=n % 7)) for n in range(1, 251)]
    pages = list(crm.changed_accounts(None))
    assert names(pages) == [f"Company {n}" for n in range(1, 251)]
    assert [page.bookmark for page in pages[:-1]] == [None, None]
    assert pages[-1].bookmark == START + timedelta(seconds=6, milliseconds=1) + OVERLAP
    assert searches(server) == []
    assert {page.bookmark for page in crm.live_accounts()} == {None}


def test_changes_during_a_full_read_are_read_again(crm: HubSpot, portal: Portal) -> None:
    portal.companies = [company(1, START), company(2, datetime(2026, 3, 3, 12, 0, 30, tzinfo=UTC))]
    (page,) = crm.changed_accounts(None)
    assert page.bookmark == datetime(2026, 3, 3, 12, tzinfo=UTC)  # the start of the read, by the server's clock


def test_reads_more_than_ten_thousand_changes(
    crm: HubSpot, portal: Portal, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are spread out, some share a time across a page border, and 10,450 are in one millisecond."""
    moments = [START + timedelta(milliseconds=n // 3) for n in range(1, 700)]
    moments += [START + timedelta(seconds=5)] * 10_450
    moments += [START + timedelta(seconds=6, milliseconds=n) for n in range(250)]
    portal.companies = [company(n, moment) for n, moment in enumerate(reversed(moments), 1)]
    pages = list(crm.changed_accounts(START))
    read = names(pages)
    assert sorted(set(read)) == sorted(each["properties"]["name"] for each in portal.companies)
    assert len(read) < len(portal.companies) + 2 * module.SEARCH_PAGE
    bookmarks = [page.bookmark for page in pages if page.bookmark]
    assert len(bookmarks) == len(pages)
    assert bookmarks == sorted(bookmarks)
    first_read = {name: at for at, page in reversed(list(enumerate(pages))) for name in names([page])}
    oldest_unread = max(each["properties"]["hs_lastmodifieddate"] for each in portal.companies)
    modified = {each["properties"]["name"]: each["properties"]["hs_lastmodifieddate"] for each in portal.companies}
    for at in reversed(range(len(pages) - 1)):
        read_next = [modified[name] for name in names([pages[at + 1]]) if first_read[name] == at + 1]
        oldest_unread = min([oldest_unread, *read_next])
        assert datetime.fromisoformat(oldest_unread) >= bookmarks[at]
    assert all("after" not in search for search in searches(server))


def test_incremental_reads_overlap(crm: HubSpot, portal: Portal, server: Server) -> None:
    portal.companies = [company(1, START), company(2, START + OVERLAP), company(3, START - timedelta(milliseconds=1))]
    assert names(crm.changed_accounts(START + OVERLAP)) == ["Company 1", "Company 2"]
    assert searches(server)[0]["filterGroups"] == [
        {"filters": [{"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "1772359200000"}]}
    ]


def test_edits_during_paging_lose_nothing(crm: HubSpot, portal: Portal) -> None:
    portal.companies = [company(n, START + timedelta(seconds=n)) for n in range(1, 500)]
    read: list[str] = []
    for page in crm.changed_accounts(START):
        read += names([page])
        if len(read) == 200:  # the first company moves to the end, and all others move up by one
            portal.companies[0] = company(1, START + timedelta(hours=1))
    assert set(read) == {f"Company {n}" for n in range(1, 500)}
    assert read[-1] == "Company 1"


def test_a_search_that_ignores_its_filter_is_detected(crm: HubSpot, portal: Portal) -> None:
    late = {"total": 9, "results": [company(1, START - timedelta(days=9))], "paging": {"next": {"after": "1"}}}
    portal.before = lambda request: Answer(late) if "search" in request.path else None
    with pytest.raises(TransientError, match="does not search by hs_lastmodifieddate"):
        list(crm.changed_accounts(START))


def test_waits_as_long_as_hubspot_asks(crm: HubSpot, portal: Portal, clock: TestClock) -> None:
    portal.companies = [company(1, START)]
    answers = [Answer({"policyName": "SECONDLY"}, 429), Answer({}, 429, {"Retry-After": "7"})]
    answers += [Answer({}, 429, {"Retry-After": "Tue, 03 Mar 2026 12:00:12 GMT"})]
    portal.before = lambda request: answers.pop(0) if answers and "search" in request.path else None
    assert names(crm.changed_accounts(START)) == ["Company 1"]
    assert clock.slept == [1, 7, 12]


@pytest.mark.parametrize(
    ("answer", "slept"),
    [
        (Answer({"policyName": "TEN_SECONDLY_ROLLING"}, 429), 30),
        (Answer({"policyName": "DAILY", "category": "RATE_LIMITS"}, 429), 0),
        (Answer({}, 429, {"Retry-After": "3600"}), 0),
    ],
)
def test_waits_are_limited(crm: HubSpot, portal: Portal, clock: TestClock, answer: Answer, slept: float) -> None:
    portal.before = lambda request: answer if "search" in request.path else None
    with pytest.raises(RateLimited):
        list(crm.changed_accounts(START))
    assert sum(clock.slept) == slept
    with pytest.raises(RateLimited):
        crm.probe()
    assert sum(clock.slept) == slept


def test_searches_keep_to_five_a_second(crm: HubSpot, portal: Portal, clock: TestClock) -> None:
    portal.companies = [company(n, START + timedelta(seconds=n)) for n in range(1, 1000)]
    list(crm.changed_accounts(START))
    assert clock.slept == [pytest.approx(0.2)] * 5


SCOPES = {"status": "error", "category": "MISSING_SCOPES", "message": "secret 42"}


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (Answer({"category": "INVALID_AUTHENTICATION"}, 401), CredentialsRejected, "rejected.*HUBSPOT_ACCESS_TOKEN"),
        (Answer({"category": "EXPIRED_AUTHENTICATION"}, 401), CredentialsRejected, "EXPIRED_AUTHENTICATION"),
        (Answer(SCOPES, 403), CredentialsRejected, "crm.objects.companies.read"),
        (Answer(b"<html>", 403), CredentialsRejected, "refused access"),
        (Answer({}, 404), GateClosed, "not as the API"),
        (Answer({}, 423), TransientError, "locked"),
        (Answer({}, 477), GateClosed, "being moved"),
        (Answer(b"\xff\xfe", 502), GateClosed, "HTTP 502"),
        (Answer({}, 524), GateClosed, "is not available"),
        (Answer(b"<html>log in</html>"), GateClosed, "not the API"),
        (Answer([]), GateClosed, "not as the API"),
        (Answer(b"", 301, {"Location": "https://elsewhere.invalid/"}), GateClosed, "redirects"),
        (Answer({"category": "VALIDATION_ERROR", "message": "secret 42"}, 400), PermanentError, "VALIDATION_ERROR"),
    ],
)
def test_errors_are_translated(
    crm: HubSpot, portal: Portal, answer: Answer, error: type[PipelineError], text: str
) -> None:
    portal.before = lambda request: answer
    with pytest.raises(PipelineError, match=text) as caught:
        crm.probe()
    assert type(caught.value) is error
    assert caught.value.todo
    assert "secret" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_wrong_token_is_rejected(server: Server, clock: TestClock) -> None:
    crm = HubSpot(HubSpotCredentials("pat-wrong", server.address), AccountFieldMap(), [], clock)
    with pytest.raises(CredentialsRejected) as caught:
        crm.organisation()
    assert "pat-wrong" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    crm.close()


def test_a_crm_without_companies_closes_the_gate(crm: HubSpot) -> None:
    with pytest.raises(GateClosed, match="shows no companies"):
        crm.probe()


def test_a_failing_page_is_retried_patiently_but_not_the_first(crm: HubSpot, portal: Portal, clock: TestClock) -> None:
    portal.companies = [company(n, START) for n in range(1, 150)]
    failures = iter([502, 502, 502])
    portal.before = lambda request: _failing(request, failures)
    assert len(names(crm.live_accounts())) == 149
    assert clock.slept == [*BLIP_WAITS, 5]
    clock.slept.clear()
    portal.before = lambda request: Answer({}, 502) if "objects" in request.path else None
    with pytest.raises(GateClosed):
        next(crm.live_accounts())
    assert clock.slept == [*BLIP_WAITS]


@pytest.mark.parametrize("blip", BLIPS)
@pytest.mark.parametrize("call", ["details", "properties/companies", "companies"])
def test_a_blip_is_retried(crm: HubSpot, portal: Portal, clock: TestClock, blip: Answer, call: str) -> None:
    portal.companies = [company(1, START)]
    blips = iter([blip, blip])
    portal.before = lambda request: next(blips, None) if request.path.rstrip("/").endswith(call) else None
    assert crm.organisation() == "8640311"
    assert names(crm.live_accounts()) == ["Company 1"]
    assert clock.slept == [*BLIP_WAITS]


def test_a_rejected_login_fails_at_once(crm: HubSpot, portal: Portal, clock: TestClock, server: Server) -> None:
    portal.before = lambda request: Answer({"category": "INVALID_AUTHENTICATION"}, 401)
    with pytest.raises(CredentialsRejected):
        crm.organisation()
    assert len(server.requests) == 1
    assert clock.slept == []


def _failing(request: Request, failures: Iterator[int]) -> Answer | None:
    status = next(failures, None) if "after" in request.query else None
    return Answer({}, status) if status else None


def test_missing_properties_are_named_with_their_settings(server: Server, clock: TestClock) -> None:
    with connected(server, clock, AccountFieldMap(arr="ar")) as crm, pytest.raises(SettingsError) as caught:
        list(crm.changed_accounts(None))
    assert "primary_crm.fields.arr: HubSpot's company has no field 'ar' (did you mean arr" in str(caught.value)
    with connected(server, clock, gsids=["gainsight_gsid__c"]) as crm:
        missing = str(crm.missing_gsid_fields()["gainsight_gsid__c"])
    assert missing.startswith("common.gsid_field: ") and "did you mean gainsight_gsid" in missing


def test_tls_with_the_bundle_of_the_environment(
    portal: Portal, clock: TestClock, tls: ssl.SSLContext, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    portal.companies = [company(1, START)]
    with serve(portal, tls) as server:
        with connected(server, clock) as crm:
            crm.probe()
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
        with connected(server, clock) as crm, pytest.raises(GateClosed, match="certificate is not trusted"):
            crm.probe()


def test_an_unreachable_crm_says_why(clock: TestClock) -> None:
    for address, text in (
        ("https://no-such-host.invalid", "host name is not known"),
        ("http://127.0.0.1:9", "refused"),
    ):
        crm = HubSpot(HubSpotCredentials(TOKEN, address), AccountFieldMap(), [], clock)
        with pytest.raises(GateClosed, match=text):
            crm.probe()
        crm.close()
    assert clock.slept == []
