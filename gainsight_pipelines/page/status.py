"""The status banner: a row per enabled object with its last run and a Run button, and Run all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from nicegui import run, ui

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.page import widgets

REFRESH_SECONDS = 2.0
START_SECONDS = 60.0
KINDS = {"starting": "busy", "running": "busy", "completed": "good", "failed": "bad", "skipped": "warn"}
"""Colours by status; other statuses have none."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One enabled object.

    Attributes:
        name: the pull's name.
        status: running, completed, failed, skipped or never.
        when: age of the last run's end, or of its start while it runs ("3 min ago"); empty if it never ran.
        note: why it failed, or what to do.
        run_page: URL of the last run in the Dagster UI, or None.
        title: the pull's title.
        counts: records read and unmatched by the last run; empty if it never ran.
        next_due: "in 2 h"; empty if the schedule is stopped.
    """

    name: str
    status: str
    when: str
    note: str
    run_page: str | None = None
    title: str = ""
    counts: str = ""
    next_due: str = ""


@dataclass(frozen=True, slots=True)
class GateState:
    """Result of the last check of the primary CRM.

    `text`: the result, as a sentence. `checked`: its age ("3 min ago"). `is_stale`: the check is overdue.
    """

    is_open: bool
    text: str
    checked: str
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """The contents of the banner.

    `gate`: None before the first check. `completed`: age of the last completed run of any row ("3 min ago").
    `next_due`: when the next schedule ticks ("in 48 min"); empty if all are stopped.
    """

    gate: GateState | None
    rows: Sequence[StatusRow]
    completed: str = ""
    next_due: str = ""


@dataclass(frozen=True, slots=True)
class Runs:
    """The functions that the banner uses. They are called in worker threads and may raise PipelineError.

    Attributes:
        status: reads the banner.
        start: starts one object's pull and returns the URL of its run. None if Dagster's URL is not known; `why_not`
            then says so.
        reload: makes Dagster reload the settings; None as above.
        page: URL of the Dagster UI, or None.
    """

    status: Callable[[], Status]
    start: Callable[[str], str] | None = None
    reload: Callable[[], None] | None = None
    page: str | None = None
    why_not: str = ""


class Starts:
    """Runs started from this page. Dagster takes seconds to begin one; until then the row shows Starting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._requests: dict[str, tuple[str | None, str, float]] = {}
        self._failures: dict[str, tuple[str | None, str]] = {}

    def requested(self, row: StatusRow, run_page: str) -> None:
        """A run was requested; `run_page` is its URL."""
        self._failures.pop(row.name, None)
        self._requests[row.name] = (row.run_page, run_page, self._clock.monotonic() + START_SECONDS)

    def failed_to_start(self, row: StatusRow, why: str) -> None:
        """A run could not be started."""
        self._failures[row.name] = (row.run_page, why)

    def is_awaited(self, name: str) -> bool:
        """Whether a requested run has not begun yet, so that it is not requested twice."""
        return name in self._requests and self._clock.monotonic() <= self._requests[name][2]

    def row_to_show(self, row: StatusRow) -> StatusRow:
        """The row to show, given the runs that were requested since its last run."""
        before, why = self._failures.get(row.name, (None, ""))
        if why and row.run_page == before:
            return replace(row, note=why)
        self._failures.pop(row.name, None)
        if row.name not in self._requests:
            return row
        before, run_page, until = self._requests[row.name]
        if row.status == "running" or row.run_page != before:
            del self._requests[row.name]
            return row
        note = ""
        if self._clock.monotonic() > until:
            note = "Requested more than a minute ago. Is the Dagster daemon running? See the run in the Dagster UI."
        return replace(row, status="starting", when="queued", counts="", note=note, run_page=run_page)


class _Row:
    """The elements of one row. They are updated in place, which keeps the focus."""

    def __init__(self, row: StatusRow, run: Callable[[], Awaitable[None]], *, can_run: bool) -> None:
        self._title = row.title or row.name
        self.status = ""
        with (
            ui.element("div")
            .classes("w-full py-3 column no-wrap gap-1")
            .props(f'role="listitem" data-object="{row.name}"')
        ):
            with ui.row().classes("w-full items-center no-wrap gap-x-3"):
                with ui.column().classes("gap-0 grow min-w-0"):
                    with ui.row().classes("items-center gap-x-2 gap-y-1"):
                        ui.label(self._title).classes("font-medium break-words min-w-0")
                        self._pill = widgets.pill()
                    with ui.row().classes("items-center gap-0 small muted facts"):
                        self._when = ui.label()
                        self._link = ui.link(new_tab=True)
                        self._counts = ui.label()
                        self._next = ui.label()
                button = ui.button("Run", icon="play_arrow", on_click=run)
                button.classes("shrink-0").props(
                    f'outline dense no-wrap padding="3px 12px" aria-label="Run {self._title}"'
                )
                button.set_enabled(can_run)
            self._note = ui.label().classes("w-full small whitespace-pre-line break-words")

    def show(self, row: StatusRow) -> bool:
        """Shows a row. Returns whether its status has changed."""
        is_news = row.status != self.status
        self.status = row.status
        widgets.set_pill(self._pill, row.status.capitalize(), KINDS.get(row.status, ""))
        is_link = bool(row.run_page and row.when)
        self._link.set_visibility(is_link)
        self._when.set_visibility(bool(row.when) and not is_link)
        when = f"started {row.when}" if row.status == "running" else row.when
        self._when.set_text(when)
        self._link.set_text(when)
        self._link.props["href"] = row.run_page or "#"
        self._link.props["aria-label"] = f"{self._title}: {row.status} {when}"
        self._counts.set_text(row.counts)
        self._counts.set_visibility(bool(row.counts))
        self._next.set_text(f"next run {row.next_due}" if row.next_due else "schedule stopped")
        self._note.set_text(row.note)
        self._note.classes(replace=f"w-full small whitespace-pre-line break-words {self._tone(row.status)}")
        self._note.set_visibility(bool(row.note))
        return is_news

    @staticmethod
    def _tone(status: str) -> str:
        return "bad-text" if status == "failed" else "muted"


