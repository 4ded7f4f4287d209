"""The schemas of the sandbox's Gainsight objects, as describe returns them: fields, lookups, picklists. No records.

Shapes and names follow public samples. No public source shows usage and survey fields: they have typical names.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OBJECT_CODES = {
    "gsuser": "1P01",
    "company": "1P02",
    "relationship": "1P05",
    "company_person": "1C01",
    "activity_timeline": "1T01",
    "survey_response": "1S10",
    "record_delete_log": "1D01",
}
"""First four characters of a Gsid; custom objects have 1Z02. Codes of timeline, survey and log are made up."""
CUSTOM_OBJECT_CODE = "1Z02"
PICKLIST_CODE = "1I00"
FIELD_LENGTHS = {"STRING": 500, "GSID": 220, "LOOKUP": 220, "PICKLIST": 255, "MULTISELECTDROPDOWNLIST": 500}
FIELD_LENGTHS |= {"RICHTEXTAREA": 32768, "SFDCID": 255, "EMAIL": 255, "URL": 1000}
DECIMALS = {"CURRENCY": 2, "PERCENTAGE": 2, "NUMBER": 0}


class GsidMaker:
    """Generates GSIDs: 18 characters for tenant and object, then 18 random ones."""

    def __init__(self, rng: random.Random, prefixes: dict[str, str] | None = None) -> None:
        self._rng = rng
        self._prefixes: dict[str, str] = prefixes or {}

    def beside(self, rng: random.Random) -> GsidMaker:
        """Another generator for the same tenant, with the same prefixes."""
        return GsidMaker(rng, dict(self._prefixes))

    def prefix(self, object_name: str) -> str:
        """The key prefix of an object in this tenant."""
        if object_name not in self._prefixes:
            code = OBJECT_CODES.get(object_name, PICKLIST_CODE if object_name == "picklist" else CUSTOM_OBJECT_CODE)
            self._prefixes[object_name] = code + "".join(self._rng.choices(BASE36, k=14))
        return self._prefixes[object_name]

    def new(self, object_name: str) -> str:
        """A new GSID of the object."""
        return self.prefix(object_name) + "".join(self._rng.choices(BASE36, k=18))


@dataclass(slots=True)
class PicklistMaker:
    """Creates picklist categories, and keeps them as the dropdowns call returns them."""

    gsids: GsidMaker
    created_at: datetime
    categories: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    """category system name → label → item GSID."""

    def make(self, name: str, labels: list[str], inactive: tuple[str, ...] = ()) -> str:
        """Creates a category with these labels, in this order, and returns its GSID."""
        category = self.gsids.new("picklist")
        created = int(self.created_at.timestamp() * 1000)
        children = []
        for order, label in enumerate([*labels, *inactive], start=1):
            gsid = self.gsids.new("picklist")
            self.items.setdefault(name, {})[label] = gsid
            system_name = label.upper().replace(" ", "_")
            children.append(
                {
                    "name": label,
                    "description": None,
                    "displayOrder": order,
                    "active": label not in inactive,
                    "systemDefined": False,
                    "systemName": system_name,
                    "default": order == 1,
                    "categoryId": category,
                    "gsid": gsid,
                    "createdAt": created,
                    "modifiedAt": created,
                    "deleted": False,
                    "color": None,
                    "shortName": label[:3],
                }
            )
        details = {"name": name, "type": "CUSTOM", "count": len(children), "limit": 500, "variant": "SINGLE_SELECT"}
        details |= {"systemName": name.upper().replace(" ", "_"), "gsid": category, "createdAt": created}
        self.categories[category] = {"categoryDetails": details, "childItems": children}
        return category

    def options(self, category: str) -> list[dict[str, Any]]:
        """The options of a picklist field in describe, including inactive ones."""
        return [
            {
                "active": child["active"],
                "defaultValue": child["default"],
                "label": child["name"],
                "validFor": None,
                "value": child["gsid"],
                "displayOrder": child["displayOrder"],
                "group": None,
                "groupId": category,
                "color": None,
                "controllerValues": None,
                "description": None,
                "systemName": child["systemName"],
            }
            for child in self.categories[category]["childItems"]
        ]


def describe_field(name: str, data_type: str, label: str | None = None, group: str = "STANDARD", **meta: Any) -> Any:
    """A field's node. `meta` overrides single flags; `lookup` names the object looked up, `category` the picklist."""
    lookup = meta.pop("lookup", None)
    meta.pop("category", None)
    is_rich = data_type == "RICHTEXTAREA"
    is_multi = data_type == "MULTISELECTDROPDOWNLIST"
    system = group == "SYSTEM"
    properties: dict[str, Any] = {"sourceType": "GSID" if lookup else data_type, "inlineEditable": not system}
    flags: dict[str, Any] = {
        "properties": properties | {"massEditable": False},
        "filterable": not is_rich,
        "sortable": not (is_rich or is_multi),
        "groupable": not (is_rich or is_multi),
        "createable": not system,
        "updateable": not system,
        "formulaField": False,
        "hasLookup": bool(lookup),
        "required": False,
        "richText": is_rich,
        "nillable": name != "Gsid",
        "readOnly": system,
        "dependentPicklist": False,
        "fieldGroupType": group,
        "selfLookup": False,
        "indexed": name == "Gsid",
        "decimalPlaces": DECIMALS.get(data_type, 0),
        "hidden": False,
        "nameField": name == "Name",
        "aggregatable": not is_rich,
    }
    if data_type in FIELD_LENGTHS:
        flags["length"] = FIELD_LENGTHS[data_type]
    node: dict[str, Any] = {"fieldName": name, "label": label or name.replace("__gc", "").replace("_", " ")}
    node |= {"dataType": data_type, "objectName": None, "meta": flags | meta}
    if lookup:
        _make_lookup(node, lookup)
    return node


