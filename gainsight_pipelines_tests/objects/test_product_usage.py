"""Usage objects: kinds of account keys, date fields, and ids of rows without a GSID."""

from __future__ import annotations

from typing import Any

import pytest

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field
from gainsight_pipelines.objects.fields import BadRecord
from gainsight_pipelines.objects.product_usage import ProductUsagePull, ProductUsageSettings, UsageMapper
from gainsight_pipelines_tests.objects.schemas import lookup, picklist, plain, schema_of

SYSTEM = (plain("Gsid", "GSID"), plain("ModifiedDate", "DATETIME"))
FLAT = (plain("Metric"), plain("Amount", "NUMBER"), plain("Day", "DATE"))


def mapper(*fields: Field, **settings: Any) -> UsageMapper:
    return ProductUsagePull(ProductUsageSettings(object="usage__gc", **settings)).mapper(
        schema_of("usage__gc", *fields), "SfdcAccountId"
    )


def flat(*fields: Field, key: str, **more: Any) -> UsageMapper:
    aggregate = {"key": key, "metric_name_field": "Metric", "metric_value_field": "Amount", **more}
    return mapper(*fields, *FLAT, aggregate=aggregate)


def value(row: tuple[Any, ...], column: str) -> Any:
    return getattr(row, column)


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (plain("Anything", "SFDCID"), "crm_id"),
        (plain("HubSpot_Company_ID__gc"), "crm_id"),
        (plain("Account_Domain__gc"), "domain"),
        (plain("Site", "URL"), "domain"),
        (lookup("Company__gc", "company"), None),
        (lookup("AccountId__gc", "company"), None),
        (plain("GsCompanyId"), None),
    ],
)
def test_the_kind_of_a_key_is_detected(field: Field, kind: str | None) -> None:
    found = flat(*SYSTEM, field, key=field.name).company
    assert found.key_kind == kind
    assert (found.gsid == field.name) == (kind is None)


def test_an_undecidable_kind_of_key_must_be_set() -> None:
    with pytest.raises(SettingsError, match="crm_id, gsid or domain"):
        flat(*SYSTEM, plain("Key__gc"), key="Key__gc")
    assert flat(*SYSTEM, plain("Key__gc"), key="Key__gc", key_kind="domain").company.key_kind == "domain"


def test_rows_without_gsid_are_identified_by_their_content() -> None:
    pulls = flat(plain("AccountId", "SFDCID"), plain("Area"), key="AccountId", dimension_field="Area")
    assert pulls.cursor_field is None
    record = {"AccountId": "001", "Metric": "Logins", "Amount": 1, "Day": "2026-01-31", "Area": "EU"}
    first = pulls.map(record).rows[0]
    changed = pulls.map({**record, "Amount": 2}).rows[0]
    assert value(first, "record_id") == value(changed, "record_id")
    for other in ({"AccountId": "002"}, {"Day": "2026-02-01"}, {"Area": "US"}):
        assert value(pulls.map({**record, **other}).rows[0], "record_id") != value(first, "record_id")


def test_a_flat_row_without_metric_is_rejected() -> None:
    pulls = flat(*SYSTEM, plain("AccountId", "SFDCID"), key="AccountId")
    for metric in (" ", "\u200b", None):
        with pytest.raises(BadRecord, match="Metric is blank"):
            pulls.map({"Gsid": "g", "AccountId": "1", "Metric": metric, "Amount": 1})


def test_ids_and_lookups_give_their_names() -> None:
    pulls = mapper(
        *SYSTEM,
        plain("AccountId", "SFDCID"),
        picklist("Kind", i1="Logins"),
        lookup("Area", "area__gc"),
        plain("Amount", "NUMBER"),
        aggregate={
            "key": "AccountId",
            "metric_name_field": "Kind",
            "metric_value_field": "Amount",
            "dimension_field": "Area",
        },
    )
    assert "Area__gr.Name" in pulls.select
    (row,) = pulls.map({"Gsid": "g", "AccountId": "1", "Kind": "i1", "Area__gr.Name": "North", "Amount": 1}).rows
    assert (value(row, "metric"), value(row, "dimension")) == ("Logins", "North")


def test_a_rows_own_key_is_kept_beside_the_company() -> None:
    company = flat(*SYSTEM, plain("AccountId", "SFDCID"), lookup("Customer", "company"), key="AccountId").company
    assert (company.gsid, company.crm_id, company.key_kind) == ("Customer", "AccountId", "crm_id")


def test_several_dates_are_an_error() -> None:
    dates = (plain("Opened", "DATE"), plain("Closed", "DATE"))
    with pytest.raises(SettingsError, match="observed_at_field"):
        mapper(*SYSTEM, *dates, lookup("GsCompanyId", "company"), plain("A", "NUMBER"))
    chosen = mapper(*SYSTEM, *dates, lookup("GsCompanyId", "company"), plain("A", "NUMBER"), observed_at_field="Closed")
    assert chosen.details()["observed_at_field"] == "Closed"


def test_an_object_without_a_number_holds_no_metric() -> None:
    with pytest.raises(SettingsError, match="no numeric field"):
        mapper(*SYSTEM, lookup("GsCompanyId", "company"), plain("Text"))
