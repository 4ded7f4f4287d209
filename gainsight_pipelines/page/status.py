"""The object sync status on top (B1 to B5): a row per enabled object, its last run, Run per row and for all."""

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
"""The colour of each status; the others have none."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One enabled object.

    Attributes:
        name: of the pull.
        status: running, completed, failed, skipped or never.
        when: when the last run ended, or began if it goes on, like "3 min ago"; empty where it never ran.
        note: why it failed, or what to do.
        run_page: the address of the last run's page in Dagster, where there is one.
        title: what people call it.
        counts: what the last run read, and what it left without an account; empty where it never ran.
        next_due: "in 2 h"; empty where its schedule is stopped.
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
    """Whether the primary CRM was there when somebody looked last.

    `text`: what was found, as a sentence. `checked`: when, like "3 min ago". `is_stale`: nobody has looked for long.
    """

    is_open: bool
    text: str
    checked: str
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """The banner as it is now.

    `gate`: None if nobody looked yet. `completed`: when the last completed run of any row ended, like "3 min ago".
    """

    gate: GateState | None
    rows: Sequence[StatusRow]
    completed: str = ""


@dataclass(frozen=True, slots=True)
class Runs:
    """What the banner needs of the outside. All of it is called in worker threads and may raise PipelineError.

    Attributes:
        status: the banner.
        start: starts one object's pull and returns the page of its run; None: nothing is known that could, and
            `why_not` says so.
        reload: has Dagster load the settings anew; None as above.
        page: the address of the Dagster UI, where it is known.
    """

    status: Callable[[], Status]
    start: Callable[[str], str] | None = None
    reload: Callable[[], None] | None = None
    page: str | None = None
    why_not: str = ""


class Starts:
    """Runs that were asked for here: Dagster takes seconds until it begins one, and each row says so meanwhile."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[str, tuple[str | None, str, float]] = {}
        self._refused: dict[str, tuple[str | None, str]] = {}

    def asked(self, row: StatusRow, run_page: str) -> None:
        """A run was asked for; that is its page."""
        self._refused.pop(row.name, None)
        self._asked[row.name] = (row.run_page, run_page, self._clock.monotonic() + START_SECONDS)

    def refused(self, row: StatusRow, why: str) -> None:
        """A run could not be started."""
        self._refused[row.name] = (row.run_page, why)

    def is_awaited(self, name: str) -> bool:
        """Whether a run was asked for a moment ago: it isn't asked for twice."""
        return name in self._asked and self._clock.monotonic() <= self._asked[name][2]

    def seen(self, row: StatusRow) -> StatusRow:
        """A row as it is to be shown, given what was asked for since its last run."""
        before, why = self._refused.get(row.name, (None, ""))
        if why and row.run_page == before:
            return replace(row, note=why)
        self._refused.pop(row.name, None)
        if row.name not in self._asked:
            return row
        before, run_page, until = self._asked[row.name]
        if row.status == "running" or row.run_page != before:
            del self._asked[row.name]
            return row
        note = ""
        if self._clock.monotonic() > until:
            note = "It was asked for more than a minute ago. Is a Dagster daemon alive? The run's page says more."
        return replace(row, status="starting", when="not begun yet", counts="", note=note, run_page=run_page)


class _Row:
    """The elements of one row, which stay while what they show changes: so does the focus."""

    def __init__(self, row: StatusRow, run: Callable[[], Awaitable[None]], *, can_run: bool) -> None:
        self._title = row.title or row.name
        self.status = ""
        with (
            ui.element("div")
            .classes("w-full py-3 flex flex-col gap-1")
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
        """Shows a row; whether its status is another one than before."""
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
        runs: what it needs of the outside.
        clock: the source of time.
        on_status: told the status, each time that it is read.
    """

    def __init__(self, runs: Runs, clock: Clock, on_status: Callable[[Status], None]) -> None:
        self._runs = runs
        self._starts = Starts(clock)
        self._on_status = on_status
        self._read: Sequence[StatusRow] = ()
        self._rows: dict[str, _Row] = {}
        with ui.card().classes("w-full panel").props('role="region" aria-label="Sync status"'):
            with ui.row().classes("w-full items-center justify-between gap-2"):
                widgets.heading("Sync status")
                with ui.row().classes("items-center gap-3"):
                    if runs.page:
                        ui.link("Dagster", runs.page, new_tab=True).classes("small")
                    self._all = ui.button("Run all", icon="playlist_play", on_click=self._run_all)
                    self._all.props("dense padding='4px 14px' unelevated")
                    self._all.disable()
            with ui.row().classes("banner w-full items-start no-wrap gap-2") as self._gate:
                self._gate_icon = ui.icon("lock_open").classes("text-lg").props("aria-hidden=true")
                self._gate_text = ui.label().classes("min-w-0 break-words")
            self._gate.set_visibility(False)
            if runs.start is None:
                ui.label(runs.why_not).classes("small muted")
            self._none = ui.label("No object is enabled yet: enable one below, and save.").classes("muted")
            self._none.set_visibility(False)
            self._list = ui.column().classes("w-full gap-0 rows").props('role="list"')
            self._list.set_visibility(False)
            self._news = ui.label().classes("sr-only").props('role="status"')
            self._error = ui.label().classes("bad-text").props('role="alert"')
            self._error.set_visibility(False)
        self._timer = ui.timer(REFRESH_SECONDS, self.refresh)

    async def refresh(self) -> None:
        """Reads the status anew, while somebody can see it."""
        if not self._list.client.has_socket_connection:
            return
        try:
            status = await run.io_bound(self._runs.status)
        except PipelineError as error:
            self._error.set_text(str(error))
            self._error.set_visibility(True)
            return
        if status is None:
            return  # the page is about to end
        self._error.set_visibility(False)
        self._read = status.rows
        self._show_gate(status.gate)
        self._on_status(status)
        self._show()

    def _show_gate(self, gate: GateState | None) -> None:
        self._gate.set_visibility(gate is not None)
        if gate is None:
            return
        old = f" Nobody has looked since {gate.checked}: is a Dagster daemon running?" if gate.is_stale else ""
        text = gate.text if gate.is_open else f"Nothing is pulled while the primary CRM is not there. {gate.text}"
        self._gate_text.set_text(f"{text}{old}")
        self._gate_icon.set_name("check_circle" if gate.is_open else "lock")
        self._gate_icon.classes(replace=f"text-lg {'good' if gate.is_open else 'bad-text'}")
        self._gate.classes(add="" if gate.is_open else "bad", remove="bad" if gate.is_open else "")

    def _show(self) -> None:
        names = [row.name for row in self._read]
        is_first = not self._rows
        if names != list(self._rows):
            self._list.clear()
            with self._list:
                self._rows = {row.name: self._row(row) for row in self._read}
        shown = [self._starts.seen(row) for row in self._read]
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
        """Starts one run per object; one that can't be started leaves the others alone.

        Not by the job that runs all: that answers with a run of its own, whose failures would have to be looked for,
        and its pulls begin half a minute later. Here each answer is a run or the reason why there is none.
        """
        start = self._runs.start
        if start is None:
            return
        failed, started = [], 0
        for row in [row for row in self._read if row.name in names and not self._starts.is_awaited(row.name)]:
            try:
                self._starts.asked(row, await run.io_bound(start, row.name) or "")
                started += 1
            except PipelineError as error:
                self._starts.refused(row, str(error))
                failed.append(row.title or row.name)
        if started:
            ui.notify(f"{started} run{'s' if started > 1 else ''} started.", type="positive")
        if failed:
            ui.notify(f"Not started: {', '.join(failed)}.", type="negative")
        await self.refresh()
