"""Fixtures for pulls from a Gainsight tenant whose records the test defines itself; the CRM is the sandbox's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gainsight_pipelines_tests.gainsight.tenant import Tenant, serving
from gainsight_pipelines_tests.pulling import Pulling

NOW = datetime.now(UTC).replace(microsecond=0)
GOOD = 120
"""How many valid records the tenant has to begin with."""

TIMELINE = {
    "Gsid": "GSID",
    "Subject": "STRING",
    "Notes": "RICHTEXTAREA",
    "ActivityDate": "DATETIME",
    "CreatedDate": "DATETIME",
    "LastModifiedDate": "DATETIME",
    "Duration": "NUMBER",
    "ReportingCategory": "STRING",
    "GsCompanyId": "LOOKUP",
    "InternalAttendees": "STRING",
    "Ant__Anything__c": "JSON",
    "Ant__Score__c": "NUMBER",
}


def field(name: str, data_type: str, **more: Any) -> dict[str, Any]:
    """A field as Gainsight's describe call returns it."""
    return {"fieldName": name, "label": name, "dataType": data_type, **more}


def entry(number: int, **values: Any) -> dict[str, Any]:
    """A timeline entry, modified `number` seconds after a moment two hours ago."""
    usual = {
        "Gsid": f"1T01{number:032d}",
        "Subject": f"entry {number}",
        "Notes": "<p>Well</p>",
        "ActivityDate": "2026-01-31T10:00:00Z",
        "CreatedDate": "2026-01-31T10:00:00Z",
        "LastModifiedDate": NOW - timedelta(hours=2) + timedelta(seconds=number),
        "Duration": 30,
        "ReportingCategory": "Call",
        "GsCompanyId": "1P02COMPANY",
        "InternalAttendees": None,
        "Ant__Anything__c": None,
        "Ant__Score__c": None,
    }
    return usual | values


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    """A tenant with `GOOD` valid timeline entries."""
    fields = [field(*each) for each in TIMELINE.items()]
    found = Tenant(cursor="LastModifiedDate", describes={"activity_timeline": fields})
    found.rows = [entry(number) for number in range(GOOD)]
    with serving(found):
        yield found


@pytest.fixture
def odd(pulling: Pulling, tenant: Tenant) -> Pulling:
    """A `Pulling` that reads the whole timeline of `tenant`."""
    pulling.content["gainsight"]["base_url"] = tenant.url
    pulling.content["activity"] = {"enabled": True, "initial_lookback_days": None}
    return pulling
