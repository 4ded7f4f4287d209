"""The picker commands print a table for people, a JSON document for programs, and one sentence for a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture(scope="module")
def product(
    small_sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer
) -> Iterator[Product]:
    with product_on(tmp_path_factory.mktemp("project"), postgres_server, small_sandbox) as product:
        yield product


def test_objects_as_a_table(product: Product) -> None:
    done = product.command("objects", "survey")
    assert done.status == 0
    assert done.out.startswith("4 of 22 objects")
    assert "nps_survey__gc" in done.out and "gsuser" not in done.out
    assert not done.err


def test_fields_as_json_with_fill(product: Product) -> None:
    document = product.command("fields", "company", "arr", "--fill", "--json").document
    assert (document["object"], document["label"]) == ("company", "Company")
    assert [(one["name"], one["type"]) for one in document["fields"]] == [("Arr", "CURRENCY")]
    assert 0 < document["fields"][0]["filled"] <= 1
    assert document["sample"] > 0


def test_crm_fields_find_the_gsid_field_by_its_label(product: Product) -> None:
    done = product.command("crm-fields", "gsid", "--fill")
    assert done.status == 0
    assert "1 of 25 fields of Salesforce Account" in done.out
    assert "Gainsight_GSID__c" in done.out and "%" in done.out


def test_nothing_found_says_what_to_try(product: Product) -> None:
    done = product.command("objects", "no_such_thing")
    assert done.status == 1
    assert "No object has 'no_such_thing'" in done.err
    assert not done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["objects", "compny"], "Did you mean company or company_person?"),
        (["fields", "compny"], "Did you mean company or company_person?"),
        (["fields", "company", "Renewl"], "Did you mean RenewalDate or "),
        (["crm-fields", "gainsight_gsdi"], "Did you mean Gainsight_GSID__c?"),
        (["preview", "survey_respnse"], "Did you mean survey_response or "),
        (["preview", "survey_survey_respons"], "Did you mean survey_survey_response"),
        (["run", "actvity"], "Did you mean activity?"),
        (["unmatched", "surveys_response"], "Did you mean survey_survey_response"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(product: Product, arguments: list[str], words: str) -> None:
    done = product.command(*arguments)
    assert done.status == 1
    assert words in done.err


def test_certificates_of_dotenv_are_used(product: Product) -> None:
    """SALESFORCE_CA_FILE is read from .env; the environment sets neither it nor REQUESTS_CA_BUNDLE."""
    dotenv = product.folder / ".env"
    dotenv.write_text("".join(f"{name}={product.env[name]}\n" for name in ("SALESFORCE_CA_FILE",)))
    try:
        done = product.command("crm-fields", "--fresh", REQUESTS_CA_BUNDLE=None, SALESFORCE_CA_FILE=None)
    finally:
        dotenv.unlink()
    assert done.status == 0, done.err


def test_no_settings_file(product: Product) -> None:
    done = product.command("objects", "--settings", "nowhere.yaml")
    assert done.status == 1
    assert "nowhere.yaml" in done.err and "Traceback" not in done.err


def test_categories_as_a_table(product: Product) -> None:
    done = product.command("categories")
    assert done.status == 0
    assert "Onboarding Call" in done.out and "MEETING?" in done.out
    document = product.command("categories", "--json").document
    assert {one["mapped"] for one in document["categories"] if one["category"] == "Risk"} == {"TYPE_MANUAL"}


def test_names_of_the_tenant_are_no_markup(product: Product, small_sandbox: RunningSandbox) -> None:
    records = small_sandbox.truth()["records"]["activity_timeline"]
    for gsid, name in zip(records, ("Call [internal]", "QBR [/draft]"), strict=False):
        edit = {"object": "activity_timeline", "action": "update", "gsid": gsid, "values": {"ReportingCategory": name}}
        small_sandbox.edit(edit)
    label = {"fieldName": "Tier__gc", "dataType": "STRING", "label": "Tier [/old]"}
    small_sandbox.edit({"object": "company", "action": "describe", "field": label})
    done = product.command("categories", "--fresh")
    assert done.status == 0, done.err
    assert "Call [internal]" in done.out and "QBR [/draft]" in done.out
    assert "Call [internal]" in product.command("preview", "activity_timeline", "--records", "50").out
    shown = product.command("fields", "company", "[/OLD", "--fresh")
    assert shown.status == 0 and "Tier [/old]" in shown.out


def test_preview_counts_what_a_run_reads(product: Product) -> None:
    before = product.settings_path.read_text()
    product.settings_path.write_text(before.replace("response_limit: 5000", "response_limit: 5"))
    try:
        done = product.command("preview", "survey_survey_response")
        assert "5 of them per run (the limit); the next run continues from there. Nothing is written." in done.err
        document = product.command("preview", "survey_survey_response", "--json").document
        assert document["limit_per_run"] == 5 < document["count"]
    finally:
        product.settings_path.write_text(before)


def test_preview_side_by_side_and_with_a_filter(product: Product, tmp_path: Path) -> None:
    filter_text = '{"conditions": [{"name": "NPSScore", "alias": "A", "value": [9], "operator": "GTE"}]}'
    done = product.command("preview", "survey_survey_response", "--filter", filter_text, "--records", "1")
    assert done.status == 0
    assert "match the filter" in done.err and "Nothing is written" in done.err
    assert "nps_group" in done.out and "promoter" in done.out
    assert "Parts of a response" in done.out and "RespondedDate" in done.out  # requirement S7
    file = tmp_path / "filter.json"
    file.write_text(filter_text)
    document = product.command("preview", "survey_response", "--filter", f"@{file}", "--json").document
    assert document["pull"] == "survey_survey_response"
    assert document["field_mappings"]["responded_at"]["field"] == "RespondedDate"
    assert document["count"] >= len(document["records"]) > 0
    wrong = product.command("preview", "survey_response", "--filter", "{conditions}")
    assert wrong.status == 1
    assert "--filter is not JSON (line 1, column 2)" in wrong.err


def test_categories_are_added_with_comments_and_order_kept(product: Product) -> None:
    before = product.settings_path.read_text()
    plain = "  initial_lookback_days: null\n"
    commented = "  initial_lookback_days: null  # everything\n  reporting_categories:\n"
    text = before.replace(plain, commented + "    Risk: TYPE_MANUAL  # ours\n    email: EMAIL\n")
    assert text != before
    product.settings_path.write_text(text)
    try:
        dry = product.command("categories", "--add", "--dry-run")
        assert dry.status == 0 and "Dry run: nothing was written." in dry.err
        assert product.settings_path.read_text() == text
        named = product.command("categories", "--add", "Onboarding Call", "EBR=email", "risk = MEETING")
        assert named.status == 0, named.err
        written = product.settings_path.read_text()
        assert "initial_lookback_days: null  # everything" in written
        mapping = [line.split() for line in written.partition("reporting_categories:\n")[2].splitlines()[:4]]
        assert mapping == [
            ["Risk:", "MEETING", "#", "ours"],
            ["email:", "EMAIL"],
            ["Onboarding", "Call:", "MEETING"],
            ["EBR:", "EMAIL"],
        ]
        assert "without reading them again" in named.err
        every = product.command("categories", "--add")
        assert every.status == 0
        assert not [one for one in product.command("categories", "--json").document["categories"] if one["suggested"]]
        assert "Nothing to change." in product.command("categories", "--add").err
        last = product.command("settings", "history", "--json").document["versions"][-1]
        assert last["how"] == "categories --add"
    finally:
        product.settings_path.write_text(before)


def test_adding_to_the_defaults_keeps_them(product: Product) -> None:
    before = product.settings_path.read_text()
    try:
        assert product.command("categories", "--add", "EBR").status == 0
        assert product.settings()["activity"]["reporting_categories"] == {
            "email": "EMAIL", "meeting": "MEETING", "call": "MEETING", "update": "TYPE_MANUAL", "risk": "TYPE_MANUAL",
            "EBR": "MEETING",
        }  # fmt: skip
    finally:
        product.settings_path.write_text(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--add", "EBR=MEETNG"],
            "Did you mean MEETING? Write CATEGORY=TYPE. The types are EMAIL, MEETING, TYPE_MANUAL",
        ),
        (["--add", "=MEETING"], "CATEGORY=TYPE"),
        (["EBR"], "Add --add."),
    ],
)
def test_wrong_categories(product: Product, arguments: list[str], words: str) -> None:
    done = product.command("categories", *arguments)
    assert done.status == (1 if "--add" in arguments else 2)
    assert words in done.err


def offered(product: Product, *words: str, **env: str | None) -> list[str]:
    """The completions of the last word, requested as the shell's completion script does."""
    done = product.command("__complete", *words, **env)
    assert done.status == 0
    assert not done.err
    return [line.split("\t")[0] for line in done.out.partition("begin\n")[2].splitlines()]


def test_the_shell_offers_the_tenants_names(product: Product, small_sandbox: RunningSandbox) -> None:
    assert "survey_response" in offered(product, "fields", "surv")
    assert offered(product, "run", "") == ["company", "activity", "survey_survey_response", "product_usage"]
    assert {"activity", "gsuser"} <= set(offered(product, "preview", ""))
    assert "Gainsight_GSID__c" in offered(product, "init", "--gsid-field", "")
    asked = small_sandbox.calls()["totals"]
    assert "company" in offered(product, "fields", "")
    assert small_sandbox.calls()["totals"] == asked


def test_the_shell_offers_nothing_rather_than_an_error(product: Product) -> None:
    assert offered(product, "--settings", "nowhere.yaml", "fields", "") == []
    assert offered(product, "fields", "--settings", "nowhere.yaml", "") == []
