"""`grants`: prints the SQL that grants a role the privileges it needs, and no more."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings import Secrets, Settings, load_settings, settings_path
from gainsight_pipelines.store.connection import DATABASE_VARIABLE
from gainsight_pipelines.store.roles import Kind, grants


def grants_command(*, role: str, kind: Kind, made_by: Sequence[str], path: Path | None) -> int:
    """Prints the statements. Connects to no database."""
    file = settings_path(path)
    secrets = Secrets.read(file, os.environ)
    url = secrets.get(DATABASE_VARIABLE)
    if url is None:
        raise SettingsError(
            f"{DATABASE_VARIABLE} is not set, and the embedded server has no roles to grant anything to.",
            "Set it to the database that the role uses.",
        )
    try:
        named = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text quotes the URL, which may hold a password
        raise SettingsError(
            f"{DATABASE_VARIABLE} is no PostgreSQL URL.", "Write it like postgresql://user@host:5432/database."
        ) from None
    settings = load_settings(file) if file.exists() else Settings()
    database = str(named.get("dbname") or named.get("user") or "postgres")
    sys.stdout.write(grants(kind, role, database, settings.store.schema, made_by) + "\n")
    return 0
