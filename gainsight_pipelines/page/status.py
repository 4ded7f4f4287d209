"""The object sync status on top (B1 to B5): a row per enabled object, its last run, Run per row and for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nicegui import run, ui

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.page import widgets

REFRESH_SECONDS = 2.0
START_SECONDS = 60.0
COLORS = {
    "starting": "primary",
    "running": "primary",
    "completed": "positive",
    "failed": "negative",
    "skipped": "warning",
    "never": "grey",
}


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One enabled object.

    Attributes:
        name: of the pull.
        status: running, completed, failed, skipped or never.
        when: "Completed 3 min ago", "Started …"; empty where it never ran.
        note: why it failed, or what to do.
        run_page: the address of the last run's page in Dagster, where there is one.
    """

    name: str
    status: str
    when: str
    note: str
    run_page: str | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """What the banner needs of the outside. All of it is called in worker threads and may raise PipelineError.

    Attributes:
        rows: the banner.
        start: starts one object's pull; None: nothing is known that could, and `why_not` says so.
        reload: has Dagster load the settings anew; None as above.
        page: the address of the Dagster UI, where it is known.
    """

    rows: Callable[[], Sequence[StatusRow]]
    start: Callable[[str], str] | None = None
    reload: Callable[[], None] | None = None
    page: str | None = None
    why_not: str = ""


class Banner:
    """The banner."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._shown: Sequence[StatusRow] | None = None
        self._said: dict[str, str] = {}
        self._starting: dict[str, tuple[str, float]] = {}
        with ui.card().classes("w-full"):
            with ui.row().classes("w-full items-center justify-between"):
                widgets.heading("Object sync status")
                with ui.row().classes("items-center"):
                    if runs.page:
                        ui.link("Dagster", runs.page, new_tab=True)
                    self._all = ui.button("Run all sync jobs", icon="playlist_play", on_click=self._run_all)
                    if runs.start is None:
                        self._all.disable()
            if runs.start is None:
                ui.label(runs.why_not).classes("text-caption opacity-70")
            self._table = ui.column().classes("w-full gap-2").props('role="list"')
            self._error = ui.label().classes("text-negative").props('role="alert"')
        self._timer = ui.timer(REFRESH_SECONDS, self.refresh)

    async def refresh(self) -> None:
        """Reads the status anew."""
        try:
            rows: Sequence[StatusRow] = await run.io_bound(self._runs.rows) or ()
        except PipelineError as error:
            self._error.set_text(str(error))
            return
        self._error.set_text("")
        rows = [self._as_started(row) for row in rows]
        if rows != self._shown:
            self._shown = rows
            self._show()

    def _as_started(self, row: StatusRow) -> StatusRow:
        """A run that was asked for takes seconds until it shows: its row says so meanwhile."""
        before, until = self._starting.get(row.name, ("", 0.0))
        if row.status == "running" or (row.run_page or "") != before or self._clock.monotonic() > until:
            self._starting.pop(row.name, None)
            return row
        return replace(row, status="starting", when="", note="")

    def _show(self) -> None:
        rows = self._shown or ()
        self._all.set_enabled(self._runs.start is not None and bool(rows))
        self._table.clear()
        with self._table:
            if not rows:
                ui.label("No object is enabled yet: enable one below, and save.")
            for row in rows:
                self._row(row)

    def _row(self, row: StatusRow) -> None:
        with ui.row().classes("w-full items-center gap-3").props(f'role="listitem" data-object="{row.name}"'):
            ui.label(row.name).classes("font-mono grow")
            ui.badge(row.status.capitalize(), color=COLORS.get(row.status, "grey")).classes("text-sm px-2")
            if row.run_page and row.when:
                ui.link(row.when, row.run_page, new_tab=True).classes("text-caption")
            else:
                ui.label(row.when).classes("text-caption")
            button = ui.button("Run", icon="play_arrow", on_click=lambda: self._run([row.name]))
            button.props(f'flat dense aria-label="Run {row.name}"')
            if self._runs.start is None:
                button.disable()
            note = self._said.get(row.name) or row.note
            if note:
                ui.label(note).classes("w-full text-caption whitespace-pre-line opacity-80")

    async def _run_all(self) -> None:
        with widgets.working(self._all):
            await self._run([row.name for row in self._shown or ()])

    async def _run(self, names: Sequence[str]) -> None:
        """Starts one run per object; one that can't be started leaves the others alone."""
        start = self._runs.start
        if start is None:
            return
        failed = []
        pages = {row.name: row.run_page or "" for row in self._shown or ()}
        for name in names:
            try:
                await run.io_bound(start, name)
                self._said.pop(name, None)
                self._starting[name] = (pages.get(name, ""), self._clock.monotonic() + START_SECONDS)
            except PipelineError as error:
                self._said[name] = str(error)
                failed.append(name)
        started = len(names) - len(failed)
        if started:
            ui.notify(f"{started} run{'s' if started > 1 else ''} started.", type="positive")
        if failed:
            ui.notify(f"Not started: {', '.join(failed)}.", type="negative")
        self._shown = None
        await self.refresh()
