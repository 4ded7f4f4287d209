"""The sections of the settings file that belong to no object, and the list of all sections.

Sections of objects are defined with the object, in `objects/`. This module reads no file, and secrets have no place in
it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    create_model,
    field_validator,
    model_validator,
)

from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.objects.section import FIELD_WORDS, FieldName, ObjectName, Section, Takes, each_once
from gainsight_pipelines.settings import validators
from gainsight_pipelines.text import name_key

ALERTS_VARIABLE = "GAINSIGHT_PIPELINES_ALERTS_URLS"
"""Where messages are sent: apprise URLs, which contain secrets."""

NOT_A_PRIMARY_CRM = (
    "can't be gainsight: the account record (domain, parent, ARR, renewal date, owner) must be owned "
    "by Salesforce or HubSpot, and Gainsight only adds its own data to existing accounts. "
    "It takes salesforce or hubspot"
)


Owner = Annotated[str, Field(strict=True, max_length=255, pattern=validators.OWNER)]


class GainsightSettings(Section):
    """The tenant. Its credentials are in GAINSIGHT_API_KEY, or GAINSIGHT_CLIENT_ID and GAINSIGHT_CLIENT_SECRET."""

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
        return validators.base_url(value)


CheckName = Literal["match_rate", "response_limit", "schema_drift", "unmapped_categories", "unreadable_values"]
"""The checks that can raise an alert."""

ALL_CHECKS: tuple[CheckName, ...] = get_args(CheckName)
CHECKS = Takes(f"a list of {', '.join(ALL_CHECKS[:-1])} and {ALL_CHECKS[-1]}; []: off")
RUNS = Takes("a whole number from 0 to 20; 0: off")
TURNS = Takes("a number from 1 to 100, or 0: off")

AS_ABOVE = "Replaces the setting of the same name for this object; null: not different."


def _or_null(takes: Takes) -> Takes:
    return Takes(f"{takes.text}; or null")


def _turns(value: float) -> float:
    if value and not 1 <= value <= 100:
        raise ValueError
    return value


RunCount = Annotated[StrictInt, Field(ge=0, le=20)]
Turns = Annotated[StrictFloat, AfterValidator(_turns)]


class ObjectAlerts(Section):
    """Alerts of one object, where they differ from the others'."""

    object: Annotated[
        ObjectName,
        Field(description="The pull as named by `status`, or a section of the settings."),
        Takes("the name of a pull, such as activity or survey_survey_response, or of a section"),
    ]
    enabled: Annotated[StrictBool, Field(description="Whether this object has alerts."), Takes("true or false")] = True
    failed_runs: Annotated[RunCount | None, Field(description=AS_ABOVE), _or_null(RUNS)] = None
    late_turns: Annotated[Turns | None, Field(description=AS_ABOVE), _or_null(TURNS)] = None
    checks: Annotated[tuple[CheckName, ...] | None, Field(description=AS_ABOVE), _or_null(CHECKS)] = None
    warned_runs: Annotated[RunCount | None, Field(description=AS_ABOVE), _or_null(RUNS)] = None
    rejected: Annotated[StrictBool | None, Field(description=AS_ABOVE), Takes("true or false, or null")] = None


