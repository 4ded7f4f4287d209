"""Connections to PostgreSQL, and translation of PostgreSQL's errors.

`open_connection` is the only way to connect: it sets every session setting that our statements rely on, whatever the
server, database or role sets.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from gainsight_pipelines.errors import PermanentError, PipelineError, TransientError
from gainsight_pipelines.store import waits
from gainsight_pipelines.store.contract import SCHEMA

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_TIMEOUT_SECONDS = 10
DATABASE_VARIABLE = "GAINSIGHT_PIPELINES_DATABASE_URL"
OLDEST_SERVER = 14

KEEPALIVES: Mapping[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A silently lost database is noticed within a minute, whether or not data were sent to it."""

SESSION = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    # The server notices within a second if this process is killed, even during a query.
    "client_connection_check_interval": "1000",
    # And within a minute if this machine is lost. No effect on unix sockets and behind a pooler.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Required session settings. Set by a statement, since a pooler refuses them at startup and the URL may have its own
`options`."""

GIVEN_UP = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Errors of a transaction that was aborted in favour of another; the same one may succeed again."""

CANCELLED = (psycopg.errors.QueryCanceled, psycopg.errors.IdleInTransactionSessionTimeout)
"""Errors of timeouts set by the server or the role, and of a cancelled statement."""


class ConnectionLost(TransientError):
    """The database can't be reached, or the connection was lost; a new connection may continue the work."""


class LoginRefused(PermanentError):
    """The database refused the login. If it worked before, the password was rotated."""


CAUSES: tuple[tuple[str, type[PermanentError | TransientError], str, str], ...] = (
    (
        "too many (connections|clients)|remaining connection slots|no more connections allowed",
        TransientError,
        "The database has no connection left for us.",
        "End other programs, or raise max_connections or the connection limit of the role or the database.",
    ),
    (
        "is starting up|is shutting down|recovery mode|not yet accepting",
        TransientError,
        "The database is just starting or stopping.",
        "Run again in a moment.",
    ),
    (
        "is not permitted to log in",
        PermanentError,
        "The role may not log in to the database.",
        "Use another role in {variable}, or ALTER ROLE … LOGIN.",
    ),
    (
        "permission denied for database",
        PermanentError,
        "The role may not connect to the database.",
        "Use another role in {variable}, or GRANT CONNECT ON DATABASE … TO it.",
    ),
    (
        "no encryption|SSL required|SSL off",
        PermanentError,
        "The database server wants connections by TLS alone, or none from this machine.",
        "Add sslmode=require to {variable}; otherwise see the server's pg_hba.conf.",
    ),
    (
        "no pg_hba.conf entry",
        PermanentError,
        "The database server accepts no such connection: pg_hba.conf has no line for this machine, role and database.",
        "Add one, or correct {variable}.",
    ),
    (
        "does not support SSL",
        PermanentError,
        "The database server has no TLS, which the URL requires.",
        "Enable TLS on the server, or remove sslmode from {variable}.",
    ),
    (
        "certificate",
        PermanentError,
        "The certificate of the database server can't be verified.",
        "Name its authority with sslrootcert=… in {variable}.",
    ),
    (
        "unsupported startup parameter",
        PermanentError,
        "The pooler in front of the database refuses a parameter of the URL.",
        "Remove `options` from {variable}, or let the pooler ignore it (PgBouncer: ignore_startup_parameters).",
    ),
    (
        "authentication failed|password supplied|does not exist|no such (user|database)",
        LoginRefused,
        "The database refused the login, or there is no such role or database.",
        "Correct {variable}.",
    ),
)
"""How a failed connection is recognised, as libpq has no codes for it: text, kind, what happened, what to do."""


