"""The tenant's object schemas, cached for a day so that not every run has to request them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from gainsight_pipelines.text import name_key


def find_schema(connection: psycopg.Connection, object_name: str, since: datetime) -> tuple[Any, list[str]] | None:
    """The cached schema (JSON) if it was fetched since then, and its names that the tenant refused."""
    row = connection.execute(
        "SELECT description, unreadable FROM object_schema WHERE object = %s AND fetched_at >= %s",
        (name_key(object_name), since),
    ).fetchone()
    return (row[0], row[1]) if row else None


def keep_schema(connection: psycopg.Connection, object_name: str, description: Any, now: datetime) -> None:
    """Caches a schema that was just fetched."""
    connection.execute(
        """INSERT INTO object_schema (object, description, fetched_at) VALUES (%s, %s, %s)
           ON CONFLICT (object) DO UPDATE
           SET description = excluded.description, fetched_at = excluded.fetched_at, unreadable = '{}'""",
        (name_key(object_name), Jsonb(description), now),
    )


def note_unreadable(connection: psycopg.Connection, object_name: str, names: Iterable[str]) -> None:
    """Records names that the tenant describes but refused, until the schema is fetched again."""
    connection.execute(
        "UPDATE object_schema SET unreadable = unreadable || %s::text[] WHERE object = %s",
        (list(names), name_key(object_name)),
    )


def forget_schema(connection: psycopg.Connection, object_name: str) -> None:
    """Drops a schema that proved out of date."""
    connection.execute("DELETE FROM object_schema WHERE object = %s", (name_key(object_name),))
