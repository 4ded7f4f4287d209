"""The Show JSON dialog: edits a section, with defaults, as JSON, and names the line of an error."""

from __future__ import annotations

import json
from collections.abc import Callable

from nicegui import ui

from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.widgets import Form
from gainsight_pipelines.settings.editing import read_json
from gainsight_pipelines.settings.loading import checked_section


def show_json(form: Form, section: str, title: str, rebuild: Callable[[], None]) -> None:
    """The button that opens the editor.

    Args:
        form: the form.
        section: the section to edit.
        title: its title.
        rebuild: called after the section was edited.
    """
    with ui.row().classes("w-full justify-end"):
        button = ui.button("Show JSON", icon="data_object", color=None)
        button.on_click(lambda: _open(form, section, title, rebuild))
        button.classes("quiet-button").props(f'flat dense no-caps padding="4px 10px" aria-label="Show JSON of {title}"')


def _open(form: Form, section: str, title: str, rebuild: Callable[[], None]) -> None:
    with widgets.dialog(f"{title} as JSON") as dialog:
        area = ui.textarea("JSON", value=json.dumps(form.draft.data[section], indent=2, ensure_ascii=False))
        area.props("outlined autogrow autofocus spellcheck=false input-style='max-height: 50vh'").classes(
            "w-full font-mono"
        )
        wrong = ui.label().classes("bad-text whitespace-pre-line").props('role="alert"')

        def apply() -> None:
            try:
                data, lines = read_json(section, area.value or "")
                model = checked_section(section, data, lines)
            except SettingsError as error:
                wrong.set_text(error.message)
                return
            except PipelineError as error:
                wrong.set_text(str(error))
                return
            form.draft.unfit = {place: one for place, one in form.draft.unfit.items() if place[0] != section}
            form.draft.data[section] = {} if model is None else model.model_dump(mode="json")
            dialog.close()
            rebuild()

        with ui.row().classes("w-full justify-end"):
            ui.button("Cancel", on_click=dialog.close).props("flat")
            ui.button("Apply", on_click=apply).set_enabled(form.why_read_only is None)
