"""Who may use the page: a token that counts once, a session cookie, the page's own host and origin. Plain ASGI.

A page that some other site opens in the same browser can reach this port. But its Origin is its own, and under a name
that it has pointed at this machine (DNS rebinding) its Host isn't ours and it has no cookie.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gainsight_pipelines.settings.values import is_loopback

TOKEN = "token"  # noqa: S105 (the name of a parameter)
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HEADERS = {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Access:
    """Lets in whoever came by the token, and nobody else.

    Args:
        app: what is behind it.
        host: the address that is listened on.
        port: its port.
        opened: called when a token was used, with the address of the next one.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, opened: Callable[[str], None]) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._opened = opened
        self._token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"gainsight_pipelines_{port}"  # cookies know no ports

    @property
    def address(self) -> str:
        """The address that lets somebody in, once."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/?{TOKEN}={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse("This page is not served under that name.", 421)
        origin = headers.get("origin")
        is_write = scope["type"] == "websocket" or scope["method"] in WRITES
        if (is_write and origin is None) or (origin is not None and urlsplit(origin).netloc != host):
            return PlainTextResponse("Another site may not use this page.", 403)
        if self._has_session(headers.get("cookie", "")):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [""])[0]
        if scope["type"] == "http" and scope["path"] == "/" and secrets.compare_digest(given, self._token):
            self._token = secrets.token_urlsafe(32)
            self._opened(self.address)
            response = RedirectResponse("/", 303)
            response.set_cookie(self._cookie, self._session, httponly=True, samesite="lax")
            return response
        why = "This address was used already." if given else "This page opens by the address in the terminal."
        return PlainTextResponse(f"{why} Take the newest one that `settings-page` has printed there.", 403)

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine by a number, as localhost, or by the name that was asked for."""
        try:
            name, port = urlsplit(f"//{host}").hostname or "", urlsplit(f"//{host}").port
        except ValueError:
            return False
        if port != self._port:
            return False
        if is_loopback(self._host):
            return is_loopback(name)
        return is_loopback(name) or name == self._host.casefold() or _is_number(name)

    def _has_session(self, header: str) -> bool:
        try:
            morsel = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        return morsel is not None and secrets.compare_digest(morsel.value.encode(), self._session.encode())

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        response.headers.update({**HEADERS, "Cache-Control": "no-store"})
        await response(scope, receive, send)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
