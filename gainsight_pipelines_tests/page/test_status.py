"""What the banner's rows show from the click on Run until the run begins. Without a browser."""

from __future__ import annotations

from dataclasses import replace

from gainsight_pipelines.page.status import START_SECONDS, Starts, StatusRow
from gainsight_pipelines_tests.gainsight.clocks import RecordingClock


class PassingClock(RecordingClock):
    """A clock whose waits return at once and advance its time."""

    def monotonic(self) -> float:
        return sum(self.sleeps)


BEFORE = StatusRow("company", "failed", "3 min ago", "It was away.", "/runs/1")


def test_a_requested_run_is_shown_with_its_page_until_it_begins() -> None:
    starts = Starts(RecordingClock())
    starts.requested(BEFORE, "/runs/2")
    assert starts.row_to_show(BEFORE) == StatusRow("company", "starting", "queued", "", "/runs/2")
    assert starts.is_awaited("company"), "a second click starts no second run"
    running = replace(BEFORE, status="running", when="now", note="", run_page="/runs/2")
    assert starts.row_to_show(running) == running
    assert not starts.is_awaited("company")


def test_a_run_that_never_begins_is_reported_and_can_be_requested_again() -> None:
    clock = PassingClock()
    starts = Starts(clock)
    starts.requested(BEFORE, "/runs/2")
    clock.sleep(START_SECONDS + 1)
    shown = starts.row_to_show(BEFORE)
    assert (shown.status, shown.run_page) == ("starting", "/runs/2")
    assert "Is the Dagster daemon running?" in shown.note
    assert not starts.is_awaited("company")


def test_a_row_says_why_its_run_did_not_start_until_another_has_run() -> None:
    starts = Starts(RecordingClock())
    starts.failed_to_start(BEFORE, "Dagster doesn't answer.")
    assert starts.row_to_show(BEFORE) == replace(BEFORE, note="Dagster doesn't answer.")
    by_its_schedule = replace(BEFORE, status="completed", note="", run_page="/runs/3")
    assert starts.row_to_show(by_its_schedule) == by_its_schedule
    assert starts.row_to_show(by_its_schedule) == by_its_schedule
