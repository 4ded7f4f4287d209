"""The Connection card and saving, on the sandbox: secrets, logins, mistakes, history, read-only files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Dialog, Page, expect

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.page.browsing import Served, browser_page, clean_environment, page_on, run_by, tab
from gainsight_pipelines_tests.page.steps import WRONG_KEY, choose, open_advanced, open_section
from gainsight_pipelines_tests.read_only import on_read_only
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

pytestmark = [pytest.mark.timeout(200), pytest.mark.long]


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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def served(folder: Path, env: dict[str, str]) -> Iterator[Served]:
    with page_on(folder, env) as served:
        yield served
        assert "Traceback" not in "".join(served.said)


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Page]:
    with browser_page() as page:
        page.goto(served.next_address())
        yield page


@pytest.fixture
def page(browser: Page, folder: Path, sandbox: RunningSandbox) -> Page:
    """The page with the sandbox's settings and without secrets."""
    write(folder / "gainsight.yaml", sandbox.settings_file("salesforce").read_text())
    (folder / ".env").write_text("# ours\n")
    browser.on("dialog", _leave)
    browser.goto(browser.url)
    browser.remove_listener("dialog", _leave)
    expect(browser.get_by_label("API key")).to_be_visible()
    return browser


def _leave(dialog: Dialog) -> None:
    dialog.accept()


def write(file: Path, text: str) -> None:
    """Replaces the file atomically, as editors do."""
    file.with_name("new").write_text(text)
    file.with_name("new").replace(file)


def set_dotenv(page: Page, folder: Path, values: dict[str, str]) -> None:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    page.goto(page.url)
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_typed_key_is_a_change_that_is_not_lost(page: Page, folder: Path, sandbox: RunningSandbox) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    file, key = folder / "gainsight.yaml", page.get_by_label("API key")
    write(file, f"gainsight:\n  base_url: {sandbox.urls['gainsight']}\n")  # no CRM is set
    expect(page.get_by_text("Choose the CRM that owns your accounts.")).to_be_visible()
    key.fill(sandbox.env["GAINSIGHT_API_KEY"])
    expect(page.get_by_role("button", name="Save (1)")).to_be_visible()
    page.on("dialog", stay)
    page.evaluate("location.reload()")
    expect(page.get_by_role("button", name="Save (1)")).to_be_visible()
    assert asked == ["beforeunload"]
    page.remove_listener("dialog", stay)

    changed = page.get_by_text("Someone else changed the file. The page shows the new settings.")
    expect(changed).to_have_count(0)  # wait until the message about the first change is gone
    write(file, file.read_text() + "company: {}\n")
    expect(changed).to_be_visible()
    expect(key).to_have_value(sandbox.env["GAINSIGHT_API_KEY"])
    page.get_by_role("button", name="Save (1)").click()
    page.get_by_role("dialog", name="Review changes").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved to .env.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (folder / ".env").read_text() == f"# ours\nGAINSIGHT_API_KEY={sandbox.env['GAINSIGHT_API_KEY']}\n"
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()
    expect(page.get_by_role("group", name="Gainsight").get_by_text("Connected", exact=True)).to_be_visible()