@dataclass(frozen=True, slots=True)
class Store:
    """The database and schema of the product's tables.

    `url`: a libpq URL (``postgresql://…``); never shown, since it may contain a password. `variable`: the variable that
    it came from, for errors. Statements name tables without a schema: the connection's search path is this schema only.
    `longest_transaction`: time limit for transactions that write rows. Readers of changes overlap by five minutes of
    `changed_at`, which is the start of the transaction. `longest_wait`: for a lock, unless URL or role set one.
    """

    url: str = field(repr=False)
    variable: str = DATABASE_VARIABLE
    schema: str = SCHEMA
    longest_transaction: timedelta = timedelta(minutes=4)
    longest_wait: timedelta = waits.LONGEST
    renewed_url: Callable[[], str | None] = field(default=lambda: None, repr=False, compare=False)
    """Reads the URL again, in case the password was rotated."""

    @property
    def prefix(self) -> str:
        """The prefix of this tenant's variables."""
        return self.variable.removesuffix(DATABASE_VARIABLE)

    @contextmanager
    def connect(self, purpose: str, *, longest_wait: timedelta | None = None) -> Iterator[Connection]:
        """A connection, shown in `pg_stat_activity` as `gainsight_pipelines <purpose>`; closed at the end.

        Autocommit: statements that belong together go into a `connection.transaction()` block. `longest_wait`: for a
        lock; None: the store's.

        Raises:
            TransientError: the database can't be reached, the connection was lost, or a lock was not released in time.
            PermanentError: it refuses the connection, is not supported, or is full.
        """
        with self.translated(), self.open(purpose, longest_wait=longest_wait) as connection:
            yield connection

    def open(self, purpose: str, *, longest_wait: timedelta | None = None) -> Connection:
        """The same for callers that close it and translate errors themselves. If refused, reads the URL again."""
        wait = longest_wait or self.longest_wait
        try:
            return open_connection(self.url, purpose, variable=self.variable, schema=self.schema, longest_wait=wait)
        except psycopg.OperationalError:
            url = self.renewed_url()
            if url is None or url == self.url:
                raise
        return open_connection(url, purpose, variable=self.variable, schema=self.schema, longest_wait=wait)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translates PostgreSQL's errors; that of a lock timeout names the lock's holder."""
        with translated_errors(self.variable, self.holders):
            yield

    def holders(self, *, advisory: int | None = None) -> str:
        """Who holds locks on the tables, or one advisory lock, as a sentence; "" if nobody does."""
        try:
            with self.open("locks", longest_wait=waits.OF_LOOKING) as connection:
                return waits.holders(connection, advisory=advisory)
        except (psycopg.Error, PipelineError):  # the error being reported is another one
            return ""


def open_connection(
    url: str,
    purpose: str,
    *,
    variable: str = DATABASE_VARIABLE,
    schema: str | None = None,
    longest_wait: timedelta = waits.LONGEST,
) -> Connection:
    """Opens a connection in autocommit, with the session settings that our statements rely on.

    Args:
        url: the database; its own parameters, `options` included, apply unless they contradict ours.
        purpose: shown in `pg_stat_activity` after the product's name.
        variable: the variable that the URL came from, for errors.
        schema: the search path; None: the server's.
        longest_wait: for a lock, unless the URL or the role has a `lock_timeout`.

    Raises:
        PermanentError: an invalid URL, or an unsupported server or database.
        psycopg.Error: any other failure, for `translated_errors`.
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name=f"gainsight_pipelines {purpose}"[:63],
            **KEEPALIVES,
        )
    except psycopg.ProgrammingError:
        # libpq's message quotes the URL, which may contain a password.
        raise PermanentError(
            f"{variable} is not a PostgreSQL URL.", "Write it like postgresql://user@host:5432/database."
        ) from None
    try:
        _check_server(connection, variable)
        # Behind a pooler without a free connection, the first statement waits, not the connect.
        settings = SESSION | ({} if schema is None else {"search_path": sql.Identifier(schema).as_string(connection)})
        calls = sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, false)").format(name, value)
            for name, value in {**settings, "lock_timeout": _unless_set("lock_timeout", longest_wait)}.items()
        )
        ask(connection, sql.SQL("SELECT {}").format(calls), variable=variable)
    except BaseException:
        connection.close()
        raise
    return connection


