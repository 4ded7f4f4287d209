"""The whole page: banner, connection, sections, and saving after a review of the changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from nicegui import run, ui

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.discovery.validation import Check
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.connection import Connection, State, finding
from gainsight_pipelines.page.draft import Draft
from gainsight_pipelines.page.history import show_difference, show_history
from gainsight_pipelines.page.lookups import Lookups
from gainsight_pipelines.page.objects import TITLES, Accordion
from gainsight_pipelines.page.status import Banner, Runs, Status
from gainsight_pipelines.page.style import COLORS, STYLE, UTILITIES
from gainsight_pipelines.page.widgets import Form
from gainsight_pipelines.settings import SECTIONS
from gainsight_pipelines.settings.editing import ChangedMeanwhile, difference
from gainsight_pipelines.settings.history import Version

STALE_SECONDS = 4.0
MEANWHILE = "Someone else has changed the file. Review your changes again."
LOST = """
const popup = document.getElementById("popup");
popup.setAttribute("role", "alert");
window.socket.on("connect_error", async () => {
  const answer = await fetch(location.pathname).catch(() => null);
  if (answer?.status === 403) popup.lastElementChild.textContent = await answer.text();
});
"""
"""Makes screen readers announce a lost connection. A restarted page does not know this tab; the note then says so."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the page works with.

    Attributes:
        path: the settings file.
        clock: the source of time.
        lookups: makes the lookups of one tab.
        runs: the functions of the banner.
        states: the last tests of the connections, shared by all tabs.
    """

    path: Path
    clock: Clock
    lookups: Callable[[], Lookups]
    runs: Runs
    states: dict[str, State] = field(default_factory=dict)


class View:
    """One browser tab."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._form: Form | None = None
        self._connection: Connection | None = None
        self._is_guarded = False
        ui.page_title("Gainsight settings")
        ui.colors(**COLORS)
        ui.add_css(UTILITIES + STYLE)
        with ui.header().classes("py-2 px-4"), ui.row().classes("w-full max-w-4xl mx-auto items-center no-wrap gap-2"):
            with ui.column().classes("gap-0 grow min-w-0"):
                with ui.element("h1"):
                    ui.html("Gainsight settings", sanitize=False)
                path = escape(str(outside.path)).replace("/", "/<wbr>")  # a long path wraps at its folders
                ui.html(path, sanitize=False).classes("small muted leading-tight min-w-0 break-anywhere")
            self._undo = ui.button(icon="undo", color=None, on_click=self._ask_to_discard)
            self._undo.classes("quiet-button").props('flat round dense aria-label="Discard changes"').tooltip(
                "Discard changes"
            )
            history = ui.button(icon="history", color=None, on_click=self._show_history)
            history.classes("quiet-button").props('flat round dense aria-label="History"').tooltip("History")
            self._save = ui.button("Save", icon="save", on_click=self._ask_to_save)
            self._save.props("no-wrap unelevated padding='6px 16px'").classes("shrink-0")
        with ui.element("div").classes("w-full max-w-4xl mx-auto column no-wrap gap-5"):
            Banner(outside.runs, outside.clock, self._show_status)
            self._notice = ui.card().classes("w-full panel notice").props('role="alert"')
            self._notice.set_visibility(False)
            self._box = ui.column().classes("w-full gap-5")
        ui.run_javascript(LOST)
        self._show(None)
        ui.timer(STALE_SECONDS, self._look_at_file)

    def _show(self, draft: Draft | None) -> None:
        """Shows the form of a draft; None: of the file on disk."""
        self._box.clear()
        self._notice.set_visibility(False)
        with self._box:
            try:
                draft = draft or Draft(self._outside.path)
            except PipelineError as error:
                ui.label(str(error)).classes("bad-text").props('role="alert"')
                ui.button("Reload", icon="refresh", on_click=lambda: self._show(None))
                self._form = None
                self._state()
                return
            why = draft.why_read_only()
            self._form = Form(draft, self._outside.lookups(), why, [self._state])
            self._form.lookups.use(draft.settings(), draft.secrets)
            if why:
                with ui.row().classes("banner w-full items-start no-wrap gap-2").props('role="note"'):
                    ui.icon("lock").classes("text-lg").props("aria-hidden=true")
                    text = f"These settings are read-only: {why} Change them at their source."
                    ui.label(text).classes("min-w-0 break-words")
            self._connection = Connection(self._form, self._outside.clock, self._outside.states)
            with ui.column().classes("w-full gap-3"):
                for section in TITLES:
                    Accordion(self._form, section)
            for section in SECTIONS:
                self._form.changed(section)

    def _show_status(self, status: Status) -> None:
        if self._connection is not None:
            self._connection.show_status(status)

    def _state(self) -> None:
        draft = self._form.draft if self._form else None
        count = 0 if draft is None else len(draft.changed()) + bool(draft.secrets)
        self._save.set_text(f"Save ({count})" if count else "Save")
        can_save = draft is not None and (draft.why_read_only() is None or draft.why_secrets_read_only() is None)
        self._save.set_enabled(can_save)  # also if there is nothing to save, to keep the focus
        self._undo.set_visibility(bool(count))
        if bool(count) != self._is_guarded:
            self._is_guarded = bool(count)
            guard = "event => event.preventDefault()" if count else "null"
            self._box.client.run_javascript(f"window.onbeforeunload = {guard}")

    def _ask_to_discard(self) -> None:
        with widgets.dialog("Discard your changes?") as dialog, ui.row().classes("w-full justify-end"):

            def confirmed() -> None:
                dialog.close()
                self._show(None)
                ui.notify("Changes discarded.")

            ui.button("Back", on_click=dialog.close).props("flat autofocus")
            ui.button("Discard", icon="undo", on_click=confirmed).props("unelevated")

    def _show_history(self) -> None:
        if self._form is not None:
            show_history(self._form, self._outside.clock, self._restore)

    async def _restore(self, version: Version) -> None:
        form = self._form
        if form is None:
            return
        with self._box:
            try:
                await run.io_bound(form.draft.restore, version, self._outside.clock)
            except PipelineError as error:
                widgets.say_error(error)
                return
            self._show(None)
        with self._box:
            ui.notify(f"Version {version.number} restored.", type="positive")
            await self._reload()

    async def _look_at_file(self) -> None:
        """Loads someone else's change of the file, or offers a choice if this tab has changes too."""
        form = self._form
        if form is None or self._notice.visible or not self._box.client.has_socket_connection:
            return
        try:
            is_stale = await run.io_bound(form.draft.is_stale)
        except PipelineError:
            return  # saving reports the error
        if not is_stale or form is not self._form:
            return
        if form.draft.changed():
            self._tell_of_change()
        else:
            self._show(form.draft.on_theirs()[0])  # with the secrets that were typed
            ui.notify("Someone else changed the file. The page shows the new settings.")

    def _tell_of_change(self) -> None:
        form = self._form
        if form is None:
            return
        self._notice.clear()
        with self._notice:
            ui.label("Someone else has changed the settings file. Their changes were not overwritten.")
            try:
                rebased, both = form.draft.on_theirs()
                theirs = Draft(form.draft.file.path)
                theirs.secrets = dict(form.draft.secrets)
            except PipelineError as error:
                ui.label(str(error))
                self._notice.set_visibility(True)
                return
            changes = difference(form.draft.file.text, rebased.file.text, form.draft.file.path.name)
            ui.label(changes).classes("font-mono small whitespace-pre-wrap break-words")
            if both:
                ui.label(f"You both changed {', '.join(both)}. Your changes would replace theirs there.")
            with ui.row():
                mine = ui.button("Apply my changes to theirs", on_click=lambda: self._show(rebased))
                mine.props("unelevated")
                ui.button("Discard mine", on_click=lambda: self._show(theirs)).props("outline")
        self._notice.set_visibility(True)

    async def _ask_to_save(self) -> None:
        """Tests the secrets and shows the changes for review; if there is an error, goes to it instead."""
        form, connection = self._form, self._connection
        if form is None or connection is None:
            return
        draft = form.draft
        if not draft.is_changed():
            ui.notify("There is nothing to save.")
            return
        wrong = [mistake for section in draft.changed() for mistake in draft.mistakes(section)]
        if wrong:
            ui.notify(
                "\n".join(text for _, text in wrong), type="negative", multi_line=True, timeout=0, close_button="OK"
            )
            form.show_mistake(wrong[0][0])
            return
        try:
            text = draft.text()
        except PipelineError as error:
            widgets.say_error(error)
            return
        with widgets.working(self._save):
            failed = {title: checks for title, checks in (await connection.test_typed()).items() if checks}
        if form is not self._form:
            ui.notify(MEANWHILE)
            return
        with widgets.dialog("Review changes") as dialog:
            self._review(draft, text, failed, dialog)

    def _review(self, draft: Draft, text: str, failed: Mapping[str, Sequence[Check]], dialog: ui.dialog) -> None:
        """Shows the changes, the secrets, and a choice for rejected secrets."""
        if text != draft.file.text:
            show_difference(draft.file.difference(text))
        left_out: dict[str, ui.switch] = {}
        if draft.secrets:
            with ui.column().classes("w-full gap-1"):
                widgets.heading("Secrets in .env, which only you can read", 3)
                for name, value in draft.secrets.items():
                    ui.label(f"{name} will be {'removed' if value is None else 'set'}").classes("font-mono small")
        for title, checks in failed.items():
            with ui.column().classes("w-full gap-2 banner bad").props('role="alert"'):
                ui.label(f"Connecting to {title} with these credentials failed: they will not be saved.").classes(
                    "font-medium"
                )
                for check in checks:
                    finding(check)
                left_out[title] = ui.switch(f"Save the secrets of {title} anyway").props("dense")
        with ui.row().classes("w-full justify-end"):
            ui.button("Back", on_click=dialog.close).props("flat")

            async def confirmed() -> None:
                dialog.close()
                given_up = [title for title, anyway in left_out.items() if not anyway.value]
                with self._box:  # the dialog closes before the last notification
                    await self._confirmed(draft, text, given_up)

            ui.button("Save", icon="save", on_click=confirmed).props("autofocus unelevated")

    async def _confirmed(self, draft: Draft, text: str, given_up: Sequence[str]) -> None:
        """Writes the reviewed changes, without the secrets of the services in `given_up`."""
        if self._connection is None or self._form is None or self._form.draft is not draft:
            ui.notify(MEANWHILE)
            return
        without = {name for title in given_up for name in self._connection.names_of(title)}
        await self._write(text, {name: value for name, value in draft.secrets.items() if name not in without})

    async def _write(self, text: str, secrets: Mapping[str, str | None]) -> None:
        form = self._form
        if form is None:
            return
        is_new = text != form.draft.file.text
        try:
            await run.io_bound(form.draft.save, text, self._outside.clock, secrets)
        except ChangedMeanwhile:
            self._tell_of_change()
            return
        except PipelineError as error:
            widgets.say_error(error)
            return
        finally:
            self._state()
        if secrets:
            form.lookups.forget()
            if self._connection is not None:
                self._connection.refresh()
            self._state()
        names = [str(form.draft.file.path)] * is_new + [".env"] * bool(secrets)
        if not names:
            ui.notify("Nothing was saved.")
            return
        ui.notify(f"Saved to {' and '.join(names)}.", type="positive")
        if is_new:
            await self._reload()

    async def _reload(self) -> None:
        reload = self._outside.runs.reload
        if reload is None:
            return
        try:
            await run.io_bound(reload)
            ui.notify("Dagster has loaded the new settings.", type="positive")
        except PipelineError as error:
            widgets.say_error(error)
