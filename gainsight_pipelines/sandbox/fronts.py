"""Responses of other servers at Gainsight's address (login page, proxy, gateway), for the tests of `validate`."""

from __future__ import annotations

from starlette.responses import JSONResponse, RedirectResponse, Response

_PAGES = {
    "login_page": (
        200,
        "<html><head><title>Sign in</title></head><body><form><input type='password'></form></body></html>",
    ),
    "proxy_page": (
        403,
        "<html><head><title>Access denied</title></head><body>Blocked by network policy. Squid/6.6</body></html>",
    ),
    "web_site": (
        404,
        "<!doctype html><html><head><title>Garden tools</title></head><body>There is no such page.</body></html>",
    ),
}


def front_page(kind: str) -> Response:
    """The response of a front other than "gainsight"."""
    if kind == "login_redirect":
        return RedirectResponse("/v1/ui/login?next=%2F", 302)
    if kind == "other_host":
        return RedirectResponse("https://elsewhere.example/v1/meta", 301)
    if kind == "other_api":
        return JSONResponse({"error": {"type": "not_found", "path": "/v1/meta"}}, 404)
    if kind == "proxy_login":
        headers = {"Proxy-Authenticate": 'Basic realm="out"'}
        return Response("<html><body>Who are you?</body></html>", 407, headers, "text/html")
    status, page = _PAGES[kind]
    return Response(page, status, media_type="text/html")
