"""Refused and lost connections and rotated passwords, with a real server on TCP that has its own `pg_hba.conf`."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import trustme
from psycopg.conninfo import make_conninfo

from gainsight_pipelines.embedded.server import EmbeddedServer, embedded_server
from gainsight_pipelines.errors import PermanentError, TransientError
from gainsight_pipelines.settings.database import open_store
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, LoginRefused, Store
from gainsight_pipelines.sync import clients
from gainsight_pipelines_tests.pulling import pulling_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.store.test_pooling import pooled
from gainsight_pipelines_tests.sync.test_faults import Slow, stored
from gainsight_pipelines_tests.waiting import wait_until

RULES = """
local all postgres trust
host all turned_away 127.0.0.0/8 reject
host all by_password 127.0.0.0/8 scram-sha-256
host all postgres,let_in,no_login,not_connected,only_one 127.0.0.0/8 trust
"""
ROLES = """
CREATE ROLE let_in LOGIN; CREATE ROLE no_login NOLOGIN; CREATE ROLE not_connected LOGIN; CREATE ROLE turned_away LOGIN;
CREATE ROLE only_one LOGIN CONNECTION LIMIT 1; CREATE ROLE by_password LOGIN SUPERUSER PASSWORD 'first';
CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC
"""


@pytest.fixture(scope="module")
def address() -> str:
    """A random loopback address: our servers all use the same port, so each needs an address of its own."""
    return f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"


@pytest.fixture(scope="module")
def server(address: str) -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="gp-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user
        rules = folder / "hba.conf"
        rules.write_text(RULES)
        settings = {
            "fsync": "off",
            "listen_addresses": address,
            "hba_file": str(rules),
            "max_connections": "30",
            "superuser_reserved_connections": "5",
        }
        with embedded_server(folder / "pg", settings, temporary=True) as server:
            with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
                for statement in ROLES.split(";"):
                    admin.execute(statement.encode())
            yield server


def at(address: str, role: str, database: str = "postgres", **options: str) -> Store:
    return Store(make_conninfo("", host=address, port=5432, user=role, dbname=database, **options), schema="public")


@pytest.mark.parametrize(
    ("role", "options", "error", "words", "todo"),
    [
        ("no_login", {}, PermanentError, "may not log in", "LOGIN"),
        ("not_connected", {"dbname": "closed"}, PermanentError, "may not connect", "GRANT CONNECT"),
        ("unheard_of", {}, PermanentError, "by TLS alone, or none from this machine", "pg_hba.conf"),
        ("turned_away", {}, PermanentError, "by TLS alone, or none from this machine", "pg_hba.conf"),
        ("let_in", {"sslmode": "require"}, PermanentError, "has no TLS, which the URL requires", "sslmode"),
        ("by_password", {"password": "wrong"}, LoginRefused, "refused the login", "Correct"),
        ("by_password", {}, LoginRefused, "refused the login", "Correct"),
        ("let_in", {"dbname": "nowhere"}, LoginRefused, "no such role or database", "Correct"),
    ],
)
def test_why_there_is_no_connection(
    server: EmbeddedServer,
    address: str,
    role: str,
    options: dict[str, str],
    error: type[Exception],
    words: str,
    todo: str,
) -> None:
    url = make_conninfo(at(address, role).url, **options)
    with pytest.raises(error, match=words) as caught, Store(url).connect("x"):
        pass
    assert todo in str(caught.value)
    assert DATABASE_VARIABLE in str(caught.value) or "role" in str(caught.value)


def test_a_role_that_has_all_its_connections(server: EmbeddedServer, address: str) -> None:
    store = at(address, "only_one")
    with store.connect("x"), pytest.raises(TransientError, match="no connection left"), store.connect("y"):
        pass


def test_a_server_that_has_all_its_connections(server: EmbeddedServer, address: str) -> None:
    store = at(address, "let_in")

    def take_all() -> None:
        with ExitStack() as stack:
            for number in range(31):
                stack.enter_context(store.connect(f"connection {number}"))

    with pytest.raises(TransientError, match="no connection left for us") as caught:
        take_all()
    assert "max_connections" in str(caught.value)


def test_tls_with_a_certificate_that_nobody_vouches_for(server: EmbeddedServer, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    root = tmp_path / "authority"
    authority.cert_pem.write_to_path(root)
    tls = {"client_tls_sslmode": "require", "client_tls_key_file": str(key), "client_tls_cert_file": str(certificate)}
    with pooled(server.url("postgres"), "session", **tls) as url:
        with Store(make_conninfo(url, sslmode="verify-full", sslrootcert=str(root)), schema="public").connect(
            "x"
        ) as it:
            assert it.pgconn.ssl_in_use
        other = tmp_path / "other"
        trustme.CA().cert_pem.write_to_path(other)
        for untrusted in (str(other), str(tmp_path / "missing")):
            refused = Store(make_conninfo(url, sslmode="verify-full", sslrootcert=untrusted))
            with pytest.raises(PermanentError, match="certificate of the database server"), refused.connect("x"):
                pass
        with (
            pytest.raises(PermanentError, match="by TLS alone"),
            Store(make_conninfo(url, sslmode="disable")).connect("x"),
        ):
            pass


def test_a_silently_lost_server_is_noticed(server: EmbeddedServer, address: str) -> None:
    """The kernel's timers notice within a minute, whether sent data stay unacknowledged or nothing was sent."""
    with at(address, "let_in").connect("x") as connection, socket.socket(fileno=os.dup(connection.fileno())) as wire:
        level = socket.IPPROTO_TCP
        assert wire.getsockopt(level, socket.TCP_USER_TIMEOUT) == 60_000
        idle, every, times = (
            wire.getsockopt(level, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + every * times <= 60


def test_a_password_that_is_rotated_in_the_middle_of_a_pull(
    server: EmbeddedServer, address: str, small_sandbox: RunningSandbox, tmp_path: Path
) -> None:
    """The URL comes from a file, as with mounted secrets. A run that loses its connection reads the file again."""
    small_sandbox.reset()
    file = tmp_path / "url"
    with (
        pulling_on(server, small_sandbox) as pulling,
        psycopg.connect(pulling.store.url, autocommit=True) as admin,
        pytest.MonkeyPatch.context() as patch,
        ThreadPoolExecutor(1) as pool,
    ):

        def url(password: str) -> str:
            return f"postgresql://by_password:{password}@{address}:5432/{admin.info.dbname}"

        def rotate(password: str) -> None:
            admin.execute(f"ALTER ROLE by_password PASSWORD '{password}'".encode())
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'by_password'")

        def has_read(run_id: str) -> bool:
            read = admin.execute("SELECT 1 FROM gainsight.sync_run WHERE run_id = %s AND records_read > 0", (run_id,))
            return read.fetchone() is not None

        patch.delenv(DATABASE_VARIABLE)
        patch.setenv(f"{DATABASE_VARIABLE}_FILE", str(file))
        file.write_text(url("first"))
        pulling.store = open_store(pulling.settings, clients.read_secrets(pulling.settings))
        slow = Slow(pulling, pool)
        wait_until(lambda: has_read("first"))
        rotate("second")  # before the file has the new password
        with pytest.raises(LoginRefused):
            slow.result.result(60)
        file.write_text(url("second"))
        truth = pulling.truth("activity_timeline")
        assert 0 < len(stored(pulling)) < len(truth)

        slow = Slow(pulling, pool, "later")
        wait_until(lambda: has_read("later"))
        file.write_text(url("third"))
        rotate("third")
        report = slow.result.result(60)
        assert any("The run went on from its last page" in note for note in report.notes)
        assert stored(pulling) == set(truth)
        runs = pulling.query("SELECT run_id, status, rows_written FROM sync_run ORDER BY started_at")
        assert [run[:2] for run in runs] == [("first", "failed"), ("later", "completed")]
        assert sum(run[2] for run in runs) == len(truth), "each once"
