"""Which record fields fill which columns, and which columns a record omits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.objects.column_sources import OmittedFields, Sources, sources_of
from gainsight_pipelines.objects.pull import company_fields
from gainsight_pipelines_tests.objects.schemas import plain, schema_of

DATES = Sources({"occurred_at": ("ActivityDate", "CreatedDate"), "subject": ("Subject",)}, {"Region": "Region__gc"})


@pytest.mark.parametrize(
    ("record", "columns", "keys"),
    [
        ({"CreatedDate": 1, "Subject": "x", "Region__gc": 1}, ("occurred_at",), {"activitydate"}),
        ({"ActivityDate": 1, "Subject": "x", "Region__gc": 1}, (), {"createddate"}),
        ({"ActivityDate": "", "Subject": None, "Region__gc": 1}, ("occurred_at",), {"createddate"}),
        ({"ActivityDate": 1, "CreatedDate": 1, "Subject": ""}, (), {"region", "region__gc"}),
        ({}, ("occurred_at", "subject"), {"activitydate", "createddate", "subject", "region", "region__gc"}),
    ],
)
def test_omitted_fields_are_found(record: dict[str, Any], columns: tuple[str, ...], keys: set[str]) -> None:
    """The first non-blank field gives the value, so an omitted field before it leaves the value unknown."""
    assert DATES.omitted(record) == OmittedFields(columns, frozenset(keys))


def test_a_complete_record_omits_nothing() -> None:
    assert DATES.omitted(dict.fromkeys(("ActivityDate", "CreatedDate", "Subject", "Region__gc", "More"))) is None


def test_missing_fields_are_no_source_but_refused_ones_are() -> None:
    schema = replace(
        schema_of("activity_timeline", plain("Subject"), plain("Notes")), unreadable=frozenset({"duration"})
    )
    found = sources_of(schema, {"subject": ("Subject", None), "duration": ("Duration",), "external": ("Attendees",)})
    assert found.columns == {"subject": ("Subject",), "duration": ("Duration",), "external": ()}
    assert found.omitted({"Subject": "x"}) == OmittedFields(("duration",), frozenset({"duration", "duration__name"}))


def test_an_object_without_company_or_setting_names_no_setting() -> None:
    schema = schema_of("activity_timeline", plain("Gsid", "GSID"), plain("Subject"))
    with pytest.raises(SettingsError) as raised:
        company_fields(schema, None, None, "SfdcAccountId")
    assert "Set `" not in str(raised.value)
    assert "Check that the API key may read it" in str(raised.value)
    with pytest.raises(SettingsError, match=r"Set `surveys\.objects"):
        company_fields(schema, None, "surveys.objects[0].company_field", None)
