"""The sandbox's Salesforce server: logins, queries with paging, describe, limits. Read only.

simple-salesforce works on it unchanged: it has the token endpoint (client credentials, JWT bearer), the SOAP partner
login, and the REST API of versions 31 to 67. Requests that would change something are counted in `World.crm_writes` and
refused. The objects are in salesforce_objects, the query language in soql.
"""

from __future__ import annotations

import base64
import re
import secrets as random_secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gainsight_pipelines.sandbox import soql
from gainsight_pipelines.sandbox.crm_faults import Handler, guarded
from gainsight_pipelines.sandbox.salesforce_objects import (
    FIELDS,
    INTEGRATION_USER,
    SalesforceObjects,
    describe,
    object_summary,
)
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import SALESFORCE_ORGANISATION, World

MAX_BATCH = 2000
MIN_BATCH = 200
"""Sforce-Query-Options is a wish within these bounds."""
MAX_LOCATORS = 10
"""Open query locators per user; the oldest one goes when another is opened."""
LOCATOR_SECONDS = 15 * 60
"""A locator that nobody asks for so long is gone."""
DAILY_CALLS = 100_000
MAX_URI = 16_384
"""Longest URI that Salesforce takes; a longer query is refused before anybody reads it."""
VERSIONS = range(31, 68)
WRITE_METHODS = ["POST", "PATCH", "PUT", "DELETE"]
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Refusal(Exception):
    """The REST API returns an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> Response:
        """Salesforce's body: a list of errors."""
        headers = {"WWW-Authenticate": "Token"} if self.status == 401 else None
        return JSONResponse(
            [{"message": self.message, "errorCode": self.code}], status_code=self.status, headers=headers
        )


def _expired() -> Refusal:
    return Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")


def _not_found() -> Refusal:
    return Refusal(404, "NOT_FOUND", "The requested resource does not exist")


@dataclass(slots=True)
class _Session:
    """An access token and its remaining lifetime."""

    token: str
    calls: int = 0


@dataclass(slots=True)
class _Cursor:
    """The rest of a query's result. The query selects the rows; their values are read page by page."""

    plan: soql.Plan
    rows: list[Any]
    batch: int
    touched: float


