"""Takes the pictures of the Dagster UI for README and docs, on the sandbox: `make pictures`."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import FloatRect, Page, ViewportSize, expect

from gainsight_pipelines.embedded.server import embedded_server
from gainsight_pipelines_tests.page.browsing import browser_page
from gainsight_pipelines_tests.product import product_on
from gainsight_pipelines_tests.sandbox_process import start_sandbox
from gainsight_pipelines_tests.ui.watching import (
    BY_DAY,
    WAIT_MS,
    Dev,
    backfill_all_days,
    dev_on,
    materialize,
    open_banner,
    open_gate_history,
    row,
)
from gainsight_pipelines_tests.waiting import wait_until

FOLDER = Path(__file__).parents[2] / "docs" / "images"
OBJECTS = ("company", "activity", "survey_survey_response", "product_usage")
WINDOW: ViewportSize = {"width": 1200, "height": 800}
SETTLED_MS = 2500
"""The UI draws plots and the last of its texts some time after the page is there."""

STACK_TRACE = """() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    let last = window.innerHeight
    while (texts.nextNode()) {
        const start = texts.currentNode.data.indexOf("Stack Trace:")
        if (start < 0) continue
        const range = document.createRange()
        range.setStart(texts.currentNode, start)
        range.setEnd(texts.currentNode, start + 1)
        last = Math.floor(range.getBoundingClientRect().top)
    }
    return last
}"""
"""The y of the last stack trace, which shows paths of this machine; the list of events is scrolled to its end."""


def take(page: Page, name: str, *, above: str | None = None) -> None:
    """What the window shows; `above`: only what is above the y that this script returns."""
    page.keyboard.press("Escape")
    page.mouse.move(700, 5)
    page.wait_for_timeout(SETTLED_MS)
    picture = FOLDER / f"{name}.png"
    if above is None:
        page.screenshot(path=picture, animations="disabled")
    else:
        height = page.evaluate(above)
        clip: FloatRect = {"x": 0, "y": 0, "width": WINDOW["width"], "height": height}
        page.screenshot(path=picture, animations="disabled", clip=clip)


def pull(page: Page, dev: Dev, *names: str) -> None:
    """Runs these objects from the banner and waits for them."""
    for name in names:
        open_banner(page, dev)
        before = len(dev.runs())
        materialize(page, name)
        wait_until(lambda before=before: len(dev.runs()) > before and dev.runs()[0].status == "SUCCESS", 90)


def main() -> None:
    """Goes through a day in the UI."""
    with (
        tempfile.TemporaryDirectory(prefix="ui-") as folder,
        embedded_server(Path(folder) / "postgres", temporary=True) as server,
        start_sandbox(Path(folder) / "sandbox", activities=2000, accounts=120) as sandbox,
        product_on(Path(folder) / "project", server, sandbox) as product,
    ):
        settings = product.settings()
        first_day = datetime.now(UTC).date() - timedelta(days=44)
        settings["surveys"] |= {"first_day": first_day.isoformat(), "response_limit": 5000}
        product.write_settings(settings)
        with dev_on(product) as dev, browser_page(viewport=WINDOW) as page:
            pull(page, dev, *OBJECTS)
            for touched in (40, 15, 60, 25):
                sandbox.edit({"object": "activity_timeline", "action": "touch", "count": touched})
                pull(page, dev, "activity")
            sandbox.switch(crm_down=True)
            open_banner(page, dev)
            materialize(page, "activity")
            expect(row(page, "activity")).to_contain_text("Failed", timeout=WAIT_MS)
            take(page, "banner")
            page.goto(dev.page_of(f"runs/{dev.runs()[0].run_id}"))
            take(page, "gated-run", above=STACK_TRACE)
            wait_until(lambda: product.query("SELECT is_open FROM crm_gate") == [(False,)], 60)
            sandbox.switch(crm_down=False)
            wait_until(lambda: product.query("SELECT is_open FROM crm_gate") == [(True,)], 60)
            open_gate_history(page, dev)
            take(page, "gate-history")
            backfill_all_days(page, dev)
            page.goto(dev.page_of(f"assets/gainsight/{BY_DAY}?view=partitions"))
            expect(page.get_by_text("Materialized (45)")).to_be_visible(timeout=WAIT_MS)
            take(page, "backfill")
            page.goto(dev.page_of("assets/gainsight/activity"))
            plots = page.get_by_role("button", name="Plots")
            plots.click()
            plots.scroll_into_view_if_needed()
            page.mouse.wheel(0, 600)
            take(page, "plots")


if __name__ == "__main__":
    main()
