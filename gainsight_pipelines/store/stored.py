"""Which records are stored, for reads that go by them."""

from __future__ import annotations

from datetime import datetime

import psycopg


def dated_before(
    connection: psycopg.Connection, gainsight_object: str, before: datetime | None, *, after: str | None, at_most: int
) -> list[str]:
    """Gsids of an object's stored activities, in their order.

    Args:
        connection: where they are stored.
        gainsight_object: whose.
        before: only those that happened before this, or at no known time; None: all.
        after: only Gsids after this one.
        at_most: how many.
    """
    rows = connection.execute(
        """SELECT activity_id FROM activity
           WHERE source_object = %(object)s AND deleted_at IS NULL
             AND (%(before)s::timestamptz IS NULL OR occurred_at IS NULL OR occurred_at < %(before)s)
             AND (%(after)s::text IS NULL OR activity_id > %(after)s)
           ORDER BY activity_id LIMIT %(at_most)s""",
        {"object": gainsight_object, "before": before, "after": after, "at_most": at_most},
    ).fetchall()
    return [row[0] for row in rows]
