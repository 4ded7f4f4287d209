"""Connections to PostgreSQL, and PostgreSQL's errors in our words.

`open_connection` is the only way to open one: it sets everything of the session that our statements rely on, whatever
the server, the database or the role set otherwise.
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
"""A database that is lost without a word is noticed within a minute, whether or not something was sent to it."""

SESSION = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    # The server notices within a second when this process is killed, even in the middle of a query.
    "client_connection_check_interval": "1000",
    # And within a minute when this machine is lost. No effect on unix sockets and behind a pooler.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""What our statements rely on. Set by statement: a pooler refuses it at the start, and the URL may have its own
`options`."""

GIVEN_UP = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Errors of a transaction that had to make way for another: the same one again may do."""

CANCELLED = (psycopg.errors.QueryCanceled, psycopg.errors.IdleInTransactionSessionTimeout)
"""Errors of timeouts that the server's or the role's settings impose, and of a person who cancels a statement."""


class ConnectionLost(TransientError):
    """The database can't be reached, or the connection to it broke: another one may go on where it was."""


class LoginRefused(PermanentError):
    """The database refused the login. Where it took it a while ago, the password was rotated."""


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
        "Add sslmode=require to {variable}; else see the server's pg_hba.conf.",
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
        "The database server has no TLS, which the URL asks for.",
        "Set the server up for it, or take sslmode out of {variable}.",
    ),
    (
        "certificate",
        PermanentError,
        "The certificate of the database server can't be verified.",
        "Name its authority by sslrootcert=… in {variable}.",
    ),
    (
        "unsupported startup parameter",
        PermanentError,
        "The pooler in front of the database refuses a parameter of the URL.",
        "Take `options` out of {variable}, or let the pooler ignore it (PgBouncer: ignore_startup_parameters).",
    ),
    (
        "authentication failed|password supplied|does not exist|no such (user|database)",
        LoginRefused,
        "The database refused the login, or there is no such role or database.",
        "Correct {variable}.",
    ),
)
"""What a connection that isn't made is told by: libpq has no codes for it. Words, kind, what happened, what to do."""


@dataclass(frozen=True, slots=True)
class Store:
    """The database of the product's tables, and the schema in it that holds them.

    `url` is a libpq URL (``postgresql://…``); it may hold a password, so it is never shown. `variable` names the
    variable that it came from, for errors. Statements name tables without the schema: the connection looks there alone.
    `longest_transaction`: what writes rows commits within it. Readers of changes look back five minutes by
    `changed_at`, which is the beginning of the transaction. `longest_wait`: for a lock, unless URL or role set one.
    """

    url: str = field(repr=False)
    variable: str = DATABASE_VARIABLE
    schema: str = SCHEMA
    longest_transaction: timedelta = timedelta(minutes=4)
    longest_wait: timedelta = waits.LONGEST
    renewed_url: Callable[[], str | None] = field(default=lambda: None, repr=False, compare=False)
    """Reads the URL anew: a password may have been rotated since."""

    @property
    def prefix(self) -> str:
        """What stands before the names of this tenant's variables."""
        return self.variable.removesuffix(DATABASE_VARIABLE)

    @contextmanager
    def connect(self, purpose: str, *, longest_wait: timedelta | None = None) -> Iterator[Connection]:
        """A connection that `pg_stat_activity` shows as `gainsight_pipelines <purpose>`, closed at the end.

        Every statement commits by itself; what belongs together stands in a `connection.transaction()` block.
        `longest_wait`: for a lock; None: the store's.

        Raises:
            TransientError: the database can't be reached, went away in the middle, or a lock wasn't to be had.
            PermanentError: it refuses us, is none that we can work with, or has no room left.
        """
        with self.translated(), self.open(purpose, longest_wait=longest_wait) as connection:
            yield connection

    def open(self, purpose: str, *, longest_wait: timedelta | None = None) -> Connection:
        """Such a connection, for who closes it and translates errors. With the URL read anew where it is refused."""
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
        """Turns PostgreSQL's errors into sentences; that of a lock names who holds it."""
        with translated_errors(self.variable, self.holders):
            yield

    def holders(self, *, advisory: int | None = None) -> str:
        """Who holds locks on the tables, or one advisory lock, as a sentence; empty where nobody does."""
        try:
            with self.open("locks", longest_wait=waits.OF_LOOKING) as connection:
                return waits.holders(connection, advisory=advisory)
        except (psycopg.Error, PipelineError):  # what is being told is another error
            return ""


def open_connection(
    url: str,
    purpose: str,
    *,
    variable: str = DATABASE_VARIABLE,
    schema: str | None = None,
    longest_wait: timedelta = waits.LONGEST,
) -> Connection:
    """A new connection in autocommit with the session that our statements rely on.

    Args:
        url: where to; its own parameters, `options` included, hold unless they contradict ours.
        purpose: shown in `pg_stat_activity` behind the product's name.
        variable: the variable that the URL came from, for errors.
        schema: where tables are looked for and made, and nowhere else; None: as the server has it.
        longest_wait: for a lock, unless the URL or the role has a `lock_timeout`.

    Raises:
        PermanentError: the URL is none, or the server or database is none that we can work with.
        psycopg.Error: whatever else goes wrong, for `translated_errors`.
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
        # libpq's own words quote the URL, which may hold a password.
        raise PermanentError(
            f"{variable} is no PostgreSQL URL.", "Write it like postgresql://user@host:5432/database."
        ) from None
    try:
        _check_server(connection, variable)
        # Behind a pooler that has none free, the first statement waits where connecting didn't.
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
    """The value of a time-out, in milliseconds, where none is set."""
    return sql.SQL("coalesce(nullif(current_setting({}), '0'), {})").format(setting, waits.milliseconds(value))


def ask(connection: Connection, statement: sql.Composable, *, variable: str = DATABASE_VARIABLE) -> str:
    """The first value of a statement's answer, which has to come within the time that connecting may take.

    Raises:
        TransientError: it doesn't.
        psycopg.Error: the statement fails.
    """
    server = connection.pgconn
    server.send_query(statement.as_bytes(connection))
    deadline, waiting = time.monotonic() + CONNECT_TIMEOUT_SECONDS, select.poll()
    waiting.register(server.socket, select.POLLIN)
    while server.flush() or server.is_busy():
        if not waiting.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise TransientError(
                f"The database gave no connection within {CONNECT_TIMEOUT_SECONDS} s: all that its pooler has are in"
                " use.",
                f"Give the pool that {variable} leads to more connections (two for each pull), or run less at once.",
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
            f"Point {variable} at a database made with ENCODING 'UTF8'.",
        )


@contextmanager
def translated_errors(variable: str = DATABASE_VARIABLE, holders: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turns PostgreSQL's own errors into sentences. Errors of the SQL itself are ours and pass through as they are.

    `variable` is where a person corrects the address; `holders` says who holds what a statement waited for.
    """
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise PermanentError(
            "The database has no room left: the page was rolled back.", "Free disk space, then run again."
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
            "The database gave the transaction up in favour of another one (a deadlock): it was rolled back.",
            "Run again; it goes on from the last page.",
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise TransientError(
            f"A statement waited too long for a lock in the database and was rolled back. {holders()}".rstrip(),
            "Have that end, then run again; nothing is lost.",
        ) from error
    except CANCELLED as error:
        raise TransientError(
            f"The database cancelled a statement ({error.diag.message_primary}): it was rolled back.",
            "Give the role a longer statement_timeout, or run again when less is going on.",
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
        f"See that PostgreSQL runs and that {variable} points at it, then run again.",
    )
