"""Which types of fields can hold what a setting wants. That a field is there is found elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gainsight_pipelines.gainsight.metadata import Field
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.settings import Settings, SurveysSettings, section_of, survey_name

_DATES = frozenset({"date", "datetime", "time"})
_NUMBERS = frozenset({"int", "double", "currency", "percent", "number"})
_FLAGS = frozenset({"boolean", "bool"})
_PLACES = frozenset({"address", "location"})
CRM_UNFIT: Mapping[str, frozenset[str]] = {
    "gsid": _DATES | _NUMBERS | _FLAGS | _PLACES,
    "domain": _DATES | _NUMBERS | _FLAGS | _PLACES,
    "parent": _DATES | _FLAGS | _PLACES,
    "owner": _DATES | _FLAGS | _PLACES,
    "arr": _DATES | _FLAGS | _PLACES,
    "renewal_date": _NUMBERS | _FLAGS | _PLACES,
}
"""Types of account fields (Salesforce's and HubSpot's names) that can't hold what is wanted."""
CRM_TAKES: Mapping[str, str] = {
    "gsid": "a text",
    "domain": "a text or an address",
    "parent": "an account's id",
    "owner": "a user's id or name",
    "arr": "a number",
    "renewal_date": "a date",
}

_A_COMPANY, _A_DATE, _A_NUMBER, _AN_ID = "a lookup on company or its GSID", "a date", "a number", "an id as text"
GAINSIGHT_FITS: Mapping[str, Callable[[Field], bool]] = {
    _A_COMPANY: lambda one: not (one.is_numeric or one.is_date or one.is_rich_text or _is_flag(one)),
    _A_DATE: lambda one: one.is_date,
    _A_NUMBER: lambda one: not (one.is_date or one.is_lookup or one.is_rich_text or _is_flag(one)),
    _AN_ID: lambda one: not (one.is_date or one.is_rich_text or _is_flag(one)),
}
"""What a setting takes → whether a Gainsight field can hold it; numbers kept as text pass."""


def _is_flag(one: Field) -> bool:
    return one.data_type in {"BOOLEAN", "JSONBOOLEAN"}


def configured_fields(settings: Settings, pull: ObjectPull) -> Iterator[tuple[str, str, str]]:
    """Fields that the settings name for a pull: place, name, what it takes."""
    section = section_of(pull.name)
    if section == "company" and (company := settings.company) is not None and company.crm_id_field:
        yield "company.crm_id_field", company.crm_id_field, _AN_ID
    if section == "surveys" and isinstance(surveys := settings.surveys, SurveysSettings):
        for number, row in enumerate(surveys.objects):
            if survey_name(row.object) == pull.name and row.company_field:
                yield f"surveys.objects[{number}].company_field", row.company_field, _A_COMPANY
    if section == "product_usage" and (usage := settings.product_usage) is not None:
        if usage.company_field:
            yield "product_usage.company_field", usage.company_field, _A_COMPANY
        if usage.observed_at_field:
            yield "product_usage.observed_at_field", usage.observed_at_field, _A_DATE
        if (aggregate := usage.aggregate) is not None:
            yield "product_usage.aggregate.key", aggregate.key, _AN_ID
            yield "product_usage.aggregate.metric_value_field", aggregate.metric_value_field, _A_NUMBER
