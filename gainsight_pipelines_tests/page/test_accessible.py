"""The page with a keyboard alone, a screen reader, a small screen, dark colours, and a lost connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Dialog, Locator, Page, expect

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.gate import Gate, save_gate
from gainsight_pipelines_tests.databases import dagster_database, product_database
from gainsight_pipelines_tests.page.browsing import (
    Served,
    clean_environment,
    free_port,
    page_on,
    running_browser,
    served_by,
    tab,
)
from gainsight_pipelines_tests.page.looking import POOR_CONTRAST, UNNAMED, WIDER_THAN_THE_SCREEN
from gainsight_pipelines_tests.page.steps import SECTIONS, open_advanced, open_section
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

pytestmark = [pytest.mark.timeout(200), pytest.mark.long]

TITLES = ("Company", "Activity", "Surveys: survey_response", "Product usage")
OBJECTS = ("company", "activity", "survey_survey_response", "product_usage")
LOSE_THE_CONNECTION = """
socket.io.reconnectionDelay(5000).reconnectionDelayMax(5000).randomizationFactor(0);
socket.io.engine.close();
"""
"""Closes the connection below socket.io, which reconnects only after NiceGUI has stopped waiting for the tab.
(`socket.connect()` would start a new session; a lost connection doesn't.)"""
IS_MARKED = """element => {
  const style = getComputedStyle(element), field = element.closest(".q-field--focused");
  return style.outlineStyle !== "none" || style.boxShadow !== "none" || (field && element.tagName === "INPUT");
}"""
"""Whether the focus is visible: an outline, a ring or, for a field, its coloured line."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def env(sandbox: RunningSandbox, postgres_server: EmbeddedServer) -> Iterator[dict[str, str]]:
    with product_database(postgres_server) as data, dagster_database(postgres_server) as dagster:
        yield clean_environment(sandbox) | {
            "GAINSIGHT_PIPELINES_DATABASE_URL": postgres_server.url(data),
            "DAGSTER_POSTGRES_URL": postgres_server.url(dagster),
        }


@pytest.fixture(scope="module")
def project(sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "gainsight.yaml").write_text(sandbox.settings_file("salesforce").read_text())
    return folder


@pytest.fixture(scope="module")
def dagster_that_is_away() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def command(dagster_that_is_away: str) -> tuple[str, ...]:
    return ("settings-page", "--port", str(free_port()), "--dagster", dagster_that_is_away)


@pytest.fixture(scope="module")
def served(project: Path, sandbox: RunningSandbox, env: dict[str, str], command: tuple[str, ...]) -> Iterator[Served]:
    with served_by(project, env | sandbox.env, *command) as served:
        yield served
        assert "Traceback" not in "".join(served.said)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def address(served: Served) -> str:
    return served.next_address()


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Presses Tab until the target has the focus, and checks that the focus is visible."""
    for _ in range(100):
        page.keyboard.press(key)
        if target.evaluate("e => e === document.activeElement"):
            assert target.evaluate(IS_MARKED), target
            return
    raise AssertionError(f"Tab never comes to {target}")


def connect_by_keys(page: Page, sandbox: RunningSandbox) -> None:
    keys = page.keyboard
    expect(page.get_by_role("button", name="Check all settings")).to_be_visible()
    expect(page.get_by_text("No object is enabled yet.")).to_be_visible()  # a new project isn't an error
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)
    tab_to(page, page.get_by_label("Gainsight base URL"))
    keys.insert_text(sandbox.urls["gainsight"])
    tab_to(page, page.get_by_label("API key"))
    keys.insert_text(sandbox.env["GAINSIGHT_API_KEY"])
    tab_to(page, page.get_by_role("combobox", name="Primary CRM"))
    keys.press("Enter")
    expect(page.get_by_role("option", name="Salesforce")).to_be_visible()
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(page.get_by_role("combobox", name="Primary CRM")).to_be_focused()  # although its panel was rebuilt
    for label, name in [
        ("Instance URL", "SALESFORCE_INSTANCE_URL"),
        ("Client ID", "SALESFORCE_CLIENT_ID"),
        ("Client secret", "SALESFORCE_CLIENT_SECRET"),
    ]:
        expect(page.get_by_label(label)).to_be_visible()
        tab_to(page, page.get_by_label(label))
        keys.insert_text(sandbox.env[name])
    test = page.get_by_role("button", name="Test the connection to Salesforce")
    tab_to(page, test, "Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_text("Connected to organization")).to_be_visible()
    expect(test).to_be_focused()


def set_up_surveys_by_keys(page: Page) -> None:
    keys = page.keyboard
    tab_to(page, page.get_by_role("button", name="Surveys off"))
    keys.press("Space")
    switch = page.get_by_role("switch", name="Pull survey responses")
    expect(switch).to_be_visible()
    tab_to(page, switch)
    keys.press("Space")
    tab_to(page, page.get_by_role("combobox", name="Mode"))
    keys.press("Enter")
    expect(page.get_by_role("option", name="Multiple objects")).to_be_visible()
    keys.press("ArrowDown")
    keys.press("Enter")
    add = page.get_by_role("button", name="Add a survey object")
    expect(add).to_be_visible()
    tab_to(page, add)
    keys.press("Enter")
    second = page.get_by_role("combobox", name="Survey response object 2")
    expect(second).to_be_focused()
    expect(second).to_have_accessible_description(re.compile(r"surveys.objects\[1\].object is empty; it takes"))
    expect(second).to_have_attribute("aria-invalid", "true")
    tab_to(page, page.get_by_role("button", name="Remove survey object 2"))
    keys.press("Enter")
    expect(page.get_by_role("combobox", name="Survey response object", exact=True)).to_be_focused()

    show_json = page.get_by_role("button", name="Show JSON of Surveys")
    tab_to(page, show_json)
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Surveys as JSON")
    expect(dialog.get_by_role("textbox", name="JSON")).to_be_focused()
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(show_json).to_be_focused()


def save_by_keys(page: Page) -> None:
    keys = page.keyboard
    tab_to(page, page.get_by_role("button", name=re.compile(r"^Save \(4\)")), "Shift+Tab")
    keys.press("Enter")
    save = page.get_by_role("dialog", name="Review changes").get_by_role("button", name="Save")
    expect(save).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("Saved to ")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Surveys daily at 05:35")).to_be_visible()


def test_an_object_is_set_up_from_nothing_by_keys_alone(
    browser: Browser, sandbox: RunningSandbox, env: dict[str, str], tmp_path: Path
) -> None:
    with page_on(tmp_path, env) as served, tab(browser) as page:
        page.goto(served.next_address())
        connect_by_keys(page, sandbox)
        set_up_surveys_by_keys(page)
        save_by_keys(page)
    assert yaml.safe_load((tmp_path / "gainsight.yaml").read_text())["surveys"]["enabled"] is True


def test_categories_by_keys_alone(browser: Browser, address: str) -> None:
    with tab(browser) as page:
        page.goto(address)
        open_section(page, "Activity")
        page.get_by_role("button", name="Add a category").press("Enter")
        expect(page.get_by_role("textbox", name="Category 6")).to_be_focused()
        page.get_by_role("button", name="Remove category 6").press("Enter")
        expect(page.get_by_role("button", name="Add a category")).to_be_focused()
        question = page.get_by_role("button", name="What each activity type means")
        question.press("Enter")
        dialog = page.get_by_role("dialog", name="What each activity type means")
        expect(dialog.get_by_role("button", name="Close")).to_be_focused()
        page.keyboard.press("Escape")
        expect(question).to_be_focused()


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (768, "light")])
def test_everything_is_named_readable_and_within_the_screen(
    browser: Browser, address: str, env: dict[str, str], width: int, scheme: str
) -> None:
    now = SystemClock().now()
    refused = "Salesforce refused the login (invalid_client). Put valid credentials in SALESFORCE_CLIENT_SECRET."
    with Store(env["GAINSIGHT_PIPELINES_DATABASE_URL"]).connect("test") as connection:
        save_gate(connection, Gate(False, "rejected", refused, None, now, now))
    with tab(browser, viewport={"width": width, "height": 740}, color_scheme=scheme) as page:
        page.goto(address)
        expect(page.locator("[data-object]")).to_have_count(len(OBJECTS))
        status = page.get_by_role("region", name="Sync status")
        expect(status).to_contain_text("Gate closed")
        expect(status).to_contain_text(f"Nothing is pulled while the primary CRM is unavailable. {refused}")
        salesforce = page.get_by_role("group", name="Salesforce")
        expect(salesforce).to_contain_text(re.compile(r"Not connected.*Checked (just now|\d+ min ago)\."))
        for title in SECTIONS:
            open_section(page, title)
        page.get_by_role("group", name="Gainsight").get_by_role("button", name="Advanced").click()
        open_advanced(page, "Surveys")
        page.get_by_label("Lookback days").fill("90")
        expect(page.get_by_label("Lookback days")).to_have_accessible_description(re.compile("is 90; it takes"))
        page.get_by_role("button", name=re.compile(r"^Save \(")).click()
        expect(page.get_by_role("alert").get_by_role("button", name="OK")).to_be_visible()
        expect(page.get_by_role("link", name="Dagster")).to_be_visible()
        page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => 0)))")
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(POOR_CONTRAST) == []
        assert page.evaluate(WIDER_THAN_THE_SCREEN) == []
        levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
        assert levels[0] == 1 and all(below - above <= 1 for above, below in pairwise(levels))
        assert page.locator("h2").all_text_contents() == ["Sync status", "Connection", *SECTIONS, "Alerts"]


