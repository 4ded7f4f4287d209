"""`python -m bench.database`: measures PostgreSQL after a load. Takes some minutes and prints Markdown.

It creates a million activities with SQL (`python -m bench` measures the pull), then measures the views with their
plans, rematching of 100,000 records without an account, the sizes of tables and indexes, and the dead rows after ten
loads.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from gainsight_pipelines.embedded.server import embedded_server
from gainsight_pipelines.matching import AccountIndex
from gainsight_pipelines.objects.activity_table import ACTIVITY
from gainsight_pipelines.store import bulk, links
from gainsight_pipelines.store.accounts import indexed_accounts
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines.store.migrate import migrate

FIELD = "Gainsight_GSID__c"
ACCOUNTS = 9_000
UNMATCHED = 100_000
TEN = 10

FILL = f"""
INSERT INTO account (account_id, crm, name, gsids, changed_at, run_id)
SELECT 'account ' || n, 'salesforce', 'Account ' || n, jsonb_build_object('{FIELD}', 'COMPANY ' || n), now(), 'bench'
FROM generate_series(1, {ACCOUNTS}) n;

INSERT INTO activity (activity_id, source, source_object, company_gsid, activity_type, reporting_category,
    subject, body, body_text, occurred_at, author, custom_fields, account_id, match_method, unmatched_reason,
    modified_at, changed_at, run_id)
SELECT 'record ' || n, 'timeline', 'activity_timeline', 'COMPANY ' || company, 'MEETING', 'Call', 'Review ' || n,
    '<p>' || repeat(md5(n::text) || ' ', 30) || '</p>', repeat(md5(n::text) || ' ', 25),
    timestamptz '2026-01-01' - n * interval '1 minute', 'Somebody', '{{}}',
    CASE WHEN company <= {ACCOUNTS} THEN 'account ' || company END,
    CASE WHEN company <= {ACCOUNTS} THEN 'gsid_field' END,
    CASE WHEN company > {ACCOUNTS} THEN 'no_account' END, now(), now(), 'bench'
FROM (SELECT n, 1 + n %% 10000 AS company FROM generate_series(1, %s) n) made;

INSERT INTO company_link SELECT 'COMPANY ' || n, NULL, true, now() FROM generate_series(1, 10000) n;
"""
QUERIES = {
    "one row of `account_360`": "SELECT * FROM account_360 WHERE account_id = 'account 77'",
    "all of `account_360`": "SELECT * FROM account_360",
    "`unmatched_record`, counted by reason": "SELECT reason, count(*) FROM unmatched_record GROUP BY 1",
    "an account's last activities": """SELECT subject, occurred_at FROM activity
        WHERE account_id = 'account 77' AND deleted_at IS NULL ORDER BY occurred_at DESC LIMIT 20""",
}
SIZES = """
SELECT c.relname, pg_size_pretty(pg_relation_size(c.oid)), coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0)
FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relname LIKE 'activity%%' AND c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i')
ORDER BY c.relkind DESC, pg_relation_size(c.oid) DESC
"""


def say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201 - a program for a terminal


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    say(f"| {what} | {time.perf_counter() - started:.2f} |")


def plan_of(connection: psycopg.Connection, query: str) -> list[str]:
    """The nodes of the plan that read tables, and the duration."""
    lines = [row[0] for row in connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF) {query}".encode())]
    nodes = [re.sub(r"\s*\(cost.*", "", line).strip(" ->") for line in lines if "Scan" in line]
    return [*nodes, next(line.strip() for line in lines if "Execution" in line)]


def heal(store: Store, connection: psycopg.Connection) -> int:
    """Adds the accounts of 100,000 unmatched records, and rematches those."""
    connection.execute(
        f"""INSERT INTO account (account_id, crm, name, gsids, changed_at, run_id)
            SELECT 'account ' || n, 'salesforce', 'Account ' || n, jsonb_build_object('{FIELD}', 'COMPANY ' || n),
                   now(), 'bench' FROM generate_series({ACCOUNTS} + 1, 10000) n""".encode()
    )
    index = AccountIndex("salesforce", indexed_accounts(connection, FIELD))
    with connection.transaction():
        links.relink(
            connection,
            ACTIVITY,
            "activity_timeline",
            lambda company, key, crm_id: index.link_of(company, key, None, crm_id),
        )
    with object_lease(store, "activity", "bench") as lease:
        return links.move(connection, lease, ACTIVITY, "activity_timeline", "heal")


def load_again(connection: psycopg.Connection, rows: int, number: int) -> None:
    """Reads a tenth of all rows again, half of them changed, ten times: like loads of a busy tenant."""
    if number == 0:
        bulk.prepare(connection, ACTIVITY)
    columns = [*ACTIVITY.columns, "account_id", "match_method", "unmatched_reason", "match_candidates"]
    step = rows // TEN
    for first in range(number * step, (number + 1) * step, 5000):
        found: list[tuple[Any, ...]] = connection.execute(
            f"SELECT {', '.join(columns)} FROM activity WHERE activity_id = ANY(%s)".encode(),
            ([f"record {n + 1}" for n in range(first, first + 5000)],),
        ).fetchall()
        subject = columns.index("subject")
        custom = columns.index("custom_fields")
        page = [
            (
                *row[:subject],
                f"{row[subject]} again" if place % 2 else row[subject],
                *row[subject + 1 : custom],
                "{}",
                *row[custom + 1 :],
            )
            for place, row in enumerate(found)
        ]
        with connection.transaction():
            bulk.upsert(connection, ACTIVITY, page, f"load {number}")


def sizes(connection: psycopg.Connection) -> None:
    say("| | size | live rows | dead rows |")
    say("|---|---:|---:|---:|")
    for name, size, live, dead in connection.execute(SIZES.encode()):
        say(f"| {name} | {size} | {f'{live:,}' if live else ''} | {f'{dead:,}' if live else ''} |")


@contextmanager
def new_store() -> Iterator[tuple[Store, Path]]:
    """An empty store in a separate embedded server, and the server's folder."""
    # The server's keeper process removes the server's folder after the server has stopped.
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        embedded_server(Path(folder) / "pg", temporary=True) as server,
    ):
        store = Store(server.url("gainsight"))
        migrate(store)
        yield store, Path(folder) / "pg"


