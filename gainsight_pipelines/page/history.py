"""The History dialog: lists the versions of the settings, compares and restores them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.widgets import Form
from gainsight_pipelines.scheduling.wording import ago
from gainsight_pipelines.settings.history import Version

SHOWN = 50


def show_difference(text: str) -> None:
    """Shows a unified diff in colours."""
    with ui.column().classes("w-full gap-0 font-mono small overflow-x-auto banner"):
        for line in text.splitlines():
            color = {"+": "good", "-": "bad-text"}.get(line[:1], "muted")
            ui.label(line or " ").classes(f"whitespace-pre {color}")


def show_history(form: Form, clock: Clock, restore: Callable[[Version], Awaitable[None]]) -> None:
    """Opens the dialog.

    Args:
        form: the form.
        clock: the source of time.
        restore: called with the version to restore, once the dialog is closed.
    """
    file = form.draft.file
    try:
        versions = list(reversed(file.history.versions()))[:SHOWN]
    except PipelineError as error:
        widgets.say_error(error)
        return

    async def restored(version: Version) -> None:
        dialog.close()
        await restore(version)

    with widgets.dialog("History") as dialog:
        if not versions:
            ui.label("No versions yet. Each save keeps one.").classes("muted")
        with ui.column().classes("w-full gap-0 rows").props('role="list"'):
            for version in versions:
                _row(form, clock, version, restored)
        with ui.row().classes("w-full justify-end"):
            ui.button("Close", on_click=dialog.close).props("flat autofocus")


def _row(form: Form, clock: Clock, version: Version, restore: Callable[[Version], Awaitable[None]]) -> None:
    file, name = form.draft.file, f"version {version.number}"
    is_current = version.fingerprint == file.fingerprint
    with ui.column().classes("w-full py-3 gap-2").props('role="listitem"'):
        with ui.row().classes("w-full items-center gap-3 no-wrap"):
            with ui.column().classes("gap-0 grow min-w-0"):
                with ui.row().classes("items-center gap-2"):
                    ui.label(f"Version {version.number}").classes("font-medium")
                    if is_current:
                        widgets.pill("Current", "good")
                said = f"{ago(version.at, clock.now())} by {version.who}, {version.how}"
                ui.label(said).classes("small muted break-words").tooltip(f"{version.at:%Y-%m-%d %H:%M:%S} UTC")
            if is_current:
                return
            button = ui.button("Compare").props(f'outline dense padding="3px 12px" aria-label="Compare {name}"')
        box = ui.column().classes("w-full gap-2")

    def compare() -> None:
        box.clear()
        with box:
            show_difference(file.difference(version.text))
            why = form.why_read_only or ("Save or discard your changes first." if form.draft.is_changed() else None)
            if why:
                ui.label(why).classes("small muted")
            back = ui.button("Restore", icon="history", on_click=lambda: restore(version))
            back.props(f'dense padding="4px 14px" unelevated aria-label="Restore {name}"')
            back.set_enabled(why is None)

    button.on_click(compare)
