"""The account table. Only the CRM reader writes to it, through this module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from gainsight_pipelines.crm.protocol import Account
from gainsight_pipelines.matching import IndexedAccount
from gainsight_pipelines.store.batches import change
from gainsight_pipelines.store.leases import Lease

COLUMNS = (
    "account_id, crm, name, domain, parent_account_id, arr, renewal_date, owner_id, owner_name, gsids, "
    "crm_modified_at, deleted_at, merged_into, currency"
)
STAGE = f"CREATE TEMP TABLE staged_account ON COMMIT DELETE ROWS AS SELECT {COLUMNS} FROM account WITH NO DATA"

UPSERT = f"""
INSERT INTO account AS t ({COLUMNS}, changed_at, run_id)
SELECT {COLUMNS}, now(), %(run_id)s FROM staged_account
ON CONFLICT (account_id) DO UPDATE SET
    crm = excluded.crm, name = excluded.name, domain = excluded.domain,
    parent_account_id = excluded.parent_account_id, arr = excluded.arr, renewal_date = excluded.renewal_date,
    owner_id = excluded.owner_id, owner_name = excluded.owner_name, gsids = excluded.gsids,
    crm_modified_at = excluded.crm_modified_at, merged_into = excluded.merged_into, currency = excluded.currency,
    deleted_at = CASE WHEN excluded.deleted_at IS NULL THEN NULL ELSE coalesce(t.deleted_at, excluded.deleted_at) END,
    changed_at = now(), run_id = %(run_id)s
WHERE (t.crm, t.name, t.domain, t.parent_account_id, t.arr, t.renewal_date, t.owner_id, t.owner_name, t.gsids,
       t.crm_modified_at, t.merged_into, t.currency, t.deleted_at IS NULL)
   IS DISTINCT FROM
      (excluded.crm, excluded.name, excluded.domain, excluded.parent_account_id, excluded.arr, excluded.renewal_date,
       excluded.owner_id, excluded.owner_name, excluded.gsids, excluded.crm_modified_at, excluded.merged_into,
       excluded.currency, excluded.deleted_at IS NULL)
"""

# An account that the CRM merged into another one; it may never have been read itself.
ABSORB = """
INSERT INTO account AS t (account_id, crm, merged_into, deleted_at, changed_at, run_id)
SELECT absorbed, %(crm)s, master, now(), now(), %(run_id)s
FROM unnest(%(absorbed)s::text[], %(masters)s::text[]) AS pairs (absorbed, master)
ON CONFLICT (account_id) DO UPDATE
SET merged_into = excluded.merged_into, deleted_at = coalesce(t.deleted_at, now()), changed_at = now(),
    run_id = excluded.run_id
WHERE t.merged_into IS DISTINCT FROM excluded.merged_into OR t.deleted_at IS NULL
"""


def prepare(connection: psycopg.Connection) -> None:
    """Creates the temporary tables that `write_accounts` and `mark_unseen` use."""
    connection.execute(STAGE)
    connection.execute("CREATE TEMP TABLE seen_account (account_id text)")


def write_accounts(
    connection: psycopg.Connection, crm: str, accounts: Sequence[Account], run_id: str, now: datetime
) -> int:
    """Writes one page of accounts in the open transaction; returns the number of changed rows."""
    latest = {account.account_id: account for account in accounts}
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY staged_account ({COLUMNS}) FROM STDIN") as copy:
            for account in latest.values():
                copy.write_row(
                    (
                        account.account_id,
                        crm,
                        account.name,
                        account.domain,
                        account.parent_account_id,
                        account.arr,
                        account.renewal_date,
                        account.owner_id,
                        account.owner_name,
                        Jsonb(dict(account.gsids)),
                        account.modified_at,
                        now if account.is_deleted or account.merged_into else None,
                        account.merged_into,
                        account.currency,
                    )
                )
        cursor.execute(UPSERT, {"run_id": run_id})
        changed = cursor.rowcount
        pairs = {absorbed: account.account_id for account in latest.values() for absorbed in account.absorbed}
        if pairs:
            cursor.execute(
                ABSORB, {"crm": crm, "absorbed": list(pairs), "masters": list(pairs.values()), "run_id": run_id}
            )
            changed += cursor.rowcount
    return changed


def note_seen(connection: psycopg.Connection, account_ids: Iterable[str]) -> None:
    """Records the accounts that a sweep has seen, for `mark_unseen`."""
    with connection.cursor() as cursor, cursor.copy("COPY seen_account FROM STDIN") as copy:
        for account_id in account_ids:
            copy.write_row((account_id,))


def count_unseen(connection: psycopg.Connection, stored_before: datetime) -> tuple[int, int]:
    """The number of live accounts, stored before the sweep began, that it did not see; and of all live accounts."""
    row = connection.execute(
        """SELECT count(*) FILTER (WHERE first_seen_at < %s
                                     AND NOT EXISTS (SELECT FROM seen_account s WHERE s.account_id = a.account_id)),
                  count(*)
           FROM account a WHERE deleted_at IS NULL""",
        (stored_before,),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def mark_unseen(
    connection: psycopg.Connection, lease: Lease, stored_before: datetime, run_id: str, now: datetime
) -> int:
    """Marks as deleted the accounts that a complete sweep did not see."""
    chosen = sql.SQL(
        """SELECT account_id, %s::timestamptz AS gone_at FROM account a
           WHERE deleted_at IS NULL AND first_seen_at < %s
             AND NOT EXISTS (SELECT FROM seen_account s WHERE s.account_id = a.account_id)"""
    )
    gone = sql.SQL("deleted_at = p.gone_at")
    return change(connection, lease, "account", ("account_id",), chosen, (now, stored_before), gone, run_id)


def indexed_accounts(connection: psycopg.Connection, gsid_field: str | None) -> Iterator[IndexedAccount]:
    """All accounts for the account index, with the value of one GSID field."""
    for row in connection.execute(
        "SELECT account_id, gsids ->> %s, deleted_at IS NOT NULL, merged_into, domain FROM account",
        (gsid_field,),
    ):
        yield IndexedAccount(*row)


def live_accounts(connection: psycopg.Connection) -> int:
    """The number of accounts that are neither deleted nor merged."""
    row = connection.execute("SELECT count(*) FROM account WHERE deleted_at IS NULL").fetchone()
    return int(row[0]) if row else 0
