"""PostgreSQL's errors become our own; each error comes from a real server."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import PermanentError, TransientError
from gainsight_pipelines.store.connection import Store, translated_errors
from gainsight_pipelines_tests.databases import role_in
from gainsight_pipelines_tests.waiting import wait_until


@contextmanager
def full_disk(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """Replaces the file of an empty table with /dev/full, so that the kernel reports a full disk."""
    row = connection.execute(
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(%s), pg_relation_size(%s)",
        (table, table),
    ).fetchone()
    assert row is not None and row[1] == 0
    file = Path(row[0])
    kept = file.with_name(f"{file.name}.kept")
    file.rename(kept)
    file.symlink_to("/dev/full")
    try:
        yield
    finally:
        kept.replace(file)


def is_waiting(store: Store, purpose: str) -> bool:
    """Whether a connection with this purpose waits for a lock."""
    return "Lock" in waits(store, purpose)


def waits(store: Store, purpose: str) -> list[str | None]:
    """The `wait_event_type` of each connection with this purpose."""
    with psycopg.connect(store.url) as connection:
        found = connection.execute(
            "SELECT wait_event_type FROM pg_stat_activity"
            " WHERE application_name LIKE %s AND datname = current_database()",
            (f"gainsight_pipelines {purpose}%",),
        )
        return [kind for (kind,) in found]


def test_a_deadlock_is_reported(store: Store) -> None:
    """Two transactions wait for each other's row; the one that PostgreSQL aborts can be retried."""
    row = "SELECT * FROM pair WHERE id = %s FOR UPDATE"
    with store.connect("other") as other, ThreadPoolExecutor(1) as pool:
        other.autocommit = False
        other.execute("SET deadlock_timeout = '1min'")  # so that the other session detects the deadlock
        other.execute("CREATE TABLE pair (id int PRIMARY KEY); INSERT INTO pair VALUES (1), (2)")
        other.commit()
        other.execute(row, (2,))

        def close_the_circle() -> None:
            with store.connect("deadlock") as connection, connection.transaction():
                connection.execute("SET LOCAL deadlock_timeout = '100ms'")
                connection.execute(row, (1,))
                waiting.append(pool.submit(other.execute, row, (1,)))
                wait_until(lambda: is_waiting(store, "other"))
                connection.execute(row, (2,))

        waiting: list[Future[object]] = []
        with pytest.raises(TransientError, match="deadlock"):
            close_the_circle()
        waiting[0].result(10)


@pytest.mark.parametrize("setting", ["statement_timeout", "idle_in_transaction_session_timeout"])
def test_timeouts_of_the_server_are_reported(store: Store, setting: str) -> None:
    with store.connect("holder") as other:
        other.autocommit = False
        other.execute("CREATE TABLE held (id int)")
        other.commit()
        other.execute("LOCK TABLE held")

        def wait_too_long() -> None:
            with store.connect("timeout") as connection, connection.transaction():
                connection.execute(f"SET {setting} = '20ms'")
                if setting.startswith("idle"):
                    wait_until(lambda: not waits(store, "timeout"))
                connection.execute("SELECT * FROM held")

        with pytest.raises(TransientError, match="cancelled"):
            wait_too_long()


def held_by(connection: psycopg.Connection) -> str:
    return rf"process {connection.info.backend_pid}, somebody's psql \(role postgres.*since 20\d\d-\d\d-\d\d .* UTC"


@contextmanager
def locked(store: Store, statement: str) -> Iterator[psycopg.Connection]:
    """Another program holds a lock in an open transaction."""
    url = make_conninfo(store.url, application_name="somebody's psql", options="-c search_path=gainsight")
    with psycopg.connect(url) as other:
        other.execute(statement.encode())
        yield other
        other.rollback()