def test_each_login_is_tested_separately(page: Page, folder: Path, sandbox: RunningSandbox) -> None:
    """A wrong client secret beside a working JWT key isn't reported as working."""
    jwt, password = sandbox.env_of("jwt"), sandbox.env_of("password")
    set_dotenv(page, folder, jwt)
    before = (folder / ".env").read_text()
    group = page.get_by_role("group", name="Salesforce")
    test = page.get_by_role("button", name="Test the connection to Salesforce")
    expect(group.get_by_label("Private key file")).to_have_value(jwt["SALESFORCE_JWT_KEY_FILE"])
    test.click()
    expect(group.get_by_text(f"Connected as {jwt['SALESFORCE_USERNAME']} to organization 00D")).to_be_visible()

    group.get_by_label("Log in with").click()
    page.get_by_role("option", name="Client credentials").click()
    group.get_by_label("Instance URL").fill(sandbox.env["SALESFORCE_INSTANCE_URL"])
    group.get_by_label("Client secret").fill(WRONG_KEY)
    page.get_by_role("button", name="Save (1)").click()
    review = page.get_by_role("dialog", name="Review changes")
    expect(review.get_by_text("SALESFORCE_JWT_KEY_FILE will be removed")).to_be_visible()
    expect(review.get_by_text("Connecting to Salesforce with these credentials failed")).to_be_visible()
    review.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing was saved.")).to_be_visible()
    expect(group.get_by_text("Not connected")).to_be_visible()
    expect(group.get_by_label("Client secret")).to_have_value(WRONG_KEY)
    assert (folder / ".env").read_text() == before

    group.get_by_label("Log in with").click()
    page.get_by_role("option", name="Username and password").click()
    group.get_by_label("Password").fill(password["SALESFORCE_PASSWORD"])
    group.get_by_label("Security token").fill(password["SALESFORCE_SECURITY_TOKEN"])
    test.click()
    expect(group.get_by_text(f"Connected as {password['SALESFORCE_USERNAME']} to organization")).to_be_visible()
    page.get_by_role("button", name="Save (1)").click()
    review.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved to .env.")).to_be_visible()
    saved = (folder / ".env").read_text()
    assert "JWT_KEY_FILE" not in saved and password["SALESFORCE_PASSWORD"] in saved and WRONG_KEY not in saved


def test_mistakes_stop_saving_and_are_shown_where_they_are(page: Page, folder: Path) -> None:
    before = (folder / "gainsight.yaml").read_text()
    open_section(page, "Activity")
    page.get_by_role("button", name="Add a category").press("Enter")  # the section is still opening
    page.get_by_role("textbox", name="Category 6").fill(" E mail ")
    expect(page.get_by_text("email is listed twice: remove one.")).to_be_visible()
    open_section(page, "Activity")
    expect(page.get_by_role("textbox", name="Category 6")).to_be_hidden()
    page.get_by_role("button", name="Save (1)").click()
    expect(page.get_by_role("textbox", name="Category 1")).to_be_focused()
    expect(page.get_by_role("textbox", name="Category 1")).to_be_in_viewport()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (folder / "gainsight.yaml").read_text() == before
    page.get_by_role("button", name="OK").click()
    page.get_by_role("button", name="Remove category 6").click()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()

    open_section(page, "Schedules")
    page.get_by_label("Company (cron)").fill("0 3 1 * *")
    expect(page.get_by_role("button", name="Company monthly on day 1 at 03:00")).to_be_visible()
    page.get_by_label("Company (cron)").fill("")


def test_another_crm_has_none_of_the_formers_fields(page: Page) -> None:
    open_section(page, "Account matching")
    field = page.get_by_label("Gainsight GSID field on the CRM account")
    expect(field).to_have_value("Gainsight_GSID__c")
    choose(page, "Primary CRM", "HubSpot")
    expect(page.get_by_text("The account fields of Salesforce were removed. Choose those of HubSpot.")).to_be_visible()
    expect(field).to_have_value("")
    page.get_by_role("button", name=re.compile("^Save")).click()
    review = page.get_by_role("dialog", name="Review changes")
    expect(review.get_by_text(re.compile(r"^-.*ARR__c"))).to_be_visible()
    expect(review.get_by_text(re.compile(r"^-.*Gainsight_GSID__c"))).to_be_visible()
    page.keyboard.press("Escape")
    choose(page, "Primary CRM", "Salesforce")
    expect(field).to_have_value("Gainsight_GSID__c")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()


def test_a_former_version_is_compared_and_restored_by_keys_alone(page: Page, folder: Path) -> None:
    file, keys = folder / "gainsight.yaml", page.keyboard
    before = file.read_text()
    open_section(page, "Surveys")
    page.get_by_label("Lookback days").fill("9")
    page.get_by_role("button", name="Save (1)").press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Save")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("Saved to ")).to_be_visible()
    page.get_by_role("button", name="History").press("Enter")
    dialog = page.get_by_role("dialog", name="History")
    former = dialog.get_by_role("listitem").nth(1)
    former.get_by_role("button", name=re.compile("Compare")).press("Enter")
    expect(former.get_by_text("-  lookback_days: 9")).to_be_visible()
    former.get_by_role("button", name=re.compile("Restore")).press("Enter")
    expect(page.get_by_text(re.compile(r"Version \d+ restored\."))).to_be_visible()
    assert file.read_text() == before