def test_a_run_that_does_not_start_says_so_in_its_row_and_leaves_the_focus(
    browser: Browser, address: str, dagster_that_is_away: str
) -> None:
    with tab(browser) as page:
        page.goto(address)
        button = page.get_by_role("button", name="Run Activity")
        button.press("Enter")
        row = page.locator('[data-object="activity"]')
        expect(row).to_contain_text(f"The Dagster webserver at {dagster_that_is_away} doesn't answer.")
        expect(button).to_be_focused()
        page.get_by_role("button", name="Run all").press("Enter")
        expect(page.locator("[data-object]").filter(has_text="doesn't answer")).to_have_count(len(OBJECTS))
        expect(page.get_by_text(f"Not started: {', '.join(TITLES)}.")).to_be_visible()


def test_a_picker_keeps_its_choice_when_tab_passes_it_after_its_options_came(browser: Browser, address: str) -> None:
    with tab(browser) as page:
        page.goto(address)
        open_section(page, "Surveys")
        picker = page.get_by_role("combobox", name="Survey response object", exact=True)
        chosen = picker.input_value()
        picker.click()
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(picker).not_to_have_value(chosen)  # it shows the label now, not only the API name
        picker.press("Tab")
        expect(picker).not_to_be_focused()
        page.get_by_label("Lookback days").fill("9")  # the page responds to this after it has responded to Tab
        expect(page.get_by_role("button", name=re.compile(r"^Save \(1\)"))).to_be_visible()
        expect(picker).not_to_have_value("")
        page.get_by_role("button", name="Discard changes").click()


