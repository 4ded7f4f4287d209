"""The page as a whole: banner, connection, accordions, and saving with a look at the difference first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nicegui import run, ui

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.connection import Connection
from gainsight_pipelines.page.draft import Draft
from gainsight_pipelines.page.lookups import Lookups
from gainsight_pipelines.page.objects import TITLES, Accordion
from gainsight_pipelines.page.status import Banner, Runs
from gainsight_pipelines.page.widgets import Form
from gainsight_pipelines.settings import SECTIONS
from gainsight_pipelines.settings.editing import ChangedMeanwhile, difference

STALE_SECONDS = 4.0
COLORS = {"primary": "#2b6cb0", "positive": "#1b7f35", "negative": "#b3261e", "warning": "#f2c037"}
# What is readable on white isn't on black. The variables, since Quasar's own rules can't be overridden; it takes the
# outline from buttons as well, so they get a ring. And an explanation of several lines needs its room.
STYLE = """
.body--dark { color-scheme: dark; }
.body--light .text-warning { --q-warning: #8a5a00; }
.q-badge--outline { color: inherit; }
.nicegui-link { color: #2b6cb0; }
.body--dark .nicegui-link { color: #90c8f8; }
.q-notification__actions { color: #fff; }
.q-notification__message { white-space: pre-line; }
.q-field__focusable-action, .q-chip__icon--remove { opacity: .8; }
.body--dark .text-primary, .body--dark .q-field__control { --q-primary: #90c8f8; }
.body--dark .text-positive { --q-positive: #7ee2a0; }
.body--dark .text-negative, .body--dark .q-field--error { --q-negative: #ffb4ab; }
.q-field--with-bottom { padding-bottom: 0; }
.q-field__bottom { position: static; transform: none !important; padding-top: 4px; min-height: 16px; }
.q-field__messages { line-height: 1.35; }
:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.q-btn:focus-visible, .q-toggle:focus-visible, .q-field__focusable-action:focus-visible {
  box-shadow: 0 0 0 2px #fff, 0 0 0 4px #111;
  border-radius: 4px;
}
.q-btn:focus > .q-focus-helper { opacity: 0; }
.q-dialog__inner:focus-visible { outline: none; }
"""
LOST = """
const popup = document.getElementById("popup");
popup.setAttribute("role", "alert");
window.socket.on("connect_error", async () => {
  const answer = await fetch(location.pathname).catch(() => null);
  if (answer?.status === 403) popup.lastElementChild.textContent = await answer.text();
});
"""
"""Has the note about a lost connection read aloud. A page that was started anew doesn't know this tab, and says so."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the page works on.

    Attributes:
        path: the settings file.
        clock: the source of time.
        lookups: makes the look-ups of one tab.
        runs: the banner's.
    """

    path: Path
    clock: Clock
    lookups: Callable[[], Lookups]
    runs: Runs


class View:
    """One browser tab."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        ui.page_title("Gainsight settings")
        ui.colors(**COLORS)
        ui.add_css(STYLE)
        with ui.header().classes("items-center justify-between py-2"), ui.row().classes("w-full items-center no-wrap"):
            with ui.column().classes("gap-0 grow min-w-0"):
                with ui.element("h1").classes("text-subtitle1 font-medium leading-tight m-0"):
                    ui.html("Gainsight settings", sanitize=False)
                ui.label(str(outside.path)).classes("text-caption leading-tight break-all")
            self._undo = ui.button(icon="undo", on_click=self._ask_to_discard)
            self._undo.props('flat round color=white aria-label="Discard changes"').tooltip("Discard changes")
            self._save = ui.button("Save", icon="save", on_click=self._ask_to_save)
            self._save.props("color=white text-color=black no-wrap").classes("shrink-0")
        with ui.element("div").classes("w-full max-w-4xl mx-auto flex flex-col gap-4 px-1"):
            Banner(outside.runs, outside.clock)
            self._notice = ui.card().classes("w-full bg-warning text-black").props('role="alert"')
            self._notice.set_visibility(False)
            self._box = ui.column().classes("w-full gap-4")
        ui.run_javascript(LOST)
        self._form: Form | None = None
        self._is_guarded = False
        self._show(None)
        ui.timer(STALE_SECONDS, self._look_at_file)

    def _show(self, draft: Draft | None) -> None:
        """Shows the form of a draft; None: of the file as it is."""
        self._box.clear()
        self._notice.set_visibility(False)
        with self._box:
            try:
                draft = draft or Draft(self._outside.path)
            except PipelineError as error:
                ui.label(str(error)).classes("text-negative").props('role="alert"')
                ui.button("Read it again", icon="refresh", on_click=lambda: self._show(None))
                self._form = None
                self._state()
                return
            self._form = Form(draft, self._outside.lookups(), [self._state])
            self._form.lookups.use(draft.settings())
            Connection(self._form)
            for section in TITLES:
                Accordion(self._form, section)
            for section in SECTIONS:
                self._form.changed(section)

    def _state(self) -> None:
        changed = self._form.draft.changed() if self._form else ()
        self._save.set_text(f"Save ({len(changed)})" if changed else "Save")
        self._save.set_enabled(self._form is not None)  # with nothing to save as well: it keeps the focus
        self._undo.set_visibility(bool(changed))
        if bool(changed) != self._is_guarded:
            self._is_guarded = bool(changed)
            guard = "event => event.preventDefault()" if changed else "null"
            self._box.client.run_javascript(f"window.onbeforeunload = {guard}")

    def _ask_to_discard(self) -> None:
        with widgets.dialog("Discard your changes?") as dialog, ui.row().classes("w-full justify-end"):

            def confirmed() -> None:
                dialog.close()
                self._show(None)
                ui.notify("Your changes are discarded.")

            ui.button("Back", on_click=dialog.close).props("flat autofocus")
            ui.button("Discard", icon="undo", on_click=confirmed)

    async def _look_at_file(self) -> None:
        """Somebody else's change: taken over where nothing was changed here, told where something was."""
        form = self._form
        if form is None or self._notice.visible or not self._box.client.has_socket_connection:
            return
        try:
            is_stale = await run.io_bound(form.draft.is_stale)
        except PipelineError:
            return  # saving says it
        if not is_stale or form is not self._form:
            return
        if form.draft.changed():
            self._tell_of_change()
        else:
            self._show(None)
            ui.notify("The file was changed by somebody else: this is how it is now.")

    def _tell_of_change(self) -> None:
        form = self._form
        if form is None:
            return
        self._notice.clear()
        with self._notice:
            ui.label("The settings file was changed by somebody else meanwhile. Nothing of theirs was written over.")
            try:
                rebased, both = form.draft.on_theirs()
            except PipelineError as error:
                ui.label(str(error))
                return
            changes = difference(form.draft.file.text, rebased.file.text, form.draft.file.path.name)
            ui.label(changes).classes("font-mono text-caption whitespace-pre-wrap")
            if both:
                ui.label(f"You both changed {', '.join(both)}: keeping yours replaces theirs there.")
            with ui.row():
                ui.button("Put my changes on top of theirs", on_click=lambda: self._show(rebased))
                ui.button("Take theirs, drop mine", on_click=lambda: self._show(None)).props("outline color=black")
        self._notice.set_visibility(True)

    def _ask_to_save(self) -> None:
        """Shows what would change; a mistake is told instead."""
        if self._form is None:
            return
        draft = self._form.draft
        if not draft.changed():
            ui.notify("There is nothing to save: the file says the same.")
            return
        wrong = [text for section in draft.changed() for _, text in draft.mistakes(section)]
        if wrong:
            ui.notify("\n".join(wrong), type="negative", multi_line=True, timeout=0, close_button="OK")
            return
        try:
            text = draft.text()
        except PipelineError as error:
            widgets.say_error(error)
            return
        with widgets.dialog("What will change") as dialog:
            with ui.column().classes("w-full gap-0 font-mono text-caption overflow-x-auto"):
                for line in draft.file.difference(text).splitlines():
                    color = {"+": "text-positive", "-": "text-negative"}.get(line[:1], "opacity-70")
                    ui.label(line or " ").classes(f"whitespace-pre {color}")
            with ui.row().classes("w-full justify-end"):
                ui.button("Back", on_click=dialog.close).props("flat")

                async def confirmed() -> None:
                    dialog.close()
                    with self._box:  # the dialog is gone before all is said
                        await self._write(text)

                ui.button("Save", icon="save", on_click=confirmed).props("autofocus")

    async def _write(self, text: str) -> None:
        form = self._form
        if form is None:
            return
        try:
            await run.io_bound(form.draft.save, text, self._outside.clock)
        except ChangedMeanwhile:
            self._tell_of_change()
            return
        except PipelineError as error:
            widgets.say_error(error)
            return
        self._state()
        ui.notify(f"Saved to {form.draft.file.path}.", type="positive")
        reload = self._outside.runs.reload
        if reload is None:
            return
        try:
            await run.io_bound(reload)
            ui.notify("Dagster has loaded the new settings.", type="positive")
        except PipelineError as error:
            widgets.say_error(error)
