"""An HTTP server for Prometheus and for probes: `/metrics`, `/healthz`, `/readyz`.

`/healthz` only needs the process; `/readyz` and `/metrics` need the database, and return 503 without it.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gainsight_pipelines.errors import PipelineError

PLAIN = "text/plain; charset=utf-8"
SLOWEST_REQUEST_SECONDS = 10.0
logger = logging.getLogger("gainsight_pipelines")


class _Handler(BaseHTTPRequestHandler):
    """Handles GET and HEAD."""

    server_version = "gainsight-pipelines"
    sys_version = ""
    timeout = SLOWEST_REQUEST_SECONDS
    pages: dict[str, tuple[str, Callable[[], bytes]]]

    def do_GET(self) -> None:
        """Sends the page, or says why there is none."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            return self._answer(404, PLAIN, f"There are {', '.join(self.pages)}.\n".encode())
        content_type, make = page
        try:
            body = make()
        except PipelineError as error:
            logger.warning("%s: %s", self.path, error)
            return self._answer(503, PLAIN, f"{error}\n".encode())
        return self._answer(200, content_type, body)

    do_HEAD = do_GET

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """No log line per request: scrapes would bury all others."""
        logger.debug(format, *args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def serving(host: str, port: int, metrics: Callable[[], bytes], ready: Callable[[], None]) -> Iterator[int]:
    """Serves in its own thread for the duration of the block; yields the port.

    Args:
        host: the address to listen on.
        port: the port; 0: any free one.
        metrics: returns the page `/metrics`.
        ready: raises PipelineError if the store is unusable.

    Raises:
        OSError: the port is taken.
    """

    def is_ready() -> bytes:
        ready()
        return b"ready\n"

    pages: dict[str, tuple[str, Callable[[], bytes]]] = {
        "/metrics": (CONTENT_TYPE_PLAIN_0_0_4, metrics),
        "/healthz": (PLAIN, lambda: b"alive\n"),
        "/readyz": (PLAIN, is_ready),
    }
    handler = type("_Pages", (_Handler,), {"pages": pages})
    server = (_Server6 if ":" in host else _Server)((host, port), handler)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
