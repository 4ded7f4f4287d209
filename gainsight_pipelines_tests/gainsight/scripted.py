"""A server that sends scripted bytes, for responses that no HTTP library would produce."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | Callable[[socket.socket], None]
GOOD = {"result": True, "data": {"records": [{"Name": "one"}]}}
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def answer(
    document: Any,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    length: int | None = None,
    zipped: bool = False,
) -> bytes:
    """One HTTP response as bytes; ``length`` is a Content-Length that may be wrong."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    if zipped:
        body = gzip.compress(body)
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}"]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if zipped:
        lines.append("Content-Encoding: gzip")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def drip(start: bytes, piece: bytes, every: float) -> Callable[[socket.socket], None]:
    """Sends `start`, then `piece` repeatedly until the client hangs up."""

    def send(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(start)
            while True:
                connection.sendall(piece)
                time.sleep(every)  # the pace of the drip; no test waits for it

    return send


def hang(connection: socket.socket) -> None:
    """Sends nothing until the client hangs up."""
    with suppress(OSError):
        connection.recv(1)


def reset(connection: socket.socket) -> None:
    """Sends half a response, then a reset."""
    with suppress(OSError):
        connection.sendall(answer(GOOD, length=10_000)[:60])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


@dataclass
class Scripted:
    """The remaining responses (the last one repeats), and the requests received."""

    answers: list[Answer]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    def serve(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            try:
                connection = tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
        with connection, suppress(OSError), connection.makefile("rb") as reader:
            while first := reader.readline():
                headers = {}
                while (line := reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = reader.read(int(headers.get("content-length", 0)))
                self.requests.append((first.decode().strip(), headers, body))
                following = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not isinstance(following, bytes):
                    following(connection)
                    return
                connection.sendall(following)
                if _is_cut_off(following):
                    return


@contextmanager
def scripted(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server with these responses, for the duration of the block."""
    script = Scripted(list(answers))
    listener = socket.create_server(("127.0.0.1", 0))
    script.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            script.connections += 1
            threading.Thread(target=script.serve, args=(connection, tls), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _is_cut_off(following: bytes) -> bool:
    head, _, body = following.partition(b"\r\n\r\n")
    stated = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), None
    )
    return stated is not None and stated > len(body)
