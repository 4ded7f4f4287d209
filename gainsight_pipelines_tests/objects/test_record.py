"""Records of any object become typed rows; unreadable values are kept separately, omitted keys change nothing."""

from __future__ import annotations

import json
from typing import Any

from gainsight_pipelines.gainsight.metadata import Field
from gainsight_pipelines.objects.record import ObjectSettings, RecordPull, RecordRow
from gainsight_pipelines_tests.objects.schemas import lookup, plain, schema_of

FIELDS = [plain("Gsid", "GSID"), plain("ModifiedDate", "DATETIME"), plain("Name", "STRING"), plain("Size", "NUMBER")]


def row_of(record: dict[str, Any], *fields: Field, **settings: Any) -> RecordRow:
    pull = RecordPull(ObjectSettings(object="Thing__gc", **settings), 0)
    (row,) = pull.mapper(schema_of("thing__gc", *FIELDS, *fields), None).map(record).rows
    assert isinstance(row, RecordRow)
    return row


def test_an_unreadable_value_is_kept_and_rejects_no_record() -> None:
    row = row_of({"Gsid": "1", "Name": 7, "Size": "about three", "ModifiedDate": "2026-01-31T10:00:00Z"})
    assert json.loads(row.attributes) | {"ModifiedDate": None} == {
        "Gsid": "1",
        "Name": "7",
        "Size": None,
        "ModifiedDate": None,
    }
    assert json.loads(row.unreadable or "") == {"Size": "about three"}
    assert json.loads(row_of({"Gsid": "1", "Size": "9" * 40}).unreadable or "") == {"Size": "9" * 40}


def test_an_omitted_key_changes_nothing() -> None:
    assert json.loads(row_of({"Gsid": "1", "Size": 3}).attributes) == {"Gsid": "1", "Size": 3}


def test_the_company_is_found_by_the_usual_field_a_lookup_or_through_another_object() -> None:
    record = {"Gsid": "1", "CompanyId": " 1p02a ", "Account": "1P02B", "Rel__gr.CompanyId": "1P02C"}
    assert row_of(record, plain("CompanyId", "STRING")).company_gsid == "1P02A"
    assert row_of(record, lookup("Account", "company")).company_gsid == "1P02B"
    assert row_of(record, lookup("Rel", "relationship")).company_gsid == "1P02C"


def test_an_object_that_names_no_company_is_reference_data() -> None:
    pull = RecordPull(ObjectSettings(object="gsuser"), 0)
    assert pull.mapper(schema_of("gsuser", *FIELDS), None).company.is_nobody
