"""The sandbox's HubSpot server: companies (list, search, batch read), properties, owners, account details. Read only.

hubspot-api-client works on it unchanged. Requests that would change something are counted in `World.crm_writes` and
refused as a missing scope. The companies are in hubspot_companies, search in hubspot_search.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gainsight_pipelines.sandbox.crm_faults import Handler, guarded
from gainsight_pipelines.sandbox.hubspot_companies import (
    PROPERTIES,
    Companies,
    describe_property,
    described_properties,
    iso,
    owner_record,
)
from gainsight_pipelines.sandbox.hubspot_search import BadSearch, search
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import HUBSPOT_PORTAL, CrmAccount, World, hubspot_id

MAX_LIST = 100
MAX_OWNERS = 500
MAX_BATCH = 100
DAILY_CALLS = 250_000
TEN_SECOND_CALLS = 190
COMPANY_TYPES = {"companies", "company", "0-2"}
WRITE_METHODS = ["POST", "PATCH", "PUT", "DELETE"]
PARENT_TYPES = ("child_to_parent_company", "company_to_company")
CHILD_TYPES = ("parent_to_child_company", "company_to_company")


class Refusal(Exception):
    """The call gets an error response."""

    def __init__(self, status: int, message: str, category: str | None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), **more}
        if category:
            self.body["category"] = category

    def response(self) -> Response:
        headers = {"x-hubspot-auth-failure": "401 Unauthorized"} if self.status == 401 else None
        return JSONResponse(self.body, status_code=self.status, headers=headers)


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, "VALIDATION_ERROR")


def _missing_scope(scope: str) -> Refusal:
    return Refusal(
        403,
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: "
        "https://developers.hubspot.com/scopes.",
        "MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": [scope]},
            }
        ],
        links={"scopes": "https://developers.hubspot.com/scopes"},
    )


@dataclass(slots=True)
class _HubSpot:
    """The server's state and its handlers."""

    world: World
    switches: Switches
    counters: Counters
    secrets: SandboxSecrets
    searches_per_second: int | None
    calls_per_ten_seconds: int | None
    clock: Callable[[], float]
    companies: Companies
    token_calls: int = 0
    searched: deque[float] = field(default_factory=deque)
    called: deque[float] = field(default_factory=deque)

    # --- before each call -------------------------------------------------------------------------------------------

    def authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token != self.secrets.hubspot_access_token or self.switches.crm_reject:
            raise Refusal(
                401,
                "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
                "more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
                "INVALID_AUTHENTICATION",
            )
        lifetime = self.switches.token_lifetime_calls
        if lifetime is None:
            self.token_calls = 0
            return
        if self.token_calls >= lifetime:
            message = "The OAuth token used to make this call expired 1 second(s) ago."
            raise Refusal(401, message, "EXPIRED_AUTHENTICATION")
        self.token_calls += 1

    def limit_rate(self, is_search: bool) -> None:
        now = self.clock()
        if is_search and not _room(self.searched, now, 1, self.searches_per_second):
            raise _too_fast("SECONDLY")
        if not is_search and not _room(self.called, now, 10, self.calls_per_ten_seconds):
            raise _too_fast("TEN_SECONDLY_ROLLING")

    # --- companies --------------------------------------------------------------------------------------------------

    def pool(self, archived: bool) -> list[CrmAccount]:
        if self.switches.crm_empty:
            return []
        return self.companies.archived() if archived else self.companies.live()

    async def listed(self, request: Request) -> Response:
        """GET /crm/v3/objects/companies: by id, `after` is the id to go on from."""
        limit = _limit(request, 10, MAX_LIST)
        after = _after(request)
        waiting = [c for c in self.pool(_is_archived(request)) if int(hubspot_id(c.key)) >= after]
        body: dict[str, Any] = {"results": [self.record(request, company) for company in waiting[:limit]]}
        if len(waiting) > limit:
            body["paging"] = _next(request, str(int(hubspot_id(waiting[limit - 1].key)) + 1))
        return JSONResponse(body)

    def record(self, request: Request, company: CrmAccount) -> dict[str, Any]:
        record = self.companies.record(company, _listed(request, "properties"))
        if COMPANY_TYPES.intersection(_listed(request, "associations")):
            results = self.associations(company)
            if results:
                record["associations"] = {"companies": {"results": results}}
        return record

    def associations(self, company: CrmAccount) -> list[dict[str, str]]:
        """Parent and children, with one entry per association type."""
        parent = self.companies.parent(company)
        found = [] if parent is None else [(parent, kind) for kind in PARENT_TYPES]
        found += [(child, kind) for child in self.companies.children(company) for kind in CHILD_TYPES]
        return [{"id": hubspot_id(other.key), "type": kind} for other, kind in found]

    async def company(self, request: Request) -> Response:
        """GET /crm/v3/objects/companies/{id}; the id of a merged company gives the one that took it over."""
        company = self.companies.by_id(request.path_params["key"])
        if company is None or company not in self.pool(_is_archived(request)):
            raise Refusal(404, "resource not found", None)
        return JSONResponse(self.record(request, company))

    async def search(self, request: Request) -> Response:
        """POST /crm/v3/objects/companies/search."""
        try:
            found = search(self.companies, self.pool(archived=False), await _json(request))
        except BadSearch as error:
            raise _invalid(str(error)) from error
        results = [self.companies.record(company, found.properties) for company in found.companies]
        body: dict[str, Any] = {"total": found.total + self.switches.crm_count_off, "results": results}
        if found.after is not None:
            body["paging"] = {"next": {"after": str(found.after)}}
        return JSONResponse(body)

    async def batch_read(self, request: Request) -> Response:
        """POST /crm/v3/objects/companies/batch/read: 207 when some ids lead nowhere."""
        asked = await _json(request)
        ids = [str(each.get("id")) for each in asked.get("inputs") or []]
        if len(ids) > MAX_BATCH:
            raise _invalid(f"The maximum number of inputs supported in a batch request for object reads is {MAX_BATCH}")
        pool = self.pool(_is_archived(request))
        by_id = {wanted: self.companies.by_id(wanted) for wanted in dict.fromkeys(ids)}
        missing = [wanted for wanted, company in by_id.items() if company is None or company not in pool]
        names = [str(name) for name in asked.get("properties") or []]
        now = iso(self.switches.now())
        body: dict[str, Any] = {
            "status": "COMPLETE",
            "results": [
                self.companies.record(company, names)
                for wanted, company in by_id.items()
                if company is not None and wanted not in missing
            ],
            "startedAt": now,
            "completedAt": now,
        }
        if missing:
            body["numErrors"] = 1
            body["errors"] = [
                {
                    "status": "error",
                    "category": "OBJECT_NOT_FOUND",
                    "message": "Could not get some COMPANY objects, they may be deleted or not exist. Check that ids "
                    "are valid.",
                    "context": {"ids": missing},
                }
            ]
        return JSONResponse(body, status_code=207 if missing else 200)

    # --- the rest ---------------------------------------------------------------------------------------------------

    async def properties(self, request: Request) -> Response:
        archived = _is_archived(request)
        described = described_properties(has_currencies=self.switches.crm_currencies)
        return JSONResponse({"results": [] if archived else described})

    async def property(self, request: Request) -> Response:
        found = PROPERTIES.get(request.path_params["name"])
        if found is None:
            raise Refusal(404, f"Property {request.path_params['name']} does not exist", "OBJECT_NOT_FOUND")
        return JSONResponse(describe_property(found))

    async def owners(self, request: Request) -> Response:
        """GET /crm/v3/owners. The world has no archived owners."""
        self.need_owners_scope()
        limit = _limit(request, 100, MAX_OWNERS)
        start = _after(request)
        email = request.query_params.get("email")
        owners = [] if _is_archived(request) else sorted(self.world.owners.values(), key=lambda each: each.key)
        owners = [each for each in owners if email is None or each.email == email]
        body: dict[str, Any] = {"results": [owner_record(each) for each in owners[start : start + limit]]}
        if len(owners) > start + limit:
            body["paging"] = _next(request, str(start + limit))
        return JSONResponse(body)

    async def owner(self, request: Request) -> Response:
        self.need_owners_scope()
        wanted = request.path_params["key"]
        found = next((each for each in self.world.owners.values() if hubspot_id(each.key) == wanted), None)
        if found is None or _is_archived(request):
            raise Refusal(404, "resource not found", None)
        return JSONResponse(owner_record(found))

    def need_owners_scope(self) -> None:
        if not self.switches.hubspot_owners_scope:
            raise _missing_scope("crm.objects.owners.read")

    async def details(self, request: Request) -> Response:
        """GET /account-info/v3/details."""
        return JSONResponse(
            {
                "portalId": HUBSPOT_PORTAL,
                "accountType": "STANDARD",
                "timeZone": "US/Eastern",
                "companyCurrency": "USD",
                "additionalCurrencies": [],
                "utcOffset": "-05:00",
                "utcOffsetMilliseconds": -18_000_000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        )

    async def write(self, request: Request) -> Response:
        """Anything that would change something: the app has no such scope."""
        self.world.crm_writes += 1
        raise _missing_scope("crm.objects.companies.write")

    # --- routes -----------------------------------------------------------------------------------------------------

    def route(
        self, path: str, kind: str, handler: Handler, methods: list[str] | None = None, *, is_open: bool = False
    ) -> Route:
        async def answer(request: Request) -> Response:
            return await self.rest(request, handler, kind == "search", is_open)

        guard = guarded(
            answer,
            service="hubspot",
            kind=kind,
            switches=self.switches,
            counters=self.counters,
            unavailable=_unavailable,
        )
        return Route(path, guard, methods=methods or ["GET"])

    async def rest(self, request: Request, handler: Handler, is_search: bool, is_open: bool) -> Response:
        try:
            if not is_open:
                self.authenticate(request)
                self.limit_rate(is_search)
            _check_type(request.path_params.get("object"))
            response = await handler(request)
        except Refusal as refusal:
            response = refusal.response()
        if not is_search:  # according to the documentation, search responses have no such headers
            response.headers.update(self.rate_headers())
        return response

    def rate_headers(self) -> dict[str, str]:
        used = self.counters.totals.get("hubspot", 0)
        most = self.calls_per_ten_seconds or TEN_SECOND_CALLS
        return {
            "X-HubSpot-RateLimit-Daily": str(DAILY_CALLS),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(DAILY_CALLS - used, 0)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(most - len(self.called), 0)),
        }

    def routes(self) -> list[Route]:
        objects = "/crm/v3/objects/{object}"
        served: list[tuple[str, str, Handler, list[str]]] = [
            (objects + "/search", "search", self.search, ["POST"]),
            (objects + "/batch/read", "batch_read", self.batch_read, ["POST"]),
            (objects, "list", self.listed, ["GET"]),
            (objects + "/{key}", "company", self.company, ["GET"]),
            ("/crm/v3/properties/{object}", "properties", self.properties, ["GET"]),
            ("/crm/v3/properties/{object}/{name}", "property", self.property, ["GET"]),
            ("/crm/v3/owners", "owners", self.owners, ["GET"]),
            ("/crm/v3/owners/", "owners", self.owners, ["GET"]),
            ("/crm/v3/owners/{key}", "owner", self.owner, ["GET"]),
            ("/account-info/v3/details", "details", self.details, ["GET"]),
        ]
        routes = [self.route(path, kind, handler, methods) for path, kind, handler, methods in served]
        routes.append(self.route("/{rest:path}", "write", self.write, WRITE_METHODS, is_open=True))
        routes.append(self.route("/{rest:path}", "unknown", _nothing_there, is_open=True))
        return routes