def _make_lookup(node: dict[str, Any], target: str) -> None:
    """Adds a lookup to a field's node. As in the samples, its path is CompanyId__gr for CompanyId."""
    name = node["fieldName"]
    properties = node["meta"]["properties"]
    properties["SEARCH_CONTROLLER"] = "AUTO_SUGGEST"
    properties["onDeleteOperation"] = "None"
    properties["autoSuggestDetails"] = {
        "object": target,
        "searchOn": ["Name"],
        "dataStore": "HAPOSTGRES",
        "columnsToList": ["Name"],
        "connectionType": "MDA",
        "connectionId": "MDA",
    }
    stable = uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox/{name}/{target}")
    node["meta"]["lookupDetail"] = {
        "lookupName": f"{name.removesuffix('__gc')}__gr",
        "fieldName": "Gsid",
        "fieldDBName": "gsid",
        "fieldLabel": "GSID",
        "lookupId": str(stable),
        "lookupObjects": [
            {"id": stable.hex, "objectName": target, "dbName": f"{target}_{stable.hex[:12]}", "label": target.title()}
        ],
    }


def system_fields(modified: str = "ModifiedDate") -> list[dict[str, Any]]:
    """GSID, dates and users, which all objects with modification dates have."""
    return [
        describe_field("Gsid", "GSID", "GSID", "SYSTEM"),
        describe_field("CreatedDate", "DATETIME", "GS Created Date", "SYSTEM"),
        describe_field(modified, "DATETIME", "GS Modified Date", "SYSTEM"),
        describe_field("CreatedBy", "LOOKUP", "GS Created By User", "SYSTEM", lookup="gsuser"),
        describe_field("ModifiedBy", "LOOKUP", "GS Modified By User", "SYSTEM", lookup="gsuser"),
    ]


