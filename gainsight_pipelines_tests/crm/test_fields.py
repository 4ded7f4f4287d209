from __future__ import annotations

import pytest

from gainsight_pipelines.crm.fields import AccountFieldMap, LiveFields, live_fields
from gainsight_pipelines.crm.protocol import AccountField
from gainsight_pipelines.errors import SettingsError

SCHEMA = [
    AccountField("Website", "Website", "url"),
    AccountField("OwnerId", "Owner ID", "reference"),
    AccountField("Annual_Recurring_Revenue__c", "ARR", "currency"),
    AccountField("Gainsight_GSID__c", "Gainsight GSID", "string"),
]
USUAL = AccountFieldMap(domain="Website", parent="ParentId", owner="OwnerId")


def test_hidden_usual_fields_are_left_out_and_configured_ones_get_the_crms_spelling() -> None:
    wanted = AccountFieldMap(arr="annual_recurring_revenue__c")
    found = live_fields(wanted, USUAL, [" gainsight_gsid__C "], SCHEMA, "Account")
    assert found == LiveFields(
        domain="Website",
        parent=None,
        owner="OwnerId",
        arr="Annual_Recurring_Revenue__c",
        renewal_date=None,
        gsids={" gainsight_gsid__C ": "Gainsight_GSID__c"},
    )
    assert found.names() == ["Website", "OwnerId", "Annual_Recurring_Revenue__c", "Gainsight_GSID__c"]


def test_every_missing_field_is_named_with_its_setting() -> None:
    wanted = AccountFieldMap(domain="Web_site", arr="ARR", renewal_date="zzz")
    with pytest.raises(SettingsError) as caught:
        live_fields(wanted, USUAL, [], SCHEMA, "Salesforce's Account")
    message = caught.value.message
    assert "primary_crm.fields.domain: Salesforce's Account has no field 'Web_site' (did you mean Website?)" in message
    assert "primary_crm.fields.arr: Salesforce's Account has no field 'ARR' (did you mean Annual_Recurring" in message
    assert "primary_crm.fields.renewal_date: Salesforce's Account has no field 'zzz'." in message


def test_a_missing_gsid_field_stops_only_pulls_that_use_it() -> None:
    gsids = {"Gainsight_GSID": "surveys.gsid_field", "gainsight_gsid__c": "common.gsid_field"}
    found = live_fields(AccountFieldMap(), USUAL, gsids, SCHEMA, "Salesforce's Account")
    assert found.gsid("gainsight_gsid__c") == "Gainsight_GSID__c"
    assert "Gainsight_GSID" not in found.names()
    with pytest.raises(SettingsError) as caught:
        found.gsid("Gainsight_GSID")
    assert caught.value.message == (
        "surveys.gsid_field: Salesforce's Account has no field 'Gainsight_GSID' (did you mean Gainsight_GSID__c?)."
    )
