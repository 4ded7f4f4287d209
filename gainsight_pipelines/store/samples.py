"""Samples and totals of stored data, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from gainsight_pipelines.store.tables import Table


def unmatched_totals(connection: psycopg.Connection, gainsight_object: str) -> dict[str, int]:
    """The number of an object's stored records without an account, by reason."""
    return dict(
        connection.execute(
            "SELECT reason, count(*) FROM unmatched_record WHERE object = %s GROUP BY reason",
            (gainsight_object,),
        ).fetchall()
    )


def unmatched_objects(connection: psycopg.Connection) -> list[str]:
    """The Gainsight objects with stored records without an account."""
    return [row[0] for row in connection.execute("SELECT DISTINCT object FROM unmatched_record ORDER BY 1")]


def unmatched_counts(
    connection: psycopg.Connection, gainsight_objects: Sequence[str] | None, reason: str | None
) -> dict[str, int]:
    """The number of stored records without an account, by reason; optionally of some objects or one reason only."""
    return dict(
        connection.execute(
            """SELECT reason, count(*) FROM unmatched_record
               WHERE (%(objects)s::text[] IS NULL OR object = ANY(%(objects)s))
                 AND (%(reason)s::text IS NULL OR reason = %(reason)s)
               GROUP BY reason ORDER BY reason""",
            {"objects": gainsight_objects, "reason": reason},
        ).fetchall()
    )


UNMATCHED_COLUMNS = ("object", "record_id", "company_gsid", "company_name", "reason", "candidates", "first_seen_at")


def unmatched_rows(
    connection: psycopg.Connection,
    gainsight_objects: Sequence[str] | None,
    reason: str | None,
    limit: int | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Stored records without an account, as `UNMATCHED_COLUMNS`, newest first."""
    with connection.transaction(), connection.cursor("unmatched") as cursor:
        cursor.execute(
            """SELECT u.object, u.record_id, u.company_gsid, c.name, u.reason, u.candidates, u.first_seen_at
               FROM unmatched_record u LEFT JOIN company c ON c.gsid = u.company_gsid
               WHERE (%(objects)s::text[] IS NULL OR u.object = ANY(%(objects)s))
                 AND (%(reason)s::text IS NULL OR u.reason = %(reason)s)
               ORDER BY u.first_seen_at DESC, u.object, u.record_id LIMIT %(limit)s""",
            {"objects": gainsight_objects, "reason": reason, "limit": limit},
        )
        yield from cursor


def unmatched_examples(connection: psycopg.Connection, gainsight_object: str, size: int = 3) -> dict[str, list[str]]:
    """A few records without an account per reason: the company that they name, or their own id."""
    return dict(
        connection.execute(
            """SELECT reason, array_agg(coalesce(company_gsid, record_id) ORDER BY record_id)
               FROM (SELECT reason, company_gsid, record_id,
                            row_number() OVER (PARTITION BY reason ORDER BY record_id) AS number
                     FROM unmatched_record WHERE object = %s) u
               WHERE number <= %s GROUP BY reason""",
            (gainsight_object, size),
        ).fetchall()
    )


def accounts_with_several_companies(connection: psycopg.Connection, size: int = 5) -> dict[str, Any]:
    """The number of accounts with several Gainsight companies, and the companies of a few of them."""
    rows = connection.execute(
        """SELECT account_id, array_agg(gsid ORDER BY gsid), count(*) OVER ()
           FROM company WHERE account_id IS NOT NULL AND deleted_at IS NULL
           GROUP BY account_id HAVING count(*) > 1 ORDER BY account_id LIMIT %s""",
        (size,),
    ).fetchall()
    return {"accounts": rows[0][2], "examples": {row[0]: row[1] for row in rows}} if rows else {}


def sample_rows(
    connection: psycopg.Connection, table: Table, gainsight_object: str, size: int = 5
) -> list[tuple[Any, ...]]:
    """The rows changed last, a few of them, with the table's sample columns."""
    query = sql.SQL("SELECT {columns} FROM {table} t WHERE {mine} ORDER BY changed_at DESC LIMIT {size}").format(
        columns=sql.SQL(", ").join(map(sql.Identifier, table.sample)),
        table=sql.Identifier(table.name),
        mine=table.mine(gainsight_object),
        size=sql.Literal(size),
    )
    return connection.execute(query).fetchall()
