"""Migrates the database to the version of this code. Commands do it automatically when they start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg
from psycopg import sql

from gainsight_pipelines.errors import PermanentError, TransientError
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.contract import comment
from gainsight_pipelines.store.waits import IN_THE_WAY, milliseconds

SCRIPTS = Path(__file__).parent / "migrations"
KEY = "SELECT hashtextextended('gainsight_pipelines migrate ' || %s, 0)"
LOCK = "SELECT pg_advisory_xact_lock(%s)"
"""One process at a time migrates a store. Held by the transaction, so that a pooler can't pass the lock on."""

TAKEN = (psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject)
"""Errors of a migration if another program's tables have the same names."""


class NotMigrated(PermanentError):
    """The store's tables are missing, or older than this program."""


def head_version() -> str:
    """The newest migration of this code, from the file names, since importing alembic is slow."""
    return max(path.name.split("_", 1)[0] for path in (SCRIPTS / "versions").glob("[0-9]*.py"))


def database_version(connection: psycopg.Connection) -> str | None:
    """The database's migration; None for an empty database."""
    found = connection.execute("SELECT to_regclass('schema_version')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM schema_version").fetchone()
    return None if row is None else str(row[0])


def migrate(store: Store) -> None:
    """Runs the missing migrations, if any.

    Raises:
        PermanentError: the database is of a newer version, or the role may not change the schema.
    """
    with store.connect("migrate") as connection:
        if is_current(connection, store.schema):
            return
    upgrade(store)


def check_version(store: Store) -> None:
    """Checks that the store is at this program's version; changes nothing.

    Raises:
        NotMigrated: it is at an earlier one.
        PermanentError: it is at a later one, or may not be used.
    """
    with store.connect("version") as connection:
        if is_current(connection, store.schema):
            return
        version = database_version(connection)
    what = "has no tables of this program yet" if version is None else f"is at version {version}"
    raise NotMigrated(
        f"The schema `{store.schema}` {what}; this program needs version {head_version()}.",
        "Run `gainsight-pipelines migrate`.",
    )


@contextmanager
def beside_migrations(store: Store) -> Iterator[None]:
    """Explains failed statements if a newer version has changed the tables meanwhile.

    Raises:
        PermanentError: it has. What was written before stays, and a run of that version goes on there.
    """
    try:
        yield
    except (psycopg.ProgrammingError, psycopg.IntegrityError) as error:
        try:
            with store.connect("version") as connection:
                is_current(connection, store.schema)
        except PermanentError as newer:
            raise newer from error
        raise


def is_current(connection: psycopg.Connection, schema: str) -> bool:
    """Whether the store is at this program's version.

    Raises:
        PermanentError: it is at a later one, or may not be used.
    """
    _check_usage(connection, schema)
    version, head = database_version(connection), head_version()
    if version is not None and version > head:
        raise PermanentError(
            f"The database is at version {version}, newer than this program, which knows {head}.",
            "Install the version of gainsight_pipelines that wrote it, or a newer one.",
        )
    return version == head


def _check_usage(connection: psycopg.Connection, schema: str) -> None:
    """To a role without USAGE on the schema, it seems to have no tables."""
    row = connection.execute(
        "SELECT current_user FROM pg_namespace WHERE nspname = %s AND NOT has_schema_privilege(oid, 'USAGE')",
        (schema,),
    ).fetchone()
    if row is not None:
        raise PermanentError(
            f"The role `{row[0]}` may not use the schema `{schema}`.",
            f"Have its owner run what `gainsight-pipelines grants --role {row[0]}` prints.",
        )


def upgrade(store: Store, revision: str = "head") -> None:
    """Runs the migrations up to a revision, in one transaction. An existing schema is used as it is."""
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    def connect() -> psycopg.Connection:
        connection = store.open("migrate")
        connection.autocommit = False
        return connection

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    with store.translated():
        try:
            with engine.begin() as migration:
                connection = cast("psycopg.Connection", migration.connection.driver_connection)
                _alone(store, connection)
                _make_schema(connection, store.schema)
                config.attributes.update(connection=migration, schema=store.schema)
                command.upgrade(config, revision)
                if revision == "head":
                    comment(connection)
        except sqlalchemy.exc.DBAPIError as error:
            cause = error.orig or error
            if isinstance(cause, psycopg.errors.InsufficientPrivilege):
                raise PermanentError(*_forbidden(store.schema)) from error
            raise cause from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise PermanentError(*_forbidden(store.schema)) from error
        except TAKEN as error:  # the migrations use the driver's own cursor, so SQLAlchemy wraps nothing
            raise PermanentError(*_taken(store.schema, error)) from error


def _alone(store: Store, connection: psycopg.Connection) -> None:
    """Waits until no other process migrates the store. Later lock timeouts are short: readers queue behind them."""
    ((key,),) = connection.execute(KEY, (store.schema,)).fetchall()
    try:
        connection.execute(LOCK, (key,))
    except psycopg.errors.LockNotAvailable as error:
        raise TransientError(
            f"Another process has been migrating the schema `{store.schema}` for too long."
            f" {store.holders(advisory=key)}".rstrip(),
            "See whether it still runs; nothing was changed.",
        ) from error
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(milliseconds(IN_THE_WAY)))


def _forbidden(schema: str) -> tuple[str, str]:
    return (
        f"The role may not create or change the schema `{schema}`.",
        "Run `gainsight-pipelines migrate` as the database's owner.",
    )


def _taken(schema: str, error: psycopg.Error) -> tuple[str, str]:
    return (
        f"The schema `{schema}` holds tables of another program ({error.diag.message_primary}); nothing was changed.",
        "Set `store.schema` to a schema of its own for this program.",
    )


def _make_schema(connection: psycopg.Connection, schema: str) -> None:
    """Without IF NOT EXISTS, for which PostgreSQL requires CREATE rights even if the schema exists."""
    if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
