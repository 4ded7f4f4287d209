"""The Dagster UI in a real browser, with a real daemon: banner, one row, gate and catch-up, run all, backfill.

All tests share one `dev`, because it starts slowly. Each test checks only its own objects and runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.names import SYNC_ALL_TAG
from gainsight_pipelines.orchestration.webserver import Webserver
from gainsight_pipelines.settings import load_settings
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines_tests.page.browsing import browser_page
from gainsight_pipelines_tests.product import product_on
from gainsight_pipelines_tests.pulling import own_cadences
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.ui.watching import (
    BY_DAY,
    WAIT_MS,
    Dev,
    Run,
    backfill_all_days,
    dev_on,
    materialize,
    open_banner,
    open_gate_history,
    row,
    rows,
    run_all,
)
from gainsight_pipelines_tests.waiting import is_alive, process_below, processes_below, wait_until

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]
ENABLED = {"company", "activity", "survey_survey_response"}
DAYS = 45
NOWHERE = "about:blank"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def dev(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer, sandbox: RunningSandbox
) -> Iterator[Dev]:
    with product_on(tmp_path_factory.mktemp("project"), postgres_server, sandbox) as product:
        settings = product.settings()
        settings["product_usage"] = {"enabled": False}
        settings["schedules"] = own_cadences(("company", "activity", "surveys"))
        first_day = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
        settings["surveys"] |= {"first_day": first_day.isoformat(), "response_limit": 5000}
        product.write_settings(settings)
        with dev_on(product) as dev:
            yield dev


@pytest.fixture(scope="module")
def page(dev: Dev) -> Iterator[Page]:
    with browser_page(viewport={"width": 1400, "height": 900}) as page:
        yield page


@pytest.fixture(scope="module")
def launched_backfill(page: Page, dev: Dev) -> None:
    """Launches a backfill of all days. Its first run starts after half a minute; other tests run meanwhile."""
    backfill_all_days(page, dev)


@pytest.fixture(autouse=True)
def healthy(sandbox: RunningSandbox, page: Page) -> None:
    """The sandbox without faults, and a tab that asks Dagster nothing until the test opens a page."""
    sandbox.reset()
    page.goto(NOWHERE)


def new_runs(dev: Dev, before: list[Run]) -> list[Run]:
    known = {run.run_id for run in before}
    return [run for run in dev.runs() if run.run_id not in known]


def test_the_banner_has_a_row_for_each_enabled_object_and_a_row_runs_only_its_own(page: Page, dev: Dev) -> None:
    """Requirements B1, B2 and B3."""
    open_banner(page, dev)
    assert rows(page) == ENABLED
    expect(row(page, "company")).to_contain_text("Never materialized")
    expect(row(page, "company")).to_contain_text("Company: Gainsight's company attributes")
    materialize(page, "company")
    expect(row(page, "company")).to_contain_text("Materialized", timeout=WAIT_MS)
    expect(row(page, "activity")).to_contain_text("Never materialized")
    (run,) = dev.runs()
    assert (run.status, run.assets) == ("SUCCESS", ("company",))


def test_without_the_crm_a_run_fails_with_the_gates_sentence_and_what_was_due_runs_once_it_is_back(
    page: Page, dev: Dev, sandbox: RunningSandbox
) -> None:
    """Requirements G2 and G3; the check's history shows the outage."""
    before = dev.runs()
    sandbox.switch(crm_down=True)
    open_banner(page, dev)
    materialize(page, "activity")
    expect(row(page, "activity")).to_contain_text("Failed", timeout=WAIT_MS)
    (failed,) = new_runs(dev, before)
    page.goto(dev.page_of(f"runs/{failed.run_id}"))
    sentence = "is not available (HTTP 503). Bring it back, or wait until it is, then run again."
    expect(page.get_by_text(sentence).first).to_be_visible()
    page.goto(NOWHERE)
    wait_until(lambda: dev.product.query("SELECT is_open FROM crm_gate") == [(False,)], 60)
    assert sandbox.calls()["calls"].get("gainsight", {}).get("query", 0) == 0

    dev.owe("activity", "survey_survey_response")
    sandbox.switch(crm_down=False)
    wait_until(lambda: [run.status for run in new_runs(dev, [*before, failed])] == ["SUCCESS", "SUCCESS"], 120)
    caught_up = new_runs(dev, [*before, failed])
    assert sorted(run.job for run in caught_up) == ["gainsight_pull_activity", "gainsight_pull_survey_survey_response"]
    assert all("gainsight_pipelines/missed" in run.tags for run in caught_up)
    open_banner(page, dev)
    expect(row(page, "activity")).to_contain_text("Materialized", timeout=WAIT_MS)

    history = open_gate_history(page, dev)
    expect(history).to_contain_text("is not available (HTTP 503")
    expect(history).to_contain_text("accounts.")
    assert history.inner_text().index("Passed") < history.inner_text().index("Failed"), "the latest one stands first"


