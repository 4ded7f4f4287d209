"""Serves the page, by default on the loopback address. The URL in the terminal holds the token."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.page.access import Access, Origin
from gainsight_pipelines.page.view import Outside, View

LOG_LEVEL = "warning"
RECONNECT_SECONDS = 3600.0
"""How long a disconnected tab's changes are kept, for example while a laptop is asleep."""


def serve(outside: Outside, host: str, port: int, say: Callable[[str], None], *, public_url: str | None = None) -> None:
    """Serves the page until Ctrl-C.

    Args:
        outside: settings file, clock, lookups and runs.
        host: address to listen on.
        port: its port; 0 for a free one.
        say: prints messages, including the page's URL.
        public_url: URL that browsers use if a proxy is in front of the page.

    Raises:
        PermanentError: the address is not available.
        SettingsError: the public URL is not valid.
    """
    public = Origin.of(public_url) if public_url else None
    listening = _listen(host, port)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        app,
        root=lambda: _root(outside),
        dark=None,
        tailwind=False,  # it compiles its rules in the browser, a quarter of the time to load; `style` has those we use
        language="en-US",
        reconnect_timeout=RECONNECT_SECONDS,
        show_welcome_message=False,
    )
    listens_on = listening.getsockname()[1]
    access = Access(app, host, listens_on, lambda next_one: say(f"Opened. For another browser: {next_one}"), public)
    config = uvicorn.Config(access, log_level=LOG_LEVEL, access_log=False, timeout_graceful_shutdown=2)
    if public is not None:
        say(f"The proxy at {public.scheme}://{public.netloc}{public.path} must forward to {host} port {listens_on}.")
    say(f"Settings page: {access.address}   (this URL works once; Ctrl-C stops the page)")
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _root(outside: Outside) -> None:
    View(outside)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # a browser that opens the URL at once waits instead of being refused
    except OSError as error:
        raise PermanentError(
            f"{host} port {port} can't be used: {error.strerror}.", "Choose another with --port or --host."
        ) from None
    return listening
