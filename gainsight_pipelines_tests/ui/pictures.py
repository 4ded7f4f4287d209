"""Takes the pictures of the Dagster UI for README and docs, using the sandbox: `make pictures`."""

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
"""The UI renders plots and some texts only a while after the page has loaded."""

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
"""Returns the y of the last stack trace, to leave out its local paths. The UI scrolls the events to their end."""


def take(page: Page, name: str, *, above: str | None = None) -> None:
    """Takes a picture of the window; with the script `above`, only of the part above the y that it returns."""
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
    """Materializes these objects from the banner, one after the other, and waits for each run."""
    for name in names:
        open_banner(page, dev)
        before = len(dev.runs())
        materialize(page, name)
        wait_until(lambda before=before: len(dev.runs()) > before and dev.runs()[0].status == "SUCCESS", 90)


def main() -> None:
    """Takes all pictures on one running `dev`."""
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
