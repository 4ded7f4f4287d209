"""Brings the database to the version of this code. Migrations run by themselves at the start of a command."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import psycopg

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.contract import comment

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = 7_104_201
"""Key of the advisory lock under which one process at a time migrates."""


def head_version() -> str:
    """The newest migration that this code brings, from the file names: alembic itself is slow to import."""
    return max(path.name.split("_", 1)[0] for path in (SCRIPTS / "versions").glob("[0-9]*.py"))


def database_version(connection: psycopg.Connection) -> str | None:
    """The migration that the database stands at; None for an empty one."""
    found = connection.execute("SELECT to_regclass('gainsight.schema_version')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM gainsight.schema_version").fetchone()
    return None if row is None else str(row[0])


def migrate(store: Store) -> None:
    """Runs the migrations that are missing, if any.

    Raises:
        PermanentError: the database was written by a newer version, or the role may not change the schema.
    """
    with store.connect("migrate") as connection:
        if _is_current(connection):
            return
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        if not _is_current(connection):
            _upgrade(store)


def _is_current(connection: psycopg.Connection) -> bool:
    version, head = database_version(connection), head_version()
    if version is not None and version > head:
        raise PermanentError(
            f"The database is at version {version}, newer than this program, which knows {head}.",
            "Install the version of gainsight_pipelines that wrote it, or a newer one.",
        )
    return version == head


def _upgrade(store: Store) -> None:
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(store.url), poolclass=sqlalchemy.NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE SCHEMA IF NOT EXISTS gainsight"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            comment(cast("psycopg.Connection", connection.connection.driver_connection))
    except sqlalchemy.exc.ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise PermanentError(
                "The role may not create or change the schema `gainsight`.",
                "Run `gainsight-pipelines migrate` as the database's owner.",
            ) from error
        raise
    except sqlalchemy.exc.DBAPIError as error:
        # The database went away: told like everything else that happens to a connection.
        raise error.orig or error from error
