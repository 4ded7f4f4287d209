"""The register of custom fields: name, label and type of each (requirement S5)."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg


def register_fields(
    connection: psycopg.Connection, entity: str, source_object: str, fields: Sequence[tuple[str, str, str]]
) -> None:
    """Registers (name, label, data type) of the fields whose values are stored; removed fields stay registered."""
    if fields:
        with connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO custom_field (entity, source_object, name, label, data_type)
                   VALUES (%s, %s, %s, %s, %s)
                   ON CONFLICT (entity, source_object, name) DO UPDATE
                   SET label = excluded.label, data_type = excluded.data_type, last_seen_at = now()""",
                [(entity, source_object, *field) for field in fields],
            )
