"""A Gainsight server that answers describe and keyset queries from prebuilt pages, as fast as the socket allows.

It runs in its own process, so that its time is not measured. It supports only the queries that the contenders make: an
ascending range of dates or Gsids, and its last record. `POST /bench/build` makes a data set; `GET /bench/counts`
returns the requests since the last such call. Records are encoded once, for one selection of fields; other selections
are refused, so that every contender gets exactly the fields it asks for.
"""

from __future__ import annotations

import re
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from typing import Any

import orjson

from bench import data

DESCRIBE = re.compile(r"/v1/meta/services/objects/(\w+)/describe")
QUERY = re.compile(r"/v1/data/objects/query/(\w+)")
HEAD = b'{"result":true,"errorCode":null,"errorDesc":null,"requestId":"bench","data":{"records":['
TAIL = b"]}}"
TIMES = frozenset({"LastModifiedDate", "ModifiedDate", "CreatedDate", "RespondedDate"})


class Refused(Exception):
    """The request is not supported."""


@dataclass(slots=True)
class DataSet:
    """The encoded records of one object, in order of modification."""

    start: datetime
    rows: int
    select: frozenset[str]
    order: tuple[str, ...]
    maker: data.Maker
    blob: bytearray = field(default_factory=bytearray)
    ends: array[int] = field(default_factory=lambda: array("q"))

    def add(self, record: dict[str, Any]) -> None:
        """Appends a record."""
        unknown = [name for name in self.order if name not in record]
        if unknown:
            raise Refused(f"no such fields: {unknown}")
        if self.ends:
            self.blob += b","
        self.blob += orjson.dumps({name: record[name] for name in self.order})
        self.ends.append(len(self.blob))

    def cut(self, first: int, last: int) -> memoryview:
        """The encoded records from `first` to before `last`."""
        if first >= last:
            return memoryview(b"")
        return memoryview(self.blob)[self.ends[first - 1] + 1 if first else 0 : self.ends[last - 1]]


class Service:
    """Data sets by object, and counts of the requests."""

    def __init__(self) -> None:
        self._sets: dict[str, DataSet] = {}
        self._counts: Counter[str] = Counter()

    def build(self, request: dict[str, Any]) -> dict[str, Any]:
        """Builds an object's data set, replacing an earlier one."""
        name, rows = request["object"], request["rows"]
        start = data.start_of(rows, data.now_utc())
        maker = data.Maker(name, start)
        select = tuple(request["select"])
        made = DataSet(start, rows, frozenset(select), select, maker)
        self._sets.pop(name, None)
        for number in range(rows):
            made.add(maker.record(number))
        self._sets[name] = made
        return {"bytes": len(made.blob), "start": start.isoformat()}

    def touch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Changes one record, which moves it to the end."""
        found = self._sets[request["object"]]
        record = found.maker.record(request["number"], found.maker.time(found.rows))
        found.add(record)
        found.rows += 1
        return {"Gsid": record["Gsid"]}

    def counts(self) -> dict[str, int]:
        """Calls by kind since the last `counts`. Queries that returned records also count as pages."""
        counted, self._counts = dict(self._counts), Counter()
        return counted

    def describe(self, name: str) -> bytes:
        """The response to a describe."""
        self._counts["describe"] += 1
        return orjson.dumps({"result": True, "data": [data.describe(name)]})

    def query(self, name: str, body: dict[str, Any]) -> list[bytes | memoryview]:
        """The response to a query, in pieces."""
        self._counts["query"] += 1
        if name == "company" and name not in self._sets:
            return self._companies(body)
        found = self._sets.get(name)
        if found is None:
            raise Refused(f"no data set of {name}")
        if frozenset(body["select"]) != found.select:
            raise Refused(f"built for other fields: {sorted(found.select ^ frozenset(body['select']))}")
        first, last = _range(found, body.get("where", {}).get("conditions", ()))
        first += body.get("offset", 0)
        if "desc" in body.get("orderBy", {}).values():
            if body["limit"] > 1 or body.get("offset"):
                raise Refused("descending only for the last record")
            first = max(first, last - 1)
        last = min(last, first + body["limit"])
        if first < last:
            self._counts["pages"] += 1
            self._counts["rows"] += last - first
        return [HEAD, found.cut(first, last), TAIL]

    def _companies(self, body: dict[str, Any]) -> list[bytes | memoryview]:
        """The CRM ids of companies, by their GSIDs."""
        (condition,) = body["where"]["conditions"]
        records = [
            {
                "Gsid": gsid,
                "SfdcAccountId": data.account_id(number)
                if data.WITHOUT_CRM_ID <= (number := data.number_of(gsid)) < data.ACCOUNTS
                else None,
            }
            for gsid in sorted(condition["value"])
        ]
        return [HEAD, orjson.dumps(records)[1:-1], TAIL]


def _range(found: DataSet, conditions: Sequence[dict[str, Any]]) -> tuple[int, int]:
    first, last = 0, found.rows
    for condition in conditions:
        low, high = _bounds(found, condition)
        first, last = max(first, low), min(last, high)
    return first, max(first, last)


def _bounds(found: DataSet, condition: dict[str, Any]) -> tuple[int, int]:
    name, operator, values = condition["name"], condition["operator"], condition["value"]
    if operator == "IS_NOT_NULL":
        return 0, found.rows
    if operator == "IS_NULL":
        return 0, 0
    if name in TIMES:
        moment = datetime.fromisoformat(values[0]).astimezone(UTC)
        at = ceil((moment - found.start).total_seconds())
    elif name == "Gsid":
        at = data.number_of(values[0])
    else:
        raise Refused(f"no conditions on {name}")
    match operator:
        case "GTE":
            return at, found.rows
        case "GT":
            return at + 1, found.rows
        case "LT":
            return 0, at
        case "LTE":
            return 0, at + 1
        case "EQ":
            return at, at + 1
    raise Refused(f"no conditions with {operator}")


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent as two packets
    service: Service

    def log_message(self, *_arguments: Any) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(orjson.loads(body) if body else {})

    def _answer(self, body: Any) -> None:
        path = self.path.partition("?")[0]
        try:
            self._send(200, self._found(path, body))
        except (Refused, KeyError, ValueError) as error:
            self._send(
                400, [orjson.dumps({"result": False, "errorCode": "GSOBJ_1002", "errorDesc": f"bench: {error}"})]
            )

    def _found(self, path: str, body: Any) -> list[bytes | memoryview]:
        if found := QUERY.fullmatch(path):
            return self.service.query(found[1], body)
        if found := DESCRIBE.fullmatch(path):
            return [self.service.describe(found[1])]
        calls = {"/bench/build": self.service.build, "/bench/touch": self.service.touch}
        if path in calls:
            return [orjson.dumps(calls[path](body))]
        if path == "/bench/counts":
            return [orjson.dumps(self.service.counts())]
        raise Refused(f"no path {path}")

    def _send(self, status: int, pieces: list[bytes | memoryview]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(sum(map(len, pieces))))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)


@contextmanager
def running_server() -> Iterator[str]:
    """Runs the server in its own process and returns its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    """Serves on a free port of the loopback address, and prints the port."""
    Handler.service = Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()


if __name__ == "__main__":
    main()