def describe_object(
    name: str,
    label: str,
    fields: list[dict[str, Any]],
    picklists: PicklistMaker,
    *,
    object_type: str = "STANDARD",
    plural: str | None = None,
    readable: bool = True,
) -> dict[str, Any]:
    """An object's node. `readable` and `transactional` are shown by the object list, not by describe."""
    for each in fields:
        each["objectName"] = name
        category = each.pop("category", None)
        if category:
            each["options"] = picklists.options(category)
            each["meta"]["properties"]["PICKLIST_CATEGORY"] = each["label"]
            each["meta"]["properties"]["PICKLIST_CATEGORY_ID"] = category
    node: dict[str, Any] = {"objectName": name, "label": label, "objectType": object_type}
    node["labelPlural"] = plural or f"{label}s"
    if object_type != "SYSTEM":
        node["keyPrefix"] = picklists.gsids.prefix(name)
    return node | {"readable": readable, "fields": fields}


def picklist_field(name: str, category: str, label: str | None = None, multiple: bool = False, **more: Any) -> Any:
    """A PICKLIST or multi-select field of a category."""
    node = describe_field(name, "MULTISELECTDROPDOWNLIST" if multiple else "PICKLIST", label, **more)
    return node | {"category": category}


def gainsight_objects(rng: random.Random, now: datetime) -> tuple[dict[str, dict[str, Any]], PicklistMaker]:
    """Describes all objects of the tenant, by name, and creates their picklist categories."""
    picklists = PicklistMaker(GsidMaker(rng), datetime(now.year - 3, 1, 15, 9, tzinfo=UTC))
    nodes = [
        _company(picklists),
        _gsuser(picklists),
        _relationship(picklists),
        _activity(picklists),
        _survey(picklists),
        _usage(picklists),
        _wide_usage(picklists),
        _delete_log(picklists),
        _health_fact(picklists),
        describe_object(
            "email_raw_events",
            "Email Raw Events",
            [describe_field("EventId", "STRING"), describe_field("Payload", "JSON")],
            picklists,
            object_type="SYSTEM",
            readable=False,
        ),
    ]
    return {node["objectName"]: node for node in nodes}, picklists


def _company(picklists: PicklistMaker) -> dict[str, Any]:
    status = picklists.make("Status", ["Active", "Inactive", "Churn"], inactive=("Trial",))
    stage_labels = ["New Customer", "Kicked Off", "Launched", "Adopting", "Will Churn", "Churn"]
    stage = picklists.make("Stage", stage_labels, inactive=("Legacy Pilot",))
    industry = picklists.make("Industry", ["Software", "Health Care", "Logistics", "Retail", "Energy", "Education"])
    tags = picklists.make("Tags", ["Reference", "Beta", "At Risk", "Strategic"])
    fields = [
        *system_fields(),
        describe_field("Name", "STRING", required=True),
        picklist_field("Industry", industry),
        picklist_field("Status", status),
        picklist_field("Stage", stage),
        picklist_field("Tags", tags, multiple=True),
        describe_field("Csm", "LOOKUP", "CSM", lookup="gsuser"),
        describe_field("ParentCompany", "LOOKUP", "Parent Company", lookup="company", selfLookup=True),
        describe_field("Arr", "CURRENCY", "ARR"),
        describe_field("Mrr", "CURRENCY", "MRR"),
        describe_field("Employees", "NUMBER"),
        describe_field("Customer_Lifetime_in_Months", "NUMBER", "Customer Lifetime in Months", formulaField=True),
        describe_field("CurrentScore", "NUMBER", "Current Score"),
        describe_field("OriginalContractDate", "DATE", "Original Contract Date"),
        describe_field("RenewalDate", "DATE", "Renewal Date"),
        describe_field("Renewal_Date", "DATE", "Renewal Date (old)"),
        describe_field("SfdcAccountId", "SFDCID", "SFDC Account Id"),
        describe_field("HubSpot_Company_ID__gc", "STRING", "HubSpot Company ID", "CUSTOM"),
        describe_field("Region__gc", "STRING", "Region", "CUSTOM"),
        describe_field("Seats__gc", "NUMBER", "Seats", "CUSTOM"),
        describe_field("Is_Reference__gc", "BOOLEAN", "Is Reference", "CUSTOM"),
        describe_field("Adoption__gc", "PERCENTAGE", "Adoption", "CUSTOM"),
        describe_field("Last_QBR__gc", "DATETIME", "Last QBR", "CUSTOM"),
        describe_field("Goals__gc", "RICHTEXTAREA", "Goals", "CUSTOM"),
        describe_field("Internal_Code__gc", "STRING", "Internal Code", "CUSTOM", hidden=True),
        describe_field("Old_Segment__gc", "STRING", "Old Segment", "CUSTOM", deleted=True),
    ]
    return describe_object("company", "Company", fields, picklists, plural="Companies")


