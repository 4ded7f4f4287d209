"""Mistakes of users: each is reported in one sentence, without a traceback, and nothing is half written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.product import Finished, Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

NAMES = ["company", "activity", "survey_survey_response", "product_usage"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as running:
        yield running


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer, sandbox: RunningSandbox
) -> Iterator[Product]:
    with product_on(tmp_path_factory.mktemp("project"), postgres_server, sandbox) as product:
        yield product


@pytest.fixture
def product(installed: Product, sandbox: RunningSandbox) -> Iterator[Product]:
    """The installation with its original settings, and a sandbox without faults."""
    settings = installed.settings_path.read_text()
    sandbox.reset()
    yield installed
    installed.settings_path.write_text(settings)
    sandbox.reset()


def failed(done: Finished, *parts: str) -> None:
    """Asserts that the command failed: exit status 1, these parts on stderr, no traceback."""
    assert done.status == 1, done
    assert "Traceback" not in done.err
    for part in parts:
        assert part in done.err, done.err


def object_failed(done: Finished, name: str, *parts: str) -> None:
    assert done.status == 1, done
    result = done.object(name)
    assert result["status"] == "failed"
    for part in parts:
        assert part in result["error"], result["error"]
    assert "Traceback" not in result["error"]


def changed(product: Product, section: str, **values: Any) -> None:
    settings = product.settings()
    settings[section] = {**settings[section], **values}
    product.write_settings(settings)


def test_no_settings_file(product: Product) -> None:
    done = product.command("run", "--all", GAINSIGHT_PIPELINES_SETTINGS="nowhere.yaml")
    failed(done, "nowhere.yaml", "gainsight.example.yaml")


def test_unknown_key_breaks_its_own_section_alone(product: Product) -> None:
    changed(product, "activity", reporting_categoris={"email": "EMAIL"})
    done = product.run("activity", "company")
    object_failed(done, "activity", "activity.reporting_categoris", "reporting_categories")
    assert done.object("company")["status"] == "completed"


def test_run_all_reports_a_section_that_nothing_reads(product: Product) -> None:
    """A misspelled section isn't pulled, so the exit status must not be 0."""
    settings = product.settings()
    product.write_settings({name: settings[name] for name in ("gainsight", "primary_crm", "company")} | {"usge": {}})
    done = product.run()
    assert done.object("company")["status"] == "completed"
    assert done.status == 1
    assert "usge" in done.err
    named = product.run("company")
    assert named.status == 0
    assert "usge" in named.err


@pytest.mark.parametrize("name", ["compny", "something"])
def test_an_unknown_section_is_reported_first_and_by_the_exit_status(product: Product, name: str) -> None:
    """The other sections are pulled anyway."""
    settings = {section: data for section, data in product.settings().items() if section not in ("activity", "surveys")}
    settings["product_usage"]["enabled"] = False
    product.write_settings({**settings, name: {"enabled": True}})
    ran = product.run()
    assert ran.status == 1
    assert ran.err.startswith(f"{name}: gainsight.yaml, line ")
    assert f"{name} is not a setting" in ran.document["settings_errors"][name]
    assert [(one["object"], one["status"]) for one in ran.document["objects"]] == [("company", "completed")]
    for command in (["status"], ["settings", "show"], ["validate"]):
        done = product.command(*command)
        assert done.status == 1
        assert f"{name} is not a setting" in done.out + done.err
    for command in (["unmatched"], ["objects"], ["migrate"], ["settings", "set", "company.enabled", "true"]):
        done = product.command(*command)
        assert done.status == 0
        assert f"{name} is not a setting" in done.err


def test_broken_sections_are_reported_before_anything_runs(product: Product) -> None:
    settings = product.settings()
    settings["schedules"] = {"timezone": "Mars/Olympus"}
    product.write_settings(settings)
    done = product.command("run", "--all")
    assert done.status == 1
    first, *rest = done.err.splitlines()
    assert "schedules.timezone is 'Mars/Olympus'" in first
    assert "company: waiting" in rest


def test_wrong_type(product: Product) -> None:
    changed(product, "surveys", lookback_days=90)
    object_failed(product.run("surveys"), "survey_survey_response", "surveys.lookback_days", "90", "1 to 30")


def test_gainsight_as_primary_crm(product: Product) -> None:
    changed(product, "primary_crm", kind="gainsight")
    object_failed(product.run("company"), "company", "primary_crm.kind", "salesforce or hubspot")


def test_a_missing_key_is_reported(product: Product) -> None:
    object_failed(product.run("company", GAINSIGHT_API_KEY=None), "company", "GAINSIGHT_API_KEY", ".env")


def test_wrong_key(product: Product) -> None:
    done = product.run("company", GAINSIGHT_API_KEY="wrong-key-of-nobody")
    object_failed(done, "company", "the API key was rejected (expired or rotated): set the new key and run again")
    assert "wrong-key-of-nobody" not in done.out + done.err


def test_no_crm_configured(product: Product, sandbox: RunningSandbox) -> None:
    """Requirement G2: no call to Gainsight."""
    settings = product.settings()
    del settings["primary_crm"]
    product.write_settings(settings)
    done = product.run()
    for name in NAMES:
        object_failed(done, name, "No primary CRM is connected, so nothing is pulled.", "primary_crm.kind")
    assert done.document["gate"] == "closed"
    assert sandbox.calls()["totals"].get("gainsight", 0) == 0