@pytest.mark.parametrize(
    "lock", ["LOCK TABLE company", "UPDATE api_pause SET until = now()", "LOCK TABLE company IN SHARE MODE"]
)
def test_waiting_for_a_lock_ends_and_names_its_holder(store: Store, connection: psycopg.Connection, lock: str) -> None:
    connection.execute("INSERT INTO api_pause (until) VALUES (now())")
    quick = Store(store.url, longest_wait=timedelta(milliseconds=30))
    change = "DELETE FROM company; DELETE FROM api_pause"
    with (
        locked(store, lock) as other,
        pytest.raises(TransientError, match=held_by(other)) as caught,
        quick.connect("waits") as waiting,
    ):
        waiting.execute(change.encode())
    assert ("`company`" if "company" in lock else "`api_pause`") in str(caught.value)
    with quick.connect("waits") as waiting:
        waiting.execute(change.encode())


def test_every_session_has_a_lock_timeout(store: Store) -> None:
    """Five minutes for pulls, unless the URL, the role or the database sets another timeout."""
    shown = "SELECT current_setting('lock_timeout')"
    with store.connect("x") as session:
        assert session.execute(shown).fetchone() == ("5min",)
    with Store(make_conninfo(store.url, options="-c lock_timeout=7s")).connect("x") as session:
        assert session.execute(shown).fetchone() == ("7s",)