class AlertSettings(Section):
    """Messages when a problem starts and when it is over, sent to GAINSIGHT_PIPELINES_ALERTS_URLS."""

    enabled: Annotated[StrictBool, Field(description="Whether there are any alerts."), Takes("true or false")] = True
    failed_runs: Annotated[
        RunCount,
        Field(description="Failed pulls in a row. A failure that a retry can't fix counts at once."),
        RUNS,
    ] = 2
    late_turns: Annotated[
        Turns, Field(description="No completed pull for this multiple of the longest interval between runs."), TURNS
    ] = 1.25
    gate_minutes: Annotated[
        StrictInt,
        Field(ge=0, le=10_080, description="Minutes for which the primary CRM has been unavailable."),
        Takes("a whole number from 0 to 10,080; 0: off"),
    ] = 15
    rejected_key: Annotated[
        StrictBool, Field(description="A key, token or password was rejected: at once."), Takes("true or false")
    ] = True
    rejected: Annotated[StrictBool, Field(description="Records could not be stored."), Takes("true or false")] = True
    checks: Annotated[
        tuple[CheckName, ...],
        Field(description="The checks to report, once they have warned for `warned_runs`."),
        CHECKS,
    ] = ALL_CHECKS
    warned_runs: Annotated[RunCount, Field(description="Runs in a row for which a check has warned."), RUNS] = 2
    dagster_url: Annotated[
        str | None,
        Field(description="Address of the Dagster UI, for a link to the run in each message."),
        Takes("an address like https://dagster.example.com, or null"),
    ] = None
    objects: Annotated[
        tuple[ObjectAlerts, ...],
        Field(description="Objects whose alerts differ."),
        Takes("a list of rows with an object and its differing settings"),
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_targets(cls, value: Any) -> Any:
        for name in ("url", "urls", "target", "targets") if isinstance(value, dict) else ():
            if name in value:
                raise ValueError(f"{name} doesn't belong here: targets contain secrets. Set {ALERTS_VARIABLE} in .env")
        return value

    @field_validator("dagster_url", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        return value if value is None else validators.ui_url(value)

    @field_validator("objects")
    @classmethod
    def _each_object_once(cls, value: tuple[ObjectAlerts, ...]) -> tuple[ObjectAlerts, ...]:
        each_once([row.object for row in value], name_key, "object")
        return value


class AccountFields(Section):
    """The CRM field of each account property, where it isn't the usual one."""

    domain: Annotated[
        FieldName | None,
        Field(description="Usual: Website (Salesforce), domain (HubSpot)."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    parent: Annotated[
        FieldName | None,
        Field(description="Usual: ParentId (Salesforce), hs_parent_company_id (HubSpot)."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    owner: Annotated[
        FieldName | None,
        Field(description="Usual: OwnerId (Salesforce), hubspot_owner_id (HubSpot)."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    arr: Annotated[
        FieldName | None,
        Field(description="Annual recurring revenue. There is no usual field: empty until set."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    renewal_date: Annotated[
        FieldName | None,
        Field(description="Date of the next renewal. There is no usual field: empty until set."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None


class PrimaryCRMSettings(Section):
    """The CRM that owns the accounts. Without this section, nothing is pulled."""

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
    """Settings for all objects."""

    gsid_field: Annotated[
        FieldName | None,
        Field(description="CRM account field with the GSID: used if a record has no direct match."),
        Takes(f"{FIELD_WORDS} of the CRM's account object, or null"),
    ] = None
    owners: Annotated[
        tuple[Owner, ...],
        Field(description="Who owns the assets in Dagster: email addresses, or teams like team:data."),
        Takes("a list of email addresses or of teams like team:data"),
    ] = ()


CRONS = Takes("a mapping of objects to cron expressions of five fields")
CRON = Takes("a cron expression of five fields like '0 */4 * * *', or null")


class Schedules(Section):
    """When the pulls run automatically. The documented cadences apply by default."""

    timezone: Annotated[
        str,
        Field(strict=True, description="IANA time zone of all schedules."),
        Takes("an IANA time zone such as UTC or Europe/Berlin"),
    ] = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return validators.timezone(value)

    @field_validator(*DEFINITIONS, check_fields=False)
    @classmethod
    def _cron_expression(cls, value: str | Mapping[str, str | None] | None) -> str | Mapping[str, str | None] | None:
        for each in value.values() if isinstance(value, Mapping) else (value,):
            if each is not None:
                validators.cron(each)
        return value

    def cron_of(self, section: str, name: str) -> str | None:
        """The cron expression set for a pull; None: the documented cadence applies."""
        found = getattr(self, section)
        if isinstance(found, Mapping):
            found = next((cron for each, cron in found.items() if name_key(each) == name), None)
        return found  # type: ignore[no-any-return]


def _cron_of(name: str) -> Any:
    if DEFINITIONS[name].is_each_scheduled:
        what = f"Cron expressions for {name}, by object name; otherwise the documented cadence."
        return (Annotated[Mapping[ObjectName, str | None], Field(description=what), CRONS], Field(default_factory=dict))
    every = "every object of" if DEFINITIONS[name].rows else ""
    what = " ".join(f"Cron expression for {every} {name}; null: the documented cadence.".split())
    return (Annotated[str | None, Field(description=what), CRON], None)


SchedulesSettings: type[Schedules] = create_model(
    "SchedulesSettings",
    __base__=Schedules,
    __doc__=Schedules.__doc__,
    **{name: _cron_of(name) for name in DEFINITIONS},
)

with warnings.catch_warnings():
    # pydantic 1 had a method of that name; nothing calls it on a section.
    warnings.filterwarnings("ignore", 'Field name "schema"')

    class StoreSettings(Section):
        """Where in the database the tables are. GAINSIGHT_PIPELINES_DATABASE_URL names the database."""

        schema: Annotated[
            str,
            AfterValidator(validators.schema),
            Field(
                strict=True,
                pattern=validators.SCHEMA_NAME,
                description="Schema of the tables. Each tenant has its own; several can share a database.",
            ),
            Takes(validators.SCHEMA_WORDS),
        ] = "gainsight"  # type: ignore[assignment]


AGE = Field(ge=8, le=36_500)


class RetentionSettings(Section):
    """What is purged automatically once it is old: the tenant's Dagster runs with their events, and their records.

    Pulled data are never purged.
    """

    enabled: Annotated[
        StrictBool, Field(description="Whether anything is purged automatically."), Takes("true or false")
    ] = False
    runs_days: Annotated[
        StrictInt,
        AGE,
        Field(description="Runs and their rows in `sync_run` stay for so many days; the last successful ones stay."),
        Takes("a whole number of days from 8 to 36,500"),
    ] = 90
    rejected_days: Annotated[
        Annotated[StrictInt, AGE] | None,
        Field(description="Records in `rejected_record` stay for so many days after they were last seen."),
        Takes("a whole number of days from 8 to 36,500, or null"),
    ] = None
    cron: Annotated[
        str,
        AfterValidator(validators.cron),
        Field(strict=True, description="When, in the time zone of `schedules`."),
        Takes("a cron expression of five fields like '40 3 * * *'"),
    ] = "40 3 * * *"
    dry_run: Annotated[
        StrictBool, Field(description="Only count what would go; each run says it."), Takes("true or false")
    ] = False


ContractMode = Literal["evolve", "freeze", "discard_row", "discard_value"]
"""dlt's words for what becomes of a change of the schema."""


class SchemaContract(Section):
    """What becomes of each kind of change, where it isn't the same for all."""

    tables: Annotated[
        ContractMode,
        Field(description="Tables that aren't there yet."),
        Takes("evolve, freeze, discard_row or discard_value"),
    ] = "evolve"
    columns: Annotated[
        ContractMode,
        Field(description="Columns that aren't there yet."),
        Takes("evolve, freeze, discard_row or discard_value"),
    ] = "evolve"
    data_type: Annotated[
        ContractMode,
        Field(description="Columns of another type."),
        Takes("evolve, freeze, discard_row or discard_value"),
    ] = "evolve"


class DeliverySettings(Section):
    """The warehouse that `deliver` copies tables to. dlt finds its credentials; they are never here."""

    destination: Annotated[
        str,
        Field(strict=True, pattern=r"[a-z][a-z_]*", description="Its name in dlt: duckdb, postgres, snowflake, …"),
        Takes("the name of a dlt destination, like snowflake"),
    ]
    dataset: Annotated[
        str,
        Field(strict=True, pattern=r"[A-Za-z][A-Za-z0-9_]*", description="Schema, or folder, of the tables there."),
        Takes("a name of letters, digits and _"),
    ] = "gainsight"
    tables: Annotated[
        tuple[str, ...] | None,
        Field(description="Tables and views; null: the accounts, the data tables and the typed views."),
        Takes("a list of tables and views, or null"),
    ] = None
    schema_contract: Annotated[
        ContractMode | SchemaContract,
        Field(
            description="What becomes of new tables, new columns and other types, in dlt's words: evolve, freeze,"
            " discard_row or discard_value; for all, or for each of tables, columns and data_type."
        ),
        Takes("evolve, freeze, discard_row or discard_value, or a mapping of tables, columns and data_type to these"),
    ] = "evolve"

    @property
    def contract(self) -> dict[str, str]:
        """The contract, by kind of change."""
        found = self.schema_contract
        return dict.fromkeys(SchemaContract.model_fields, found) if isinstance(found, str) else found.model_dump()


SECTIONS: Mapping[str, type[Section]] = {
    "gainsight": GainsightSettings,
    "primary_crm": PrimaryCRMSettings,
    "common": CommonSettings,
    **{name: definition.model for name, definition in DEFINITIONS.items()},
    "schedules": SchedulesSettings,
    "store": StoreSettings,
    "alerts": AlertSettings,
    "retention": RetentionSettings,
    "delivery": DeliverySettings,
}
"""The sections of the file, in documentation order."""
