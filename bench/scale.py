"""`python -m bench.scale`: what a large tenant costs PostgreSQL. Takes some minutes and prints Markdown.

It creates a million activities over three years with SQL, once in our table and once in a table partitioned by month,
and measures size and the server's CPU seconds for a first load, a day's pull, vacuum, usual queries, and removing a
month. Then it writes usage records of 500 columns as rows of `usage_metric`. CPU seconds, unlike elapsed time, hardly
depend on other load.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench.database import fill, new_store, say
from bench.measure import ServerCPU

MONTHS = 36
DAY = 10_000
"""Records of a day's pull. Half of them are changed records of the last month."""
USAGE_RECORDS, USAGE_COLUMNS = 2_000, 500

FIRST_MONTH = "date '2023-02-01'"
SPREAD = f"""UPDATE activity SET occurred_at = {FIRST_MONTH}
    + (substr(activity_id, 8)::int %% (30 * {MONTHS})) * interval '1 day' WHERE true"""
PARTITIONED = """
CREATE TABLE by_month (LIKE activity INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (occurred_at);
ALTER TABLE by_month ADD PRIMARY KEY (activity_id, occurred_at);
CREATE INDEX by_month_account ON by_month (account_id, occurred_at);
CREATE INDEX by_month_company ON by_month (company_gsid);
CREATE INDEX by_month_unmatched ON by_month (source_object) WHERE account_id IS NULL AND deleted_at IS NULL;
CREATE TABLE by_month_rest PARTITION OF by_month DEFAULT;
"""
MONTH = """CREATE TABLE by_month_{number} PARTITION OF by_month FOR VALUES
    FROM ({first} + {number} * interval '1 month') TO ({first} + ({number} + 1) * interval '1 month')"""
COPIED = "CREATE TABLE one_table (LIKE activity INCLUDING ALL)"
TABLES = {"one_table": "activity_id", "by_month": "activity_id, occurred_at"}

QUESTIONS = {
    "an account's last 20 activities, 1,000 times": """DO $$ DECLARE n int; BEGIN FOR n IN 1..1000 LOOP
        PERFORM subject FROM {table} WHERE account_id = 'account ' || n AND deleted_at IS NULL
        ORDER BY occurred_at DESC LIMIT 20; END LOOP; END $$""",
    "a record by its id, 1,000 times": """DO $$ DECLARE n int; BEGIN FOR n IN 1..1000 LOOP
        PERFORM subject FROM {table} WHERE activity_id = 'record ' || n * 900; END LOOP; END $$""",
    "activities per account, all time": "SELECT account_id, count(*), max(occurred_at) FROM {table} GROUP BY 1",
}
PULL = """
INSERT INTO {table} AS t SELECT (jsonb_populate_record(a, jsonb_build_object('subject', a.subject || ' again'))).*
FROM activity a WHERE a.activity_id = ANY(%s)
ON CONFLICT ({key}) DO UPDATE SET subject = excluded.subject, changed_at = now()
WHERE (t.subject, t.body, t.body_text) IS DISTINCT FROM (excluded.subject, excluded.body, excluded.body_text)
"""
SIZE = """SELECT pg_size_pretty(sum(pg_table_size(c.oid))), pg_size_pretty(sum(pg_indexes_size(c.oid))), count(*)
    FROM pg_class c WHERE c.relname ~ %s AND c.relkind = 'r'"""


class Costs:
    """CPU seconds of the server by task and table."""

    def __init__(self, cpu: ServerCPU) -> None:
        self._cpu = cpu
        self._found: dict[str, dict[str, float]] = {}

    @contextmanager
    def of(self, what: str, table: str) -> Iterator[None]:
        before = self._cpu()
        yield
        self._found.setdefault(what, {})[table] = self._cpu() - before

    def show(self) -> None:
        say("| CPU seconds of PostgreSQL | one table | by month |\n|---|---:|---:|")
        for what, by_table in self._found.items():
            say(f"| {what} | {by_table['one_table']:.2f} | {by_table['by_month']:.2f} |")


def run(connection: psycopg.Connection, statement: str, *values: object) -> None:
    connection.execute(statement.encode(), values or None)


def compare(connection: psycopg.Connection, costs: Costs) -> None:
    ids = [
        row[0] for row in connection.execute("SELECT activity_id FROM activity ORDER BY occurred_at DESC LIMIT 30000")
    ]
    pages = [ids[first : first + 5000] for first in range(0, DAY, 5000)]
    for table, key in TABLES.items():
        with costs.of("a first load, row by row as they come", table):
            run(connection, f"INSERT INTO {table} SELECT * FROM activity")
        run(connection, f"VACUUM (FREEZE, ANALYZE) {table}")
        with costs.of(f"a day's pull: {DAY:,} rows of the last month changed", table):
            for page in pages:
                run(connection, PULL.format(table=table, key=key), page)
        with costs.of("VACUUM after it", table):
            changed = table if table == "one_table" else f"by_month_{MONTHS - 1}, by_month_{MONTHS - 2}"
            run(connection, f"VACUUM {changed}")
        for what, question in QUESTIONS.items():
            with costs.of(what, table):
                run(connection, question.format(table=table))
        size = connection.execute(SIZE.encode(), (f"^{table}(_\\d+|_rest)?$",)).fetchone()
        assert size is not None
        say(f"- {table}: {size[0]} of rows, {size[1]} of indexes, in {size[2]} tables")
        with costs.of("the oldest month goes", table):
            if table == "one_table":
                run(connection, f"DELETE FROM {table} WHERE occurred_at < {FIRST_MONTH} + interval '1 month'")
                run(connection, f"VACUUM {table}")
            else:
                run(connection, "DROP TABLE by_month_0")


def usage(connection: psycopg.Connection, cpu: ServerCPU) -> None:
    before = cpu()
    run(
        connection,
        f"""INSERT INTO usage_metric (object, record_id, metric, company_gsid, product_name, value, observed_at,
                account_id, match_method, modified_at, changed_at, run_id)
            SELECT 'usage__gc', 'record ' || r, 'metric_' || c || '__gc', 'COMPANY ' || r, 'usage__gc', r * c,
                   now(), 'account ' || r, 'gsid_field', now(), now(), 'bench'
            FROM generate_series(1, {USAGE_RECORDS}) r, generate_series(1, {USAGE_COLUMNS}) c""",
    )
    seconds = cpu() - before
    size = connection.execute(
        "SELECT pg_table_size('usage_metric'), pg_indexes_size('usage_metric'), count(*) FROM usage_metric"
    ).fetchone()
    assert size is not None
    rows = size[2]
    say(
        f"{USAGE_RECORDS:,} usage records of {USAGE_COLUMNS} columns: {rows:,} rows, {size[0] / rows:.0f} bytes each"
        f" and {size[1] / rows:.0f} of indexes, {seconds / rows * 1e6:.0f} µs of CPU a row."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows: int = parser.parse_args().rows
    with new_store() as (store, folder):
        cpu = ServerCPU(folder)
        with store.connect("bench") as connection:
            fill(connection, rows)
            run(connection, SPREAD.replace("%%", "%"))
            run(connection, COPIED)
            for statement in PARTITIONED.split(";\n"):
                if statement.strip():
                    run(connection, statement)
            for number in range(MONTHS):
                run(connection, MONTH.format(number=number, first=FIRST_MONTH))
            say(f"{rows:,} activities over {MONTHS} months\n")
            costs = Costs(cpu)
            compare(connection, costs)
            say()
            costs.show()
            say()
            usage(connection, cpu)


if __name__ == "__main__":
    main()