def test_settings_that_cannot_be_written_are_shown_and_say_so(
    browser: Page, env: dict[str, str], sandbox: RunningSandbox, tmp_path: Path
) -> None:
    (tmp_path / "gainsight.yaml").write_text(sandbox.settings_file("salesforce").read_text())
    serve = [sys.executable, "-m", "gainsight_pipelines.cli", "settings-page", "--port", "0"]
    command = on_read_only(tmp_path, serve)
    assert browser.context.browser is not None
    page = browser.context.browser.new_page(viewport={"width": 400, "height": 800}, color_scheme="dark")
    with run_by(tmp_path, env | sandbox.env, command) as served:
        page.goto(served.next_address())
        expect(page.get_by_role("note")).to_contain_text("These settings are read-only")
        expect(page.get_by_role("note")).to_contain_text("is on a read-only file system")
        expect(page.get_by_role("button", name="Save")).to_be_disabled()
        expect(page.get_by_label("Gainsight base URL")).to_be_disabled()
        expect(page.get_by_label("API key")).to_be_disabled()
        page.get_by_role("button", name="Test the connection to Gainsight").click()
        expect(page.get_by_text(re.compile(r"Connected to 127.0.0.1:\d+: \d+ objects"))).to_be_visible()
        open_section(page, "Surveys")
        expect(page.get_by_label("Lookback days")).to_be_disabled()
        open_advanced(page, "Surveys")
        page.get_by_role("button", name="History").click()
        expect(page.get_by_role("dialog", name="History")).to_be_visible()
    assert "Traceback" not in "".join(served.said)
    assert yaml.safe_load((tmp_path / "gainsight.yaml").read_text())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["gainsight.yaml"]


def test_alerts_are_turned_on_and_set(page: Page, folder: Path) -> None:
    assert "alerts" not in yaml.safe_load((folder / "gainsight.yaml").read_text())
    open_section(page, "Alerts")
    group = page.get_by_role("group", name="Alerts")
    expect(group.get_by_label("Failed runs in a row")).to_have_value("2")
    group.get_by_role("switch", name="Send alerts").click()
    group.get_by_label("Failed runs in a row").fill("21")
    expect(group.get_by_text("alerts.failed_runs is 21")).to_be_visible()
    group.get_by_label("Failed runs in a row").fill("3")
    group.get_by_role("switch", name="Tell of a rejected key").click()
    page.get_by_role("button", name="Save (1)").click()
    page.get_by_role("dialog", name="Review changes").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved to")).to_be_visible()
    written = yaml.safe_load((folder / "gainsight.yaml").read_text())["alerts"]
    assert written == {"enabled": True, "failed_runs": 3, "rejected_key": False}


def test_a_database_that_gets_its_tables_while_the_page_is_open(
    sandbox: RunningSandbox, env: dict[str, str], postgres_server: EmbeddedServer, tmp_path: Path, browser: Page
) -> None:
    assert browser.context.browser is not None
    write(tmp_path / "gainsight.yaml", sandbox.settings_file("salesforce").read_text())
    with fresh_database(postgres_server) as data:
        store = Store(postgres_server.url(data))
        its_own = env | {"GAINSIGHT_PIPELINES_DATABASE_URL": store.url}
        with page_on(tmp_path, its_own) as served, tab(browser.context.browser) as page:
            page.goto(served.next_address())
            missing = page.get_by_text(re.compile("has no tables of this program yet"))
            expect(missing).to_be_visible()
            migrate(store)
            expect(page.get_by_text("Not synced yet").first).to_be_visible()
            expect(missing).to_be_hidden()
