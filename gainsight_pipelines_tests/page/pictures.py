"""Takes the pictures for docs/settings-page.md, using the sandbox: `make pictures`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from gainsight_pipelines_tests.page import steps
from gainsight_pipelines_tests.page.browsing import browser_page, clean_environment, free_port, page_on
from gainsight_pipelines_tests.sandbox_process import start_sandbox
from gainsight_pipelines_tests.waiting import wait_until

FOLDER = Path(__file__).parents[2] / "docs" / "images"
HIDE_TIPS = "document.activeElement?.blur(); document.querySelectorAll('.q-notification').forEach(e => e.remove())"


def take(page: Page, name: str, region: str) -> None:
    """Takes a picture of the card or section with this name."""
    page.evaluate(HIDE_TIPS)
    page.mouse.move(0, 0)
    box = (
        page.locator(".panel, .section")
        .filter(has=page.get_by_role("heading", name=region, exact=True))
        .or_(page.locator(".section").filter(has=page.get_by_role("group", name=region, exact=True)))
    )
    save(box.first.screenshot(animations="disabled"), name)


def save(picture: bytes, name: str) -> None:
    """Writes a picture into docs/images."""
    (FOLDER / f"settings-page-{name}.png").write_bytes(picture)


def main() -> None:
    """Goes through the whole setup once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        start_sandbox(Path(folder) / "sandbox", activities=300, accounts=60) as sandbox,
    ):
        project = Path(folder) / "project"
        project.mkdir()
        env, port = clean_environment(sandbox), free_port()
        command = [sys.executable, "-m", "gainsight_pipelines.cli", "dev", "--port", str(port)]
        dagster = subprocess.Popen(command, cwd=project, env=env, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: steps.answers(f"http://127.0.0.1:{port}"), 120)
            with (
                page_on(project, env, "--dagster", f"http://127.0.0.1:{port}") as served,
                browser_page(viewport={"width": 860, "height": 2600}) as page,
            ):
                page.goto(served.next_address())
                steps.connect(page, project, sandbox)
                take(page, "connection", "Connection")
                steps.open_section(page, "Account matching")
                field = page.get_by_label("Gainsight GSID field on the CRM account")
                steps.pick(page, field, "gainsight", "Gainsight_GSID__c — Gainsight GSID (string)")
                steps.map_a_category(page)
                take(page, "activity", "Activity")
                for title, toggle in steps.TOGGLES:
                    steps.open_section(page, title)
                    page.get_by_role("switch", name=toggle).click()
                steps.choose_surveys(page)
                take(page, "surveys", "Surveys")
                page.get_by_role("button", name="Save (").click()
                review = page.get_by_role("dialog", name="Review changes")
                expect(review).to_be_visible()
                page.evaluate(HIDE_TIPS)
                save(review.locator(".q-card").screenshot(animations="disabled"), "save")
                review.get_by_role("button", name="Save").click()
                expect(page.get_by_text("Dagster has loaded the new settings.")).to_be_visible(timeout=steps.WAIT)
                steps.run_them(page)
                take(page, "status", "Sync status")
                rows = page.locator("[data-object]").count()
                for name, width, scheme in (("dark", 860, "dark"), ("phone", 400, "light")):
                    page.emulate_media(color_scheme=scheme)
                    page.set_viewport_size({"width": width, "height": 900})
                    page.goto(page.url)
                    expect(page.locator("[data-object]")).to_have_count(rows)
                    expect(page.locator("[data-object]").filter(has_text="Completed")).to_have_count(rows)
                    save(page.screenshot(animations="disabled"), name)
        finally:
            dagster.terminate()
            dagster.wait(60)


if __name__ == "__main__":
    os.environ.pop("GAINSIGHT_PIPELINES_SETTINGS", None)
    main()
