"""The settings file as pydantic models: every name, default and limit. No file is read here and no secret has a place.

Scalars are strict, so that YAML's `yes`, `"5"` or `1` never pass for something else. What a setting takes is said once,
in ``Takes``, for the error texts; ``description`` is for the JSON Schema and the generated documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    field_validator,
    model_validator,
)

from gainsight_pipelines.settings import values
from gainsight_pipelines.text import clean_text, clean_value, label_key, name_key, visible

ActivityTypeName = Literal["EMAIL", "MEETING", "TYPE_MANUAL"]
"""What a reporting category can be mapped to; SURVEY is set by survey pulls alone."""

SurveyField = Literal[
    "responded_at", "score", "survey_type", "comment", "subject", "respondent_name", "respondent_email"
]
"""The parts of a survey response whose Gainsight fields can be overridden."""

DEFAULT_CATEGORIES: Mapping[str, ActivityTypeName] = {
    "email": "EMAIL",
    "meeting": "MEETING",
    "call": "MEETING",
    "update": "TYPE_MANUAL",
    "risk": "TYPE_MANUAL",
}

NOT_A_PRIMARY_CRM = (
    "can't be gainsight: the account record (domain, parent, ARR, renewal date, owner) has to be owned "
    "by Salesforce or HubSpot, and Gainsight only adds its own data to accounts that are there. "
    "It takes salesforce or hubspot"
)


@dataclass(frozen=True, slots=True)
class Takes:
    """What a setting takes, as the end of a sentence that begins with "it takes"."""

    text: str


def category_key(category: str) -> str:
    """A reporting category as it is compared: without regard to case, blanks and what can't be seen."""
    return label_key(category)


