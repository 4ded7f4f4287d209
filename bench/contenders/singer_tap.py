"""A short, typical Singer tap on the SDK; its messages go to target-postgres."""

from __future__ import annotations

from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator

CURSOR = "LastModifiedDate"
NUMBERS = {"Duration", "Ant__CustomNumber__c"}


class Keyset(BaseAPIPaginator):
    """Ascending on (modified, Gsid): continues at the last record's second, until a page has no new records."""

    def has_more(self, response: Any) -> bool:
        records = response.json()["data"]["records"]
        return len(records) >= 100 and records[-1][CURSOR] != self.current_value

    def get_next(self, response: Any) -> str:
        return response.json()["data"]["records"][-1][CURSOR]


class Activities(RESTStream):
    """The timeline."""

    name = "activity"
    path = "/v1/data/objects/query/activity_timeline"
    http_method = "POST"
    records_jsonpath = "$.data.records[*]"
    primary_keys = ("Gsid",)
    replication_key = CURSOR
    is_sorted = True

    @property
    def url_base(self) -> str:
        return self.config["url"]

    @property
    def schema(self) -> dict[str, Any]:
        return th.PropertiesList(
            *(th.Property(name.replace(".", "_"), self._type(name)) for name in self.config["select"])
        ).to_dict()

    def _type(self, name: str) -> th.JSONTypeHelper[Any]:
        if name.endswith("Date"):
            return th.DateTimeType()
        if name in NUMBERS:
            return th.NumberType()
        return th.BooleanType() if name == "Ant__Competitor_Mentioned__c" else th.StringType()

    def get_new_paginator(self) -> Keyset:
        return Keyset(None)

    def prepare_request_payload(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        since = self.get_starting_timestamp(context)
        value = next_page_token or (f"{since:%Y-%m-%dT%H:%M:%SZ}" if since else "2000-01-01T00:00:00Z")
        condition = {"name": CURSOR, "alias": "A", "value": [value], "operator": "GTE"}
        return {
            "select": self.config["select"],
            "where": {"conditions": [condition], "expression": "A"},
            "orderBy": {CURSOR: "asc", "Gsid": "asc"},
            "limit": 5000,
            "offset": 0,
        }

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        return {name.replace(".", "_"): value for name, value in row.items()}


class TapBench(Tap):
    """A tap of one stream."""

    name = "tap-bench"
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType, required=True),
        th.Property("select", th.ArrayType(th.StringType), required=True),
    ).to_dict()

    def discover_streams(self) -> list[Activities]:
        return [Activities(self)]


if __name__ == "__main__":
    TapBench.cli()