def _unless_set(setting: str, value: timedelta) -> sql.Composable:
    """The value of a timeout, in milliseconds, unless one is set."""
    return sql.SQL("coalesce(nullif(current_setting({}), '0'), {})").format(setting, waits.milliseconds(value))


def ask(connection: Connection, statement: sql.Composable, *, variable: str = DATABASE_VARIABLE) -> str:
    """Runs a statement with the connect timeout, and returns its first value.

    Raises:
        TransientError: it took too long.
        psycopg.Error: the statement failed.
    """
    server = connection.pgconn
    server.send_query(statement.as_bytes(connection))
    deadline, waiting = time.monotonic() + CONNECT_TIMEOUT_SECONDS, select.poll()
    waiting.register(server.socket, select.POLLIN)
    while server.flush() or server.is_busy():
        if not waiting.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise TransientError(
                f"No connection to the database within {CONNECT_TIMEOUT_SECONDS} s: all connections of its pooler are"
                " in use.",
                f"Give the pool behind {variable} more connections (two per pull), or run fewer pulls at once.",
            )
        server.consume_input()
    answer = ""
    while (result := server.get_result()) is not None:
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
        answer = (result.get_value(0, 0) or b"").decode()
    return answer


def _check_server(connection: Connection, variable: str) -> None:
    info = connection.info
    if info.server_version < OLDEST_SERVER * 10_000:
        raise PermanentError(
            f"The database server is PostgreSQL {info.server_version // 10_000}, older than {OLDEST_SERVER}.",
            f"Point {variable} at PostgreSQL {OLDEST_SERVER} or later.",
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise PermanentError(
            f"The database's encoding is {encoding}, which can't hold every text that Gainsight has.",
            f"Point {variable} at a database created with ENCODING 'UTF8'.",
        )


@contextmanager
def translated_errors(variable: str = DATABASE_VARIABLE, holders: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Translates PostgreSQL's errors into ours. Errors in the SQL itself are bugs and pass through.

    `variable`: where the user corrects the address. `holders`: says who holds the lock that a statement waited for.
    """
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise PermanentError(
            "The database is full: the page was rolled back.", "Free disk space, then run again."
        ) from error
    except (psycopg.errors.InvalidPassword, psycopg.errors.InvalidAuthorizationSpecification) as error:
        raise LoginRefused("The database refused the login.", f"Correct {variable}.") from error
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise PermanentError(
            f"The database refused the statement: {error.diag.message_primary}.",
            "Grant the role what it needs, or use another one.",
        ) from error
    except GIVEN_UP as error:
        raise TransientError(
            "The database aborted the transaction in favour of another one (a deadlock): it was rolled back.",
            "Run again; it goes on from the last page.",
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise TransientError(
            f"A statement waited too long for a lock in the database and was rolled back. {holders()}".rstrip(),
            "End that session, or wait for its end; then run again. Nothing is lost.",
        ) from error
    except CANCELLED as error:
        raise TransientError(
            f"The database cancelled a statement ({error.diag.message_primary}): it was rolled back.",
            "Give the role a longer statement_timeout and lock_timeout, or run again when the database is less busy.",
        ) from error
    except psycopg.OperationalError as error:
        # No SQLSTATE: the connection failed or broke. 08: connection, 53: resources, 57P: the server is going down.
        if error.sqlstate is not None and not error.sqlstate.startswith(("08", "53", "57P")):
            raise
        raise _unreachable(error, variable) from error


def _unreachable(error: psycopg.OperationalError, variable: str) -> PipelineError:
    text = str(error)
    if error.sqlstate is None:
        for words, kind, message, todo in CAUSES:
            if re.search(words, text):
                return kind(message, todo.format(variable=variable))
    return ConnectionLost(
        "The database can't be reached, or the connection to it was lost.",
        f"Check that PostgreSQL runs and that {variable} points at it, then run again.",
    )
