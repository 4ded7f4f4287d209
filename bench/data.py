"""Generates the records of the benchmark's server from their numbers: record n was modified in second n.

Gsids ascend with n, and no two records share a second, so every keyset query is a range of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gainsight_pipelines.crm.ids import salesforce_id_18

COMPANIES = 10_000
ACCOUNTS = 9_500  # the last 500 companies have no account: one record in twenty stays unmatched
WITHOUT_CRM_ID = 3_000  # companies without a CRM id in Gainsight: matched by the GSID field

BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PREFIXES = {
    "company": "1P02BENCH0000000000",
    "activity_timeline": "1T01BENCH0000000000",
    "survey_response": "1S10BENCH0000000000",
    "product_usage__gc": "1Z02BENCH0000000000",
    "call_to_action": "1C01BENCH0000000000",
}
CATEGORIES = ("Email", "Meeting", "Call", "Update", "Risk")
METRICS = ("logins", "active_users", "api_calls", "storage_gb")
SENTENCE = (
    "Walked through the roll-out with the steering group &amp; agreed on what comes next; "
    "the open points lie with <b>their</b> platform team. "
)


def gsid(object_name: str, number: int) -> str:
    """The GSID of a record. GSIDs ascend with the numbers."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = BASE36[rest] + digits
    return PREFIXES[object_name] + digits.rjust(17, "0")


def number_of(value: str) -> int:
    """The number of the record with this GSID."""
    return int(value[19:], 36)


def account_id(number: int) -> str:
    """The Salesforce id of an account, 18 characters."""
    found = salesforce_id_18(f"001Bn{number:010d}")
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Company:
    """A company with the ids that records use for it."""

    gsid: str
    name: str
    crm_id: str | None


def companies() -> list[Company]:
    """All companies; account n belongs to company n."""
    return [
        Company(
            gsid("company", number),
            f"Company {number}",
            account_id(number) if WITHOUT_CRM_ID <= number < ACCOUNTS else None,
        )
        for number in range(COMPANIES)
    ]


class Maker:
    """Makes the records of one object."""

    def __init__(self, object_name: str, start: datetime) -> None:
        self._name = object_name
        self._start = start
        self._companies = companies()
        self._make: Callable[[int, str, Company], dict[str, Any]] = {
            "company": _company,
            "activity_timeline": _activity,
            "survey_response": _survey,
            "product_usage__gc": _usage,
            "call_to_action": _cta,
        }[object_name]

    def time(self, number: int) -> str:
        """When a record was modified."""
        return f"{self._start + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}"

    def record(self, number: int, time: str | None = None) -> dict[str, Any]:
        """A record with all fields of its object and of its lookups."""
        shown = time or self.time(number)
        company = self._companies[number * 7919 % COMPANIES]
        common = {
            "Gsid": gsid(self._name, number),
            "CreatedDate": shown,
            "LastModifiedDate": shown,
            "ModifiedDate": shown,
            "GsCompanyId": company.gsid,
            "GsCompanyId__gr.SfdcAccountId": company.crm_id,
        }
        return common | self._make(number, shown, company)


def _activity(number: int, time: str, company: Company) -> dict[str, Any]:
    paragraphs = "".join(f"<p>{number + line}. {SENTENCE}{SENTENCE if line % 3 == 0 else ''}</p>" for line in range(5))
    return {
        "Subject": f"Review {number} with {company.name}",
        "Notes": f"<div>{paragraphs}<ul><li>owner: team {number % 17}</li><li>risk: low</li></ul></div>",
        "ActivityDate": time,
        "ReportingCategory": CATEGORIES[number % 5],
        "TypeName": CATEGORIES[number % 5],
        "AuthorId": f"1P01BENCH{number % 200:027d}",
        "AuthorId__gr.Name": f"Author {number % 200}",
        "AuthorId__gr.Email": f"author{number % 200}@example.com",
        "InternalAttendees": f"Author {number % 200};Author {(number + 1) % 200}",
        "ExternalAttendees": f"Guest {number % 900}",
        "Duration": 15 * (number % 8),
        "Ant__Next_Step__c": f"Send the notes of {number}",
        "Ant__CustomNumber__c": number % 12,
        "Ant__Competitor_Mentioned__c": number % 9 == 0,
    }


def _company(number: int, time: str, company: Company) -> dict[str, Any]:
    crm_id = account_id(number) if WITHOUT_CRM_ID <= number < ACCOUNTS else None
    return {
        "Name": f"Company {number}",
        "SfdcAccountId": crm_id,
        "Industry": CATEGORIES[number % 5],
        "Arr": 1000 * (number % 300),
        "Employees": number % 5000,
        "RenewalDate": time[:10],
        "Region__gc": METRICS[number % 4],
        "Adoption__gc": number % 100 / 2,
        "Goals__gc": SENTENCE * 2,
    }


