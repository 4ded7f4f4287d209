"""Access control: a one-time token, a session cookie, and checks of Host and Origin. Plain ASGI middleware.

Another site in the same browser can reach this port, but its Origin differs. With DNS rebinding its Host differs, and
it has no cookie.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.values import is_loopback

TOKEN = "token"  # noqa: S105 (the name of a parameter)
READS = frozenset({"GET", "HEAD", "OPTIONS"})
PREFIX_HEADER = b"x-forwarded-prefix"
"""Header with the path prefix below which the page is served."""
DEFAULT_PORTS = {"http": 80, "https": 443}
HEADERS = {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """The page's URL in browsers: scheme, host, port, and the path prefix of a proxy.

    `path` begins with a slash and does not end with one; it is empty without a prefix.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a URL such as https://settings.example.com/gainsight.

        Raises:
            SettingsError: not such a URL.
        """
        found = _parsed(url)
        if found is None or urlsplit(url).query or urlsplit(url).fragment:
            raise SettingsError(
                f"{url} can't be the public URL of the page.", "For example: https://settings.example.com."
            )
        return found

    @property
    def netloc(self) -> str:
        """Host and port, as in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def is_origin(self, text: str) -> bool:
        """Whether an Origin header names this origin."""
        found = _parsed(text)
        return found is not None and (found.scheme, found.host, found.port) == (self.scheme, self.host, self.port)

    def is_host(self, text: str) -> bool:
        """Whether a Host header names this host and port."""
        found = _parsed(f"{self.scheme}://{text}")
        return found is not None and (found.host, found.port) == (self.host, self.port)


def _parsed(url: str) -> Origin | None:
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not name or parts.username is not None or parts.password is not None:
        return None
    return Origin(parts.scheme, name, port or DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))


class Access:
    """Admits only browsers that opened the page with a token.

    Args:
        app: the protected app.
        host: address that the server listens on.
        port: its port.
        opened: called when a token was used, with the URL of the next token.
        public: URL that browsers use if a proxy is in front of the page.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, opened: Callable[[str], None], public: Origin | None = None
    ) -> None:
        self._app = app
        self._listening = Origin("http", host, port)
        self._public = public
        self._opened = opened
        self._token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"gainsight_pipelines_{port}"  # cookies do not distinguish ports

    @property
    def address(self) -> str:
        """The URL with the current token, which works once."""
        origin = self._public or self._listening
        return f"{origin.scheme}://{origin.netloc}{origin.path}/?{TOKEN}={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope)
        if answer is not None:
            await self._send(answer, scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self._app(self._behind_path(scope), receive, with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """The response to a request that does not reach the page; None if it may."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        asked_for = headers.get("x-forwarded-host", host).partition(",")[0].strip()
        if not self._is_ours(asked_for) or not self._is_ours(host):
            return PlainTextResponse(
                "This page is not served under this host name. Behind a proxy, use --public-url.", 421
            )
        origin = headers.get("origin")
        is_write = scope["type"] == "websocket" or scope["method"] not in READS
        if (is_write and origin is None) or (origin is not None and not self._is_same(origin, host)):
            return PlainTextResponse("Requests from other sites are not allowed.", 403)
        if self._has_session(headers.get("cookie", "")):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [""])[0]
        is_token = secrets.compare_digest(given.encode(), self._token.encode())
        if scope["type"] == "http" and self._path(scope) in {"", "/"} and is_token:
            return (
                self._let_in() if scope["method"] == "GET" else Response()
            )  # a HEAD request must not use up the token
        why = "This URL was used already." if given else "This page opens only with the URL from the terminal."
        return PlainTextResponse(f"{why} Use the latest URL that `settings-page` printed there.", 403)

    def _let_in(self) -> Response:
        self._token = secrets.token_urlsafe(32)
        self._opened(self.address)
        path = f"{self._public.path}/" if self._public else "/"
        is_secure = self._public is not None and self._public.scheme == "https"
        response = RedirectResponse(path, 303)
        response.set_cookie(self._cookie, self._session, path=path, secure=is_secure, httponly=True, samesite="lax")
        return response

    def _is_same(self, origin: str, host: str) -> bool:
        """Whether a request comes from the page itself, at its public URL or directly at the listening address."""
        if self._public is not None and self._public.is_origin(origin):
            return True
        found = _parsed(origin)
        return found is not None and found.scheme == "http" and self._is_direct(host) and found.is_host(host)

    def _is_ours(self, host: str) -> bool:
        return self._is_direct(host) or (self._public is not None and self._public.is_host(host))

    def _is_direct(self, host: str) -> bool:
        """Whether a Host header is an IP address, localhost, or the host that the server listens on."""
        found = _parsed(f"http://{host}")
        if found is None or found.port != self._listening.port:
            return False
        if is_loopback(self._listening.host):
            return is_loopback(found.host)
        return is_loopback(found.host) or found.host == self._listening.host.casefold() or _is_number(found.host)

    def _path(self, scope: Scope) -> str:
        """The path within the page, whether or not the proxy removed the public prefix."""
        path, prefix = str(scope["path"]), self._public.path if self._public else ""
        return path[len(prefix) :] if prefix and (path == prefix or path.startswith(f"{prefix}/")) else path

    def _behind_path(self, scope: Scope) -> Scope:
        """The request without the public path prefix, which goes into a header instead."""
        if self._public is None or not self._public.path:
            return scope
        path = self._path(scope) or "/"
        kept = [(name, value) for name, value in scope["headers"] if name != PREFIX_HEADER]
        headers = [*kept, (PREFIX_HEADER, self._public.path.encode())]
        return {**scope, "path": path, "raw_path": path.encode(), "headers": headers}

    def _has_session(self, header: str) -> bool:
        try:
            morsel = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        return morsel is not None and secrets.compare_digest(morsel.value.encode(), self._session.encode())

    async def _send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
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
