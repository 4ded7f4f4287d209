"""The sandbox's HubSpot over HTTP, called with the unmodified hubspot-api-client and with plain `requests`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hubspot import HubSpot
from hubspot.crm.companies import (
    ApiException,
    BatchReadInputSimplePublicObjectId,
    Filter,
    FilterGroup,
    PublicObjectSearchRequest,
    SimplePublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)

from gainsight_pipelines.sandbox.hubspot import hubspot_app
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import HUBSPOT_PORTAL, CrmAccount, World, hubspot_id
from gainsight_pipelines_tests.sandbox.crm_serving import START, renew, served, small_world

LIVE = [hubspot_id(key) for key in range(1, 11)]


@dataclass
class Served:
    """A running HubSpot with its world, switches, counters and secrets."""

    url: str
    world: World
    switches: Switches
    counters: Counters
    secrets: SandboxSecrets

    def client(self, token: str | None = None) -> Any:
        return HubSpot(access_token=token or self.secrets.hubspot_access_token, host=self.url, retry=False)

    def get(self, path: str, **params: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.secrets.hubspot_access_token}"}
        return requests.get(self.url + path, params=params, headers=headers, timeout=10)

    def post(self, path: str, body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.secrets.hubspot_access_token}"}
        return requests.post(self.url + path, json=body, headers=headers, timeout=10)

    def found(self, *filters: dict[str, Any], **request: Any) -> list[str]:
        """The ids of the companies that a search with these filters finds."""
        body = {"filterGroups": [{"filters": list(filters)}] if filters else [], "limit": 100, **request}
        answer = self.post("/crm/v3/objects/companies/search", body)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["results"]]


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    world, switches, counters, secrets = small_world(), Switches(), Counters(), SandboxSecrets.random()
    with served(hubspot_app(world, switches, counters, secrets)) as url:
        yield Served(url, world, switches, counters, secrets)


@pytest.fixture
def sandbox(running: Served) -> Served:
    renew(running.world, small_world())
    running.switches.reset()
    running.counters.reset()
    return running


def ids(keys: list[int]) -> list[str]:
    return [hubspot_id(key) for key in keys]


# --- lists ------------------------------------------------------------------------------------------------------------


def test_get_all_reads_the_live_companies(sandbox: Served) -> None:
    assert [each.id for each in sandbox.client().crm.companies.get_all()] == LIVE


def test_list_goes_page_by_page(sandbox: Served) -> None:
    api = sandbox.client().crm.companies.basic_api
    first = api.get_page(limit=7, properties=["name"])
    assert len(first.results) == 7
    second = api.get_page(limit=7, after=first.paging.next.after, properties=["name"])
    assert second.paging is None
    assert [each.id for each in first.results + second.results] == LIVE
    assert sandbox.counters.calls["hubspot"] == {"list": 2}


def test_archived_list_has_the_deleted_and_not_the_merged(sandbox: Served) -> None:
    page = sandbox.client().crm.companies.basic_api.get_page(limit=100, archived=True)
    assert [(each.id, each.archived) for each in page.results] == [(hubspot_id(11), True)]
    assert page.results[0].archived_at == START + timedelta(days=2)


def test_values_are_strings_and_dates_as_hubspot_has_them(sandbox: Served) -> None:
    wanted = "name,domain,website,arr,renewal_date,gainsight_gsid,hubspot_owner_id,hs_parent_company_id,nothing"
    answer = sandbox.get(f"/crm/v3/objects/companies/{hubspot_id(2)}", properties=wanted)
    assert answer.json() == {
        "id": hubspot_id(2),
        "properties": {
            "arr": "2000.5",
            "createdate": "2025-10-23T10:00:00.000Z",
            "domain": "account2.example",
            "gainsight_gsid": "1P02GSID0002",
            "hs_lastmodifieddate": "2026-01-31T10:00:00.014Z",
            "hs_object_id": hubspot_id(2),
            "hs_parent_company_id": hubspot_id(1),
            "hubspot_owner_id": hubspot_id(1),
            "name": "Account 02",
            "renewal_date": "2026-12-02",
            "website": "https://www.account2.example/home",
        },
        "createdAt": "2025-10-23T10:00:00.000Z",
        "updatedAt": "2026-01-31T10:00:00.014Z",
        "archived": False,
    }


def test_default_properties(sandbox: Served) -> None:
    company = sandbox.client().crm.companies.basic_api.get_by_id(hubspot_id(5))
    assert company.properties.keys() == {"name", "domain", "createdate", "hs_lastmodifieddate", "hs_object_id"}
    assert company.properties["domain"] is None


def test_merged_company_leads_to_its_winner(sandbox: Served) -> None:
    api = sandbox.client().crm.companies.basic_api
    company = api.get_by_id(hubspot_id(12), properties=["hs_merged_object_ids"])
    assert company.id == hubspot_id(4)
    assert company.properties["hs_merged_object_ids"] == hubspot_id(12)
    sandbox.world.accounts[11].merged_into = 12
    company = api.get_by_id(hubspot_id(4), properties=["hs_merged_object_ids"])
    assert company.properties["hs_merged_object_ids"].split(";") == ids([11, 12])


def test_absent_company_is_404(sandbox: Served) -> None:
    with pytest.raises(ApiException) as failure:
        sandbox.client().crm.companies.basic_api.get_by_id("17")
    assert failure.value.status == 404


def test_parent_shows_as_association_too(sandbox: Served) -> None:
    company = sandbox.client().crm.companies.basic_api.get_by_id(hubspot_id(2), associations=["companies"])
    found = {(each.id, each.type) for each in company.associations["companies"].results}
    assert found == {(hubspot_id(1), "child_to_parent_company"), (hubspot_id(1), "company_to_company")}


def test_batch_read_names_what_is_missing(sandbox: Served) -> None:
    api = sandbox.client().crm.companies.batch_api
    inputs = [SimplePublicObjectId(id=each) for each in ids([1, 2, 11])]
    request = BatchReadInputSimplePublicObjectId(properties=["name"], properties_with_history=[], inputs=inputs)
    answer = api.read(request)
    assert [each.id for each in answer.results] == ids([1, 2])
    assert answer.errors[0].context == {"ids": [hubspot_id(11)]}


# --- search -----------------------------------------------------------------------------------------------------------


def test_search_through_the_library(sandbox: Served) -> None:
    moment = int((START + timedelta(minutes=2)).timestamp() * 1000)
    request = PublicObjectSearchRequest(
        filter_groups=[
            FilterGroup(filters=[Filter(property_name="hs_lastmodifieddate", operator="GTE", value=str(moment))])
        ],
        sorts=[{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}],
        properties=["name"],
        limit=2,
    )
    answer = sandbox.client().crm.companies.search_api.do_search(request)
    assert (answer.total, answer.paging.next.after) == (6, "2")
    assert [each.properties["name"] for each in answer.results] == ["Account 06", "Account 07"]


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ([{"propertyName": "name", "operator": "EQ", "value": "ACCOUNT 03"}], [3]),
        ([{"propertyName": "gainsight_gsid", "operator": "NOT_HAS_PROPERTY"}], [8]),
        ([{"propertyName": "renewal_date", "operator": "HAS_PROPERTY"}], [1, 2, 3, 4, 5, 7, 8, 9, 10]),
        ([{"propertyName": "arr", "operator": "GT", "value": "9000"}], [9, 10]),
        ([{"propertyName": "arr", "operator": "BETWEEN", "value": "2000", "highValue": "4000"}], [2, 3]),
        ([{"propertyName": "renewal_date", "operator": "LTE", "value": "2026-12-02"}], [1, 2]),
        ([{"propertyName": "hs_object_id", "operator": "IN", "values": ids([3, 12])}], [3]),
        ([{"propertyName": "name", "operator": "IN", "values": ["account 01", "Account 02"]}], [1]),
        ([{"propertyName": "hs_parent_company_id", "operator": "EQ", "value": hubspot_id(1)}], [2, 3]),
        ([{"propertyName": "domain", "operator": "CONTAINS_TOKEN", "value": "account1*"}], [1, 10]),
        (
            [
                {"propertyName": "hs_lastmodifieddate", "operator": "LT", "value": "2026-01-31T10:01:00Z"},
                {"propertyName": "name", "operator": "NEQ", "value": "account 01"},
            ],
            [2],
        ),
    ],
)
def test_operators(sandbox: Served, filters: list[dict[str, Any]], keys: list[int]) -> None:
    assert sandbox.found(*filters) == ids(keys)


def test_groups_are_joined_by_or_and_query_looks_into_names(sandbox: Served) -> None:
    groups = [
        {"filters": [{"propertyName": "name", "operator": "EQ", "value": f"account {key}"}]} for key in ("02", "05")
    ]
    assert sandbox.found(filterGroups=groups) == ids([2, 5])
    assert sandbox.found(query="account4.example") == ids([4])
    assert sandbox.found(sorts=["-name"])[0] == hubspot_id(10)


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ({"limit": 201}, "limit"),
        ({"after": "10000", "limit": 1}, "There was a problem with the request."),
        ({"filterGroups": [{"filters": [{"operator": "EQ", "value": "1"}]}]}, "[propertyName]"),
        (
            {"filterGroups": [{"filters": [{"propertyName": "arr", "operator": "BETWEEN", "value": "1"}]}]},
            "operator BETWEEN requires a highValue",
        ),
        ({"filterGroups": [{"filters": [{"propertyName": "none", "operator": "HAS_PROPERTY"}]}]}, "problem"),
        ({"filterGroups": [{"filters": []}] * 6}, "too many filters"),
        ({"filterGroups": [{"filters": [{"propertyName": "arr", "operator": "LIKE", "value": "1"}]}]}, "LIKE"),
        ([], "Invalid input JSON"),
    ],
)
def test_bad_searches_are_400(sandbox: Served, request_body: Any, message: str) -> None:
    answer = sandbox.post("/crm/v3/objects/companies/search", request_body)
    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert message in answer.json()["message"]


def test_window_ends_at_ten_thousand(sandbox: Served) -> None:
    for key in range(100, 10_200):
        sandbox.world.accounts[key] = CrmAccount(
            key, f"Many {key}", None, None, None, None, None, None, START, START + timedelta(hours=1)
        )
    search = sandbox.client().crm.companies.search_api
    last = search.do_search({"limit": 200, "after": "9800", "properties": ["name"]})
    assert (last.total, len(last.results), last.paging.next.after) == (10_110, 200, "10000")
    with pytest.raises(ApiException) as failure:
        search.do_search({"limit": 200, "after": "10000"})
    assert failure.value.status == 400


def test_changes_show_at_once(sandbox: Served) -> None:
    sandbox.world.accounts[3].modified_at = datetime(2026, 5, 1, tzinfo=UTC)
    since = {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "2026-04-30T00:00:00.000Z"}
    assert sandbox.found(since) == ids([3])
    sandbox.world.accounts[3].deleted_at = datetime(2026, 5, 2, tzinfo=UTC)
    assert sandbox.found(since) == []


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_properties_are_described(sandbox: Served) -> None:
    described = {each.name: each for each in sandbox.client().crm.properties.core_api.get_all("companies").results}
    assert (described["arr"].type, described["renewal_date"].type) == ("number", "date")
    assert described["hs_lastmodifieddate"].type == "datetime"
    assert [name for name, each in described.items() if not each.hubspot_defined] == [
        "gainsight_gsid",
        "arr",
        "renewal_date",
    ]
    one = sandbox.client().crm.properties.core_api.get_by_name("companies", "hs_parent_company_id")
    assert one.label == "Parent Company"


def test_owners_in_pages(sandbox: Served) -> None:
    api = sandbox.client().crm.owners.owners_api
    first = api.get_page(limit=1)
    second = api.get_page(limit=1, after=first.paging.next.after)
    names = [(each.id, each.first_name, each.last_name) for each in first.results + second.results]
    assert names == [(hubspot_id(1), "Ada", "O'Brien"), (hubspot_id(2), "Bo", "Lind")]
    assert second.paging is None
    assert api.get_page(archived=True).results == []
    assert api.get_by_id(int(hubspot_id(2))).email == "bo@sandbox.example"


def test_account_details(sandbox: Served) -> None:
    answer = sandbox.get("/account-info/v3/details")
    assert answer.json()["portalId"] == HUBSPOT_PORTAL
    assert answer.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "249999"


def test_wrong_token_is_401_as_hubspot_words_it(sandbox: Served) -> None:
    with pytest.raises(ApiException) as failure:
        sandbox.client("pat-na1-wrong").crm.companies.basic_api.get_page()
    assert failure.value.status == 401
    assert '"category":"INVALID_AUTHENTICATION"' in failure.value.body
    sandbox.switches.crm_reject = True
    assert sandbox.get("/account-info/v3/details").status_code == 401


def test_token_lifetime(sandbox: Served) -> None:
    sandbox.switches.token_lifetime_calls = 2
    statuses = [sandbox.get("/crm/v3/owners").status_code for _ in range(3)]
    assert statuses == [200, 200, 401]
    assert sandbox.get("/crm/v3/owners").json()["category"] == "EXPIRED_AUTHENTICATION"
    sandbox.switches.token_lifetime_calls = None
    assert sandbox.get("/crm/v3/owners").status_code == 200


def test_writes_are_counted_and_refused(sandbox: Served) -> None:
    api = sandbox.client().crm.companies.basic_api
    new = SimplePublicObjectInputForCreate(properties={"name": "New"}, associations=[])
    for write in (
        lambda: api.create(new),
        lambda: api.update(hubspot_id(1), SimplePublicObjectInput(properties={"name": "New"})),
        lambda: api.archive(hubspot_id(1)),
    ):
        with pytest.raises(ApiException) as failure:
            write()
        assert failure.value.status == 403
        assert "MISSING_SCOPES" in failure.value.body
    assert sandbox.post("/crm/v3/objects/companies/batch/update", {}).status_code == 403
    assert sandbox.world.crm_writes == 4


def test_down_and_empty(sandbox: Served) -> None:
    sandbox.switches.crm_empty = True
    assert sandbox.found() == []
    assert sandbox.client().crm.companies.get_all() == []
    sandbox.switches.crm_down = True
    with pytest.raises(ApiException) as failure:
        sandbox.client().crm.companies.basic_api.get_page()
    assert failure.value.status == 503


def test_delay_is_felt(sandbox: Served) -> None:
    sandbox.switches.crm_delay = 0.5
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(sandbox.url, timeout=0.1)


def test_too_many_searches_a_second_are_429(sandbox: Served) -> None:
    seconds = [0.0]
    app = hubspot_app(
        sandbox.world,
        sandbox.switches,
        sandbox.counters,
        sandbox.secrets,
        searches_per_second=2,
        clock=lambda: seconds[0],
    )
    with served(app) as url:
        limited = replace(sandbox, url=url)
        assert limited.found() == limited.found() == LIVE
        answer = limited.post("/crm/v3/objects/companies/search", {})
        assert answer.status_code == 429
        body = answer.json()
        assert (body["errorType"], body["policyName"]) == ("RATE_LIMIT", "SECONDLY")
        assert body["message"] == "You have reached your secondly limit."
        seconds[0] = 1.1
        assert limited.found() == LIVE
