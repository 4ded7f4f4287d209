"""What a person does on the page, step by step, each seen to have its effect: for the browser test and the pictures."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import requests
from playwright.sync_api import Locator, Page, expect

from gainsight_pipelines_tests.sandbox_process import RunningSandbox

WRONG_KEY = "a-wrong-key-of-nobody"
WAIT = 90_000
SECTIONS = ("Common", "Account / Company", "Activity", "Surveys", "Product Usage", "Further objects", "Schedules")
TOGGLES = (("Account / Company", "Enable account pull"), ("Product Usage", "Enable product usage pull"))
expect.set_options(timeout=30_000)


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def pick(page: Page, field: Locator, typed: str, option: str | re.Pattern[str]) -> None:
    """Opens a picker, types a piece of a name and takes the option."""
    field.click()
    field.fill(typed)
    page.get_by_role("option", name=option).first.click()


def open_section(page: Page, title: str) -> None:
    name = re.compile(f"^{title}( off| daily| weekly| every 4 hours)?$".replace("/", "."))  # Playwright splits at it
    page.get_by_role("button", name=name).click()


def connect(page: Page, project: Path, sandbox: RunningSandbox) -> None:
    page.get_by_label("Gainsight base URL").fill(sandbox.urls["gainsight"])
    page.get_by_label("Gainsight API key").fill(WRONG_KEY)
    page.get_by_role("combobox", name="Primary CRM").click()
    page.get_by_role("option", name="Salesforce").click()
    page.get_by_label("Salesforce instance URL").fill(sandbox.env["SALESFORCE_INSTANCE_URL"])
    page.get_by_label("Client id").fill(sandbox.env["SALESFORCE_CLIENT_ID"])
    page.get_by_label("Client secret").fill(sandbox.env["SALESFORCE_CLIENT_SECRET"])
    page.get_by_role("button", name="Validate connection").click()
    expect(page.get_by_text("the API key was rejected (expired or rotated)")).to_be_visible()
    assert not (project / ".env").exists()
    page.get_by_label("Gainsight API key").fill(sandbox.env["GAINSIGHT_API_KEY"])
    page.get_by_role("button", name="Validate connection").click()
    expect(page.get_by_text(re.compile(r"\d+ objects discovered"))).to_be_visible()
    expect(page.get_by_text("The keys work and are in .env")).to_be_visible()
    file = project / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sandbox.env["GAINSIGHT_API_KEY"] in file.read_text()
    expect(page.get_by_label("Gainsight API key")).to_have_value("")
    assert sandbox.env["GAINSIGHT_API_KEY"] not in page.content()


def map_a_category(page: Page) -> None:
    open_section(page, "Activity")
    page.get_by_role("switch", name="Enable activity pull").click()
    expect(page.get_by_text(re.compile(r"\d+ activities sampled"))).to_be_visible()
    page.get_by_role("button", name="What each activity type means").click()
    expect(page.get_by_text("An e-mail that was exchanged")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    chip = page.get_by_role("button", name=re.compile(r" → (EMAIL|MEETING|TYPE_MANUAL)$")).first
    category = (chip.text_content() or "").removeprefix("add").partition(" (")[0]
    chip.click()
    expect(page.get_by_role("textbox", name="Category 6")).to_have_value(category)


def choose_surveys(page: Page) -> None:
    open_section(page, "Surveys")
    page.get_by_role("switch", name="Enable survey pulls").click()
    page.get_by_role("combobox", name="Mode").click()
    page.get_by_role("option", name="Multiple objects").click()
    page.get_by_role("button", name="Add a survey object").click()
    pick(page, page.get_by_label("Survey response object 2"), "nps", re.compile("nps_survey__gc"))
    page.get_by_label("Lookback days").fill("90")
    expect(page.get_by_text("surveys.lookback_days is 90; it takes a whole number from 1 to 30.")).to_be_visible()
    page.get_by_label("Lookback days").fill("21")
    page.get_by_label("Lookback days").press("Tab")
    expect(page.get_by_text("surveys.lookback_days is 90")).to_have_count(0)


def check_a_filter(page: Page) -> None:
    page.get_by_text("Survey response filter (advanced)").click()
    area = page.get_by_label("Filter, as a JSON object")
    area.fill('{\n  "conditions": oops\n}')
    expect(page.get_by_text("This isn't JSON: line 2, column 17")).to_be_visible()
    condition = {"name": "NoSuchField", "alias": "A", "value": [9], "operator": "GTE"}
    area.fill(json.dumps({"conditions": [condition], "expression": "A"}))
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("survey_response: ").filter(has_text="NoSuchField")).to_be_visible()
    area.fill("")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text(re.compile(r"survey_response: [\d,]+ records match"))).to_be_visible()


def edit_json(page: Page) -> None:
    page.get_by_role("button", name="Show JSON of surveys").click()
    area = page.get_by_label("JSON", exact=True)
    before = area.input_value()
    line = next(number for number, line in enumerate(before.splitlines(), start=1) if "response_limit" in line)
    area.fill(before.replace('"response_limit": 500', '"response_limit": 0'))
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text(f"line {line}: surveys.response_limit is 0; it takes a whole number")).to_be_visible()
    area.fill(before.replace('"response_limit": 500', '"response_limit": 5000'))
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_label("Response limit")).to_have_value("5000")


def save(page: Page) -> None:
    page.get_by_role("button", name=re.compile(r"^Save \(\d\)")).click()
    expect(page.get_by_text("What will change")).to_be_visible()
    expect(page.get_by_text("+  lookback_days: 21")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved to ")).to_be_visible()


def run_them(page: Page) -> None:
    row = page.locator('[data-object="company"]')
    expect(row).to_contain_text("Never synced")
    page.get_by_role("button", name="Run company").click()
    expect(row).to_contain_text("Completed", timeout=WAIT)
    others = page.locator("[data-object]").filter(has_text="Never synced")
    expect(others).to_have_count(4)
    page.get_by_role("button", name="Run all sync jobs").click()
    completed = page.locator("[data-object]").filter(has_text="less than a minute ago").filter(has_text="Completed")
    expect(completed).to_have_count(5, timeout=3 * WAIT)
    expect(page.get_by_role("link", name=re.compile("Completed")).first).to_have_attribute(
        "href", re.compile(r"/runs/[0-9a-f-]{36}$")
    )
