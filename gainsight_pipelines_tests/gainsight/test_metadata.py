"""Parsing metadata responses as Gainsight's documentation shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gainsight_pipelines.gainsight.metadata import (
    ObjectInfo,
    ObjectSchema,
    PicklistOption,
    object_infos,
    object_schema,
    picklist_options,
)

CATEGORY = "1I00CATEGORYCOMPANYTYPE0000000000000"


def field(name: str, data_type: str, *, options: Any = None, **meta: Any) -> dict[str, Any]:
    node = {"fieldName": name, "label": f"{name} label", "dataType": data_type, "objectName": "company"}
    node["meta"] = {
        "properties": {"sourceType": data_type},
        "filterable": True,
        "sortable": True,
        "hidden": False,
    } | meta
    return node | ({"options": options} if options is not None else {})


FIELDS = [
    field("Gsid", "GSID", fieldGroupType="SYSTEM"),
    field("Notes", "RICHTEXTAREA", filterable=False, sortable=False, richText=True, hidden=True),
    field(
        "Csm",
        "LOOKUP",
        hasLookup=True,
        lookupDetail={"lookupName": "Csm__gr", "fieldName": "Gsid", "lookupObjects": [{"objectName": "gsuser"}]},
    ),
    field("Owner__gc", "LOOKUP", properties={"autoSuggestDetails": {"object": "gsuser"}}),
    field(
        "CompanyType",
        "PICKLIST",
        properties={"PICKLIST_CATEGORY": "Company Type", "PICKLIST_CATEGORY_ID": CATEGORY},
        options=[
            {"active": True, "label": "Customer", "value": "1I00ITEMCUSTOMER00000000000000000000"},
            {"active": False, "label": "Prospect", "value": "1I00ITEMPROSPECT00000000000000000000"},
        ],
    ),
    field("Gone__gc", "STRING", deleted=True),
    field("bad name; drop", "STRING"),
    {"fieldName": "Bare__gc"},
    "nonsense",
]
COMPANY = {"objectName": "company", "label": "Company", "objectType": "STANDARD", "fields": FIELDS}


def company() -> ObjectSchema:
    schema = object_schema([{"objectName": "gsuser", "fields": []}, COMPANY], "Company")
    assert schema is not None
    return schema


def test_the_named_object_is_found_in_any_case_among_others():
    assert company().name == "company"
    assert object_schema(COMPANY, "COMPANY") == company()
    assert object_schema([COMPANY], "relationship") is None
    assert object_schema(None, "company") is None
    assert object_schema([{"objectName": "company"}], "company") is None


def test_fields():
    schema = company()
    assert list(schema.fields) == ["Gsid", "Notes", "Csm", "Owner__gc", "CompanyType", "Bare__gc"]
    notes = schema.field("NOTES")
    assert notes is not None
    assert notes.is_hidden
    assert notes.is_rich_text
    assert not notes.is_filterable
    assert not notes.is_sortable
    assert schema.field("nothing") is None


@pytest.mark.parametrize(("name", "path"), [("Csm", "Csm__gr"), ("Owner__gc", "Owner__gc__gr")])
def test_lookups(name, path):
    lookup = company().field(name)
    assert lookup is not None
    assert lookup.is_lookup
    assert (lookup.lookup_object, lookup.lookup_path) == ("gsuser", path)


def test_picklists_keep_inactive_and_deleted_options():
    picklist = company().field("companytype")
    assert picklist is not None
    assert picklist.is_picklist
    assert picklist.picklist_category == CATEGORY
    assert [option.active for option in picklist.options] == [True, False]
    assert [option.label for option in picklist.options] == ["Customer", "Prospect"]


def test_a_schema_survives_json():
    document = json.loads(json.dumps(company().to_json()))
    again = ObjectSchema.from_json(document)
    assert again == company()
    assert again.field("GSID") == company().field("Gsid")
    with pytest.raises(ValueError, match="another format"):
        ObjectSchema.from_json({"name": "company"})
    with pytest.raises(ValueError, match="another format"):
        ObjectSchema.from_json(document | {"fields": [{"name": "x", "options": [], "newer": 1}]})


def test_the_object_list():
    nodes = [
        {"objectName": "company", "label": "Company", "objectType": "STANDARD", "readable": True},
        {"objectName": "hidden__gc", "objectType": "CUSTOM", "readable": False},
        {"label": "nameless"},
        None,
    ]
    expected = [ObjectInfo("company", "Company", "STANDARD"), ObjectInfo("hidden__gc", "hidden__gc", "CUSTOM", False)]
    assert object_infos(nodes) == expected
    assert object_infos({"objects": nodes}) == expected
    assert object_infos(None) == []


def test_dropdown_items():
    items = [
        {"gsid": "1I00A", "name": "Email", "active": True, "deleted": False},
        {"gsid": "1I00B", "name": "Fax", "active": True, "deleted": True},
        {"name": "no id"},
    ]
    expected = (PicklistOption("1I00A", "Email"), PicklistOption("1I00B", "Fax", active=False))
    assert picklist_options({"categoryDetails": {}, "childItems": items}) == expected
    assert picklist_options(None) == ()
