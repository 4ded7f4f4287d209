"""Suggestions: the name that is most likely right for a setting, and names that are never suggested."""

from __future__ import annotations

import pytest

from gainsight_pipelines.crm.protocol import AccountField
from gainsight_pipelines.discovery import suggestions
from gainsight_pipelines.gainsight.metadata import Field, ObjectInfo, ObjectSchema


def account_fields(*triples: tuple[str, str, str]) -> list[AccountField]:
    return [AccountField(*triple) for triple in triples]


def schema(*fields: Field) -> ObjectSchema:
    return ObjectSchema("thing__gc", "Thing", {one.name: one for one in fields})


def test_gsid_fields_by_name_and_label_of_fitting_type() -> None:
    fields = account_fields(
        ("JBCXM__Customer__c", "Gainsight Customer", "reference"),
        ("Ext_Id__c", "Gainsight ID", "string"),
        ("GSID_Date__c", "GSID set on", "date"),
        ("GS__c", "GSID", "string"),
    )
    assert suggestions.gsid_fields(fields) == ["GS__c", "Ext_Id__c"]


def test_arr_is_never_the_accounts_own_annual_revenue() -> None:
    fields = account_fields(
        ("AnnualRevenue", "Annual Revenue", "currency"),
        ("Carrier__c", "Carrier", "currency"),
        ("ARR_Text__c", "ARR as text", "string"),
        ("ARR__c", "ARR", "currency"),
        ("annual_recurring_revenue", "Annual recurring revenue", "number"),
    )
    assert suggestions.arr_fields(fields) == ["ARR__c", "annual_recurring_revenue"]


def test_renewal_dates_are_future_ones() -> None:
    fields = account_fields(
        ("Last_Renewal_Date__c", "Last Renewal Date", "date"),
        ("Contract_Renewal__c", "Contract Renewal", "date"),
        ("Renewal_Date__c", "Renewal Date", "date"),
        ("Renewal_Risk__c", "Renewal Risk", "string"),
    )
    assert suggestions.renewal_date_fields(fields) == ["Renewal_Date__c", "Contract_Renewal__c"]


def test_a_company_field_is_suggested_only_if_the_usual_one_is_missing() -> None:
    usual = Field("SfdcAccountId", "SFDC Account Id", "SFDCID")
    other = Field("Account__gc", "Account", "SFDCID")
    hubspot = Field("HubSpot_Company_ID__gc", "HubSpot Company ID", "STRING")
    assert suggestions.crm_id_fields(schema(usual, other, hubspot), "salesforce") == []
    assert suggestions.crm_id_fields(schema(other, hubspot), "salesforce") == ["Account__gc"]
    assert suggestions.crm_id_fields(schema(usual, other, hubspot), "hubspot") == ["HubSpot_Company_ID__gc"]


def test_survey_objects_are_those_that_hold_responses() -> None:
    names = ("nps_survey__gc", "survey_question__gc", "survey_participant", "csat__gc", "company")
    custom = [ObjectInfo(name, name, "CUSTOM") for name in names]
    assert suggestions.survey_objects(custom) == ["nps_survey__gc", "csat__gc"]
    assert suggestions.survey_objects([*custom, ObjectInfo("survey_response", "x", "STANDARD")]) == ["survey_response"]
    hidden = ObjectInfo("survey_response", "x", "STANDARD", is_readable=False)
    assert suggestions.survey_objects([*custom, hidden]) == ["nps_survey__gc", "csat__gc"]


def test_usage_objects_are_custom_ones() -> None:
    objects = [
        ObjectInfo("usage_weekly_by_team__gc", "Usage", "CUSTOM"),
        ObjectInfo("product_usage__gc", "Product Usage", "CUSTOM"),
        ObjectInfo("usage_log", "Usage log", "SYSTEM"),
    ]
    assert suggestions.usage_objects(objects) == ["product_usage__gc", "usage_weekly_by_team__gc"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Field("Company__gc", "Company", "LOOKUP", is_lookup=True, lookup_object="company"), ("Company__gc", "gsid")),
        (Field("AccountId", "Account", "SFDCID"), ("AccountId", "auto")),
    ],
)
def test_flat_usage_rows_are_recognised(key: Field, expected: tuple[str, str]) -> None:
    found = suggestions.aggregate(
        schema(key, Field("Metric_Name__gc", "Metric", "STRING"), Field("Metric_Value__gc", "Value", "NUMBER"))
    )
    assert found is not None
    assert (found["key"], found["key_kind"]) == expected
    assert (found["metric_name_field"], found["metric_value_field"]) == ("Metric_Name__gc", "Metric_Value__gc")
    assert found["dimension_field"] is None


def test_wide_usage_rows_have_no_aggregate() -> None:
    assert (
        suggestions.aggregate(schema(Field("AccountId", "Account", "SFDCID"), Field("Logins__gc", "x", "NUMBER")))
        is None
    )


def test_observation_dates_come_first() -> None:
    fields = [Field("Created__gc", "x", "DATE"), Field("Week_Timestamp__gc", "x", "DATETIME")]
    assert suggestions.observed_at_fields(schema(*fields)) == ["Week_Timestamp__gc", "Created__gc"]
