"""A Gainsight tenant in a hundred lines, over a real socket, with every API behaviour that the reader must handle.

Written from the public documentation and field notes; shares no code with the package or its sandbox.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Row = dict[str, Any]  # "ModifiedDate" as a datetime with fractions, or None; the rest as shown


@dataclass
class Tenant:
    """Rows and API behaviour; ``asked`` holds the bodies of the queries.

    With ``describes`` (fields by object) it serves a whole pull: ``rows`` belong to the first object, and the other
    objects are empty.
    """

    rows: list[Row] = field(default_factory=list)
    cursor: str = "ModifiedDate"
    ignores_where: bool = False
    ignores_order: bool = False
    ignores_offset: bool = False
    shuffles: bool = False  # without orderBy, each call gets another order
    orders_pages_alone: bool = False  # takes a page in table order, and sorts only that page
    cap: int | None = None
    shift: timedelta = timedelta(0)  # the offset of the time zone in which the tenant reads date literals
    shows: str = "iso"  # iso, iso_ms, epoch
    shape: str = "records"
    drops_key: str | None = None
    lower_keys: bool = False
    fails_above: int | None = None  # 503 for larger limits
    is_strict: bool = False  # accepts names of fields only as describe spells them
    refused: list[str] = field(default_factory=list)
    now: datetime | None = None
    before_answer: Callable[[Tenant, dict[str, Any]], None] = lambda tenant, body: None
    asked: list[dict[str, Any]] = field(default_factory=list)
    describes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    url: str = ""
    _random: random.Random = field(default_factory=lambda: random.Random(7))

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(body)
        # Field names match in any case, as in the documentation's samples.
        spelled = {name.casefold(): name for row in self.rows[:1] for name in row}
        self.before_answer(self, body)
        if self.fails_above is not None and body["limit"] > self.fails_above:
            return 503, {"result": False, "errorCode": "GU_1101", "errorDesc": "Oops, something went wrong..."}
        rows = list(self.rows)
        if not self.ignores_where:
            for condition in body.get("where", {}).get("conditions", []):
                name = spelled.get(condition["name"].casefold(), "?")
                rows = [row for row in rows if self._holds(row.get(name), condition)]
        order = {spelled.get(name.casefold(), "?"): how for name, how in body.get("orderBy", {}).items()}
        if not self.ignores_order and not self.orders_pages_alone:
            _sort(rows, order)
        elif self.shuffles:
            self._random.shuffle(rows)
        offset = 0 if self.ignores_offset else body.get("offset", 0)
        limit = body["limit"] if self.cap is None else min(body["limit"], self.cap)
        rows = rows[offset : offset + limit]
        if self.orders_pages_alone:
            _sort(rows, order)
        records = [self._shown(row, body["select"], spelled) for row in rows]
        return 200, {"result": True, "data": {"records": records} if self.shape == "records" else records}

    def misspelt(self, name: str, body: dict[str, Any]) -> str | None:
        """A field that the query spells differently from describe, if the tenant is strict."""
        known = {each["fieldName"] for each in self.describes.get(name, [])}
        conditions = [condition["name"] for condition in body.get("where", {}).get("conditions", [])]
        names = [*body["select"], *conditions, *body.get("orderBy", {})]
        odd = [each for each in names if each.partition("__gr.")[0] not in known]
        return odd[0] if self.is_strict and known and odd else None

    def _holds(self, actual: Any, condition: dict[str, Any]) -> bool:
        values, operator = condition["value"], condition["operator"]
        if operator == "IS_NULL":
            return actual is None
        if operator == "IS_NOT_NULL":
            return actual is not None
        if actual is None:
            return False
        if isinstance(actual, datetime):
            values = [datetime.fromisoformat(value) + self.shift for value in values]
        match operator:
            case "GTE":
                return bool(actual >= values[0])
            case "GT":
                return bool(actual > values[0])
            case "LT":
                return bool(actual < values[0])
            case "EQ" | "IN":
                return actual in values
        raise AssertionError(operator)

    def _shown(self, row: Row, select: list[str], spelled: dict[str, str]) -> Row:
        shown = {
            name: self._value(row.get(spelled.get(name.casefold(), "?"))) for name in select if name != self.drops_key
        }
        return {name.lower(): value for name, value in shown.items()} if self.lower_keys else shown

    def _value(self, value: Any) -> Any:
        if not isinstance(value, datetime):
            return value
        match self.shows:
            case "iso_ms":
                return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}+0000"
            case "epoch":
                return int(value.timestamp()) * 1000 + value.microsecond // 1000
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sort(rows: list[Row], order: dict[str, str]) -> None:
    for key, direction in reversed(order.items()):
        rows.sort(key=lambda row: (row.get(key) is None, row.get(key)), reverse=direction == "desc")


@contextmanager
def serving(tenant: Tenant) -> Iterator[Tenant]:
    """The tenant on its own port, for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise each response waits 40 ms for an acknowledgement

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if (odd := tenant.misspelt(self.path.rpartition("/")[2], body)) is not None:
                tenant.refused.append(odd)
                self.send(400, {"result": False, "errorCode": "GSOBJ_1002", "errorDesc": f"No field {odd}"})
            elif tenant.describes and self.path.rpartition("/")[2] != next(iter(tenant.describes)):
                self.send(200, {"result": True, "data": []})
            else:
                self.send(*tenant.answer(body))

        def do_GET(self) -> None:
            name = self.path.partition("/describe")[0].rpartition("/")[2]
            node = {"objectName": name, "label": name, "fields": tenant.describes.get(name, [])}
            self.send(200, {"result": True, "data": [node]})

        def send(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Date", format_datetime(tenant.now or datetime.now(UTC), usegmt=True))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    tenant.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield tenant
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
