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
COLORS = {
    "starting": "primary",
    "running": "primary",
    "completed": "positive",
    "failed": "negative",
    "skipped": "amber-10 text-color=black",
    "never": "grey-8",
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
        start: starts one object's pull and returns the page of its run; None: nothing is known that could, and
            `why_not` says so.
        reload: has Dagster load the settings anew; None as above.
        page: the address of the Dagster UI, where it is known.
    """

    rows: Callable[[], Sequence[StatusRow]]
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
        return replace(row, status="starting", when="Not begun yet", note=note, run_page=run_page)


class _Row:
    """The elements of one row, which stay while what they show changes: so does the focus."""

    def __init__(self, name: str, run: Callable[[], Awaitable[None]], *, can_run: bool) -> None:
        self._name = name
        self.status = ""
        with ui.row().classes("w-full items-center gap-3").props(f'role="listitem" data-object="{name}"'):
            ui.label(name).classes("font-mono grow break-all")
            self._badge = ui.badge().classes("text-sm px-2").props('role="none"')
            self._when = ui.label().classes("text-caption")
            self._link = ui.link(new_tab=True).classes("text-caption")
            button = ui.button("Run", icon="play_arrow", on_click=run).props(f'flat dense aria-label="Run {name}"')
            button.set_enabled(can_run)
            self._note = ui.label().classes("w-full text-caption whitespace-pre-line opacity-80 break-words")

    def show(self, row: StatusRow) -> bool:
        """Shows a row; whether its status is another one than before."""
        is_news = row.status != self.status
        self.status = row.status
        self._badge.set_text(row.status.capitalize())
        self._badge.props(f"color={COLORS.get(row.status, 'grey-8')}")
        is_link = bool(row.run_page and row.when)
        self._link.set_visibility(is_link)
        self._when.set_visibility(not is_link)
        self._when.set_text(row.when)
        self._link.set_text(row.when)
        self._link.props["href"] = row.run_page or "#"
        self._link.props["aria-label"] = f"{self._name}: {row.when}"
        self._note.set_text(row.note)
        self._note.set_visibility(bool(row.note))
        return is_news


class Banner:
    """The banner."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._starts = Starts(clock)
        self._read: Sequence[StatusRow] = ()
        self._rows: dict[str, _Row] = {}
        with ui.card().classes("w-full"):
            with ui.row().classes("w-full items-center justify-between"):
                widgets.heading("Object sync status")
                with ui.row().classes("items-center"):
                    if runs.page:
                        ui.link("Dagster", runs.page, new_tab=True)
                    self._all = ui.button("Run all sync jobs", icon="playlist_play", on_click=self._run_all)
                    self._all.disable()
            if runs.start is None:
                ui.label(runs.why_not).classes("text-caption opacity-70")
            self._none = ui.label("No object is enabled yet: enable one below, and save.")
            self._none.set_visibility(False)
            self._list = ui.column().classes("w-full gap-2").props('role="list"')
            self._list.set_visibility(False)
            self._news = ui.label().classes("sr-only").props('role="status"')
            self._error = ui.label().classes("text-negative").props('role="alert"')
        self._timer = ui.timer(REFRESH_SECONDS, self.refresh)

    async def refresh(self) -> None:
        """Reads the status anew, while somebody can see it."""
        if not self._list.client.has_socket_connection:
            return
        try:
            self._read = await run.io_bound(self._runs.rows) or ()
        except PipelineError as error:
            self._error.set_text(str(error))
            return
        self._error.set_text("")
        self._show()

    def _show(self) -> None:
        names = [row.name for row in self._read]
        is_first = not self._rows
        if names != list(self._rows):
            self._list.clear()
            with self._list:
                self._rows = {name: self._row(name) for name in names}
        shown = [self._starts.seen(row) for row in self._read]
        news = [f"{row.name}: {row.status}." for row in shown if self._rows[row.name].show(row)]
        if news and not is_first:
            self._news.set_text(" ".join(news))
        self._none.set_visibility(not names)
        self._list.set_visibility(bool(names))
        self._all.set_enabled(self._runs.start is not None and bool(names))

    def _row(self, name: str) -> _Row:
        return _Row(name, lambda: self._run([name]), can_run=self._runs.start is not None)

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
                failed.append(row.name)
        if started:
            ui.notify(f"{started} run{'s' if started > 1 else ''} started.", type="positive")
        if failed:
            ui.notify(f"Not started: {', '.join(failed)}.", type="negative")
        await self.refresh()