def _gsuser(picklists: PicklistMaker) -> dict[str, Any]:
    fields = [
        *system_fields(),
        describe_field("Name", "STRING"),
        describe_field("FirstName", "STRING", "First Name"),
        describe_field("LastName", "STRING", "Last Name"),
        describe_field("Email", "EMAIL"),
        describe_field("SFDCUserName", "STRING", "SFDC User Name"),
        describe_field("LicenseType", "STRING", "License Type"),
        describe_field("Manager", "LOOKUP", lookup="gsuser", selfLookup=True),
        describe_field("Active", "BOOLEAN"),
    ]
    return describe_object("gsuser", "User", fields, picklists)


def _relationship(picklists: PicklistMaker) -> dict[str, Any]:
    fields = [
        *system_fields(),
        describe_field("Name", "STRING"),
        describe_field("CompanyId", "LOOKUP", "Company", lookup="company"),
        describe_field("Csm", "LOOKUP", "CSM", lookup="gsuser"),
        describe_field("Mrr", "CURRENCY", "MRR"),
    ]
    return describe_object("relationship", "Relationship", fields, picklists)


def _activity(picklists: PicklistMaker) -> dict[str, Any]:
    sentiment = picklists.make("Sentiment", ["Positive", "Neutral", "Negative"])
    fields = [
        *system_fields("LastModifiedDate"),
        describe_field("Subject", "STRING"),
        describe_field("Notes", "RICHTEXTAREA"),
        describe_field("NotesPlainText", "STRING", "Notes Plain Text", length=32768),
        describe_field("ActivityDate", "DATETIME", "Activity Date"),
        describe_field("ReportingCategory", "STRING", "Reporting Category"),
        describe_field("TypeName", "STRING", "Type Name"),
        describe_field("ContextName", "STRING", "Context"),
        describe_field("ContextId", "STRING", "Context Id"),
        describe_field("AuthorId", "LOOKUP", "Author", lookup="gsuser"),
        describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
        describe_field("GsRelationshipId", "LOOKUP", "Relationship", lookup="relationship"),
        describe_field("InternalAttendees", "STRING", "Internal Attendees"),
        describe_field("ExternalAttendees", "STRING", "External Attendees"),
        describe_field("Duration", "NUMBER", "Duration (in Mins)"),
        describe_field("Source", "STRING"),
        describe_field("ExternalId", "STRING", "External Id"),
        picklist_field("Ant__Sentiment__c", sentiment, "Sentiment", group="CUSTOM"),
        describe_field("Ant__Next_Step__c", "STRING", "Next Step", "CUSTOM"),
        describe_field("Ant__Competitor_Mentioned__c", "BOOLEAN", "Competitor Mentioned", "CUSTOM"),
        describe_field("Ant__CustomNumber__c", "NUMBER", "Participants", "CUSTOM"),
    ]
    return describe_object("activity_timeline", "Activity Timeline", fields, picklists, plural="Activity Timeline")


