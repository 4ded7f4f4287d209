"""Who gets to see the page, asked over sockets: a token that counts once, our own host and origin, nobody else."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.page.access import Access
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.page.browsing import Served, clean_environment, page_on


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer) -> Iterator[Served]:
    with fresh_database(postgres_server) as data, dagster_database(postgres_server) as dagster:
        env = clean_environment() | {
            "GAINSIGHT_PIPELINES_DATABASE_URL": postgres_server.url(data),
            "DAGSTER_POSTGRES_URL": postgres_server.url(dagster),
        }
        with page_on(tmp_path_factory.mktemp("access"), env) as served:
            yield served


@pytest.fixture(scope="module")
def opened(served: Served) -> tuple[str, str]:
    """The page's host, and the cookie that the first address gave."""
    address = urlsplit(served.next_address())
    status, headers = ask(address.netloc, f"/?{address.query}")
    assert (status, headers["location"]) == (303, "/")
    assert "httponly" in headers["set-cookie"].lower() and "samesite=lax" in headers["set-cookie"].lower()
    again, _ = ask(address.netloc, f"/?{address.query}")
    assert again == 403, "the address counts once"
    return address.netloc, headers["set-cookie"].partition(";")[0]


def ask(host: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer; underscores of header names stand for dashes."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_with_the_cookie_the_page_opens_and_says_who_may_frame_it(opened: tuple[str, str]) -> None:
    host, cookie = opened
    status, headers = ask(host, "/", Cookie=cookie)
    assert status == 200
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/?token=guessed", "/_nicegui/static/nicegui.css", "/docs", "/openapi.json"])
def test_without_the_cookie_nothing_is_served(opened: tuple[str, str], path: str) -> None:
    assert ask(opened[0], path)[0] == 403
    assert ask(opened[0], path, Cookie="gainsight_pipelines_1=x; other")[0] == 403


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""])
def test_under_another_name_nothing_is_served(opened: tuple[str, str], name: str) -> None:
    """DNS rebinding: a name of somebody else's that leads to this machine."""
    host, cookie = opened
    port = urlsplit(f"//{host}").port
    assert ask(host, "/", Cookie=cookie, Host=f"{name}:{port}")[0] == 421
    assert ask(host, "/", Cookie=cookie, Host="127.0.0.1:1")[0] == 421
    assert ask(host, "/", Cookie=cookie, Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_another_site_can_neither_post_nor_open_a_socket(opened: tuple[str, str], origin: str) -> None:
    host, cookie = opened
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert ask(host, path, "POST", Cookie=cookie, Origin=origin)[0] == 403
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    socket_path = path.replace("polling", "websocket")
    assert ask(host, socket_path, Cookie=cookie, Origin=origin, **upgrade)[0] == 403
    assert ask(host, socket_path, Cookie=cookie, **upgrade)[0] == 403
    assert ask(host, socket_path, Origin=f"http://{host}", **upgrade)[0] == 403
    assert ask(host, socket_path, Cookie=cookie, Origin=f"http://{host}", **upgrade)[0] == 101


def test_beyond_the_loopback_address_only_numbers_and_the_name_that_was_asked_for_count() -> None:
    async def behind(scope: Scope, receive: Receive, send: Send) -> None: ...

    def is_ours(host: str, listening: str) -> bool:
        return Access(behind, listening, 80, lambda address: None)._is_ours(host)

    assert is_ours("192.0.2.7:80", "0.0.0.0")
    assert is_ours("[2001:db8::1]:80", "::")
    assert is_ours("settings.example:80", "settings.example")
    assert not is_ours("evil.example:80", "0.0.0.0")
    assert not is_ours("192.0.2.7:80", "127.0.0.1")
    assert not is_ours("[::1", "127.0.0.1")
    assert Access(behind, "::1", 80, lambda address: None).address.startswith("http://[::1]:80/?token=")
