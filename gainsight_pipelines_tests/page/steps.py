"""The steps of a setup on the settings page, each with its effect checked, for the browser test and the pictures."""

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
SECTIONS = ("Account matching", "Company", "Activity", "Surveys", "Product usage", "Further objects", "Schedules")
TOGGLES = (("Company", "Pull company attributes"), ("Product usage", "Pull product usage"))
expect.set_options(timeout=30_000)


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def pick(page: Page, field: Locator, typed: str, option: str | re.Pattern[str]) -> None:
    """Opens a picker, types part of a name and chooses the option."""
    field.click()
    field.fill(typed)
    page.get_by_role("option", name=option).first.click()


def open_section(page: Page, title: str) -> None:
    cadence = r"on|off|daily at [\d:]+|weekly on \w+ at [\d:]+|monthly on day \d+ at [\d:]+|every \d+ h"
    page.get_by_role("button", name=re.compile(f"^{title}( ({cadence}))?$")).click()


def open_advanced(page: Page, title: str) -> None:
    page.get_by_role("group", name=title, exact=True).get_by_role("button", name="Advanced").click()


def choose(page: Page, label: str, option: str) -> None:
    """Chooses an option of a combobox."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def connect(page: Page, project: Path, sandbox: RunningSandbox) -> None:
    """Types addresses and secrets and tests the connections, which writes nothing to a file."""
    gainsight, env = page.get_by_role("group", name="Gainsight"), project / ".env"
    page.get_by_label("Gainsight base URL").fill(sandbox.urls["gainsight"])
    page.get_by_label("API key").fill(WRONG_KEY)
    expect(page.get_by_label("API key")).to_have_accessible_description("Not saved yet.")
    page.get_by_role("button", name="Test the connection to Gainsight").click()
    expect(gainsight.get_by_text("the API key was rejected (expired or rotated)").first).to_be_visible()
    expect(gainsight.get_by_text("Not connected")).to_be_visible()
    page.get_by_label("API key").fill(sandbox.env["GAINSIGHT_API_KEY"])
    expect(gainsight.get_by_text("Not tested", exact=True)).to_be_visible()
    page.get_by_role("button", name="Test the connection to Gainsight").click()
    expect(gainsight.get_by_text(re.compile(r"Connected to 127.0.0.1:\d+: \d+ objects"))).to_be_visible()
    choose(page, "Primary CRM", "Salesforce")
    page.get_by_label("Instance URL").fill(sandbox.env["SALESFORCE_INSTANCE_URL"])
    page.get_by_label("Client ID").fill(sandbox.env["SALESFORCE_CLIENT_ID"])
    page.get_by_label("Client secret").fill(sandbox.env["SALESFORCE_CLIENT_SECRET"])
    page.get_by_role("button", name="Test the connection to Salesforce").click()
    expect(page.get_by_text(re.compile(r"Connected to organization 00D\w{15}: \d+ accounts"))).to_be_visible()
    assert not env.exists()


def map_a_category(page: Page) -> None:
    open_section(page, "Activity")
    page.get_by_role("switch", name="Pull timeline activities").click()
    expect(page.get_by_text(re.compile(r"\d+ activities sampled"))).to_be_visible()
    page.get_by_role("button", name="What each activity type means").click()
    expect(page.get_by_text("An email exchanged")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    chip = page.get_by_role("button", name=re.compile(r" → (EMAIL|MEETING|TYPE_MANUAL)$")).first
    category = (chip.text_content() or "").removeprefix("add").partition(" (")[0]
    chip.click()
    expect(page.get_by_role("textbox", name="Category 6")).to_have_value(category)


def choose_surveys(page: Page) -> None:
    open_section(page, "Surveys")
    page.get_by_role("switch", name="Pull survey responses").click()
    choose(page, "Mode", "Multiple objects")
    page.get_by_role("button", name="Add a survey object").click()
    pick(page, page.get_by_label("Survey response object 2"), "nps", re.compile("nps_survey__gc"))
    page.get_by_label("Lookback days").fill("90")
    expect(page.get_by_text("surveys.lookback_days is 90; it takes a whole number from 1 to 30.")).to_be_visible()
    page.get_by_label("Lookback days").fill("21")
    page.get_by_label("Lookback days").press("Tab")
    expect(page.get_by_text("surveys.lookback_days is 90")).to_have_count(0)


def check_a_filter(page: Page) -> None:
    open_advanced(page, "Surveys")
    area = page.get_by_label("Response filter, as a JSON object")
    area.fill('{\n  "conditions": oops\n}')
    expect(page.get_by_text("Not valid JSON: line 2, column 17")).to_be_visible()
    condition = {"name": "NoSuchField", "alias": "A", "value": [9], "operator": "GTE"}
    area.fill(json.dumps({"conditions": [condition], "expression": "A"}))
    page.get_by_role("button", name="Check filter").click()
    expect(page.get_by_text("survey_response: ").filter(has_text="NoSuchField")).to_be_visible()
    area.fill("")
    page.get_by_role("button", name="Check filter").click()
    expect(page.get_by_text(re.compile(r"survey_response: [\d,]+ records match"))).to_be_visible()


def edit_json(page: Page) -> None:
    page.get_by_role("button", name="Show JSON of Surveys").click()
    area = page.get_by_label("JSON", exact=True)
    before = area.input_value()
    line = next(number for number, line in enumerate(before.splitlines(), start=1) if "response_limit" in line)
    area.fill(before.replace('"response_limit": 500', '"response_limit": 0'))
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text(f"line {line}: surveys.response_limit is 0; it takes a whole number")).to_be_visible()
    area.fill(before.replace('"response_limit": 500', '"response_limit": 5000'))
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_label("Response limit")).to_have_value("5000")


def save(page: Page, project: Path, sandbox: RunningSandbox) -> None:
    page.get_by_role("button", name=re.compile(r"^Save \(\d\)")).click()
    review = page.get_by_role("dialog", name="Review changes")
    expect(review.get_by_text("+  lookback_days: 21")).to_be_visible()
    expect(review.get_by_text("GAINSIGHT_API_KEY will be set")).to_be_visible()
    review.get_by_role("button", name="Save").click()
    expect(page.get_by_text(re.compile(r"Saved to .+ and \.env\."))).to_be_visible()
    file = project / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sandbox.env["GAINSIGHT_API_KEY"] in file.read_text()
    expect(page.get_by_label("API key")).to_have_value("")
    group = page.get_by_role("group", name="Gainsight")
    expect(group.get_by_text("Connected", exact=True)).to_be_visible()  # the saved key is the tested one
    assert sandbox.env["GAINSIGHT_API_KEY"] not in page.content()


def run_them(page: Page) -> None:
    row = page.locator('[data-object="company"]')
    expect(row).to_contain_text("Not synced yet")
    page.get_by_role("button", name="Run Company").click()
    expect(row).to_contain_text("Completed", timeout=WAIT)
    expect(row).to_contain_text(re.compile(r"\d+ read, \d+ without an account"))
    expect(row).to_contain_text(re.compile(r"next run in \d+ (h|min)"))
    summary = re.compile(r"Gate open\s*Salesforce responds and shows accounts\. Next run in \d+ (h|min)\.")
    status = page.get_by_role("region", name="Sync status")
    expect(status).to_contain_text(summary, timeout=WAIT)  # the sensor checks the gate once a minute
    others = page.locator("[data-object]").filter(has_text="Not synced yet")
    expect(others).to_have_count(4)
    first_run = row.get_by_role("link").get_attribute("href")
    assert first_run
    page.get_by_role("button", name="Run all").click()
    expect(page.locator("[data-object]").filter(has_text="Completed")).to_have_count(5, timeout=3 * WAIT)
    expect(row.get_by_role("link")).not_to_have_attribute("href", first_run)
    expect(page.get_by_role("link", name=re.compile("completed")).first).to_have_attribute(
        "href", re.compile(r"/runs/[0-9a-f-]{36}$")
    )
