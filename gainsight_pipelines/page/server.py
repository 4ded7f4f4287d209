"""Serves the page: on the loopback address unless told otherwise, to whoever has the address from the terminal."""

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
"""For so long a tab that has lost its connection (a lid closed over lunch) finds its changes again."""


def serve(outside: Outside, host: str, port: int, say: Callable[[str], None], *, public_url: str | None = None) -> None:
    """Serves the page until Ctrl-C.

    Args:
        outside: what it works on.
        host: the address to listen on.
        port: its port; 0: a free one.
        say: takes sentences for the terminal, the page's address among them.
        public_url: the address that browsers use, where a proxy stands in front of the page.

    Raises:
        PermanentError: the address can't be listened on.
        SettingsError: the public address isn't one.
    """
    public = Origin.of(public_url) if public_url else None
    listening = _listen(host, port)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        app,
        root=lambda: _root(outside),
        dark=None,
        language="en-US",
        reconnect_timeout=RECONNECT_SECONDS,
        show_welcome_message=False,
    )
    listens_on = listening.getsockname()[1]
    access = Access(app, host, listens_on, lambda next_one: say(f"Opened. For another browser: {next_one}"), public)
    config = uvicorn.Config(access, log_level=LOG_LEVEL, access_log=False, timeout_graceful_shutdown=2)
    if public is not None:
        say(f"The proxy at {public.scheme}://{public.netloc}{public.path} has to pass on to {host} port {listens_on}.")
    say(f"Settings page: {access.address}   (opens once; Ctrl-C ends it)")
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
        listening.listen()  # who opens the address at once waits a moment, and isn't refused
    except OSError as error:
        raise PermanentError(
            f"{host} port {port} can't be used: {error.strerror}.", "Choose another one with --port or --host."
        ) from None
    return listening
