"""The CRM id of each company, and the rematching of stored rows.

`matching` finds the accounts; this module looks CRM ids up, stores them, and applies changed matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from gainsight_pipelines.matching import Link
from gainsight_pipelines.store.batches import change
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.tables import Table

ROWS_AT_A_TIME = 5000

LinkColumns = tuple[str | None, str | None, str | None, list[str] | None]
"""account_id, match_method, unmatched_reason, match_candidates."""


UNLINKED: LinkColumns = (None, None, None, None)
"""For reference data, which belong to no company."""


def link_columns(link: Link) -> LinkColumns:
    """A match as the link columns of a data table."""
    return link.account_id, link.method, link.reason, list(link.candidates) or None


def known_companies(
    connection: psycopg.Connection, company_gsids: Iterable[str], unknown_since: datetime
) -> dict[str, str | None]:
    """The known CRM ids of these companies. Companies not found by a request since then count as known, without one."""
    return dict(
        connection.execute(
            """SELECT company_gsid, crm_id FROM company_link
               WHERE company_gsid = ANY(%s) AND (is_known OR checked_at >= %s)""",
            (list(company_gsids), unknown_since),
        ).fetchall()
    )


def write_companies(
    connection: psycopg.Connection, crm_ids: Mapping[str, str | None], *, is_known: bool, checked_at: datetime
) -> None:
    """Stores the CRM ids of companies, or (`is_known=False`) that Gainsight doesn't have these companies.

    Written in the order of their GSIDs, so that concurrent pulls of the same companies can't deadlock.
    """
    if crm_ids:
        connection.execute(
            """INSERT INTO company_link AS l (company_gsid, crm_id, is_known, checked_at)
               SELECT gsid, crm_id, %s, %s FROM unnest(%s::text[], %s::text[]) AS read (gsid, crm_id) ORDER BY gsid
               ON CONFLICT (company_gsid) DO UPDATE
               SET crm_id = excluded.crm_id, is_known = excluded.is_known, checked_at = excluded.checked_at
               WHERE l.crm_id IS DISTINCT FROM excluded.crm_id OR l.is_known <> excluded.is_known
                  OR NOT excluded.is_known""",
            (is_known, checked_at, list(crm_ids), list(crm_ids.values())),
        )


def differing(connection: psycopg.Connection, crm_ids: Mapping[str, str | None]) -> dict[str, str | None]:
    """Those of these CRM ids that belong to known companies and differ from the stored ones."""
    return dict(
        connection.execute(
            """SELECT gsid, read.crm_id FROM unnest(%s::text[], %s::text[]) AS read (gsid, crm_id)
               JOIN company_link l ON l.company_gsid = gsid
               WHERE NOT l.is_known OR l.crm_id IS DISTINCT FROM read.crm_id""",
            (list(crm_ids), list(crm_ids.values())),
        ).fetchall()
    )


def oldest_check(connection: psycopg.Connection) -> datetime | None:
    """The time of the oldest entry about a known company; None if none is known."""
    row = connection.execute("SELECT min(checked_at) FROM company_link").fetchone()
    return row[0] if row else None


def forget_crm_ids(connection: psycopg.Connection) -> None:
    """Clears the CRM ids of all companies; they are read again, or requested when a record names the company.

    Locks out other writers until the end of the transaction, since two orders of writing could deadlock.
    """
    connection.execute("LOCK TABLE company_link IN SHARE ROW EXCLUSIVE MODE")
    connection.execute("UPDATE company_link SET crm_id = NULL, is_known = false")


def fingerprint(connection: psycopg.Connection, gsid_field: str | None) -> str:
    """A hash that changes whenever anything changes that a row's match depends on."""
    row = connection.execute(
        """SELECT coalesce(sum(hashtextextended(company_gsid || ' ' || coalesce(crm_id, ''), 0)::numeric), 0)::text
           FROM company_link"""
    ).fetchone()
    assert row is not None
    return f"{row[0]} {accounts_fingerprint(connection, gsid_field)}"


def accounts_fingerprint(connection: psycopg.Connection, gsid_field: str | None) -> str:
    """A hash that changes whenever anything changes in the accounts that a match depends on."""
    row = connection.execute(
        """SELECT coalesce(sum(hashtextextended(concat_ws(' ', account_id, gsids ->> %(field)s, domain,
                               deleted_at IS NOT NULL, coalesce(merged_into, '-')), 0)::numeric), 0)
               || ' ' || coalesce(%(field)s, '')
           FROM account""",
        {"field": gsid_field},
    ).fetchone()
    assert row is not None
    return str(row[0])