def _survey(number: int, time: str, company: Company) -> dict[str, Any]:
    return {
        "SurveyName": "Relationship survey",
        "NPSScore": number % 11,
        "Comment": f"{number}: {SENTENCE}",
        "RespondentName": f"Guest {number % 900}",
        "RespondentEmail": f"guest{number % 900}@example.com",
        "RespondedDate": time,
        "Region__gc": METRICS[number % 4],
    }


def _usage(number: int, time: str, company: Company) -> dict[str, Any]:
    return {
        "ObservedDate__gc": time,
        "MetricName__gc": METRICS[number % 4],
        "MetricValue__gc": number % 1000 / 4,
        "Dimension__gc": f"Module {number % 6}",
    }


def _cta(number: int, time: str, company: Company) -> dict[str, Any]:
    return {
        "Name": f"{CATEGORIES[number % 5]} at {company.name}",
        "OwnerId": f"1P01BENCH{number % 200:027d}",
        "OwnerId__gr.Name": f"Owner {number % 200}",
        "GsCompanyId__gr.Name": company.name,
        "Comments": f"<p>{number}. {SENTENCE}</p>",
        "DueDate": time[:10],
        "IsClosed": number % 3 == 0,
        "Progress__gc": number % 100 / 2,
    }


def start_of(rows: int, now: datetime) -> datetime:
    """When record 0 was modified. The last record is a day old, so no overlap reads it again."""
    return (now - timedelta(days=1, seconds=rows)).replace(microsecond=0)


SYSTEM: Mapping[str, tuple[str, str | None]] = {
    "Gsid": ("GSID", None),
    "CreatedDate": ("DATETIME", None),
    "GsCompanyId": ("LOOKUP", "company"),
}
FIELDS: Mapping[str, Mapping[str, tuple[str, str | None]]] = {
    "activity_timeline": {
        **SYSTEM,
        "LastModifiedDate": ("DATETIME", None),
        "Subject": ("STRING", None),
        "Notes": ("RICHTEXTAREA", None),
        "ActivityDate": ("DATETIME", None),
        "ReportingCategory": ("STRING", None),
        "TypeName": ("STRING", None),
        "AuthorId": ("LOOKUP", "gsuser"),
        "InternalAttendees": ("STRING", None),
        "ExternalAttendees": ("STRING", None),
        "Duration": ("NUMBER", None),
        "Ant__Next_Step__c": ("STRING", None),
        "Ant__CustomNumber__c": ("NUMBER", None),
        "Ant__Competitor_Mentioned__c": ("BOOLEAN", None),
    },
    "company": {
        "Gsid": ("GSID", None),
        "ModifiedDate": ("DATETIME", None),
        "Name": ("STRING", None),
        "SfdcAccountId": ("SFDCID", None),
        "Industry": ("STRING", None),
        "Arr": ("CURRENCY", None),
        "Employees": ("NUMBER", None),
        "RenewalDate": ("DATE", None),
        "Region__gc": ("STRING", None),
        "Adoption__gc": ("PERCENTAGE", None),
        "Goals__gc": ("RICHTEXTAREA", None),
    },
    "survey_response": {
        **SYSTEM,
        "ModifiedDate": ("DATETIME", None),
        "SurveyName": ("STRING", None),
        "NPSScore": ("NUMBER", None),
        "Comment": ("STRING", None),
        "RespondentName": ("STRING", None),
        "RespondentEmail": ("EMAIL", None),
        "RespondedDate": ("DATETIME", None),
        "Region__gc": ("STRING", None),
    },
    "call_to_action": {
        **SYSTEM,
        "ModifiedDate": ("DATETIME", None),
        "Name": ("STRING", None),
        "OwnerId": ("LOOKUP", "gsuser"),
        "Comments": ("RICHTEXTAREA", None),
        "DueDate": ("DATE", None),
        "IsClosed": ("BOOLEAN", None),
        "Progress__gc": ("PERCENTAGE", None),
    },
    "product_usage__gc": {
        **SYSTEM,
        "ModifiedDate": ("DATETIME", None),
        "ObservedDate__gc": ("DATETIME", None),
        "MetricName__gc": ("STRING", None),
        "MetricValue__gc": ("NUMBER", None),
        "Dimension__gc": ("STRING", None),
    },
}
"""Type of each field, and the target of lookups."""


def describe(object_name: str) -> dict[str, Any]:
    """Gainsight's describe response for the object, with the parts that readers use."""
    fields = []
    for name, (data_type, target) in FIELDS[object_name].items():
        meta: dict[str, Any] = {"hasLookup": target is not None, "filterable": True, "sortable": True}
        if target is not None:
            meta["lookupDetail"] = {"lookupName": f"{name}__gr", "lookupObjects": [{"objectName": target}]}
        fields.append({"fieldName": name, "label": name, "dataType": data_type, "meta": meta})
    return {"objectName": object_name, "label": object_name, "objectType": "STANDARD", "fields": fields}


def now_utc() -> datetime:
    """The current time; data sets end a day before it."""
    return datetime.now(UTC)