def _survey(picklists: PicklistMaker) -> dict[str, Any]:
    channel = picklists.make("Survey Channel", ["Email", "In App", "Link"])
    fields = [
        *system_fields(),
        describe_field("Name", "STRING"),
        describe_field("SurveyName", "STRING", "Survey Name"),
        describe_field("SurveyType", "STRING", "Survey Type"),
        describe_field("NPSScore", "NUMBER", "NPS Score"),
        describe_field("CSATScore", "NUMBER", "CSAT Score"),
        describe_field("Comment", "STRING", length=4000),
        describe_field("RespondentName", "STRING", "Respondent Name"),
        describe_field("RespondentEmail", "EMAIL", "Respondent Email"),
        describe_field("RespondedDate", "DATETIME", "Responded Date"),
        describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
        picklist_field("Channel__gc", channel, "Channel", group="CUSTOM"),
        describe_field("Region__gc", "STRING", "Region", "CUSTOM"),
        describe_field("Wants_Call__gc", "BOOLEAN", "Wants Call", "CUSTOM"),
        describe_field("Answered_Questions__gc", "NUMBER", "Answered Questions", "CUSTOM"),
        describe_field("Follow_Up__gc", "DATE", "Follow Up", "CUSTOM"),
    ]
    return describe_object("survey_response", "Survey Response", fields, picklists)


def _usage_links() -> list[dict[str, Any]]:
    return [
        *system_fields(),
        describe_field("Name", "STRING"),
        describe_field("GsCompanyId", "LOOKUP", "Company", "CUSTOM", lookup="company"),
        describe_field("AccountId", "SFDCID", "Account Id", "CUSTOM"),
        describe_field("HubSpot_Company_ID__gc", "STRING", "HubSpot Company ID", "CUSTOM"),
        describe_field("ObservedDate__gc", "DATETIME", "Observed Date", "CUSTOM"),
    ]


def _usage(picklists: PicklistMaker) -> dict[str, Any]:
    fields = [
        *_usage_links(),
        describe_field("MetricName__gc", "STRING", "Metric Name", "CUSTOM"),
        describe_field("MetricValue__gc", "NUMBER", "Metric Value", "CUSTOM", decimalPlaces=2),
        describe_field("SecondaryValue__gc", "STRING", "Secondary Value", "CUSTOM"),
        describe_field("Dimension__gc", "STRING", "Dimension", "CUSTOM"),
    ]
    return describe_object("product_usage__gc", "Product Usage", fields, picklists, object_type="CUSTOM")


WIDE_METRICS = ("Active_Users__gc", "Logins__gc", "Api_Calls__gc", "Storage_GB__gc", "Adoption__gc")


def _wide_usage(picklists: PicklistMaker) -> dict[str, Any]:
    metrics = [describe_field(name, "NUMBER", None, "CUSTOM", decimalPlaces=2) for name in WIDE_METRICS[:-1]]
    fields = [*_usage_links(), *metrics, describe_field(WIDE_METRICS[-1], "PERCENTAGE", None, "CUSTOM")]
    return describe_object("product_usage_wide__gc", "Product Usage Wide", fields, picklists, object_type="CUSTOM")


def _delete_log(picklists: PicklistMaker) -> dict[str, Any]:
    fields = [
        describe_field("Gsid", "GSID", "GSID", "SYSTEM"),
        describe_field("RecordId", "STRING", "Record Id", "SYSTEM"),
        describe_field("ObjectName", "STRING", "Object Name", "SYSTEM"),
        describe_field("DeletedOn", "DATETIME", "Deleted On", "SYSTEM"),
    ]
    return describe_object("record_delete_log", "Record Delete Log", fields, picklists, object_type="SYSTEM")


def _health_fact(picklists: PicklistMaker) -> dict[str, Any]:
    """A fact object that Gainsight computes: no GSID, no modification date, and a numeric Id."""
    fields = [
        describe_field("Id", "STRING"),
        describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
        describe_field("Score", "NUMBER"),
        describe_field("SnapshotDate", "DATE", "Snapshot Date"),
    ]
    return describe_object("health_scorecard_fact", "Health Scorecard Fact", fields, picklists)
