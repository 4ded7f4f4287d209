"""A scripted server over real sockets, for protocol details that the sandbox has no switch for."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass(frozen=True)
class Request:
    """A request as received; `query` and `form` hold the last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """A response to send. `body` is sent as JSON unless it is bytes; without `date`, there is no Date header.

    `sent`: how much is sent before the connection ends: "all", "half" of the body, or "nothing".
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    date: str | None = "Tue, 03 Mar 2026 12:00:00 GMT"
    sent: Literal["all", "half", "nothing"] = "all"


Script = Callable[[Request], Answer]

BLIPS = [
    pytest.param(Answer(b"<html>busy</html>", 503), id="503"),
    pytest.param(Answer({}, sent="nothing"), id="reset"),
    pytest.param(Answer({"some": "thing"}, sent="half"), id="truncated"),
]
"""Failures that don't happen again a second later."""


@dataclass
class Server:
    """A running server: its address, and the requests received."""

    address: str
    requests: list[Request]


@contextmanager
def serve(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Runs `script` behind HTTP, or HTTPS with `context`, on a free port of 127.0.0.1."""
    came: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            request = Request(self.command, parts.path, query, dict(self.headers.items()), body)
            came.append(request)
            answer = script(request)
            self.close_connection = answer.sent != "all"
            if answer.sent == "nothing":
                return
            payload = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.date:
                self.send_header("Date", answer.date)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload[: len(payload) // 2] if answer.sent == "half" else payload)

        do_GET = do_POST = _answer

        def log_message(self, *args: Any) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            return

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        scheme = "https" if context else "http"
        yield Server(f"{scheme}://127.0.0.1:{server.server_port}", came)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
