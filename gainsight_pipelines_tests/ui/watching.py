"""Runs `dev` in a separate process, and drives its Dagster UI in a real browser."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import requests
from playwright.sync_api import Locator, Page, expect

from gainsight_pipelines.orchestration.instance import LOCATION
from gainsight_pipelines.orchestration.names import Names
from gainsight_pipelines.scheduling.gate import SECONDS_VARIABLE
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.page.steps import answers
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import Product
from gainsight_pipelines_tests.waiting import wait_until

WAIT_MS = 90_000
"""How long a step may wait for a run, the daemon or a backfill."""

GATE_SECONDS = 2
"""The gate's pace. The daemon's loop still limits the sensor to a check every five seconds; the hold is ten."""

BY_DAY = "survey_survey_response_by_day"

TICKS = """query ($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) { ... on Schedule {
    scheduleState { ticks(limit: 20) { status skipReason runIds } } } } }"""

RUNS = """{ runsOrError(limit: 200) { ... on Runs { results {
    runId jobName status tags { key value } assetSelection { path } } } } }"""

BACKFILLS = """{ partitionBackfillsOrError { ... on PartitionBackfills { results { numPartitions } } } }"""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, read from Dagster's GraphQL API."""

    run_id: str
    job: str
    status: str
    tags: dict[str, str]
    assets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of a schedule. Its status is SUCCESS, SKIPPED or FAILURE."""

    status: str
    reason: str | None
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dev:
    """A running `gainsight-pipelines dev` whose UI responds."""

    base: str
    product: Product
    process: subprocess.Popen[bytes]

    def page_of(self, path: str) -> str:
        """The full address of a path in the UI."""
        return f"{self.base}/{path}"

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        return [
            Run(
                each["runId"],
                each["jobName"],
                each["status"],
                {tag["key"]: tag["value"] for tag in each["tags"]},
                tuple(key["path"][-1] for key in each["assetSelection"] or ()),
            )
            for each in self._ask(RUNS)["runsOrError"]["results"]
        ]

    def ticks(self, name: str) -> list[Tick]:
        """The latest ended ticks of an object's schedule, newest first."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "scheduleName": Names().schedule(name),
        }
        state = self._ask(TICKS, selector=selector)["scheduleOrError"]["scheduleState"]
        over = [each for each in state["ticks"] if each["status"] != "STARTED"]
        return [Tick(each["status"], each["skipReason"], tuple(each["runIds"])) for each in over]

    def days_asked_for(self) -> int:
        """The number of partitions in the only backfill."""
        (backfill,) = self._ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
        return int(backfill["numPartitions"])

    def owe(self, *names: str) -> None:
        """Makes these objects due, as if they had missed a tick."""
        self.product.query_and_commit(
            """INSERT INTO watched_object (object, watched_since) SELECT unnest(%s::text[]), now() - %s
               ON CONFLICT (object) DO UPDATE SET watched_since = excluded.watched_since""",
            (list(names), timedelta(days=9)),
        )

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = requests.post(self.page_of("graphql"), json=body, timeout=30).json()["data"]
        return answer


@contextmanager
def dev_on(product: Product) -> Iterator[Dev]:
    """Runs `dev` on the product's settings."""
    port = free_port()
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "dev", "--port", str(port)],
        cwd=product.folder,
        env=product.env | {SECONDS_VARIABLE: str(GATE_SECONDS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(base) or process.poll() is not None, 120)
        assert process.poll() is None
        yield Dev(base, product, process)
    finally:
        process.terminate()
        process.wait(60)


def open_banner(page: Page, dev: Dev) -> None:
    """Opens the asset group that is the status banner."""
    page.goto(dev.page_of(f"locations/{LOCATION}/asset-groups/gainsight/list"))
    expect(page.locator('a[href^="/assets/gainsight/"]').first).to_be_visible()


def rows(page: Page) -> set[str]:
    """The objects that the banner shows."""
    links = page.locator('a[href^="/assets/gainsight/"]').all()
    return {str(link.get_attribute("href")).rsplit("/", 1)[1] for link in links}


def row(page: Page, name: str) -> Locator:
    """The banner's row of an object."""
    return page.locator(f'xpath=//a[@href="/assets/gainsight/{name}"]/ancestor::div[.//*[@aria-label="more_horiz"]][1]')


def materialize(page: Page, name: str) -> None:
    """Materializes an object from its row's menu. The UI asks for no confirmation."""
    # With the keyboard, since a menu that opens under the mouse may cover its own button.
    row(page, name).get_by_role("button").filter(has=page.locator('[aria-label="more_horiz"]')).press("Enter")
    item = page.get_by_role("menuitem", name="materialization Materialize")
    item.last.press("Enter")
    expect(item).to_have_count(0)


def run_all(page: Page, dev: Dev) -> None:
    """Launches the job sync_all."""
    page.goto(dev.page_of(f"locations/{LOCATION}/jobs/gainsight_sync_all/playground"))
    page.get_by_role("button", name="Launch Run").click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}"))


def backfill_all_days(page: Page, dev: Dev) -> None:
    """Launches a backfill of all partitions."""
    page.goto(dev.page_of(f"assets/gainsight/{BY_DAY}?view=partitions"))
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    expect(dialog).to_contain_text("a maximum of 30 partitions per run")
    dialog.get_by_role("button", name="Launch backfill").click()
    expect(dialog).to_have_count(0)


def open_gate_history(page: Page, dev: Dev) -> Locator:
    """Opens the execution history of the gate's asset check, and returns its table."""
    page.goto(dev.page_of("assets/crm/account?view=checks"))
    page.get_by_text("Execution history").click()
    return page.locator("table").filter(has_text="Evaluation result")