def test_a_full_disk_is_reported(store: Store, connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE large (content text)")
    with full_disk(connection, "large"):
        with pytest.raises(PermanentError, match="is full") as caught, store.connect("full") as another:
            another.execute("INSERT INTO large VALUES ('x')")
        assert "Free disk space" in caught.value.todo
    connection.execute("INSERT INTO large VALUES ('x')")


def test_a_read_only_database_is_reported(store: Store) -> None:
    with pytest.raises(PermanentError, match="read-only"), store.connect("reader") as reader, reader.transaction():
        reader.execute("SET TRANSACTION READ ONLY; UPDATE sync_cursor SET gsid = ''")


def test_a_role_without_rights_is_reported(store: Store, connection: psycopg.Connection) -> None:
    connection.execute("CREATE ROLE nobody_here; GRANT USAGE ON SCHEMA gainsight TO nobody_here")
    try:
        with pytest.raises(PermanentError, match="permission denied"), store.connect("nobody") as another:
            another.execute("SET ROLE nobody_here; SELECT * FROM account")
    finally:
        connection.execute("DROP OWNED BY nobody_here; DROP ROLE nobody_here")


def test_a_lost_connection_is_reported(store: Store, connection: psycopg.Connection) -> None:
    def lose() -> None:
        with store.connect("lost") as another:
            connection.execute("SELECT pg_terminate_backend(%s)", (another.info.backend_pid,))
            another.execute("SELECT 1")

    with pytest.raises(TransientError, match="lost"):
        lose()


@pytest.mark.parametrize(
    ("right", "error", "words"),
    [
        ("ALTER ROLE {role} NOLOGIN", PermanentError, "may not log in"),
        ("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC", PermanentError, "may not connect"),
        ("ALTER ROLE {role} CONNECTION LIMIT 0", TransientError, "no connection left"),
    ],
)
def test_a_refused_connection_says_why(store: Store, right: str, error: type[Exception], words: str) -> None:
    with role_in(store, right) as refused, pytest.raises(error, match=words), refused.connect("x"):
        pass


def test_a_rotated_password_is_read_again(store: Store) -> None:
    """A changed role stands in for the password, as the tests' server asks for none on its socket."""
    with role_in(store) as new:
        old = Store(make_conninfo(store.url, user="rotated_away"), renewed_url=lambda: new.url)
        with old.connect("pull") as connection:
            assert connection.execute("SELECT current_user").fetchone() == (connection.info.user,)
        gone = Store(old.url, renewed_url=lambda: old.url)
        with pytest.raises(PermanentError, match="refused the login"), gone.connect("pull"):
            pass


class OldServer(Thread):
    """Answers one login as PostgreSQL 13 does."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        def message(kind: bytes, body: bytes) -> bytes:
            return kind + struct.pack("!i", len(body) + 4) + body

        told = {"server_version": "13.22", "server_encoding": "UTF8", "client_encoding": "UTF8"}
        with self.listener, self.listener.accept()[0] as client:
            client.recv(4096)
            client.sendall(
                message(b"R", struct.pack("!i", 0))
                + b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in told.items())
                + message(b"K", struct.pack("!ii", 1, 1))
                + message(b"Z", b"I")
            )
            client.recv(4096)


def test_a_server_that_is_too_old_is_refused() -> None:
    server = OldServer()
    server.start()
    url = f"postgresql://someone@127.0.0.1:{server.port}/x?sslmode=disable&gssencmode=disable"
    with pytest.raises(PermanentError, match="PostgreSQL 13, older than 14"), Store(url).connect("x"):
        pass
    server.join(10)


def test_an_unreachable_server_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(TransientError, match="can't be reached"),
        Store(f"postgresql:///x?host={tmp_path}").connect("x"),
    ):
        pass


def test_session_settings_override_those_of_the_database(store: Store, connection: psycopg.Connection) -> None:
    """ISO dates, UTC, UTF-8 and our schema apply, also to the next statement and after a rollback."""
    database = connection.info.dbname
    for setting in ("DateStyle = German", "IntervalStyle = sql_standard", "TimeZone = 'Asia/Kolkata'"):
        connection.execute(f"ALTER DATABASE {database} SET {setting}".encode())
    connection.execute(f"ALTER DATABASE {database} SET search_path = public".encode())
    url = make_conninfo(store.url, client_encoding="LATIN1")
    with Store(url).connect("session") as session:
        with pytest.raises(ZeroDivisionError), session.transaction():
            raise ZeroDivisionError
        row = session.execute(
            "SELECT timestamptz '2026-01-31 10:00+00', interval '1 day 02:03', '2026-01-31'::date::text, %s::text,"
            " current_schema(), count(*) FROM sync_run",
            ("\N{GRINNING FACE}",),
        ).fetchone()
        assert row == (
            datetime(2026, 1, 31, 10, tzinfo=UTC), timedelta(days=1, hours=2, minutes=3), "2026-01-31",
            "\N{GRINNING FACE}", "gainsight", 0,
        )  # fmt: skip
        keepalives = session.execute("SELECT setting FROM pg_settings WHERE name LIKE 'tcp_keepalives%'").fetchall()
        assert len(keepalives) == 3  # they have no effect over a Unix socket
        assert session.info.parameter_status("TimeZone") == "UTC"


def test_options_of_the_url_are_kept(store: Store, connection: psycopg.Connection) -> None:
    """By pulls and by migrations. Here the options set the role that owns the tables, and a timeout."""
    connection.execute("CREATE ROLE the_owner")
    try:
        url = make_conninfo(store.url, options="-c role=the_owner -c statement_timeout=77s")
        with Store(url).connect("options") as session:
            row = session.execute("SELECT current_user, current_setting('statement_timeout')").fetchone()
        assert row == ("the_owner", "77s")
    finally:
        connection.execute("DROP ROLE the_owner")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused(postgres_server: EmbeddedServer, encoding: str) -> None:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'".encode())
        try:
            with (
                pytest.raises(PermanentError, match=f"encoding is {encoding}"),
                Store(postgres_server.url(name)).connect("x"),
            ):
                pass
        finally:
            admin.execute(f"DROP DATABASE {name}".encode())


@pytest.mark.parametrize("url", ["postgres//nobody:hidden@host/x", "mysql://nobody:hidden@host/x", "host=x nonsense=1"])
def test_an_invalid_url_is_reported_without_its_password(url: str) -> None:
    with pytest.raises(PermanentError, match="is not a PostgreSQL URL") as caught, Store(url).connect("x"):
        pass
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unreachable_database_is_reported(store: Store) -> None:
    url = store.url.replace("/test_", "/gone_")
    with pytest.raises(PermanentError, match="no such role or database"), Store(url).connect("x"):
        pass


def test_errors_in_our_own_sql_are_not_translated(store: Store) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), store.connect("x") as connection:
        connection.execute("SELECT * FROM nothing")
    with pytest.raises(ZeroDivisionError), translated_errors():
        raise ZeroDivisionError
