"""The whole setup in a browser, from an empty folder to completed runs, with the sandbox and a real Dagster."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml
from playwright.sync_api import Browser, expect

from gainsight_pipelines.cli.settings_file import set_command
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.page.browsing import (
    Served,
    clean_environment,
    free_port,
    page_on,
    running_browser,
    served_by,
    tab,
)
from gainsight_pipelines_tests.page.looking import POOR_CONTRAST
from gainsight_pipelines_tests.page.steps import (
    TOGGLES,
    WAIT,
    answers,
    check_a_filter,
    choose_surveys,
    connect,
    edit_json,
    map_a_category,
    open_section,
    pick,
    run_them,
    save,
)
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import is_alive, process_below, processes_below, wait_until

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def env(sandbox: RunningSandbox, postgres_server: EmbeddedServer) -> Iterator[dict[str, str]]:
    with fresh_database(postgres_server) as data, dagster_database(postgres_server) as dagster:
        yield clean_environment(sandbox) | {
            "GAINSIGHT_PIPELINES_DATABASE_URL": postgres_server.url(data),
            "DAGSTER_POSTGRES_URL": postgres_server.url(dagster),
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@dataclass(frozen=True, slots=True)
class Dev:
    """A running `dev --settings-page`. Its Dagster UI at `url` takes a while to respond."""

    served: Served
    url: str
    libraries: Path
    """A folder that precedes the installed packages in its import path."""


@pytest.fixture(scope="module")
def dev(project: Path, env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    port, libraries = free_port(), tmp_path_factory.mktemp("libraries")
    path = os.pathsep.join(filter(None, [str(libraries), env.get("PYTHONPATH")]))
    command = ["dev", "--port", str(port), "--settings-page", "0"]
    with served_by(project, env | {"PYTHONPATH": path}, *command) as served:
        yield Dev(served, f"http://127.0.0.1:{port}", libraries)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def test_from_nothing_to_completed_runs(
    browser: Browser, sandbox: RunningSandbox, project: Path, env: dict[str, str], dev: Dev
) -> None:
    with page_on(project, env, "--dagster", dev.url, "--answer-seconds", "8") as served, tab(browser) as page:
        page.goto(served.next_address())
        connect(page, project, sandbox)
        open_section(page, "Account matching")
        field = page.get_by_label("Gainsight GSID field on the CRM account")
        pick(page, field, "gainsight", re.compile("Gainsight_GSID__c"))
        map_a_category(page)
        choose_surveys(page)
        check_a_filter(page)
        sandbox.switch(slow_above=600)
        page.get_by_role("button", name="Resample with 800").click()  # the response comes while the next steps go on
        edit_json(page)
        for title, toggle in TOGGLES:
            open_section(page, title)
            page.get_by_role("switch", name=toggle).click()
        expect(page.get_by_text("The timeline is slow: requests for 800 timed out.")).to_be_visible(timeout=WAIT)
        expect(page.get_by_role("button", name="Resample with 250")).to_be_visible()
        sandbox.reset()

        wait_until(lambda: answers(dev.url), 90)
        save(page, project, sandbox)
        expect(page.get_by_text("Dagster has loaded the new settings.")).to_be_visible(timeout=WAIT)
        run_them(page)
        assert served.stop() == 130
    settings = yaml.safe_load((project / "gainsight.yaml").read_text())
    assert [row["object"] for row in settings["surveys"]["objects"]] == ["survey_response", "nps_survey__gc"]
    assert settings["surveys"]["lookback_days"] == 21
    assert settings["common"] == {"gsid_field": "Gainsight_GSID__c"}
    assert "Traceback" not in "".join(served.said)


def test_somebody_elses_change_and_a_tenant_that_is_away(
    browser: Browser, sandbox: RunningSandbox, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "gainsight.yaml"
    file.write_text(sandbox.settings_file("salesforce").read_text())
    theirs = file.read_text().replace("company:\n  enabled: true", "company:\n  enabled: false  # theirs")
    assert "theirs" in theirs
    credentials = {**env, **sandbox.env}
    with page_on(tmp_path, credentials) as served, tab(browser, color_scheme="dark") as page:
        page.goto(served.next_address())
        expect(page.get_by_label("API key")).to_be_disabled()  # the environment sets it
        open_section(page, "Product usage")
        sandbox.switch(gainsight_down=True)
        field = page.get_by_label("Product usage object")
        field.click()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        page.get_by_label("Product name").fill("seats")  # other fields still work while Gainsight is down
        sandbox.reset()
        page.get_by_role("button", name="Try again").click()
        pick(page, field, "nps", re.compile("nps_survey__gc"))

        file.write_text(theirs)
        expect(page.get_by_text("Someone else has changed the settings file")).to_be_visible()
        expect(page.get_by_text("+  enabled: false  # theirs")).to_be_visible()
        assert page.evaluate(POOR_CONTRAST) == []
        page.get_by_role("button", name="Apply my changes to theirs").click()
        page.get_by_role("button", name=re.compile(r"^Save \(1\)")).click()
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved to ")).to_be_visible()
        written = yaml.safe_load(file.read_text())
        assert written["company"]["enabled"] is False
        assert (written["product_usage"]["product_name"], written["product_usage"]["object"]) == (
            "seats",
            "nps_survey__gc",
        )
        assert "# theirs" in file.read_text()

        file.write_text(theirs)
        expect(page.get_by_label("Product name")).to_have_value(
            "product usage"
        )  # without a change in this tab, the page takes the file's value
    assert "Traceback" not in "".join(served.said)


def test_the_page_of_dev_reports_a_failed_reload_and_ends_with_dev(
    browser: Browser, sandbox: RunningSandbox, project: Path, dev: Dev, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dagster's response calls the location loaded, and has the load error inside."""
    file = project / "gainsight.yaml"
    if not file.exists():
        file.write_text(sandbox.settings_file("salesforce").read_text())
    broken = dev.libraries / "orjson.py"  # a new process imports this broken library instead of the installed one
    address = dev.served.next_address()
    with tab(browser) as page:
        page.goto(address)
        expect(page.get_by_role("link", name="Dagster", exact=True)).to_have_attribute("href", dev.url)
        open_section(page, "Surveys")
        broken.write_text("raise RuntimeError('a library that does not fit')\n")
        page.get_by_label("Lookback days").fill("8")
        page.get_by_role("button", name=re.compile(r"^Save \(1\)")).click()
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved to ")).to_be_visible()
        failure = "Dagster could not load the settings: RuntimeError: a library that does not fit."
        expect(page.get_by_text(failure)).to_be_visible(timeout=WAIT)
        expect(page.get_by_text("Dagster has loaded the new settings.")).to_have_count(0)

    broken.unlink()
    assert set_command("surveys.lookback_days", "9", is_dry=False, dagster=dev.url, path=file) == 0
    assert "Dagster has loaded the new settings." in capsys.readouterr().err
    assert yaml.safe_load(file.read_text())["surveys"]["lookback_days"] == 9

    started = processes_below(dev.served.process.pid)
    assert process_below(dev.served.process.pid, "settings-page") in started
    assert dev.served.stop() == 130
    assert not any(is_alive(process.pid) for process in started)
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)
    assert "Traceback" not in "".join(dev.served.said)
