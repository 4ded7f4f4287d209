"""The editor of reporting categories: a row per mapped category, and chips for unmapped ones in the timeline."""

from __future__ import annotations

from nicegui import ui

from gainsight_pipelines.discovery.categories import NO_CATEGORY, SAMPLE_SIZES, Category, CategorySample
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.objects.activity_types import DESCRIPTIONS, ActivityType, category_key
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.draft import Unfit
from gainsight_pipelines.page.widgets import Form

PLACE = ("activity", "reporting_categories")
TYPES = [kind.value for kind in ActivityType if kind is not ActivityType.SURVEY]


class CategoryEditor:
    """The rows, the chips below them, and the button that samples the timeline."""

    def __init__(self, form: Form) -> None:
        self._form = form
        unfit = form.draft.unfit.get(PLACE)
        self._rows: list[tuple[str, str]] = list(unfit.shown if unfit else (form.draft.get(PLACE) or {}).items())
        self._can_change = form.why_read_only is None
        self._sample: CategorySample | None = None
        with ui.column().classes("w-full gap-0"):
            with ui.row().classes("items-center gap-1"):
                widgets.heading("Activity type of each reporting category", 3)
                question = ui.button(icon="help_outline", color=None, on_click=_explain_types)
                question.classes("quiet-button").props(
                    'flat round dense size=sm aria-label="What each activity type means"'
                )
            ui.label("Case and blanks make no difference. Unmapped categories become TYPE_MANUAL.").classes(
                "small muted"
            )
        self._table = ui.column().classes("w-full gap-2")
        self._error = ui.label().classes("bad-text").props('role="alert"')
        self._error.set_visibility(False)
        self._adds = ui.button("Add a category", icon="add", on_click=lambda: self._add("", "TYPE_MANUAL"))
        self._adds.props("outline dense padding='4px 12px'").set_enabled(self._can_change)
        self._chips = ui.row().classes("items-center gap-1")
        with ui.row().classes("items-center gap-2"):
            text = f"Sample {SAMPLE_SIZES[0]:,} activities"
            self._button = ui.button(text, icon="refresh", on_click=self._clicked)
            self._button.props("outline dense padding='4px 12px'").set_enabled(self._can_change)
            self._said = ui.label().classes("small muted").props('role="status" aria-live="polite"')
        form.register(PLACE, self._show_error, self._table)
        self._show()

    async def sample(self, *, is_resample: bool) -> None:
        """Samples the timeline's categories; a resample reads fewer activities than the last one."""
        steps: list[str] = []
        timer = ui.timer(0.3, lambda: self._said.set_text(steps[-1] if steps else "Sampling …"))
        lookups = self._form.lookups
        with widgets.working(self._button):
            try:
                self._sample = await self._form.ask(lookups.categories, resample=is_resample, say=steps.append)
            except PipelineError as error:
                self._said.set_text(str(error))
                self._button.set_text("Resample")
                return
            finally:
                timer.deactivate()
        found = self._sample
        slow = " and ".join(f"{size:,}" for size in found.slow)
        self._said.set_text(
            f"{found.sampled:,} activities sampled, {len(found.categories):,} categories."
            + (f" The timeline is slow: requests for {slow} timed out." if slow else "")
        )
        target = found.smaller_target
        self._button.set_text(f"Resample with {target:,}" if target else "Resample")
        self._show_chips()

    async def _clicked(self) -> None:
        is_first = self._sample is None and self._button.text != "Resample"
        await self.sample(is_resample=not is_first)

    def _show(self) -> None:
        self._table.clear()
        with self._table:
            self._names = [self._row(number, category, kind) for number, (category, kind) in enumerate(self._rows)]
        self._show_chips()

    def _row(self, number: int, category: str, kind: str) -> ui.input:
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            name = ui.input(value=category, placeholder="category").classes("grow").props("dense outlined")
            name.props(f'aria-label="Category {number + 1}"')
            name.on_value_change(lambda event: self._change(number, (event.value or "", self._rows[number][1])))
            chosen = ui.select(TYPES, value=kind if kind in TYPES else None).props("dense outlined")
            chosen.props(f'aria-label="Activity type of category {number + 1}"').classes("w-40")
            chosen.on_value_change(lambda event: self._change(number, (self._rows[number][0], event.value)))
            remove = ui.button(icon="delete_outline", color=None, on_click=lambda: self._remove(number))
            remove.classes("quiet-button").props(f'flat round dense aria-label="Remove category {number + 1}"')
            for element in (name, chosen, remove):
                element.set_enabled(self._can_change)
        return name

    def _show_chips(self) -> None:
        self._chips.clear()
        have = {category_key(category) for category, _ in self._rows}
        found = self._sample.categories if self._sample else ()
        missing = [one for one in found if one.name != NO_CATEGORY and category_key(one.name) not in have]
        with self._chips:
            if missing:
                ui.label("Not mapped yet:").classes("small muted")
            for one in missing:
                self._chip(one)

    def _chip(self, one: Category) -> None:
        kind = one.suggested or one.mapped or "TYPE_MANUAL"
        text = f"{one.name} ({one.count:,}) → {kind}"
        with (
            ui.button(text, icon="add", on_click=lambda: self._add(one.name, kind))
            .classes("small")
            .props("rounded outline dense no-caps no-wrap padding='1px 10px'")
        ):
            if one.why:
                ui.tooltip(f"Suggested by {one.why}")

    def _add(self, category: str, kind: str) -> None:
        self._rows.append((category, kind))
        self._store()
        self._show()
        widgets.focus(self._names[-1])

    def _remove(self, number: int) -> None:
        del self._rows[number]
        self._store()
        self._show()
        widgets.focus(self._adds)

    def _change(self, number: int, row: tuple[str, str]) -> None:
        self._rows[number] = row
        self._store()
        self._show_chips()

    def _show_error(self, error: str | None) -> None:
        self._error.set_text(error or "")
        self._error.set_visibility(bool(error))

    def _store(self) -> None:
        rows = [(category.strip(), kind) for category, kind in self._rows if category.strip()]
        keys = [category_key(category) for category, _ in rows]
        twice = next((category for (category, _), key in zip(rows, keys, strict=True) if keys.count(key) > 1), None)
        self._form.draft.refuse(PLACE, Unfit(self._rows, f"{twice} is listed twice: remove one.") if twice else None)
        self._form.set(PLACE, dict(rows))


def _explain_types() -> None:
    with widgets.dialog("What each activity type means") as dialog:
        for kind, meaning in DESCRIPTIONS.items():
            with ui.column().classes("gap-0"):
                ui.label(kind.value).classes("font-mono font-medium")
                ui.label(meaning)
        ui.label("Unmapped categories become TYPE_MANUAL. Their names are kept, and each run counts them.")
        ui.button("Close", on_click=dialog.close).props("flat autofocus")
