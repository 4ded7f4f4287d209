"""The tenant's description of its objects, kept for a day so that it isn't asked for by each run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from gainsight_pipelines.text import name_key


def find_schema(connection: psycopg.Connection, object_name: str, since: datetime) -> tuple[Any, list[str]] | None:
    """The stored description (JSON) if it was fetched since then, and the names in it that the tenant refused."""
    row = connection.execute(
        "SELECT description, unreadable FROM object_schema WHERE object = %s AND fetched_at >= %s",
        (name_key(object_name), since),
    ).fetchone()
    return (row[0], row[1]) if row else None


def keep_schema(connection: psycopg.Connection, object_name: str, description: Any, now: datetime) -> None:
    """Stores a description that was just fetched."""
    connection.execute(
        """INSERT INTO object_schema (object, description, fetched_at) VALUES (%s, %s, %s)
           ON CONFLICT (object) DO UPDATE
           SET description = excluded.description, fetched_at = excluded.fetched_at, unreadable = '{}'""",
        (name_key(object_name), Jsonb(description), now),
    )


def note_unreadable(connection: psycopg.Connection, object_name: str, names: Iterable[str]) -> None:
    """Remembers names that the tenant refused though it describes them, until the object is described again."""
    connection.execute(
        "UPDATE object_schema SET unreadable = unreadable || %s::text[] WHERE object = %s",
        (list(names), name_key(object_name)),
    )


def forget_schema(connection: psycopg.Connection, object_name: str) -> None:
    """Drops a description that turned out to be out of date."""
    connection.execute("DELETE FROM object_schema WHERE object = %s", (name_key(object_name),))
