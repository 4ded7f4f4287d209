"""Which CRM id each company has, and what puts stored rows at their right accounts.

The links themselves are made by `matching`; here they are looked up, kept and applied.
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
"""Of reference data, which belong to no company."""


def link_columns(link: Link) -> LinkColumns:
    """A link as the columns that every data table has for it."""
    return link.account_id, link.method, link.reason, list(link.candidates) or None


def known_companies(
    connection: psycopg.Connection, company_gsids: Iterable[str], unknown_since: datetime
) -> dict[str, str | None]:
    """The CRM id of each of these companies that is known; those asked for in vain since then count as known too."""
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
    """Keeps what was learnt of companies: their CRM ids, or (`is_known=False`) that Gainsight doesn't have them.

    In the order of their Gsids, so that pulls that write the same companies at once wait for each other in one order
    and never both.
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
    """Those of these CRM ids that belong to known companies and are not what is known."""
    return dict(
        connection.execute(
            """SELECT gsid, read.crm_id FROM unnest(%s::text[], %s::text[]) AS read (gsid, crm_id)
               JOIN company_link l ON l.company_gsid = gsid
               WHERE NOT l.is_known OR l.crm_id IS DISTINCT FROM read.crm_id""",
            (list(crm_ids), list(crm_ids.values())),
        ).fetchall()
    )


def oldest_check(connection: psycopg.Connection) -> datetime | None:
    """When the first of the known companies was learnt of; None if none is known."""
    row = connection.execute("SELECT min(checked_at) FROM company_link").fetchone()
    return row[0] if row else None


def forget_crm_ids(connection: psycopg.Connection) -> None:
    """Drops what was learnt of all companies; they are to be read again, or asked for where a record names one.

    Until the end of the transaction nobody else writes what is learnt: two in different orders would block each other.
    """
    connection.execute("LOCK TABLE company_link IN SHARE ROW EXCLUSIVE MODE")
    connection.execute("UPDATE company_link SET crm_id = NULL, is_known = false")


def fingerprint(connection: psycopg.Connection, gsid_field: str | None) -> str:
    """Changes whenever anything changes that an account link of any row depends on."""
    row = connection.execute(
        """SELECT coalesce(sum(hashtextextended(company_gsid || ' ' || coalesce(crm_id, ''), 0)::numeric), 0)::text
           FROM company_link"""
    ).fetchone()
    assert row is not None
    return f"{row[0]} {accounts_fingerprint(connection, gsid_field)}"


def accounts_fingerprint(connection: psycopg.Connection, gsid_field: str | None) -> str:
    """Changes whenever anything changes in the accounts that a link depends on."""
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
    """Whether any row of an object is stored."""
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
    """Finds out which companies' rows of an object lie where they don't belong, for `move`; returns how many do.

    Args:
        connection: in the middle of a transaction.
        table: where the rows lie.
        gainsight_object: whose rows, where several objects share the table.
        find: the link of a company, by its Gsid, by the row's own key to its account (usually None), and by the CRM id
            that Gainsight keeps on the company.
    """
    moved = {}
    # A cursor of the server's: there may be as many companies as rows, and few of them move.
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
    """Puts the rows where they belong that `relink` found; returns how many moved. No call to anybody.

    Heals unmatched rows, moves those whose company or account was corrected or merged, and lets go of those whose
    account is gone.
    """
    # Blanks stand for nulls in the keys, so that PostgreSQL can join by hash.
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