def fill(connection: psycopg.Connection, rows: int) -> None:
    """Adds accounts, and this number of activities."""
    for statement in FILL.split(";\n"):
        if statement.strip():
            connection.execute(statement.encode(), (rows,) if "%s" in statement else None)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.database", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows: int = parser.parse_args().rows
    with new_store() as (store, _), store.connect("bench") as connection:
        say(f"{rows:,} activities\n\n| | seconds |\n|---|---:|")
        with timed("made"), connection.transaction():
            fill(connection, rows)
        with timed("VACUUM ANALYZE"):
            connection.execute("VACUUM (ANALYZE) activity, account")
        say()
        for what, query in QUERIES.items():
            nodes = plan_of(connection, query)
            say(f"- {what}: {'; '.join(nodes)}")
        say("\n| | seconds |\n|---|---:|")
        with timed("nothing changed: the fingerprint alone"):
            links.fingerprint(connection, FIELD)
        with timed(f"{UNMATCHED:,} records are rematched"):
            healed = heal(store, connection)
        with timed(f"({healed:,} rows moved) and nothing is left to move"):
            heal_nothing(connection)
        say()
        sizes(connection)
        say()
        for number in range(TEN):
            load_again(connection, rows, number)
        say("after ten loads, each of a tenth of the rows, half of them changed\n")
        connection.execute("SELECT pg_stat_force_next_flush()")
        sizes(connection)
        say()
        with timed("until autovacuum has been there"):
            wait_for_autovacuum(connection)
        sizes(connection)


def wait_for_autovacuum(connection: psycopg.Connection) -> None:
    """Waits for at most five minutes."""
    asked = "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'activity'"
    for _ in range(300):
        if connection.execute(asked).fetchone() != (0,):
            return
        time.sleep(1)


def heal_nothing(connection: psycopg.Connection) -> None:
    index = AccountIndex("salesforce", indexed_accounts(connection, FIELD))
    with connection.transaction():
        moved = links.relink(
            connection,
            ACTIVITY,
            "activity_timeline",
            lambda company, key, crm_id: index.link_of(company, key, None, crm_id),
        )
    assert moved == 0


if __name__ == "__main__":
    main()