def has_rows(connection: psycopg.Connection, table: Table, gainsight_object: str) -> bool:
    """Whether the object has any stored row."""
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {} t WHERE {})").format(
        sql.Identifier(table.name), table.mine(gainsight_object)
    )
    row = connection.execute(statement).fetchone()
    return bool(row and row[0])


def are_as_stored(connection: psycopg.Connection, crm_ids: Mapping[str, str | None]) -> bool:
    """Whether each of these companies still has this CRM id."""
    left = dict(crm_ids)
    for company_gsid, crm_id in connection.execute("SELECT company_gsid, crm_id FROM company_link"):
        if left.pop(company_gsid, crm_id) != crm_id:
            return False
    return not any(left.values())


def relink(
    connection: psycopg.Connection,
    table: Table,
    gainsight_object: str,
    find: Callable[[str | None, str | None, str | None], Link],
) -> int:
    """Finds companies whose rows have a wrong match, for `move`; returns their number.

    Args:
        connection: inside a transaction.
        table: the table of the rows.
        gainsight_object: the object, where several share the table.
        find: returns the match of a company, by its GSID, the row's own key to its account (usually None), and the CRM
            id that Gainsight has for the company.
    """
    moved = {}
    # A server-side cursor: there may be as many companies as rows, and few of them change.
    with connection.cursor(name="stored_links") as stored:
        stored.itersize = ROWS_AT_A_TIME
        stored.execute(
            sql.SQL(
                """SELECT DISTINCT {company_gsid}, {crm_id}, l.crm_id, account_id, match_method, unmatched_reason,
                          match_candidates
                   FROM {table} t LEFT JOIN company_link l ON l.company_gsid = t.{company_column}
                   WHERE {mine}"""
            ).format(**_names(table, gainsight_object))
        )
        for company, key, crm_id, *link in stored:
            right = link_columns(find(company or None, key or None, crm_id))
            if tuple(link) != right:
                moved[company, key] = right
    if not moved:
        return 0
    connection.execute("DROP TABLE IF EXISTS moved_link")
    connection.execute(
        """CREATE TEMP TABLE moved_link (company_gsid text, crm_id text, account_id text, match_method text,
                                         unmatched_reason text, match_candidates text[])"""
    )
    with connection.cursor() as cursor, cursor.copy("COPY moved_link FROM STDIN") as copy:
        for pair, columns in moved.items():
            copy.write_row((*pair, *columns))
    return len(moved)


def move(connection: psycopg.Connection, lease: Lease, table: Table, gainsight_object: str, run_id: str) -> int:
    """Applies the changed matches found by `relink`; returns the number of changed rows. Makes no calls.

    Matches unmatched rows, moves those whose company or account was corrected or merged, and unmatches those whose
    account is gone.
    """
    # Empty strings stand for NULL in the keys, so that PostgreSQL can use a hash join.
    chosen = sql.SQL(
        """SELECT {key}, l.account_id, l.match_method, l.unmatched_reason, l.match_candidates
           FROM {table} t JOIN moved_link l ON {company_gsid} = l.company_gsid AND {crm_id} = l.crm_id
           WHERE {mine} AND (t.account_id, t.match_method, t.unmatched_reason, t.match_candidates)
                     IS DISTINCT FROM (l.account_id, l.match_method, l.unmatched_reason, l.match_candidates)"""
    ).format(**_names(table, gainsight_object))
    assignments = sql.SQL(
        """account_id = p.account_id, match_method = p.match_method, unmatched_reason = p.unmatched_reason,
           match_candidates = p.match_candidates"""
    )
    return change(connection, lease, table.name, table.key, chosen, (), assignments, run_id)


def _names(table: Table, gainsight_object: str) -> dict[str, sql.Composable]:
    return {
        "table": sql.Identifier(table.name),
        "key": table.keys(),
        "company_column": sql.Identifier(table.company_column),
        "company_gsid": sql.SQL("coalesce(t.{}, '')").format(sql.Identifier(table.company_column)),
        "crm_id": sql.SQL("coalesce(t.{}, '')").format(sql.Identifier(table.key_column))
        if table.key_column
        else sql.SQL("''"),
        "mine": table.mine(gainsight_object),
    }
