"""This project's pulls for the bench: settings for its server, and the fields that each pull selects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from bench import data
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.protocol import Account, AccountField, AccountPage, CRMKind
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.gainsight.metadata import object_schema
from gainsight_pipelines.gainsight.pages import Columns
from gainsight_pipelines.gainsight.read_plan import ReadPlan
from gainsight_pipelines.settings import Settings, parse_settings
from gainsight_pipelines.settings.pulls import find_pull

OBJECTS = {
    "activity": "activity_timeline",
    "company": "company",
    "survey_survey_response": "survey_response",
    "product_usage": "product_usage__gc",
    "call_to_action": "call_to_action",
}
"""The Gainsight object of each pull."""

SETTINGS = """
gainsight: {{base_url: "{url}"}}
primary_crm: {{kind: salesforce}}
common: {{gsid_field: Gainsight_GSID__c}}
company: {{}}
activity: {{initial_lookback_days: null}}
surveys: {{response_limit: 10000000, lookback_days: 30, objects: [{{object: survey_response}}]}}
product_usage:
  object: product_usage__gc
  aggregate: {{key: GsCompanyId, metric_name_field: MetricName__gc, metric_value_field: MetricValue__gc,
              dimension_field: Dimension__gc}}
objects: [{{object: call_to_action}}]
"""


def settings(url: str) -> Settings:
    """All objects, without limits of age or number."""
    found = parse_settings(SETTINGS.format(url=url))
    assert not found.file_error, found.file_error
    assert not found.errors, found.errors
    return found


def selection(pull_name: str) -> list[str]:
    """The fields that a pull requests, including those that the reader needs for its checks."""
    pull = find_pull(settings("http://127.0.0.1"), pull_name)
    schema = object_schema([data.describe(pull.gainsight_object)], pull.gainsight_object)
    assert schema is not None
    mapper = pull.mapper(schema, "SfdcAccountId")
    window = mapper.window(SystemClock().now(), None)
    plan = ReadPlan(pull.gainsight_object, mapper.select, mapper.cursor_field, filters=window.filters)
    return list(Columns(plan).select)


class StubCRM:
    """A primary CRM with generated accounts, since the CRM is not measured here."""

    kind: CRMKind = "salesforce"
    sweep_every = timedelta(days=7)
    calls = 0

    def organisation(self) -> str:
        return "00D000000000001"

    def probe(self) -> int:
        return data.ACCOUNTS

    def changed_accounts(self, since: object) -> Iterator[AccountPage]:
        if since is None:
            yield AccountPage(accounts(), data.now_utc())

    def live_accounts(self) -> Iterator[AccountPage]:
        yield AccountPage(accounts(), None)

    def count_accounts(self) -> int:
        return data.ACCOUNTS

    def fields_read(self) -> list[str]:
        return []

    def account_fields(self) -> list[AccountField]:
        return []

    def missing_gsid_fields(self) -> dict[str, SettingsError]:
        return {}

    def close(self) -> None:
        """Holds nothing open."""


def accounts() -> tuple[Account, ...]:
    """The accounts of the first companies. If Gainsight lacks a CRM id, the account has the company's GSID."""
    return tuple(
        Account(
            data.account_id(number),
            name=f"Account {number}",
            gsids={"Gainsight_GSID__c": data.gsid("company", number)} if number < data.WITHOUT_CRM_ID else {},
        )
        for number in range(data.ACCOUNTS)
    )


client = partial(GainsightClient, credential=AccessKey("bench"), clock=SystemClock())
"""A client without our limit of calls per minute, which would slow down pulls of more than 400,000 records."""