def hubspot_app(
    world: World,
    switches: Switches,
    counters: Counters,
    secrets: SandboxSecrets,
    *,
    searches_per_second: int | None = None,
    calls_per_ten_seconds: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The HubSpot application of a world, served over HTTP on a loopback address.

    Args:
        world: has the accounts and owners; counts writes in `crm_writes`.
        switches: `crm_down`, `crm_reject`, `crm_delay`, `crm_empty`, `token_lifetime_calls` (a private app's token
            can't be renewed, so it stays refused until the switch is reset).
        counters: counts calls under "hubspot" by kind (list, search, batch_read, properties, owners, details, …).
        secrets: has the access token that is accepted.
        searches_per_second: further searches are refused with 429; None: no limit. HubSpot's limit: 5.
        calls_per_ten_seconds: the same for all other calls. HubSpot's limit: 190, or 100 on small plans.
        clock: a monotonic clock in seconds, for the two limits.
    """
    server = _HubSpot(
        world,
        switches,
        counters,
        secrets,
        searches_per_second,
        calls_per_ten_seconds,
        clock,
        Companies(world),
    )
    return Starlette(routes=server.routes())


def _room(times: deque[float], now: float, seconds: float, most: int | None) -> bool:
    """Whether the limit allows another call within `seconds`; if so, counts it."""
    while times and times[0] <= now - seconds:
        times.popleft()
    if most is not None and len(times) >= most:
        return False
    times.append(now)
    return True


def _too_fast(policy: str) -> Refusal:
    refusal = Refusal(429, f"You have reached your {policy.lower()} limit.", None)
    refusal.body |= {"errorType": "RATE_LIMIT", "policyName": policy, "groupName": "publicapi:private-apps:api-calls"}
    return refusal


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise _invalid(f"Invalid input JSON on line 1, column 1: {error}") from error
    if not isinstance(body, dict):
        raise _invalid("Invalid input JSON on line 1, column 1: Cannot deserialize value from Array value")
    return body


def _listed(request: Request, name: str) -> list[str]:
    """The values of a query parameter that may be repeated, comma-separated, or both."""
    return [part.strip() for value in request.query_params.getlist(name) for part in value.split(",") if part.strip()]


def _is_archived(request: Request) -> bool:
    return request.query_params.get("archived", "false").lower() == "true"


def _check_type(name: str | None) -> None:
    if name is not None and name not in COMPANY_TYPES:
        raise _invalid(f"Unable to infer object type from: {name}")


def _limit(request: Request, default: int, most: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise _invalid(f"limit must be between 1 and {most}, was {text}")
    return int(text)


def _after(request: Request) -> int:
    text = request.query_params.get("after") or "0"
    if not text.isdigit():
        raise _invalid(f"The paging token {text!r} is not valid")
    return int(text)


def _next(request: Request, after: str) -> dict[str, Any]:
    return {"next": {"after": after, "link": str(request.url.include_query_params(after=after))}}


def _unavailable() -> Response:
    return HTMLResponse("<html><head><title>503 Service Temporarily Unavailable</title></head></html>", status_code=503)


async def _nothing_there(_: Request) -> Response:
    raise Refusal(404, "resource not found", None)
