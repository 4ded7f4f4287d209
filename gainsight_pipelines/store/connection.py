"""Connections to PostgreSQL, and PostgreSQL's errors in our words.

`open_connection` is the only way to open one: it sets everything of the session that our statements rely on, whatever
the server, the database or the role set otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from gainsight_pipelines.errors import PermanentError, PipelineError, TransientError
from gainsight_pipelines.store.contract import SCHEMA

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_TIMEOUT_SECONDS = 10
DATABASE_VARIABLE = "GAINSIGHT_PIPELINES_DATABASE_URL"
OLDEST_SERVER = 14

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

CANCELLED = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.IdleInTransactionSessionTimeout,
)
"""Errors of time-outs that the server's or the role's settings impose, and of a person who cancels a statement."""


@dataclass(frozen=True, slots=True)
class Store:
    """The database of the product's tables, and the schema in it that holds them.

    `url` is a libpq URL (``postgresql://…``); it may hold a password, so it is never shown. `variable` names the
    variable that it came from, for errors. Statements name tables without the schema: the connection looks there alone.
    `longest_transaction`: what writes rows commits within it. Readers of changes look back five minutes by
    `changed_at`, which is the beginning of the transaction.
    """

    url: str = field(repr=False)
    variable: str = DATABASE_VARIABLE
    schema: str = SCHEMA
    longest_transaction: timedelta = timedelta(minutes=4)

    @contextmanager
    def connect(self, purpose: str) -> Iterator[Connection]:
        """A connection that `pg_stat_activity` shows as `gainsight_pipelines <purpose>`, closed at the end.

        Every statement commits by itself; what belongs together stands in a `connection.transaction()` block.

        Raises:
            TransientError: the database can't be reached, or went away in the middle.
            PermanentError: it refuses us, is none that we can work with, or has no room left.
        """
        with (
            translated_errors(self.variable),
            open_connection(self.url, purpose, variable=self.variable, schema=self.schema) as connection,
        ):
            yield connection


def open_connection(
    url: str, purpose: str, *, variable: str = DATABASE_VARIABLE, schema: str | None = None
) -> Connection:
    """A new connection in autocommit with the session that our statements rely on.

    Args:
        url: where to; its own parameters, `options` included, hold unless they contradict ours.
        purpose: shown in `pg_stat_activity` behind the product's name.
        variable: the variable that the URL came from, for errors.
        schema: where tables are looked for and made, and nowhere else; None: as the server has it.

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
            keepalives_idle=30,
        )
    except psycopg.ProgrammingError:
        # libpq's own words quote the URL, which may hold a password.
        raise PermanentError(
            f"{variable} is no PostgreSQL URL.", "Write it like postgresql://user@host:5432/database."
        ) from None
    try:
        _check_server(connection, variable)
        settings = SESSION | ({} if schema is None else {"search_path": sql.Identifier(schema).as_string(connection)})
        calls = sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, false)").format(name, value) for name, value in settings.items()
        )
        connection.execute(sql.SQL("SELECT {}").format(calls))
    except BaseException:
        connection.close()
        raise
    return connection


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
def translated_errors(variable: str = DATABASE_VARIABLE) -> Iterator[None]:
    """Turns PostgreSQL's own errors into sentences. Errors of the SQL itself are ours and pass through as they are.

    `variable` is where a person corrects the address.
    """
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise PermanentError(
            "The database has no room left: the page was rolled back.", "Free disk space, then run again."
        ) from error
    except (psycopg.errors.InvalidPassword, psycopg.errors.InvalidAuthorizationSpecification) as error:
        raise PermanentError("The database refused the login.", f"Correct {variable}.") from error
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
    except CANCELLED as error:
        raise TransientError(
            f"The database cancelled a statement ({error.diag.message_primary}): it was rolled back.",
            "Give the role a longer statement_timeout and lock_timeout, or run again when less is going on.",
        ) from error
    except psycopg.OperationalError as error:
        # No SQLSTATE: the connection failed or broke. 08: connection, 53: resources, 57P: the server is going down.
        if error.sqlstate is not None and not error.sqlstate.startswith(("08", "53", "57P")):
            raise
        raise _unreachable(error, variable) from error


def _unreachable(error: psycopg.OperationalError, variable: str) -> PipelineError:
    text = str(error)
    if error.sqlstate is None and ("authentication failed" in text or "does not exist" in text):
        return PermanentError(
            "The database refused the login, or there is no such role or database.", f"Correct {variable}."
        )
    return TransientError(
        "The database can't be reached, or the connection to it was lost.",
        f"See that PostgreSQL runs and that {variable} points at it, then run again.",
    )
