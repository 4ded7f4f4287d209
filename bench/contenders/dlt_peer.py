"""dlt: its REST source with a keyset paginator, merged into PostgreSQL. Runs in its own environment."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import dlt
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api import rest_api_source
from requests import Request, Response

CURSOR = "LastModifiedDate"


class Keyset(BasePaginator):
    """Ascending on (modified, Gsid): continues at the last record's second, until a page has no new records."""

    def __init__(self, page_size: int) -> None:
        super().__init__()
        self._page_size = page_size
        self._since: str | None = None

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        last = data[-1][CURSOR] if data else None
        self._has_next_page = data is not None and len(data) >= 100 and last != self._since
        self._since = last

    def update_request(self, request: Request) -> None:
        request.json["where"] = where("GTE", self._since)


def where(operator: str, value: str | None) -> dict[str, Any]:
    condition = {"name": CURSOR, "alias": "A", "value": [value] if value else [], "operator": operator}
    return {"conditions": [condition], "expression": "A"}


def main() -> None:
    given = json.loads(sys.argv[1])
    body = {
        "select": given["select"],
        "orderBy": {CURSOR: "asc", "Gsid": "asc"},
        "limit": 5000,
        "offset": 0,
        "where": where("GTE", "{incremental.start_value}"),
    }
    started = time.perf_counter()
    source = rest_api_source(
        {
            "client": {"base_url": given["url"]},
            "resources": [
                {
                    "name": "activity",
                    "primary_key": "Gsid",
                    "write_disposition": "merge",
                    "max_table_nesting": 0,
                    "columns": {"Gsid": {"dedup_sort": "desc"}, "Notes": {"data_type": "text"}},
                    "endpoint": {
                        "path": "v1/data/objects/query/activity_timeline",
                        "method": "POST",
                        "json": body,
                        "data_selector": "data.records",
                        "paginator": Keyset(5000),
                        "incremental": {"cursor_path": CURSOR, "initial_value": "2000-01-01T00:00:00Z"},
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=given["folder"],
        destination=dlt.destinations.postgres(credentials=given["database"]),
        dataset_name="peer_dlt",
    )
    pipeline.run(source)
    seconds = time.perf_counter() - started
    counts = pipeline.last_trace.last_normalize_info.row_counts
    print(json.dumps({"seconds": seconds, "read": counts.get("activity", 0)}))


if __name__ == "__main__":
    main()
