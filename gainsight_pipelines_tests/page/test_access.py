"""Access to the page, tested over sockets: one-time token, session cookie, and checks of Host and Origin."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from playwright.sync_api import expect
from starlette.types import Receive, Scope, Send

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.page.access import Access, Origin
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.page.browsing import (
    Served,
    browser_page,
    clean_environment,
    free_port,
    page_on,
    served_by,
)
from gainsight_pipelines_tests.page.steps import open_section

PATH = "/settings"


@pytest.fixture(scope="module")
def env(postgres_server: EmbeddedServer) -> Iterator[dict[str, str]]:
    with fresh_database(postgres_server) as data, dagster_database(postgres_server) as dagster:
        yield clean_environment() | {
            "GAINSIGHT_PIPELINES_DATABASE_URL": postgres_server.url(data),
            "DAGSTER_POSTGRES_URL": postgres_server.url(dagster),
        }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Iterator[Served]:
    with page_on(tmp_path_factory.mktemp("access"), env) as served:
        yield served
        assert "Traceback" not in "".join(served.said)


@pytest.fixture(scope="module")
def opened(served: Served) -> tuple[str, str]:
    """The page's host, and the cookie from the first address."""
    address = urlsplit(served.next_address())
    assert ask(address.netloc, f"/?{address.query}", "HEAD")[0] == 200, "the head of the page uses nothing up"
    status, headers = ask(address.netloc, f"/?{address.query}")
    assert (status, headers["location"]) == (303, "/")
    assert "httponly" in headers["set-cookie"].lower() and "samesite=lax" in headers["set-cookie"].lower()
    again, _ = ask(address.netloc, f"/?{address.query}")
    assert again == 403, "the address counts once"
    return address.netloc, headers["set-cookie"].partition(";")[0]


def ask(host: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the response. Underscores in the names of request headers become dashes."""
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


@pytest.mark.parametrize(
    "path",
    ["/", "/?token=guessed", "/?token=%C3%A9%F0%9F%94%91", "/_nicegui/static/nicegui.css", "/docs", "/openapi.json"],
)
def test_without_the_cookie_nothing_is_served(opened: tuple[str, str], path: str) -> None:
    assert ask(opened[0], path)[0] == 403
    assert ask(opened[0], path, Cookie="gainsight_pipelines_1=x; other")[0] == 403


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""])
def test_under_another_name_nothing_is_served(opened: tuple[str, str], name: str) -> None:
    """DNS rebinding: another site's host name resolves to this machine."""
    host, cookie = opened
    port = urlsplit(f"//{host}").port
    assert ask(host, "/", Cookie=cookie, Host=f"{name}:{port}")[0] == 421
    assert ask(host, "/", Cookie=cookie, Host="127.0.0.1:1")[0] == 421
    assert ask(host, "/", Cookie=cookie, Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", "http://["]
)
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
    assert Access(behind, "::1", 81, lambda address: None).address.startswith("http://[::1]:81/?token=")


@contextmanager
def proxy_to(page_port: int, port: int, certificate: Path) -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "gainsight_pipelines_tests.page.proxy",
        certificate,
        str(port),
        str(page_port),
        PATH,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_the_page_works_behind_a_proxy_that_ends_tls(env: dict[str, str], tmp_path: Path) -> None:
    """The proxy serves the page below a path of its own host, and sets Host to the page's address, as nginx does."""
    certificate = tmp_path / "certificate.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    page_port, port = free_port(), free_port()
    public = f"https://localhost:{port}{PATH}"
    command = ("settings-page", "--port", str(page_port), "--public-url", public)
    with (
        served_by(tmp_path, env, *command) as served,
        proxy_to(page_port, port, certificate),
        browser_page(ignore_https_errors=True) as page,
    ):
        address = served.next_address()
        assert address.startswith(f"{public}/?token=")
        page.goto(address)
        assert page.url == f"{public}/"
        (cookie,) = page.context.cookies()
        assert (cookie["secure"], cookie["path"], cookie["httpOnly"]) == (True, f"{PATH}/", True)
        open_section(page, "Activity")
        page.get_by_role("switch", name="Pull timeline activities").click()  # over the WebSocket
        expect(page.get_by_role("button", name="Save (1)")).to_be_visible()

        session, own = f"{cookie['name']}={cookie['value']}", f"127.0.0.1:{page_port}"
        assert ask(own, "/", Cookie=session, X_Forwarded_Host=f"localhost:{port}")[0] == 200
        assert ask(own, "/", Cookie=session, X_Forwarded_Host="evil.example")[0] == 421
        assert ask(own, "/", Cookie=session, Host="evil.example")[0] == 421
        for origin in ("https://evil.example", f"http://localhost:{port}", f"https://localhost:{page_port}"):
            assert ask(own, "/", "POST", Cookie=session, Origin=origin)[0] == 403
    assert "Traceback" not in "".join(served.said)


@pytest.mark.parametrize(
    "url", ["settings.example.com", "ftp://a.example", "https://u:p@a.example", "https://a/?b", "x"]
)
def test_an_invalid_public_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="public URL"):
        Origin.of(url)


def test_a_port_beyond_the_last_one_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    with served_by(tmp_path, env, "settings-page", "--port", "70000") as served:
        assert served.process.wait(60) == 2
    assert "--port. Must be between 0 and 65,535." in "".join(served.said)