@pytest.mark.usefixtures("launched_backfill")
def test_run_all_starts_one_run_per_object_and_a_failure_leaves_the_others_alone(page: Page, dev: Dev) -> None:
    """Requirement B4."""
    before, good = dev.runs(), dev.product.settings()
    dev.product.write_settings(good | {"company": {"attributes": ["Nope"]}})
    run_all(page, dev)
    page.goto(NOWHERE)

    def started() -> dict[str, str]:
        return {run.job: run.status for run in new_runs(dev, before) if SYNC_ALL_TAG in run.tags}

    wait_until(lambda: len(started()) == 3 and set(started().values()) <= {"SUCCESS", "FAILURE"}, 120)
    assert started() == {
        "gainsight_pull_company": "FAILURE",
        "gainsight_pull_activity": "SUCCESS",
        "gainsight_pull_survey_survey_response": "SUCCESS",
    }
    dev.product.write_settings(good)


@pytest.mark.usefixtures("launched_backfill")
def test_ticks_start_runs_unless_the_object_is_being_pulled_and_what_was_skipped_runs_afterwards(dev: Dev) -> None:
    """The daemon ticks every minute, the shortest interval of a cron expression."""
    before, good = dev.runs(), dev.product.settings()
    dev.product.write_settings(
        good | {"schedules": good["schedules"] | dict.fromkeys(("company", "activity"), "* * * * *")}
    )

    def started() -> dict[str, list[str]]:
        return {run.run_id: [run.job, run.status] for run in new_runs(dev, before)}

    def ticked() -> list[str]:
        return [run_id for tick in dev.ticks("company") for run_id in tick.run_ids]

    with object_lease(Store(dev.product.database_url), "activity", "somebody"):
        Webserver(dev.base).reload(load_settings(dev.product.settings_path))
        wait_until(lambda: dev.ticks("activity") and ticked(), 90)
        skipped = {(tick.status, tick.reason) for tick in dev.ticks("activity")}
        held_back = started().keys()
    assert skipped == {("SKIPPED", "`activity` is still being pulled by another run.")}
    wait_until(lambda: ["gainsight_pull_company", "SUCCESS"] in [started().get(run_id) for run_id in ticked()], 60)
    wait_until(
        lambda: ["gainsight_pull_activity", "SUCCESS"] in [started()[each] for each in started().keys() - held_back], 90
    )
    dev.product.write_settings(good)
    Webserver(dev.base).reload(load_settings(dev.product.settings_path))


@pytest.mark.usefixtures("launched_backfill")
def test_a_backfill_of_45_days_ends_complete_in_two_runs(page: Page, dev: Dev) -> None:
    """Requirement S8: by day, in runs of at most 30 days."""

    def runs() -> list[Run]:
        return [run for run in dev.runs() if "dagster/backfill" in run.tags]

    wait_until(lambda: [run.status for run in runs()] == ["SUCCESS", "SUCCESS"], 150)
    assert all(run.assets == (BY_DAY,) for run in runs())
    asked = dev.days_asked_for()
    page.goto(dev.page_of(f"assets/gainsight/{BY_DAY}?view=partitions"))
    expect(page.get_by_text(f"Materialized ({asked})")).to_be_visible(timeout=WAIT_MS)
    # A day that began after the launch is a partition too, but not part of the backfill.
    first_day = date.fromisoformat(dev.product.settings()["surveys"]["first_day"])
    there_are = (datetime.now(UTC).date() - first_day).days + 1
    assert DAYS <= asked <= there_are
    if asked == there_are:
        expect(page.get_by_text("Missing (0)")).to_be_visible()


def test_a_daemon_that_is_killed_ends_dev_and_the_next_run_goes_on(dev: Dev, sandbox: RunningSandbox) -> None:
    """The last test of this module, because it ends the shared `dev`."""
    assert dev.product.command("reset", "--all").status == 0
    sandbox.switch(page_cap=50, gainsight_delay=0.5)
    run_id = Webserver(dev.base).start("activity", load_settings(dev.product.settings_path))
    read = "SELECT records_read FROM sync_run WHERE run_id = %s AND records_read > 0"
    wait_until(lambda: dev.product.query(read, (run_id,)), 60)
    everything = processes_below(dev.process.pid)
    process_below(dev.process.pid, "dagster._daemon").kill()
    assert dev.process.wait(60) == 1
    assert [each for each in everything if is_alive(each.pid)] == []
    truth = sandbox.truth("activity_timeline")
    ((stored,),) = dev.product.query("SELECT count(*) FROM activity WHERE run_id = %s", (run_id,))
    assert 0 < stored < len(truth)
    sandbox.reset()
    result = dev.product.run("activity")
    assert result.status == 0, result.err
    assert result.object("activity")["read"] < len(truth), "it began at the last page, not at the first"
    stored_ids = dev.product.query("SELECT activity_id FROM activity WHERE source = 'timeline'")
    assert {activity_id for (activity_id,) in stored_ids} == set(truth)