def test_crm_down_stops_all_pulls_before_any_gainsight_call(product: Product, sandbox: RunningSandbox) -> None:
    """Requirement G2."""
    before = product.query(ROWS)
    sandbox.switch(crm_down=True)
    done = product.run()
    for name in NAMES:
        object_failed(done, name, "Salesforce")
    assert done.document["gate"] == "closed"
    assert sandbox.calls()["totals"].get("gainsight", 0) == 0
    assert product.query(ROWS) == before


def test_crm_rejects_the_credentials(product: Product, sandbox: RunningSandbox) -> None:
    done = product.run("company", SALESFORCE_CLIENT_SECRET="not-the-secret")
    object_failed(done, "company", "SALESFORCE_CLIENT_SECRET")
    assert sandbox.calls()["totals"].get("gainsight", 0) == 0
    assert "not-the-secret" not in done.out + done.err


def test_unknown_object_on_the_command_line(product: Product) -> None:
    failed(product.command("run", "acount"), "'acount' is not a configured object", *NAMES)


def test_unknown_object_in_gainsight(product: Product) -> None:
    changed(product, "product_usage", object="no_such_object__gc")
    object_failed(product.run("product_usage"), "product_usage", "no_such_object__gc")


def test_a_crm_field_that_is_not_there(product: Product) -> None:
    changed(product, "common", gsid_field="Gainsight_GSDI__c")
    object_failed(product.run("company"), "company", "common.gsid_field", "Gainsight_GSDI__c", "Gainsight_GSID__c")


def test_a_gainsight_field_that_is_not_there(product: Product) -> None:
    settings = product.settings()
    settings["product_usage"]["aggregate"]["metric_name_field"] = "MetricNam__gc"
    product.write_settings(settings)
    object_failed(
        product.run("product_usage"), "product_usage", "product_usage.aggregate.metric_name_field", "MetricName__gc"
    )


def test_database_not_reachable(product: Product) -> None:
    url = "postgresql://nobody:hidden-password@127.0.0.1:1/none"
    done = product.run(GAINSIGHT_PIPELINES_DATABASE_URL=url)
    failed(done, "database can't be reached", "GAINSIGHT_PIPELINES_DATABASE_URL")
    assert "hidden-password" not in done.err


def test_dagster_storage_not_reachable(product: Product) -> None:
    done = product.run("company", DAGSTER_POSTGRES_URL="postgresql://nobody:hidden-password@127.0.0.1:1/none")
    failed(done, "database can't be reached", "DAGSTER_POSTGRES_URL")
    assert "GAINSIGHT_PIPELINES_DATABASE_URL" not in done.err
    assert "hidden-password" not in done.err


def test_a_csv_file_in_a_folder_that_is_not_there(product: Product) -> None:
    failed(product.command("unmatched", "--csv", "nowhere/unmatched.csv"), "nowhere/unmatched.csv", "No such file")
    failed(product.command("unmatched", "--csv", "."), "is a folder")
    assert not [path.name for path in product.folder.iterdir() if "unmatched" in path.name]


def test_a_data_folder_that_cannot_be_made(product: Product, tmp_path: Path) -> None:
    (tmp_path / ".gainsight_pipelines").write_text("a file of somebody's")
    (tmp_path / "gainsight.yaml").write_text(product.settings_path.read_text())
    done = product.command(
        "status", "--settings", str(tmp_path / "gainsight.yaml"), GAINSIGHT_PIPELINES_DATABASE_URL=None
    )
    failed(done, ".gainsight_pipelines can't be used: File exists.")


def test_unmatched_reports_an_unknown_object(product: Product) -> None:
    failed(product.command("unmatched", "acount"), "'acount'", *NAMES)


def test_gainsight_down(product: Product, sandbox: RunningSandbox) -> None:
    sandbox.switch(ip_refused=True)
    object_failed(product.run("company"), "company", "IP")


def test_another_tenants_data(product: Product) -> None:
    assert product.run("company").status == 0
    changed(
        product, "gainsight", base_url=product.settings()["gainsight"]["base_url"].replace("127.0.0.1", "localhost")
    )
    object_failed(product.run("company"), "company", "holds the data of Gainsight 127.0.0.1", "reset --all")


@pytest.mark.parametrize(
    "arguments",
    [["rnu"], ["run", "--al"], ["demo", "--crm", "gainsight"], ["dev", "--port", "x"], ["status", "x"],
     ["settings", "set"], ["unmatched", "--limit", "-5"],
     ["purge", "--older-than", "99999999999"], ["purge", "--older-than", "3"], ["dev", "--port", "70000"],
     ["settings-page", "--port", "70000"], ["dev", "--settings-page", "70000"],
     ["preview", "company", "--records", "0"], ["settings", "restore", "0"], ["run"],
     ["run", "company", "--all"], ["status", "--watch", "--json"]],
)  # fmt: skip
def test_invalid_arguments_are_reported_in_one_line(product: Product, arguments: list[str]) -> None:
    done = product.command(*arguments)
    assert done.status == 2
    assert "Traceback" not in done.err
    assert not done.out
    assert done.err.startswith("gainsight-pipelines: ") and len(done.err.splitlines()) == 1
    if arguments[-1].lstrip("-").isdigit():
        assert " Must be between " in done.err and " and " in done.err


ROWS = """
SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM company),
       (SELECT count(*) FROM activity), (SELECT count(*) FROM usage_metric)
"""
