"""A plain script that pulls activities, written for speed from the APIs' documentation, without our code.

It reads activities page by page, finds their accounts, converts the notes to text with `re` and `html`, formats the
rows for COPY itself, and merges them with one upsert per page, with the cursor in the same transaction. It trusts its
input: no checks, retries, limits, counts, lease or run history, and a simplistic treatment of HTML.

Its only argument is JSON: `url` of Gainsight, `database`, `select` (fields), `ahead` (read a page while another is
written), `rows` (stop after this number; null: all). Prints a line of JSON with the seconds and CPU seconds of its
loop.
"""

from __future__ import annotations

import html
import json
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import psycopg
import requests

TABLE = """
CREATE TABLE IF NOT EXISTS script_activity (
    id text PRIMARY KEY, account_id text, match_method text, company_id text, type text, category text, subject text,
    notes text, plain text, occurred_at timestamptz, minutes numeric, author text, author_email text,
    internal_attendees text[], external_attendees text[], custom jsonb, modified_at timestamptz
);
CREATE INDEX IF NOT EXISTS script_activity_account ON script_activity (account_id, occurred_at);
CREATE INDEX IF NOT EXISTS script_activity_company ON script_activity (company_id);
CREATE TABLE IF NOT EXISTS script_cursor (modified_at text);
CREATE TEMP TABLE incoming (LIKE script_activity) ON COMMIT DELETE ROWS;
"""
COLUMNS = (
    "account_id match_method company_id type category subject notes plain occurred_at minutes author author_email"
    " internal_attendees external_attendees custom modified_at"
).split()
UPSERT = f"""
INSERT INTO script_activity SELECT * FROM incoming
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
"""
COPY = r"COPY incoming FROM STDIN (DELIMITER E'\x01', NULL E'\x02')"
TYPES = {"Email": "EMAIL", "Meeting": "MEETING", "Call": "MEETING"}

TAGS = re.compile("<[^>]*>")
END, NULL = "\x01", "\x02"
"""Delimiter and NULL marker. No note contains them, so only backslashes and newlines must be escaped."""


def array(value: str | None) -> str:
    return '{"' + value.replace("\\", r"\\").replace('"', r"\"").replace(";", '","') + '"}' if value else NULL


def line(record: dict[str, Any], by_crm_id: set[str], by_gsid: dict[str, str]) -> str:
    company, crm_id = record["GsCompanyId"], record["GsCompanyId__gr.SfdcAccountId"]
    if crm_id in by_crm_id:
        account, method = crm_id, "direct"
    elif company in by_gsid:
        account, method = by_gsid[company], "gsid"
    else:
        account = method = NULL
    category, notes, minutes = record["ReportingCategory"], record["Notes"], record["Duration"]
    values = (
        record["Gsid"],
        account,
        method,
        company or NULL,
        TYPES.get(category, "OTHER"),
        category or NULL,
        record["Subject"] or NULL,
        notes or NULL,
        html.unescape("\n".join(filter(None, TAGS.split(notes)))) if notes else NULL,
        record["ActivityDate"] or NULL,
        NULL if minutes is None else str(minutes),
        record["AuthorId__gr.Name"] or NULL,
        record["AuthorId__gr.Email"] or NULL,
        array(record["InternalAttendees"]),
        array(record["ExternalAttendees"]),
        orjson.dumps({name: value for name, value in record.items() if name.startswith("Ant__")}).decode(),
        record["LastModifiedDate"],
    )
    return END.join(values).replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")


def pages(url: str, select: list[str], rows: int | None) -> Iterator[list[dict[str, Any]]]:
    session = requests.Session()
    since, last, read = None, None, 0
    while rows is None or read < rows:
        condition: dict[str, Any] = {"name": "LastModifiedDate", "alias": "A", "value": [], "operator": "IS_NOT_NULL"}
        if since:
            condition |= {"value": [since], "operator": "GTE"}
        query = {
            "select": select,
            "where": {"conditions": [condition], "expression": "A"},
            "orderBy": {"LastModifiedDate": "asc", "Gsid": "asc"},
            "limit": 5000,
            "offset": 0,
        }
        answer = session.post(f"{url}/v1/data/objects/query/activity_timeline", data=orjson.dumps(query), timeout=60)
        records = orjson.loads(answer.content)["data"]["records"]
        more = len(records) == 5000
        if records and records[0]["Gsid"] == last:
            del records[0]
        if records:
            since, last = records[-1]["LastModifiedDate"], records[-1]["Gsid"]
            read += len(records)
            yield records
        if not more:
            return


def one_ahead(source: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, None)
        while (page := coming.result()) is not None:
            coming = pool.submit(next, source, None)
            yield page


def main() -> None:
    given = json.loads(sys.argv[1])
    started, cpu = time.perf_counter(), time.process_time()
    source = pages(given["url"], given["select"], given.get("rows"))
    read = 0
    with psycopg.connect(given["database"]) as connection:
        connection.execute("SET search_path TO gainsight, public")
        found = connection.execute("SELECT account_id, gsids ->> 'Gainsight_GSID__c' FROM account").fetchall()
        by_crm_id = {account for account, _ in found}
        by_gsid = {gsid: account for account, gsid in found if gsid}
        connection.execute(TABLE)
        connection.execute("INSERT INTO script_cursor VALUES (NULL)")
        connection.commit()
        for records in one_ahead(source) if given["ahead"] else source:
            with connection.cursor() as cursor:
                with cursor.copy(COPY) as copy:
                    copy.write("\n".join(line(record, by_crm_id, by_gsid) for record in records) + "\n")
                cursor.execute(UPSERT)
                cursor.execute("UPDATE script_cursor SET modified_at = %s", (records[-1]["LastModifiedDate"],))
            connection.commit()
            read += len(records)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "loop_cpu": cpu, "read": read}))


if __name__ == "__main__":
    main()