@dataclass(slots=True)
class _Salesforce:
    """The server's state and its handlers."""

    world: World
    switches: Switches
    counters: Counters
    secrets: SandboxSecrets
    batch_size: int
    locator_seconds: float
    clock: Callable[[], float]
    objects: SalesforceObjects
    sessions: dict[str, _Session] = field(default_factory=dict)
    cursors: dict[str, _Cursor] = field(default_factory=dict)

    # --- logins -----------------------------------------------------------------------------------------------------

    def new_session(self) -> str:
        token = f"{SALESFORCE_ORGANISATION[:15]}!AQ{random_secrets.token_urlsafe(66).replace('-', '.')}"
        self.sessions[token] = _Session(token)
        return token

    async def token(self, request: Request) -> Response:
        """POST /services/oauth2/token."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
        grant = form.get("grant_type")
        if grant == "client_credentials":
            error = self._check_client(request, form)
        elif grant == JWT_GRANT:
            error = self._check_assertion(request, form.get("assertion", ""))
        else:
            error = ("unsupported_grant_type", "grant type not supported")
        error = (
            (self.switches.crm_login_error[0], self.switches.crm_login_error[1])
            if self.switches.crm_login_error
            else error
        )
        if error:
            return JSONResponse({"error": error[0], "error_description": error[1]}, status_code=400)
        return JSONResponse(
            {
                "access_token": self.new_session(),
                "signature": base64.b64encode(random_secrets.token_bytes(32)).decode(),
                "scope": "api",
                "instance_url": _origin(request),
                "id": f"https://login.salesforce.com/id/{SALESFORCE_ORGANISATION}/{INTEGRATION_USER}",
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
            },
            headers={"Cache-Control": "no-cache, no-store"},
        )

    def _check_client(self, request: Request, form: dict[str, str]) -> tuple[str, str] | None:
        client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            decoded = base64.b64decode(encoded, validate=False).decode("utf-8", "replace")
            client_id, _, client_secret = decoded.partition(":")
        if self.switches.crm_reject:
            return "invalid_client", "invalid client credentials"
        if client_id != self.secrets.salesforce_client_id:
            return "invalid_client_id", "client identifier invalid"
        if client_secret != self.secrets.salesforce_client_secret:
            return "invalid_client", "invalid client credentials"
        return None

    def _check_assertion(self, request: Request, assertion: str) -> tuple[str, str] | None:
        """Checks the claims: iss is the app, sub the user, aud the login host, and exp is in the future."""
        try:
            claims = jwt.decode(
                assertion,
                self.secrets.salesforce_public_key_pem,
                algorithms=["RS256"],
                options={"require": ["iss", "sub", "aud", "exp"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            return "invalid_grant", "token validity expired"
        except jwt.InvalidTokenError:
            return "invalid_grant", "invalid assertion"
        if claims["iss"] != self.secrets.salesforce_client_id:
            return "invalid_client_id", "client identifier invalid"
        if not _is_audience(claims["aud"], _origin(request)):
            return "invalid_grant", "audience is invalid"
        if claims["sub"].lower() != self.secrets.salesforce_username.lower() or self.switches.crm_reject:
            return "invalid_grant", "user hasn't approved this consumer"
        return None

    async def soap_login(self, request: Request) -> Response:
        """POST /services/Soap/u/{version}: login of the partner API; nothing else is spoken there."""
        try:
            envelope = ET.fromstring(await request.body())  # noqa: S314  (a sandbox on loopback, for our own clients)
        except ET.ParseError as error:
            return _soap_fault("UNKNOWN_EXCEPTION", str(error), "UnexpectedErrorFault")
        login = next((node for node in envelope.iter() if _local(node) == "login"), None)
        if login is None:
            self.world.crm_writes += 1
            return _soap_fault("INSUFFICIENT_ACCESS", "the sandbox is read only", "UnexpectedErrorFault")
        if self.switches.crm_login_error:
            return _soap_fault(*self.switches.crm_login_error)
        said = {_local(node): node.text or "" for node in login}
        known = said.get("username", "").lower() == self.secrets.salesforce_username.lower()
        password = self.secrets.salesforce_password
        if known and said.get("password") == password and not self.switches.crm_reject:
            return _soap_fault("LOGIN_MUST_USE_SECURITY_TOKEN", _TOKEN_NEEDED)
        if (
            self.switches.crm_reject
            or not known
            or said.get("password") != password + self.secrets.salesforce_security_token
        ):
            return _soap_fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        server = f"{_origin(request)}/services/Soap/u/{request.path_params['version']}/{SALESFORCE_ORGANISATION[:15]}"
        return Response(
            _SOAP_LOGIN.format(
                server=escape(server),
                metadata=escape(server.replace("/Soap/u/", "/Soap/m/")),
                session=escape(self.new_session()),
                user=INTEGRATION_USER,
                organisation=SALESFORCE_ORGANISATION,
                username=escape(self.secrets.salesforce_username),
            ),
            media_type="text/xml",
        )

    def authenticate(self, request: Request) -> None:
        """Refuses calls without a valid token. Each call reduces the token's remaining lifetime."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        session = self.sessions.get(token) if scheme.lower() in ("bearer", "oauth") else None
        if session is None or self.switches.crm_reject:
            raise _expired()
        lifetime = self.switches.token_lifetime_calls
        if lifetime is not None and session.calls >= lifetime:
            del self.sessions[token]
            raise _expired()
        session.calls += 1

    # --- REST -------------------------------------------------------------------------------------------------------

    async def versions(self, request: Request) -> Response:
        """GET /services/data: needs no login."""
        return JSONResponse(
            [{"label": _release(v), "url": f"/services/data/v{v}.0", "version": f"{v}.0"} for v in VERSIONS]
        )

    async def resources(self, request: Request) -> Response:
        base = _base(request)
        names = ("query", "queryAll", "sobjects", "limits", "identity")
        return JSONResponse({name: f"{base}/{name}" for name in names})

    async def limits(self, request: Request) -> Response:
        left = DAILY_CALLS - self.used()
        return JSONResponse(
            {
                "DailyApiRequests": {"Max": DAILY_CALLS, "Remaining": left},
                "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
                "DataStorageMB": {"Max": 10_240, "Remaining": 9_811},
            }
        )

    async def userinfo(self, request: Request) -> Response:
        """GET /services/oauth2/userinfo."""
        return JSONResponse(
            {
                "sub": f"https://login.salesforce.com/id/{SALESFORCE_ORGANISATION}/{INTEGRATION_USER}",
                "user_id": INTEGRATION_USER,
                "organization_id": SALESFORCE_ORGANISATION,
                "preferred_username": self.secrets.salesforce_username,
                "email": self.secrets.salesforce_username,
                "active": True,
            }
        )

    async def sobjects(self, request: Request) -> Response:
        base = _base(request)
        summaries = [object_summary(name, base) for name in FIELDS]
        return JSONResponse({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": summaries})

    async def sobject(self, request: Request) -> Response:
        return JSONResponse(
            {"objectDescribe": object_summary(self.object_name(request), _base(request)), "recentItems": []}
        )

    async def describe(self, request: Request) -> Response:
        name = self.object_name(request)
        return JSONResponse(describe(name, self.objects.fields[name], _base(request)))

    def object_name(self, request: Request) -> str:
        wanted = request.path_params["name"].lower()
        for name in FIELDS:
            if name.lower() == wanted:
                return name
        raise _not_found()

    async def record(self, request: Request) -> Response:
        """GET sobjects/{name}/{id}, with all fields or those of `fields`."""
        name = self.object_name(request)
        wanted = request.query_params.get("fields") or ",".join(each.name for each in self.objects.fields[name])
        key = request.path_params["key"]
        if not re.fullmatch(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", key):
            raise _not_found()
        plan = self.plan(f"SELECT {wanted} FROM {name} WHERE Id = '{key}'")
        rows = plan.rows(self.rows(plan, include_deleted=False))
        if not rows:
            raise _not_found()
        return JSONResponse(plan.record(rows[0], _base(request)))

    async def query(self, request: Request) -> Response:
        """GET query?q= and queryAll?q=."""
        text = request.query_params.get("q")
        if not text:
            raise Refusal(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        plan = self.plan(text)
        include_deleted = request.url.path.rstrip("/").endswith("queryAll")
        rows = plan.rows(self.rows(plan, include_deleted))
        if plan.query.count:
            off = self.switches.crm_count_off if plan.entity.name == "Account" else 0
            return JSONResponse({"totalSize": len(rows) + off, "done": True, "records": []})
        if plan.query.count_of is not None:
            return JSONResponse(_aggregate(plan, rows))
        cursor = _Cursor(plan, rows, self.batch(request), self.clock())
        key = "0r8" + random_secrets.token_hex(8)[:12] + "AAA"
        return self.page(request, key, cursor, 0)

    async def more(self, request: Request) -> Response:
        """GET query/{locator}-{offset}: the next page."""
        key, _, offset = request.path_params["locator"].rpartition("-")
        cursor = self.cursors.get(key)
        now = self.clock()
        if cursor is None or not offset.isdigit() or now - cursor.touched > self.locator_seconds:
            self.cursors.pop(key, None)
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        cursor.touched = now
        return self.page(request, key, cursor, int(offset))

    def page(self, request: Request, key: str, cursor: _Cursor, start: int) -> Response:
        base = _base(request)
        end = start + cursor.batch
        body: dict[str, Any] = {"totalSize": len(cursor.rows), "done": end >= len(cursor.rows)}
        if body["done"]:
            self.cursors.pop(key, None)
        else:
            body["nextRecordsUrl"] = f"{base}/query/{key}-{end}"
            self.open_cursor(key, cursor)
        body["records"] = [cursor.plan.record(row, base) for row in cursor.rows[start:end]]
        return JSONResponse(body)

    def open_cursor(self, key: str, cursor: _Cursor) -> None:
        self.cursors[key] = cursor
        while len(self.cursors) > MAX_LOCATORS:
            del self.cursors[min(self.cursors, key=lambda each: self.cursors[each].touched)]

    def plan(self, text: str) -> soql.Plan:
        try:
            return soql.plan(soql.parse(text), self.objects.entities)
        except soql.SoqlError as error:
            raise Refusal(400, error.code, error.message) from error

    def rows(self, plan: soql.Plan, include_deleted: bool) -> list[Any]:
        if plan.entity.name == "Account" and self.switches.crm_empty:
            return []
        return self.objects.rows(plan.entity.name, include_deleted)

    def batch(self, request: Request) -> int:
        """Rows per page: the server's size, or a smaller one that the client requests."""
        wish = re.search(r"batchSize\s*=\s*(\d+)", request.headers.get("sforce-query-options", ""), re.IGNORECASE)
        wished = min(max(int(wish.group(1)), MIN_BATCH), MAX_BATCH) if wish else MAX_BATCH
        return min(wished, self.batch_size, self.switches.crm_page_cap or wished)

    async def write(self, request: Request) -> Response:
        """Anything that would change something, or start a job."""
        self.world.crm_writes += 1
        raise Refusal(403, "INSUFFICIENT_ACCESS", "insufficient access rights on object id")

    def used(self) -> int:
        return self.counters.totals.get("salesforce", 0)

    # --- routes -----------------------------------------------------------------------------------------------------

    def route(
        self, path: str, kind: str, handler: Handler, methods: list[str] | None = None, *, login: bool = True
    ) -> Route:
        """A route. Its calls are counted as `kind`, obey the switches, and need a token if `login`."""

        async def answer(request: Request) -> Response:
            return await self.rest(request, handler, login)

        guard = guarded(
            answer,
            service="salesforce",
            kind=kind,
            switches=self.switches,
            counters=self.counters,
            unavailable=_unavailable,
        )
        return Route(path, guard, methods=methods or ["GET"])

    async def rest(self, request: Request, handler: Callable[[Request], Awaitable[Response]], login: bool) -> Response:
        try:
            if len(request.url.path) + len(request.url.query) > MAX_URI:
                return PlainTextResponse("URI Too Long", status_code=414)
            version = request.path_params.get("version")
            if version is not None and not _is_version(version):
                raise _not_found()
            if login:
                self.authenticate(request)
            response = await handler(request)
        except Refusal as refusal:
            response = refusal.response()
        response.headers["Sforce-Limit-Info"] = f"api-usage={self.used()}/{DAILY_CALLS}"
        return response

    def routes(self) -> list[Route]:
        data = "/services/data/v{version}"
        reads: list[tuple[str, str, Handler]] = [
            ("", "resources", self.resources),
            ("/query", "query", self.query),
            ("/queryAll", "queryAll", self.query),
            ("/query/{locator}", "query_more", self.more),
            ("/queryAll/{locator}", "query_more", self.more),
            ("/sobjects", "sobjects", self.sobjects),
            ("/sobjects/{name}", "sobject", self.sobject),
            ("/sobjects/{name}/describe", "describe", self.describe),
            ("/sobjects/{name}/{key}", "record", self.record),
            ("/limits", "limits", self.limits),
        ]
        routes = [
            self.route("/services/oauth2/token", "token", self.token, ["POST"], login=False),
            self.route("/services/oauth2/userinfo", "userinfo", self.userinfo),
            self.route("/services/Soap/u/{version}", "login", self.soap_login, ["POST"], login=False),
            self.route("/services/data", "versions", self.versions, login=False),
            self.route("/services/data/", "versions", self.versions, login=False),
        ]
        for path, kind, handler in reads:  # with and without a trailing slash: clients use both
            routes += [self.route(data + path, kind, handler), self.route(data + path + "/", kind, handler)]
        routes.append(self.route("/services/{rest:path}", "write", self.write, WRITE_METHODS, login=False))
        routes.append(self.route("/{rest:path}", "unknown", _nothing_there, ["GET", *WRITE_METHODS], login=False))
        return routes


def salesforce_app(
    world: World,
    switches: Switches,
    counters: Counters,
    secrets: SandboxSecrets,
    *,
    batch_size: int = MAX_BATCH,
    locator_seconds: float = LOCATOR_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The Salesforce application of a world, served over HTTPS.

    Args:
        world: has the accounts and owners; counts writes in `crm_writes`.
        switches: `crm_down`, `crm_reject`, `crm_delay`, `crm_empty`, `token_lifetime_calls`.
        counters: counts calls under "salesforce" by kind (token, login, query, queryAll, query_more, describe, …).
        secrets: has the credentials that are accepted.
        batch_size: most rows per page. Salesforce's minimum is 200; tests use less.
        locator_seconds: how long an unused query locator stays valid.
        clock: a monotonic clock in seconds, for the lifetime of locators.
    """
    server = _Salesforce(
        world, switches, counters, secrets, batch_size, locator_seconds, clock, SalesforceObjects(world, switches)
    )
    return Starlette(routes=server.routes())


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _base(request: Request) -> str:
    return f"/services/data/v{request.path_params['version']}"


def _release(version: int) -> str:
    """The name of a release: 59 is Winter '24, 60 Spring '24, 61 Summer '24."""
    year = 24 + (version - 60) // 3 + (version % 3 == 2)
    return f"{('Spring', 'Summer', 'Winter')[version % 3]} '{year:02d}"


def _is_version(text: str) -> bool:
    return re.fullmatch(r"\d\d\.0", text) is not None and int(text[:2]) in VERSIONS


def _is_audience(audience: object, origin: str) -> bool:
    hosts = ("https://login.salesforce.com", "https://test.salesforce.com", origin)
    text = str(audience).rstrip("/")
    return text in hosts or re.fullmatch(r"https://[\w.-]+\.my\.salesforce\.com", text) is not None


def _local(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]


def _aggregate(plan: soql.Plan, rows: list[Any]) -> dict[str, Any]:
    """COUNT(field): one AggregateResult with the number of rows that have a value."""
    assert plan.counted is not None
    assert plan.query.count_of is not None
    number = sum(plan.counted.value(row) is not None for row in rows)
    record = {"attributes": {"type": "AggregateResult"}, plan.query.count_of[1]: number}
    return {"totalSize": 1, "done": True, "records": [record]}


def _unavailable() -> Response:
    return JSONResponse(
        [{"message": "The server is currently unavailable. Try again later.", "errorCode": "SERVER_UNAVAILABLE"}],
        status_code=503,
    )


async def _nothing_there(_: Request) -> Response:
    raise _not_found()


_TOKEN_NEEDED = (
    "Invalid username, password, security token; or user locked out. Are you at a new location? When accessing "
    "Salesforce--either via a desktop client or the API--from outside of your company's trusted networks, you must add "
    "a security token to your password to log in."
)


def _soap_fault(code: str, message: str, fault: str = "LoginFault") -> Response:
    body = _SOAP_FAULT.format(code=code, message=escape(message), fault=fault)
    return Response(body, status_code=500, media_type="text/xml")


_SOAP_FAULT = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring>"
    '<detail><sf:{fault} xsi:type="sf:{fault}"><sf:exceptionCode>{code}</sf:exceptionCode>'
    "<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:{fault}></detail>"
    "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)

_SOAP_LOGIN = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body><loginResponse><result><metadataServerUrl>{metadata}</metadataServerUrl>"
    "<passwordExpired>false</passwordExpired><sandbox>false</sandbox><serverUrl>{server}</serverUrl>"
    "<sessionId>{session}</sessionId><userId>{user}</userId><userInfo><accessibilityMode>false</accessibilityMode>"
    "<organizationId>{organisation}</organizationId><organizationName>Sandbox Company</organizationName>"
    "<sessionSecondsValid>7200</sessionSecondsValid><userId>{user}</userId><userName>{username}</userName>"
    "</userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"
)