def test_save_reports_a_filter_that_cannot_be_read(browser: Browser, address: str) -> None:
    with tab(browser) as page:
        page.goto(address)
        open_section(page, "Surveys")
        open_advanced(page, "Surveys")
        page.get_by_label("Response filter, as a JSON object").fill('{"conditions":')
        expect(page.get_by_label("Response filter, as a JSON object")).to_have_accessible_description(
            re.compile("Not valid JSON")
        )
        page.get_by_role("button", name=re.compile(r"^Save \(1\)")).click()
        told = page.get_by_role("alert").filter(has=page.get_by_role("button", name="OK"))
        expect(told).to_contain_text("Not valid JSON: line 1, column 15")
        expect(page.get_by_label("Response filter, as a JSON object")).to_be_focused()
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_changes_outlive_a_lost_connection_and_are_not_left_by_mistake(browser: Browser, address: str) -> None:
    with tab(browser) as page:
        asked: list[str] = []

        def stay(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.dismiss()

        page.on("dialog", stay)
        page.goto(address)
        open_section(page, "Surveys")
        page.get_by_label("Lookback days").fill("9")
        expect(page.get_by_role("button", name=re.compile(r"^Save \(1\)"))).to_be_visible()
        page.evaluate(LOSE_THE_CONNECTION)
        expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
        expect(page.get_by_text("Connection lost")).to_be_hidden()
        page.get_by_label("Response limit").fill("7")
        expect(page.get_by_label("Lookback days")).to_have_value("9")
        page.evaluate("location.reload()")
        expect(page.get_by_label("Response limit")).to_have_value("7")
        assert asked == ["beforeunload"]
        page.get_by_role("button", name="Discard changes").click()
        page.get_by_role("dialog", name="Discard your changes?").get_by_role("button", name="Discard").click()
        expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()
        open_section(page, "Surveys")
        expect(page.get_by_label("Lookback days")).to_have_value("30")


def test_a_page_that_was_restarted_says_where_its_address_is(
    browser: Browser,
    served: Served,
    address: str,
    project: Path,
    sandbox: RunningSandbox,
    env: dict[str, str],
    command: tuple[str, ...],
) -> None:
    with tab(browser) as page:
        page.goto(address)
        expect(page.get_by_role("listitem").first).to_be_visible()  # connected, not only rendered
        assert served.stop() == 130
        expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
        with served_by(project, env | sandbox.env, *command):
            expect(page.get_by_role("alert").filter(has_text="Use the latest URL")).to_be_visible()
