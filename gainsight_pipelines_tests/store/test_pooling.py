"""A real PgBouncer in front of the database: sessions work, transaction pooling is refused, waits are limited."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gainsight_pipelines.errors import PermanentError, TransientError
from gainsight_pipelines.store import connection as connections
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.pooling import check_pooling
from gainsight_pipelines_tests.pulling import Pulling
from gainsight_pipelines_tests.waiting import wait_until

SETTINGS = """
[databases]
* = host={host} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
logfile = {folder}/log
pidfile = {folder}/pid
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def pooled(url: str, mode: str, size: int = 20, **more: str) -> Iterator[str]:
    """The URL of the same database behind a PgBouncer with Debian's settings, except for mode and size."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "PgBouncer is needed: make pooler"
    parts, port = urlsplit(url), free_port()
    host = parse_qs(parts.query)["host"][0]
    with tempfile.TemporaryDirectory(prefix="pooler-") as folder:
        file = Path(folder) / "pgbouncer.ini"
        lines = [SETTINGS.format(host=host, port=port, mode=mode, size=size, folder=folder)]
        file.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in more.items())]))
        command = [program, str(file)]
        if os.geteuid() == 0:  # PgBouncer refuses to run as root, and needs access to the server's socket
            command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", *command]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(port) or process.poll() is not None)
            yield f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
        finally:
            process.terminate()
            process.wait()


def check(store: Store) -> None:
    with store.connect("pooling") as connection:
        check_pooling(store, connection)


def test_pulls_work_behind_a_session_pooler(pulling: Pulling) -> None:
    direct = pulling.store
    with pooled(direct.url, "session", size=4) as url:
        pulling.store = Store(url)
        check(pulling.store)
        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(pulling.pull, ["company", "activity"]))
        assert [report.status for report in reports] == ["completed", "completed"]
        assert pulling.query("SELECT count(*) FROM activity") == [(len(pulling.truth("activity_timeline")),)]
        assert pulling.query("SELECT count(*) FROM lease") == [(0,)]


def test_more_pulls_than_the_pool_holds_end_soon_and_say_why(pulling: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pulls share four connections: a pull that finds none free says so, none hangs, and its next run succeeds."""
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 2)
    direct = pulling.store
    names = [name for name in pulling.settings.object_names() if name != "company"]
    names = ["company", *names][:4]
    assert len(names) == 4

    def pull(name: str) -> str:
        try:
            return pulling.pull(name).status
        except TransientError as error:
            return str(error)

    with pooled(direct.url, "session", size=4) as url, ThreadPoolExecutor(4) as pool:
        pulling.store = Store(url)
        ended = list(pool.map(pull, names, timeout=60))
        assert all(each == "completed" or "all connections of its pooler are in use" in each for each in ended), ended
        waited = [name for name, end in zip(names, ended, strict=True) if end != "completed"]
        assert [pull(name) for name in waited] == ["completed"] * len(waited)
    pulling.store = direct
    assert pulling.query("SELECT count(*) FROM lease WHERE expires_at > clock_timestamp() + interval '30 s'") == [(0,)]
    stored = pulling.query("SELECT count(*) FROM activity WHERE source = 'timeline'")
    assert stored == [(len(pulling.truth("activity_timeline")),)]


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_transaction_pooler_is_refused(store: Store, mode: str) -> None:
    with pooled(store.url, mode) as url, pytest.raises(PermanentError, match="uses transaction pooling") as refused:
        check(Store(url))
    assert "pool_mode" in refused.value.todo


def test_without_a_pooler_no_further_check_is_made(store: Store) -> None:
    check(store)


def test_an_exhausted_pool_is_waited_for_and_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 2)
    with pooled(store.url, "session", size=2) as url, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Store(url).connect("holder"))
        with pytest.raises(TransientError, match="within 2 s: all connections of its pooler are in use"):
            stack.enter_context(Store(url).connect("one more"))


def test_url_options_refused_by_a_pooler_are_named(store: Store) -> None:
    with (
        pooled(store.url, "session") as url,
        pytest.raises(PermanentError, match=r"pooler .* refuses a parameter"),
        Store(f"{url}?options=-c%20statement_timeout%3D5s").connect("x"),
    ):
        pass
