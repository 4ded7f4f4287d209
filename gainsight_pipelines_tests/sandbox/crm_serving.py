"""Helpers for the tests of the CRM servers: a small world with every kind of account, and apps on real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import trustme
import uvicorn
from starlette.applications import Starlette

from gainsight_pipelines.sandbox.world import CrmAccount, Owner, World

START = datetime(2026, 1, 31, 10, 0, 0, tzinfo=UTC)


def small_world() -> World:
    """Twelve accounts: a parent with two children, a deleted one, a merged one, some without the optional values."""
    world = World(now=START + timedelta(days=30))
    world.owners = {
        1: Owner(1, "Ada", "O'Brien", "ada@sandbox.example"),
        2: Owner(2, "Bo", "Lind", "bo@sandbox.example"),
    }
    for key in range(1, 13):
        world.accounts[key] = CrmAccount(
            key=key,
            name=f"Account {key:02d}",
            website=None if key == 5 else f"https://www.account{key}.example/home",
            parent=1 if key in (2, 3) else None,
            arr=None if key == 6 else Decimal(1000 * key) + Decimal("0.5"),
            renewal_date=None if key == 6 else date(2026, 12, key),
            owner=None if key == 7 else 1 + key % 2,
            gsid=None if key == 8 else f"1P02GSID{key:04d}",
            created_at=START - timedelta(days=100),
            modified_at=START + timedelta(minutes=key // 3, milliseconds=7 * key),
        )
    world.accounts[11].deleted_at = START + timedelta(days=2)
    world.accounts[12].deleted_at = START + timedelta(days=3)
    world.accounts[12].merged_into = 4
    world.accounts[4].modified_at = START + timedelta(days=3)
    return world


def renew(world: World, fresh: World) -> None:
    """Replaces the content of a server's world with that of a fresh one."""
    for each in fields(World):
        setattr(world, each.name, getattr(fresh, each.name))


@contextmanager
def served(app: Starlette, authority: trustme.CA | None = None) -> Iterator[str]:
    """Runs an app on a loopback port in a thread, over HTTPS if there is an `authority`. Yields its base URL."""
    config = uvicorn.Config(
        app,
        log_level="critical",
        lifespan="off",
        ws="none",
        loop="asyncio",
        ssl_context_factory=None if authority is None else _certified_by(authority),
        timeout_graceful_shutdown=1,  # don't give clients with open connections 30 s to end TLS
    )
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # so that asyncio sets TCP_NODELAY
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    _until_started(server, thread)
    port = listener.getsockname()[1]
    try:
        yield f"{'https' if authority else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def _certified_by(authority: trustme.CA) -> Callable[..., ssl.SSLContext]:
    def context(*_: object) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(made)
        return made

    return context


def _until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.01)


def authority_file(authority: trustme.CA, folder: Path) -> Path:
    """Writes the certificate of an authority to a file that `requests` can use."""
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path
