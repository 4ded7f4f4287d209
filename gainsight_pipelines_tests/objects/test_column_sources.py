"""From which fields a row's columns come, and what a record that leaves some out says nothing of."""

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
def test_what_a_record_says_nothing_of(record: dict[str, Any], columns: tuple[str, ...], keys: set[str]) -> None:
    """The first field that isn't blank gives a value: one that is left out before it might have."""
    assert DATES.omitted(record) == OmittedFields(columns, frozenset(keys))


def test_a_record_that_shows_every_field_is_taken_as_it_is() -> None:
    assert DATES.omitted(dict.fromkeys(("ActivityDate", "CreatedDate", "Subject", "Region__gc", "More"))) is None


def test_fields_that_the_object_does_not_have_count_for_none_and_refused_ones_do() -> None:
    schema = replace(
        schema_of("activity_timeline", plain("Subject"), plain("Notes")), unreadable=frozenset({"duration"})
    )
    found = sources_of(schema, {"subject": ("Subject", None), "duration": ("Duration",), "external": ("Attendees",)})
    assert found.columns == {"subject": ("Subject",), "duration": ("Duration",), "external": ()}
    assert found.omitted({"Subject": "x"}) == OmittedFields(("duration",), frozenset({"duration", "duration__name"}))


def test_an_object_without_a_company_and_without_a_setting_for_it_names_no_setting() -> None:
    schema = schema_of("activity_timeline", plain("Gsid", "GSID"), plain("Subject"))
    with pytest.raises(SettingsError) as raised:
        company_fields(schema, None, None, "SfdcAccountId")
    assert "Set `" not in str(raised.value)
    assert "See that the API key may read it" in str(raised.value)
    with pytest.raises(SettingsError, match=r"Set `surveys\.objects"):
        company_fields(schema, None, "surveys.objects[0].company_field", None)