class Banner:
    """The banner.

    Args:
        runs: the functions that it uses.
        clock: the source of time.
        on_status: called with each status that is read.
    """

    def __init__(self, runs: Runs, clock: Clock, on_status: Callable[[Status], None]) -> None:
        self._runs = runs
        self._starts = Starts(clock)
        self._on_status = on_status
        self._read: Sequence[StatusRow] = ()
        self._rows: dict[str, _Row] = {}
        with ui.card().classes("w-full panel").props('role="region" aria-label="Sync status"'):
            with ui.row().classes("w-full items-start justify-between no-wrap gap-3"):
                with ui.column().classes("gap-0 grow min-w-0"):
                    with ui.row().classes("items-center gap-x-2 gap-y-1"):
                        widgets.heading("Sync status")
                        self._gate = widgets.pill()
                    self._summary = ui.label().classes("small muted break-words")
                with ui.row().classes("items-center justify-end gap-x-3 gap-y-1 shrink-0"):
                    if runs.page:
                        ui.link("Dagster", runs.page, new_tab=True).classes("small")
                    self._all = ui.button("Run all", icon="playlist_play", on_click=self._run_all)
                    self._all.props("outline dense no-wrap padding='4px 12px'")
                    self._all.disable()
            self._closed = ui.label().classes("banner bad w-full break-words")
            for element in (self._gate, self._summary, self._closed):
                element.set_visibility(False)
            if runs.start is None:
                ui.label(runs.why_not).classes("small muted")
            self._none = ui.label("No object is enabled yet. Enable one below, then save.").classes("muted")
            self._none.set_visibility(False)
            self._list = ui.column().classes("w-full gap-0 rows").props('role="list"')
            self._list.set_visibility(False)
            self._news = ui.label().classes("sr-only").props('role="status"')
            self._error = ui.label().classes("bad-text").props('role="alert"')
            self._error.set_visibility(False)
        self._timer = ui.timer(REFRESH_SECONDS, self.refresh)

    async def refresh(self) -> None:
        """Updates the status while the tab is visible."""
        if not self._list.client.has_socket_connection:
            return
        try:
            status = await run.io_bound(self._runs.status)
        except PipelineError as error:
            self._error.set_text(str(error))
            self._error.set_visibility(True)
            return
        if status is None:
            return  # the page is shutting down
        self._error.set_visibility(False)
        self._read = status.rows
        self._show_gate(status.gate, status.next_due)
        self._on_status(status)
        self._show()

    def _show_gate(self, gate: GateState | None, next_due: str) -> None:
        self._gate.set_visibility(gate is not None)
        parts = [f"Next run {next_due}."] if next_due else []
        closed = ""
        if gate is not None:
            widgets.set_pill(self._gate, *(("Gate open", "good") if gate.is_open else ("Gate closed", "bad")))
            old = [f"Last checked {gate.checked}: is the Dagster daemon running?"] if gate.is_stale else []
            if gate.is_open:
                parts = [gate.text, *old, *parts]
            else:
                closed = " ".join(["Nothing is pulled while the primary CRM is unavailable.", gate.text, *old])
        for label, text in ((self._summary, " ".join(parts)), (self._closed, closed)):
            label.set_text(text)
            label.set_visibility(bool(text))

    def _show(self) -> None:
        names = [row.name for row in self._read]
        is_first = not self._rows
        if names != list(self._rows):
            self._list.clear()
            with self._list:
                self._rows = {row.name: self._row(row) for row in self._read}
        shown = [self._starts.row_to_show(row) for row in self._read]
        news = [f"{row.title or row.name}: {row.status}." for row in shown if self._rows[row.name].show(row)]
        if news and not is_first:
            self._news.set_text(" ".join(news))
        self._none.set_visibility(not names)
        self._list.set_visibility(bool(names))
        self._all.set_enabled(self._runs.start is not None and bool(names))

    def _row(self, row: StatusRow) -> _Row:
        return _Row(row, lambda: self._run([row.name]), can_run=self._runs.start is not None)

    async def _run_all(self) -> None:
        with widgets.working(self._all):
            await self._run(list(self._rows))

    async def _run(self, names: Sequence[str]) -> None:
        """Starts one run per object. One that can't be started does not stop the others.

        It does not use the job `sync_all`, whose pulls begin half a minute later and whose failures are not reported
        here.
        """
        start = self._runs.start
        if start is None:
            return
        failed, started = [], 0
        for row in [row for row in self._read if row.name in names and not self._starts.is_awaited(row.name)]:
            try:
                self._starts.requested(row, await run.io_bound(start, row.name) or "")
                started += 1
            except PipelineError as error:
                self._starts.failed_to_start(row, str(error))
                failed.append(row.title or row.name)
        if started:
            ui.notify(f"{started} run{'s' if started > 1 else ''} started.", type="positive")
        if failed:
            ui.notify(f"Not started: {', '.join(failed)}.", type="negative")
        await self.refresh()
