"""The floor: a bare script that does what has to be done to activities, page after page, and nothing else.

`stage` says how far it goes: download; parse; store (the same mapping, matching, text, jsonb, COPY and upsert into the
same table). No checks of what comes, no counts, no retries, no limits, no lock, no record of the run; the cursor is
kept, in the same transaction. `ahead`: reads one page ahead of the writing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import psycopg
import requests
from selectolax.lexbor import LexborHTMLParser

COLUMNS = (
    "activity_id, source, source_object, company_gsid, activity_type, reporting_category, subject, body, body_text, "
    "occurred_at, duration_minutes, author, author_email, internal_attendees, external_attendees, custom_fields, "
    "modified_at, account_id, match_method, unmatched_reason"
)
VALUES = [name.strip() for name in COLUMNS.split(",")][1:]
UPSERT = f"""
INSERT INTO activity AS t ({COLUMNS}, changed_at, run_id) SELECT {COLUMNS}, now(), 'bare' FROM staged
ON CONFLICT (activity_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in VALUES)},
    changed_at = now(), run_id = 'bare', deleted_at = NULL
WHERE ({", ".join(f"t.{name}" for name in VALUES)})
    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in VALUES)})
"""
TYPES = {"Email": "EMAIL", "Meeting": "MEETING", "Call": "MEETING", "Update": "TYPE_MANUAL", "Risk": "TYPE_MANUAL"}


class Pages:
    """Asks for one page after the other."""

    def __init__(self, url: str, select: list[str]) -> None:
        self._session = requests.Session()
        self._url = f"{url}/v1/data/objects/query/activity_timeline"
        self._select = select
        self.calls = 0

    def ask(self, since: str | None) -> bytes:
        condition = {"name": "LastModifiedDate", "alias": "A", "value": [], "operator": "IS_NOT_NULL"}
        if since is not None:
            condition |= {"value": [since], "operator": "GTE"}
        body = {
            "select": self._select,
            "where": {"conditions": [condition], "expression": "A"},
            "orderBy": {"LastModifiedDate": "asc", "Gsid": "asc"},
            "limit": 5000,
            "offset": 0,
        }
        self.calls += 1
        return self._session.post(self._url, data=orjson.dumps(body), timeout=60).content

    def parsed(self, since: str | None) -> Iterator[list[dict[str, Any]]]:
        last = None
        while True:
            records = orjson.loads(self.ask(since))["data"]["records"]
            if last is not None:
                records = [record for record in records if record["Gsid"] != last]
            if not records:
                return
            since, last = records[-1]["LastModifiedDate"], records[-1]["Gsid"]
            yield records
            if len(records) < 99:
                return


def ahead(pages: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """The same pages, each fetched while the one before is being used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = pool.submit(next, pages, None)
            yield page


def row_of(record: dict[str, Any], by_crm_id: set[str], by_gsid: dict[str, str]) -> tuple[Any, ...]:
    company, crm_id = record["GsCompanyId"], record["GsCompanyId__gr.SfdcAccountId"]
    account, method, reason = None, None, "no_account"
    if crm_id in by_crm_id:
        account, method, reason = crm_id, "direct", None
    elif company in by_gsid:
        account, method, reason = by_gsid[company], "gsid_field", None
    body = LexborHTMLParser(record["Notes"]).body
    duration = record["Duration"]
    return (
        record["Gsid"],
        "timeline",
        "activity_timeline",
        company,
        TYPES[record["ReportingCategory"]],
        record["ReportingCategory"],
        record["Subject"],
        record["Notes"],
        body.text(separator="\n", strip=True) if body else None,
        datetime.fromisoformat(record["ActivityDate"]),
        None if duration is None else Decimal(duration),
        record["AuthorId__gr.Name"],
        record["AuthorId__gr.Email"],
        record["InternalAttendees"].split(";"),
        record["ExternalAttendees"].split(";"),
        orjson.dumps({name: value for name, value in record.items() if name.startswith("Ant__")}).decode(),
        datetime.fromisoformat(record["LastModifiedDate"]),
        account,
        method,
        reason,
    )


def store(pages: Iterator[list[dict[str, Any]]], database: str) -> int:
    read = 0
    with psycopg.connect(database) as connection:
        connection.execute("SET search_path TO gainsight, public")
        accounts = connection.execute("SELECT account_id, gsids ->> 'Gainsight_GSID__c' FROM account").fetchall()
        by_crm_id = {account for account, _ in accounts}
        by_gsid = {gsid: account for account, gsid in accounts if gsid}
        connection.execute(
            f"CREATE TEMP TABLE staged ON COMMIT DELETE ROWS AS SELECT {COLUMNS} FROM activity WITH NO DATA"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS bare_cursor (modified_at timestamptz)")
        connection.execute("INSERT INTO bare_cursor VALUES (NULL)")
        connection.commit()
        for records in pages:
            with connection.cursor() as cursor:
                with cursor.copy("COPY staged FROM STDIN") as copy:
                    for record in records:
                        copy.write_row(row_of(record, by_crm_id, by_gsid))
                cursor.execute(UPSERT)
                cursor.execute("UPDATE bare_cursor SET modified_at = %s", (records[-1]["LastModifiedDate"],))
            connection.commit()
            read += len(records)
    return read


def main() -> None:
    given = json.loads(sys.argv[1])
    pages = Pages(given["url"], given["select"])
    started = time.perf_counter()
    if given["stage"] == "download":
        read = 0
        start = datetime.fromisoformat(given["start"]).timestamp()
        while read < given["rows"]:
            # Without reading them it can't know the last second: the data set's dates are known to be one a second.
            moment = datetime.fromtimestamp(start + read).astimezone(tz=datetime.fromisoformat(given["start"]).tzinfo)
            pages.ask(f"{moment:%Y-%m-%dT%H:%M:%SZ}")
            read += 5000
    elif given["stage"] == "parse":
        read = sum(len(records) for records in pages.parsed(None))
    else:
        source = pages.parsed(None)
        read = store(ahead(source) if given["ahead"] else source, given["database"])
    print(json.dumps({"seconds": time.perf_counter() - started, "read": read, "calls": {"query": pages.calls}}))


if __name__ == "__main__":
    main()
