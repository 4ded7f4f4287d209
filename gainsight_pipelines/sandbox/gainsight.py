"""The sandbox's Gainsight server: metadata, query and token calls, with the real service's envelopes and errors.

Each request is counted and delayed; then it is refused by a switch or the rate limiter, or authorised and processed.
The query engine is in query.py; this module decides how values are serialised (dates, shapes, case of keys).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import secrets as random_secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs
from zlib import crc32

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gainsight_pipelines.sandbox.edits import Editor
from gainsight_pipelines.sandbox.fronts import front_page
from gainsight_pipelines.sandbox.query import Engine, QueryError, Result, UnknownObject
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches
from gainsight_pipelines.sandbox.world import World

TOKEN_PATH = "/v1/users/m2m/oauth/token"
LIST_PATH = "/v1/meta/services/objects/list"
DESCRIBE_PATH = "/v1/meta/services/objects/describe"
OBJECT_PREFIX = "/v1/meta/services/objects/"
DROPDOWN_PREFIX = "/v1/meta/services/dropdowns/"
QUERY_PREFIX = "/v1/data/objects/query/"
EXACT_PATHS = {TOKEN_PATH: "token", LIST_PATH: "list", DESCRIBE_PATH: "describe"}
TOKEN_SECONDS = 86_400
ISO_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_NON_STR_KEYS
GATEWAY_TEXTS = {"502": "Bad Gateway", "503": "Service Temporarily Unavailable", "504": "Gateway Time-out"}
LISTED_KEYS = ("objectName", "label", "objectType", "keyPrefix", "readable")


def gainsight_app(
    world: World,
    switches: Switches,
    counters: Counters,
    secrets: SandboxSecrets,
    engine: Engine | None = None,
    editor: Editor | None = None,
) -> Starlette:
    """The Gainsight application. Engine and editor are passed if the control endpoint uses them too."""
    engine = engine or Engine(world, switches)
    editor = editor or Editor(world, engine, switches, seed=0)
    service = _Service(world, switches, counters, secrets, engine, editor)
    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    return Starlette(
        routes=[Route("/{path:path}", service.answer, methods=methods)],
        # Level 1, because the sandbox shares the machine with its client and must not be slower than a real tenant.
        middleware=[Middleware(GZipMiddleware, minimum_size=500, compresslevel=1)],
    )


class _RefusedError(Exception):
    """A response that ends a request early."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class _CutResponse(Response):
    """Announces its full length and sends half of the body."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())]
        headers.append((b"content-encoding", b"identity"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body[: len(self.body) // 2]), "more_body": True})
        raise ConnectionResetError("the switch truncate_next cut this reply")


class _Limiter:
    """Counts calls per minute and per UTC day of the wall clock."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._windows: dict[str, tuple[int, int]] = {}

    def allows(self) -> bool:
        seconds = int(self._switches.now().timestamp())
        allowed = True
        limits = (("minute", 60, self._switches.limit_per_minute), ("day", 86_400, self._switches.limit_per_day))
        for name, length, limit in limits:
            window, calls = self._windows.get(name, (0, 0))
            calls = calls + 1 if window == seconds // length else 1
            self._windows[name] = (seconds // length, calls)
            allowed = allowed and (limit is None or calls <= limit)
        return allowed


class _Service:
    def __init__(
        self,
        world: World,
        switches: Switches,
        counters: Counters,
        secrets: SandboxSecrets,
        engine: Engine,
        editor: Editor,
    ) -> None:
        self._world = world
        self._switches = switches
        self._counters = counters
        self._secrets = secrets
        self._engine = engine
        self._editor = editor
        self._limiter = _Limiter(switches)
        self._tokens: dict[str, datetime] = {}

    async def answer(self, request: Request) -> Response:
        """Answers any request and records it."""
        body = await request.body()
        path = request.url.path
        kind, detail = _kind(path)
        self._counters.count("gainsight", kind, detail)
        if self._switches.gainsight_delay:
            await asyncio.sleep(self._switches.gainsight_delay)
        if kind == "query" and self._is_slow(body):
            await asyncio.sleep(self._switches.slow_seconds)
        request_id = f"{random_secrets.token_hex(16)}"
        try:
            response = self._respond(request, path, body, request_id)
        except _RefusedError as refusal:
            response = refusal.response
        response.headers["x-gs-request-id"] = response.headers["x-request-id"] = request_id
        response.headers["date"] = format_datetime(self._switches.now(), usegmt=True)
        response.headers.append("set-cookie", f"AWSALB={random_secrets.token_hex(8)}; Path=/")
        record: dict[str, Any] = {"method": request.method, "path": path, "query": request.url.query}
        record |= {"status": response.status_code, "body": None if kind == "token" else _readable(body)}
        self._counters.requests.append(record)
        return response

    def _is_slow(self, body: bytes) -> bool:
        limit, most = _json(body).get("limit"), self._switches.slow_above
        return most is not None and isinstance(limit, int) and limit > most

    def _respond(self, request: Request, path: str, body: bytes, request_id: str) -> Response:
        self._play_faults(request_id)
        kind, detail = _kind(path)
        route = (kind, request.method)
        if route == ("token", "POST"):
            return self._token(request, body, request_id)
        self._authorise(request, request_id)
        if route in {("list", "GET"), ("list", "POST")}:
            return self._list(request_id)
        if route in {("describe", "GET"), ("describe", "POST")} and (detail is None) == (request.method == "POST"):
            return self._describe([detail] if detail else _json(body).get("objectNames"), request_id)
        if route == ("dropdown", "GET"):
            return self._dropdown(str(detail), request_id)
        if route == ("query", "POST"):
            return self._query(str(detail), body, request_id)
        raise _RefusedError(_error(404, "GS_APIG_1000", "Not Found", request_id, message="Not Found"))

    # -- faults and access ----------------------------------------------------------------------------------------

    def _play_faults(self, request_id: str) -> None:
        switches = self._switches
        if switches.front != "gainsight":
            raise _RefusedError(front_page(switches.front))
        if switches.gainsight_down:
            raise _RefusedError(_gateway_page(503))
        if switches.server_errors_next > 0:
            switches.server_errors_next -= 1
            raise _RefusedError(_server_error(switches.server_error_kind, request_id))
        within = self._limiter.allows()
        if switches.rate_limit_next > 0:
            switches.rate_limit_next -= 1
            within = False
        if not within:
            response = _error(switches.rate_limit_status, "GS_APIG_2404", "API rate limit exceeded", request_id)
            if switches.rate_limit_retry_after is not None:
                response.headers["retry-after"] = switches.rate_limit_retry_after
            raise _RefusedError(response)
        if switches.ip_refused:
            text = "IP Address does not lie in range of whitelisted ips"
            raise _RefusedError(_error(403, "GS_APIG_2402", text, request_id))

    def _authorise(self, request: Request, request_id: str) -> None:
        key = request.headers.get("accesskey", "")
        allowed = _same(key, self._secrets.gainsight_api_key)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not allowed and scheme.lower() == "bearer":
            allowed = self._tokens.get(token, datetime.min.replace(tzinfo=UTC)) > self._switches.now()
        if self._switches.reject_key or not allowed:
            raise _RefusedError(_error(401, "GS_APIG_2401", "Unauthorized", request_id, message="Unauthorized"))

    def _token(self, request: Request, body: bytes, request_id: str) -> Response:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        expected = f"{self._secrets.gainsight_m2m_id}:{self._secrets.gainsight_m2m_secret}"
        try:
            given = base64.b64decode(credentials).decode()
        except ValueError:
            given = ""
        grant = parse_qs(body.decode("latin-1")).get("grant_type")
        if scheme.lower() != "basic" or not _same(given, expected) or self._switches.reject_key:
            return _error(401, "GS_APIG_2401", "Unauthorized", request_id, message="Unauthorized")
        is_json = not body and request.headers.get("content-type") == "application/json"
        if not (is_json if self._switches.token_request == "json" else grant == ["client_credentials"]):
            return _error(
                400, "GSOBJ_1024", "Invalid authorization headers, please re-check your API request", request_id
            )
        token = random_secrets.token_urlsafe(32)
        self._tokens[token] = self._switches.now() + timedelta(seconds=TOKEN_SECONDS)
        return _reply(200, {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"})

    # -- metadata -------------------------------------------------------------------------------------------------

    def _list(self, request_id: str) -> Response:
        rows = []
        for table in self._world.tables.values():
            if table.name == "record_delete_log" and not self._switches.delete_log:
                continue
            node = table.describe
            is_system = node["objectType"] == "SYSTEM"
            row = {key: node[key] for key in LISTED_KEYS if key in node}
            row |= {"transactional": node["objectType"] == "CUSTOM", "multiCurrencySupported": False}
            rows.append(row | {"createable": not is_system, "schemaUpdateable": not is_system})
        return _reply(200, {"requestId": request_id, "result": True, "data": rows})

    def _describe(self, names: Any, request_id: str) -> Response:
        if not isinstance(names, list) or not names:
            return _error(400, "GSOBJ_1002", "Invalid request: objectNames is expected", request_id)
        nodes = []
        for name in names:
            try:
                node = self._engine.table(str(name)).describe
            except UnknownObject:
                return self._object_not_found(request_id)
            nodes.append({key: value for key, value in node.items() if key != "readable"})
        return _reply(200, {"requestId": request_id, "result": True, "data": nodes})

    def _dropdown(self, category: str, request_id: str) -> Response:
        found = self._world.picklists.get(category)
        if found is None:
            return _error(400, "GSOBJ_1004", "GSID is invalid or missing", request_id)
        return _reply(200, {"requestId": request_id, "result": True, "data": found})

    def _refused(self, error: QueryError, request_id: str) -> Response:
        code = error.code or "GSOBJ_1002"
        status, code = self._switches.refusals.get(_refusal_kind(error.description), (400, code))
        if self._switches.nameless_refusals:
            return _error(status, "GSOBJ_1002", "Invalid field or data mapping", request_id)
        return _error(status, code, error.description, request_id)

    def _object_not_found(self, request_id: str) -> Response:
        text = "Requested object not found."
        if (found := self._switches.refusals.get("unknown_object")) is not None:
            return _error(found[0], found[1], text, request_id)
        shown = {"requestId": request_id, "result": False, "instance": self._switches.now().strftime("%F %T UTC")}
        return _reply(400, shown | {"title": "OBJECT_NOT_FOUND", "detail": text, "errorDesc": text})

    # -- query ----------------------------------------------------------------------------------------------------

    def _query(self, object_name: str, body: bytes, request_id: str) -> Response:
        switches = self._switches
        if switches.result_false_next > 0:
            switches.result_false_next -= 1
            return _error(200, "GSOBJ_1100", "Request could not be processed", request_id)
        if object_name.lower() in {each.lower() for each in switches.broken_objects}:
            return _server_error("500", request_id)
        try:
            result = self._engine.query(object_name, _json(body))
        except UnknownObject:
            return self._object_not_found(request_id)
        except QueryError as error:
            return self._refused(error, request_id)
        response = self._page(result, request_id)
        if switches.edit_while_reading:
            self._editor.touch_random(result.table, switches.edit_while_reading)
        if switches.truncate_next > 0:
            switches.truncate_next -= 1
            return _CutResponse(response.body)
        return response

    def _page(self, result: Result, request_id: str) -> Response:
        if not result.records and self._switches.no_data != "records":
            legacy = self._switches.no_data == "legacy"
            code, status = ("GSOBJ_1XXX", 200) if legacy else ("GSOBJ_1011", 400)
            text = "No data found for given criteria" if legacy else "No entity matches the given criteria"
            return _error(status, code, text, request_id)
        rows = self._rows(result)
        data = rows if self._switches.data_shape == "list" else {"records": rows}
        content = _envelope(True, None, None, request_id) | {"data": data}
        if self._switches.dirty_text:
            return _dirty(content)
        return _reply(200, content)

    def _rows(self, result: Result) -> list[dict[str, Any]]:
        """The records as sent: keys as in the query, dates in the tenant's format."""
        plain = [(path.sent, path.name) for path in result.paths if path.is_plain]
        if len(plain) == len(result.paths):
            rows = [{sent: record.get(name) for sent, name in plain} for record in result.records]
        else:
            getters = [(path.sent, path.get) for path in result.paths]
            rows = [{sent: get(record) for sent, get in getters} for record in result.records]
        for path in result.paths:
            show = self._shown(path.data_type)
            if show is not None:
                for row in rows:
                    row[path.sent] = show(row[path.sent])
        if self._switches.case_drift and result.table.name == "activity_timeline":
            missing = {each.lower() for each in self._switches.missing_keys}
            rows = [
                {_drifted(key): value for key, value in row.items() if value is not None and key.lower() not in missing}
                for row in rows
            ]
        return rows

    def _shown(self, data_type: str) -> Callable[[Any], Any] | None:
        """The function that formats values of a type; None if the JSON encoder's format is right."""
        if data_type == "MULTISELECTDROPDOWNLIST":
            return lambda value: ";".join(value) if isinstance(value, list) else value
        if data_type not in {"DATE", "DATETIME"}:
            return None
        null = "" if self._switches.empty_dates else None
        form = self._switches.date_format
        if form == "epoch_ms":
            return lambda value: null if value is None else self._epoch(value)
        if form == "iso_ms" and data_type == "DATETIME":
            return lambda value: (
                null if value is None else f"{value:%Y-%m-%dT%H:%M:%S}.{self._milliseconds(value):03d}Z"
            )
        return (lambda value: null if value is None else value) if null == "" else None

    def _milliseconds(self, moment: datetime) -> int:
        return 0 if self._switches.date_fraction_hidden else moment.microsecond // 1000

    def _epoch(self, value: date | datetime) -> int:
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return int(value.replace(microsecond=0).timestamp()) * 1000 + self._milliseconds(value)


def _kind(path: str) -> tuple[str, str | None]:
    """The kind of call of a path, and its object or category, if any."""
    if path in EXACT_PATHS:
        return EXACT_PATHS[path], None
    if path.startswith(QUERY_PREFIX):
        return "query", path.removeprefix(QUERY_PREFIX).lower()
    if path.startswith(OBJECT_PREFIX) and path.endswith("/describe"):
        return "describe", path.removeprefix(OBJECT_PREFIX).removesuffix("/describe").lower()
    if path.startswith(DROPDOWN_PREFIX):
        return "dropdown", path.removeprefix(DROPDOWN_PREFIX)
    return "other", None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}


def _readable(body: bytes) -> Any:
    return _json(body) if body else None


def _envelope(result: bool, code: str | None, description: str | None, request_id: str) -> dict[str, Any]:
    return {
        "result": result,
        "errorCode": code,
        "errorDesc": description,
        "requestId": request_id,
        "data": None,
        "message": None,
        "localizedErrorDesc": None,
        "localizedMessage": None,
    }


def _error(status: int, code: str, description: str, request_id: str, message: str | None = None) -> Response:
    if code.startswith(("GS_APIG", "GU_")):
        # The gateway's errors are shorter than the object service's.
        content: dict[str, Any] = {
            "result": False,
            "errorCode": code,
            "errorDesc": description,
            "requestId": request_id,
        }
        return _reply(status, content | ({"message": message} if message else {}))
    return _reply(status, _envelope(False, code, description, request_id) | {"message": message})


def _refusal_kind(description: str) -> str:
    if description.startswith("Invalid fields"):
        return "unknown_field"
    return "limit" if description.startswith("Invalid limit") else ""


def _server_error(kind: str, request_id: str) -> Response:
    if kind == "500":
        return _error(500, "GU_1101", "Oops, something went wrong...", request_id)
    if kind == "html":
        return Response("<html><body><h1>We are down for maintenance</h1></body></html>", 200, media_type="text/html")
    return _gateway_page(int(kind))


def _gateway_page(status: int) -> Response:
    text = f"{status} {GATEWAY_TEXTS[str(status)]}"
    page = f"<html>\r\n<head><title>{text}</title></head>\r\n<body><center><h1>{text}</h1></center></body>\r\n</html>"
    return Response(page, status, media_type="text/html")


def _reply(status: int, content: Any) -> Response:
    return Response(orjson.dumps(content, option=ISO_OPTIONS), status, media_type="application/json")


def _dirty(content: dict[str, Any]) -> Response:
    r"""The response with \u0000 or a lone surrogate appended to some strings, which strict JSON encoders refuse."""
    data = content["data"]
    for number, row in enumerate(data if isinstance(data, list) else data["records"]):
        for name in ("Subject", "Comment", "Name"):
            if number % 7 == 0 and isinstance(row.get(name), str):
                row[name] += "\x00" if number % 2 else "\ud83d"
    text = json.dumps(content, default=_iso)
    return Response(text.encode(), 200, media_type="application/json")


def _iso(value: date | datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value.isoformat()


def _drifted(key: str) -> str:
    """A key in another case, as in Gainsight's sample response: contextname, internalAttendees, gsid."""
    form = crc32(key.encode()) % 3
    return (key, key[:1].lower() + key[1:], key.lower())[form]
