"""Previews: counts, records as they would be stored, and the accounts that they would be matched to (W4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gainsight_pipelines.discovery.accounts import find_links, keys_of
from gainsight_pipelines.discovery.preview import count_matches, crm_id_field, preview
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.query import Query
from gainsight_pipelines.objects.pull import CompanyFields
from gainsight_pipelines_tests.discovery.finding import Finding, finding_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox

HIGH_SCORES = {
    "conditions": [{"name": "NPSScore", "alias": "A", "value": [9], "operator": "GTE"}],
    "expression": "A",
}


@pytest.fixture
def finding(small_sandbox: RunningSandbox, tmp_path: Path) -> Iterator[Finding]:
    with finding_on(small_sandbox, tmp_path) as found:
        yield found


def accounts_by_number(sandbox: RunningSandbox, kind: str) -> dict[int, str]:
    return {each["key"]: account_id for account_id, each in sandbox.truth()["accounts"][kind].items()}


@pytest.mark.parametrize("kind", ["salesforce", "hubspot"])
def test_every_company_matches_as_in_a_pull(small_sandbox: RunningSandbox, tmp_path: Path, kind: str) -> None:
    """Deleted and merged accounts, ids of 15 characters and ambiguous GSIDs, all with few CRM calls."""
    with finding_on(small_sandbox, tmp_path, kind) as finding:
        field = crm_id_field(finding.catalog, finding.settings)
        assert field is not None
        gsid_field = finding.settings.common.gsid_field
        with (
            closing(finding.connections.gainsight()) as client,
            closing(finding.connections.crm(gsid_field)) as crm,
        ):
            records = client.query("company", Query(("Gsid", field))).records
            schema = finding.catalog.fields("company").schema
            keys = keys_of(records, CompanyFields("Gsid", field), field, client, lambda: schema)
            found = find_links(crm, gsid_field, keys)
            # Only a pull, which reads all accounts, finds a GSID with surrounding blanks.
            values = [str(one[gsid_field] or "") for one in crm.sample_accounts(200)]
        blank = {value.strip() for value in values if value != value.strip()}
        assert len(blank) < 5
        truth, numbers = small_sandbox.truth()["records"]["company"], accounts_by_number(small_sandbox, kind)
        for record, link in zip(records, found.links, strict=True):
            expected = truth[record["Gsid"]]
            account = expected["account"]
            if record["Gsid"] in blank:
                continue
            assert link.account_id == (None if account is None else numbers[account]), record
            assert link.reason == expected["reason"]
            assert link.method == expected["method"][kind]
        assert finding.gainsight_calls()["query"] == 1


def test_previews_surveys_with_their_field_mappings(finding: Finding) -> None:
    """Requirement W4: the number of records that a filter matches, and samples."""
    found = preview(finding.catalog, "survey_survey_response", document=HIGH_SCORES, size=50)
    assert (found.object_name, found.pull, found.filter) == ("survey_response", "survey_survey_response", HIGH_SCORES)
    assert found.count.is_exact and found.count.count == len(found.records) > 0
    truth, numbers = finding.sandbox.truth()["records"], accounts_by_number(finding.sandbox, "salesforce")
    for record in found.records:
        (row,) = record.rows
        assert record.raw["NPSScore"] >= 9
        assert (row["nps_group"], row["activity_id"]) == ("promoter", record.raw["Gsid"])
        assert record.link is not None
        account = truth["survey_response"][record.raw["Gsid"]]["account"]
        assert record.link.account_id == (None if account is None else numbers[account])
        assert (record.account_name is None) == (account is None)


def test_a_preview_uses_the_pulls_own_window(finding: Finding) -> None:
    found = preview(finding.catalog, "survey_survey_response")
    assert found.since is not None and found.filter is not None
    assert found.filter["conditions"][0]["name"] == "RespondedDate"
    assert 0 < found.count.count < len(finding.sandbox.truth()["records"]["survey_response"])
    whole = preview(finding.catalog, "activity", size=1)
    assert (whole.count.count, whole.count.is_exact, whole.filter) == (300, True, None)


def test_usage_makes_several_rows_of_one_record(finding: Finding) -> None:
    finding.content["product_usage"] |= {"object": "product_usage_wide__gc", "aggregate": None}
    found = preview(finding.catalog, "product_usage", size=2)
    assert all(2 <= len(record.rows) <= 5 for record in found.records)


def test_rows_have_the_types_that_a_downstream_asset_gets(finding: Finding) -> None:
    found = preview(finding.catalog, "company", size=3)
    frame = found.frame()
    assert list(frame.index) == [0, 1, 2]
    assert list(frame["gsid"]) == [record.raw["Gsid"] for record in found.records]
    assert (str(frame.dtypes["gsid"]), str(frame.dtypes["modified_at"])) == ("string", "datetime64[us, UTC]")
    assert {f"attributes.{name}" for name in found.records[0].rows[0]["attributes"]} <= set(frame.columns)
    assert preview(finding.catalog, "gsuser", size=1).frame().empty


def test_an_object_without_a_pull_is_shown_raw(finding: Finding) -> None:
    found = preview(finding.catalog, "gsuser", size=2)
    assert found.pull is None
    assert len(found.records) == 2
    assert all(record.raw["Email"] and not record.rows for record in found.records)


def test_without_a_crm_a_note_replaces_the_accounts(finding: Finding) -> None:
    finding.sandbox.switch(crm_down=True)
    found = preview(finding.catalog, "company", size=2)
    assert all(record.rows and record.link is None for record in found.records)
    assert "Salesforce" in found.notes[0]


def test_capped_pages_give_no_exact_count(finding: Finding) -> None:
    schema = finding.catalog.fields("activity_timeline").schema
    with closing(finding.connections.gainsight()) as client:
        assert str(count_matches(client, schema)) == "300"
        finding.sandbox.switch(page_cap=120)
        assert str(count_matches(client, schema)) == "at least 120"


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ([], "--filter is a list"),
        ({"conditions": []}, "at least one condition"),
        (
            {"conditions": [{"name": "NPSScor", "alias": "A", "value": [1], "operator": "EQ"}]},
            r"conditions\[0\]\.name.*Did you mean NPSScore",
        ),
        (
            {"conditions": [{"name": "NPSScore", "alias": "A", "value": ["high"], "operator": "EQ"}]},
            r"conditions\[0\]\.value\[0\].*It takes a number",
        ),
    ],
)
def test_an_invalid_filter_is_reported_with_its_place(finding: Finding, document: Any, parts: str) -> None:
    with pytest.raises(SettingsError, match=parts):
        preview(finding.catalog, "survey_response", document=document)
    assert finding.gainsight_calls().get("query", 0) == 0


def test_previews_cache_no_records(finding: Finding) -> None:
    found = preview(finding.catalog, "company", size=5)
    kept = "".join(file.read_text() for file in (finding.folder / "discovery").iterdir())
    assert not [record for record in found.records if record.raw["Name"] in kept]


def test_refused_fields_are_left_out_of_previews(finding: Finding) -> None:
    finding.sandbox.switch(unreadable_fields=["company.Region__gc", "company.Seats__gc"])
    found = preview(finding.catalog, "company", size=1)
    assert len(found.notes) == 2
    assert all("a pull leaves it out" in note for note in found.notes)
    assert "Region__gc" not in found.records[0].raw
    fill = finding.catalog.fill("company")
    assert fill.share("Region__gc") is None and fill.share("Gsid") == 1
