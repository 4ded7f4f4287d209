"""Servers that receive alerts in tests: a webhook and a mail server, on sockets of this process."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "T0PSECRETT0KEN"
"""A made-up token that each URL contains."""


@dataclass
class Hook:
    """A webhook. `statuses` are those of its next responses, instead of 200; the last one repeats."""

    port: int = 0
    host: str = "127.0.0.1"
    statuses: list[int] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"json://{self.host}:{self.port}/{TOKEN}"

    def titles(self) -> list[str]:
        return [str(each["title"]) for each in self.received]


@contextmanager
def hook(host: str = "127.0.0.1") -> Iterator[Hook]:
    found, lock = Hook(host=host), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                status = (
                    (found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0]) if found.statuses else 200
                )
                found.paths.append(self.path)
                if status == 200:
                    found.received.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    found.port = server.server_address[1]
    with _served(server):
        yield found


@dataclass
class Mailbox:
    """A mail server."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?mode=insecure&from=alerts@example.com&to=ops@example.com"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    found = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._answer("220 here")
            while line := self.rfile.readline().decode().strip():
                word = line.split()[0].upper()
                if word == "DATA":
                    self._answer("354 go on")
                    lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                    mail = message_from_string("\n".join(lines), policy=policy.default)
                    assert isinstance(mail, EmailMessage)
                    found.mails.append(mail)
                self._answer("221 bye" if word == "QUIT" else "250 ok")
                if word == "QUIT":
                    return

        def _answer(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    with _served(server):
        yield found


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
