"""Takes the picture of the example project for docs/dagster.md: `make pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect

from gainsight_pipelines.embedded.server import embedded_server
from gainsight_pipelines_tests.hosting import hosted
from gainsight_pipelines_tests.page.browsing import browser_page
from gainsight_pipelines_tests.sandbox_process import start_sandbox
from gainsight_pipelines_tests.ui.pictures import take
from gainsight_pipelines_tests.ui.watching import WAIT_MS

JOBS = (
    "gainsight_pull_company",
    "gainsight_pull_activity",
    "gainsight_pull_survey_survey_response",
    "acme_pull_company",
)


def main() -> None:
    """Pulls both tenants and takes a picture of the asset graph with the team's own assets."""
    with (
        tempfile.TemporaryDirectory(prefix="ui-") as folder,
        embedded_server(Path(folder) / "postgres", temporary=True) as server,
        start_sandbox(Path(folder) / "sandbox", activities=2000, accounts=120) as sandbox,
        hosted(Path(folder) / "project", server, sandbox, is_alone=True) as host,
        browser_page(viewport={"width": 1400, "height": 800}) as page,
    ):
        host.finish(*(host.launch(job) for job in JOBS))
        host.finish(host.launch("__ASSET_JOB", [["engagement"]]))
        page.goto(f"{host.url}/assets")
        expect(page.get_by_text("engagement").first).to_be_visible(timeout=WAIT_MS)
        take(page, "own-project")


if __name__ == "__main__":
    main()