class Section(BaseModel):
    """What all sections, and the mappings inside them, have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_FIELD = values.FIELD_WORDS
_OBJECT = "the API name of a Gainsight object (letters, digits and _)"


def _pasted(value: object) -> object:
    """A name without the invisible characters that come along from web pages; what is no name stays, to be shown."""
    shown = visible(value) if isinstance(value, str) else ""
    return shown if re.fullmatch(values.FIELD_NAME, shown) else value


FieldName = Annotated[str, BeforeValidator(_pasted), Field(strict=True, max_length=255, pattern=values.FIELD_NAME)]
ObjectName = Annotated[str, BeforeValidator(_pasted), Field(strict=True, max_length=255, pattern=values.OBJECT_NAME)]
Owner = Annotated[str, Field(strict=True, max_length=255, pattern=values.OWNER)]
Text = Annotated[str, AfterValidator(clean_text), Field(strict=True, min_length=1, max_length=255)]

Enabled = Annotated[
    StrictBool,
    Field(description="Whether the object is pulled. A section that isn't in the file is not enabled."),
    Takes("true or false"),
]
GsidOverride = Annotated[
    FieldName | None,
    Field(description="CRM account field with the GSID for this object alone, in place of common.gsid_field."),
    Takes(f"{_FIELD} of the CRM's account object, or null"),
]


class GainsightSettings(Section):
    """The tenant. GAINSIGHT_API_KEY, or GAINSIGHT_CLIENT_ID and GAINSIGHT_CLIENT_SECRET, hold its credential."""

    base_url: Annotated[
        str,
        Field(description="Address of the tenant: https, or http on a loopback address."),
        Takes("an address like https://your-tenant.gainsightcloud.com"),
    ]
    quota_share: Annotated[
        StrictFloat,
        Field(gt=0, le=1, description="Share of the tenant's API quota (100 calls a minute, 50,000 a day) to use."),
        Takes("a number above 0, up to 1"),
    ] = 0.8
    overlap_minutes: Annotated[
        StrictInt,
        Field(ge=0, le=1440, description="How far back before the last read a pull looks for rows that came late."),
        Takes("a whole number from 0 to 1440"),
    ] = 15

    @field_validator("base_url", mode="before")
    @classmethod
    def _address(cls, value: object) -> str:
        return values.base_url(value)


class AccountFields(Section):
    """CRM field for each account property, where it isn't the usual one."""

    domain: Annotated[
        FieldName | None,
        Field(description="Usual: Website (Salesforce), domain (HubSpot)."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    parent: Annotated[
        FieldName | None,
        Field(description="Usual: ParentId (Salesforce), hs_parent_company_id (HubSpot)."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    owner: Annotated[
        FieldName | None,
        Field(description="Usual: OwnerId (Salesforce), hubspot_owner_id (HubSpot)."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    arr: Annotated[
        FieldName | None,
        Field(description="Annual recurring revenue. There is no usual field: empty until set."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    renewal_date: Annotated[
        FieldName | None,
        Field(description="Date of the next renewal. There is no usual field: empty until set."),
        Takes(f"{_FIELD}, or null"),
    ] = None


class PrimaryCRMSettings(Section):
    """The CRM that owns the account record. Without this section every pull stays gated."""

    kind: Annotated[
        Literal["salesforce", "hubspot"],
        Field(description="Which CRM owns the accounts."),
        Takes("salesforce or hubspot"),
    ]
    fields: Annotated[
        AccountFields,
        Field(description="CRM fields that differ from the usual ones."),
        Takes("a mapping of CRM fields"),
    ] = AccountFields()

    @field_validator("kind", mode="before")
    @classmethod
    def _never_gainsight(cls, value: object) -> object:
        if isinstance(value, str) and value.strip().casefold() == "gainsight":
            raise ValueError(NOT_A_PRIMARY_CRM)
        return value


class CommonSettings(Section):
    """What holds for all objects."""

    gsid_field: Annotated[
        FieldName | None,
        Field(description="CRM account field with the GSID: the fallback where a record has no direct match."),
        Takes(f"{_FIELD} of the CRM's account object, or null"),
    ] = None
    owners: Annotated[
        tuple[Owner, ...],
        Field(description="Who owns the assets in Dagster: e-mail addresses, or teams like team:data."),
        Takes("a list of e-mail addresses or of teams like team:data"),
    ] = ()


class CompanySettings(Section):
    """Gainsight companies: attributes on top of the CRM's accounts."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    crm_id_field: Annotated[
        FieldName | None,
        Field(description="Company field with the CRM's account id; null: SfdcAccountId, if the tenant has it."),
        Takes(f"{_FIELD} of the company object, or null"),
    ] = None
    attributes: Annotated[
        Literal["all"] | tuple[FieldName, ...],
        Field(description="Company fields to keep: all that can be read, or a list."),
        Takes("all, or a list of company fields"),
    ] = "all"

    @field_validator("attributes", mode="before")
    @classmethod
    def _all_or_list(cls, value: object) -> object:
        # Checked before the union is tried: pydantic would report each of its branches.
        return value if value == "all" else values.field_names(value)


class ActivitySettings(Section):
    """Timeline entries."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    initial_lookback_days: Annotated[
        StrictInt | None,
        Field(ge=1, le=36_500, description="How far back the first read goes; null: everything."),
        Takes("a whole number from 1 to 36500, or null for everything"),
    ] = 30
    reporting_categories: Annotated[
        Mapping[Text, ActivityTypeName],
        Field(description="Activity type of each reporting category; compared without regard to case and blanks."),
        Takes("a mapping of categories to EMAIL, MEETING or TYPE_MANUAL"),
    ] = Field(default_factory=lambda: dict(DEFAULT_CATEGORIES))

    @field_validator("reporting_categories")
    @classmethod
    def _each_once(cls, value: Mapping[str, ActivityTypeName]) -> Mapping[str, ActivityTypeName]:
        values.each_once(value, category_key, "category", "compared without regard to case and blanks")
        return value


class SurveyObject(Section):
    """One Gainsight object with survey responses."""

    object: Annotated[ObjectName, Field(description="Gainsight object with the responses."), Takes(_OBJECT)]
    survey_type: Annotated[
        Text | None,
        Field(description="Pins the type (NPS, CSAT, …) of every response of this object."),
        Takes("a text such as NPS, or null"),
    ] = None
    company_field: Annotated[
        FieldName | None,
        Field(description="Field with the company's GSID; null: GsCompanyId, or the lookup on company."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    field_mappings: Annotated[
        Mapping[SurveyField, FieldName | None],
        Field(description="Our field → Gainsight field, where the detected one isn't right; null: there is none."),
        Takes(f"a mapping of {', '.join(get_args(SurveyField))} to Gainsight fields"),
    ] = Field(default_factory=dict)


class SurveysSettings(Section):
    """Survey responses, as activities."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    mode: Annotated[
        Literal["single", "multiple"],
        Field(description="single: one object holds all responses; multiple: an object per kind of survey."),
        Takes("single or multiple"),
    ] = "single"
    objects: Annotated[
        tuple[SurveyObject, ...],
        Field(min_length=1, description="The objects with responses; exactly one in single mode."),
        Takes("a list with at least one row like {object: survey_response}"),
    ] = (SurveyObject(object="survey_response"),)
    response_limit: Annotated[
        StrictInt,
        Field(ge=1, le=10_000_000, description="Records fetched per object and run."),
        Takes("a whole number from 1 to 10000000"),
    ] = 500
    lookback_days: Annotated[
        StrictInt,
        Field(ge=1, le=30, description="How far back to pull."),
        Takes("a whole number from 1 to 30"),
    ] = 30
    first_day: Annotated[
        date | None,
        Field(description="First day that can be backfilled; null: 2020-01-01."),
        Takes("a date like 2026-01-31, or null for 2020-01-01"),
    ] = None
    register_custom_fields: Annotated[
        StrictBool,
        Field(description="Register each field of the response object as an activity custom field, with its values."),
        Takes("true or false"),
    ] = False
    filter: Annotated[
        dict[str, Any] | None,
        Field(description="A Gainsight where-clause as an object; replaces the look-back filter."),
        Takes("a Gainsight where-clause as a mapping, or null"),
    ] = None

    @field_validator("objects")
    @classmethod
    def _names_unique(cls, rows: tuple[SurveyObject, ...]) -> tuple[SurveyObject, ...]:
        names = [row.object for row in rows]
        values.each_once(names, name_key, "survey object", "the object name of each row must be unique")
        backfills = {f"{name_key(name)}_by_day": name for name in names}
        for name in names:
            if other := backfills.get(name_key(name)):
                raise ValueError(
                    f"has {name}, which is the name of the backfill by day of {other}; give one of them up"
                )
        return rows

    @field_validator("first_day", mode="before")
    @classmethod
    def _a_day(cls, value: object) -> object:
        if isinstance(value, str):  # a date in quotes
            return values.day(value)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise ValueError

    @field_validator("filter")
    @classmethod
    def _is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ValueError("holds something that JSON can't: put dates and times in quotes") from None
        return clean_value(value)[0]  # type: ignore[no-any-return]

    @model_validator(mode="after")
    def _single_is_one(self) -> Self:
        if self.mode == "single" and len(self.objects) != 1:
            raise ValueError(
                f"objects has {len(self.objects)} rows; with mode single it takes exactly one: "
                "leave one row, or set mode to multiple"
            )
        return self


class AggregateSettings(Section):
    """How flat usage rows are grouped per account and read as metrics."""

    key: Annotated[
        FieldName, Field(description="Field by which rows are grouped and resolved to an account."), Takes(_FIELD)
    ]
    key_kind: Annotated[
        Literal["auto", "crm_id", "gsid", "domain"],
        Field(description="What the key holds: the CRM's account id, a GSID, the account's domain; auto: by its type."),
        Takes("auto, crm_id, gsid or domain"),
    ] = "auto"
    dimension_field: Annotated[
        FieldName | None, Field(description="Field that splits the metrics."), Takes(f"{_FIELD}, or null")
    ] = None
    metric_name_field: Annotated[FieldName, Field(description="Field with the metric's name."), Takes(_FIELD)]
    metric_value_field: Annotated[FieldName, Field(description="Field with the metric's value."), Takes(_FIELD)]
    additional_value_fields: Annotated[
        tuple[FieldName, ...],
        Field(description="Fields kept as secondary metrics."),
        Takes("a list of fields"),
    ] = ()


class ProductUsageSettings(Section):
    """Product usage, rolled up per account."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    object: Annotated[ObjectName, Field(description="Gainsight object with the usage rows."), Takes(_OBJECT)] = (
        "product_usage__gc"
    )
    product_name: Annotated[
        Text,
        Field(description="The product that these metrics roll up under."),
        Takes("a text of at most 255 characters"),
    ] = "product usage"
    company_field: Annotated[
        FieldName | None,
        Field(description="Field with the company's GSID; null: GsCompanyId, or the lookup on company."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    observed_at_field: Annotated[
        FieldName | None,
        Field(description="Field with the time of the observation; null: found in the schema."),
        Takes(f"{_FIELD}, or null"),
    ] = None
    aggregate: Annotated[
        AggregateSettings | None,
        Field(description="For flat rows that are grouped by a key; null: each numeric field is a metric."),
        Takes("a mapping with key, metric_name_field and metric_value_field, or null"),
    ] = None


def _cron(what: str) -> Any:
    return Field(description=f"Cron expression for {what}; null: the documented cadence.")


Cron = Takes("a cron expression of five fields like '0 */4 * * *', or null")


class SchedulesSettings(Section):
    """When the pulls run by themselves. The documented cadences hold where nothing is set."""

    timezone: Annotated[
        str,
        Field(strict=True, description="IANA time zone of all schedules."),
        Takes("an IANA time zone such as UTC or Europe/Berlin"),
    ] = "UTC"
    company: Annotated[str | None, _cron("company"), Cron] = None
    activity: Annotated[str | None, _cron("activity"), Cron] = None
    surveys: Annotated[str | None, _cron("every survey object"), Cron] = None
    product_usage: Annotated[str | None, _cron("product_usage"), Cron] = None

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        return values.timezone(value)

    @field_validator("company", "activity", "surveys", "product_usage")
    @classmethod
    def _cron_expression(cls, value: str | None) -> str | None:
        return None if value is None else values.cron(value)


SECTIONS: Mapping[str, type[Section]] = {
    "gainsight": GainsightSettings,
    "primary_crm": PrimaryCRMSettings,
    "common": CommonSettings,
    "company": CompanySettings,
    "activity": ActivitySettings,
    "surveys": SurveysSettings,
    "product_usage": ProductUsageSettings,
    "schedules": SchedulesSettings,
}
"""The sections of the file, in the order in which they are documented."""
