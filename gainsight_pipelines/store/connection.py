"""Connections to PostgreSQL, and PostgreSQL's errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from gainsight_pipelines.errors import PermanentError, PipelineError, TransientError

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_TIMEOUT_SECONDS = 10
DATABASE_VARIABLE = "GAINSIGHT_PIPELINES_DATABASE_URL"

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
    """The database of the product's tables.

    `url` is a libpq URL (``postgresql://…``); it may hold a password, so it is never shown. `variable` names the
    variable that it came from, for errors.
    """

    url: str = field(repr=False)
    variable: str = DATABASE_VARIABLE

    @contextmanager
    def connect(self, purpose: str) -> Iterator[Connection]:
        """A connection that `pg_stat_activity` shows as `gainsight_pipelines <purpose>`, closed at the end.

        Every statement commits by itself; what belongs together stands in a `connection.transaction()` block.
        The server notices within a second when this process is killed, even in the middle of a query: else its locks
        would be held for as long as the query takes.

        Raises:
            TransientError: the database can't be reached, or went away in the middle.
            PermanentError: it refuses us, or has no room left.
        """
        with translated_errors(self.variable):
            connection = psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name=f"gainsight_pipelines {purpose}"[:63],
                options="-c client_connection_check_interval=1000 -c timezone=UTC",
                keepalives_idle=30,
            )
            with connection:
                yield connection


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
