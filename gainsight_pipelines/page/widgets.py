"""The fields of the form. Each is bound to one place of the draft, and shows its label, hint and error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeVar, cast

from nicegui import run, ui
from nicegui.elements.mixins.disableable_element import DisableableElement
from nicegui.elements.mixins.validation_element import ValidationElement

from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.page.draft import Draft, field_help
from gainsight_pipelines.page.lookups import Lookups, Options
from gainsight_pipelines.settings.yaml_document import Path as Place

T = TypeVar("T")
F = TypeVar("F", bound=ValidationElement[Any])
Load = Callable[[], Options]


@dataclass(slots=True)
class Form:
    """The state that the parts of one tab's form share.

    Attributes:
        draft: the unsaved changes.
        lookups: lookups in the tenant and the CRM.
        why_read_only: why nothing can be changed, as a sentence; None if it can.
        on_change: called after each change of the draft.
        rebuild: functions that rebuild a section, by its name.
        reveal: functions that expand a section, by its name.
    """

    draft: Draft
    lookups: Lookups
    why_read_only: str | None = None
    on_change: list[Callable[[], None]] = field(default_factory=list)
    rebuild: dict[str, Callable[[], None]] = field(default_factory=dict)
    reveal: dict[str, Callable[[], None]] = field(default_factory=dict)
    _fields: dict[Place, Callable[[str | None], None]] = field(default_factory=dict)
    _elements: dict[Place, ui.element] = field(default_factory=dict)
    _folds: dict[str, list[ui.expansion]] = field(default_factory=dict)
    _rest: dict[str, ui.label] = field(default_factory=dict)

    def set(self, place: Place, value: Any) -> None:
        """Changes the draft and shows its errors."""
        self.draft.set(place, value)
        self.changed(str(place[0]))

    def changed(self, section: str) -> None:
        """Shows the errors of a section at their fields; those without a field, at the top of the section."""
        wrong = dict(self.draft.mistakes(section))
        for place, show in self._fields.items():
            if place[0] == section:
                show(wrong.pop(place, None))
        if section in self._rest:
            self._rest[section].set_text(" ".join(wrong.values()))
            self._rest[section].set_visibility(bool(wrong))
        for tell in self.on_change:
            tell()

    def show_mistakes_of(self, section: str) -> None:
        """Adds the line for errors of a section that have no field."""
        label = ui.label().classes("bad-text whitespace-pre-line").props('role="alert"')
        label.set_visibility(False)
        self._rest[section] = label

    def register(self, place: Place, show: Callable[[str | None], None], element: ui.element) -> None:
        """Registers the function that shows errors at a place, and the element to scroll to."""
        self._fields[place] = show
        self._elements[place] = element

    def forget(self, section: str) -> None:
        """Forgets the fields of a section before it is rebuilt."""
        self._fields = {place: show for place, show in self._fields.items() if place[0] != section}
        self._elements = {place: element for place, element in self._elements.items() if place[0] != section}
        self._folds.pop(section, None)

    @contextmanager
    def advanced(self, section: str, title: str = "Advanced") -> Iterator[None]:
        """Folds rarely needed fields of a section."""
        with ui.expansion(title).classes("w-full advanced").props("dense") as fold:
            self._folds.setdefault(section, []).append(fold)
            with ui.column().classes("w-full gap-4"):
                yield

    def show_mistake(self, place: Place) -> None:
        """Expands the section of a field, scrolls to the field and focuses it."""
        section = str(place[0])
        if section in self.reveal:
            self.reveal[section]()
        for fold in self._folds.get(section, ()):
            fold.open()
        near = next((place[:size] for size in range(len(place), 0, -1) if place[:size] in self._elements), None)
        target = self._elements[near] if near is not None else self._rest.get(section)
        if target is not None:
            target.client.run_javascript(SCROLL_TO % target.id)

    async def ask(self, look_up: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """Runs a lookup in a worker thread, with the settings on the page.

        Raises:
            PipelineError: the lookup failed.
        """
        self.lookups.use(self.draft.settings(), self.draft.secrets)
        return cast("T", await run.io_bound(look_up, *arguments, **keywords))


SCROLL_TO = """setTimeout(() => {
  const element = getHtmlElement(%d);
  element.scrollIntoView({block: "center", behavior: "smooth"});
  (element.matches("input, button, textarea") ? element : element.querySelector("input, textarea, button"))
    ?.focus({preventScroll: true});
}, 350)"""
"""Waits until Quasar has expanded the section, which takes 300 ms."""


def shown_help(place: Place, *, with_limits: bool = False) -> str:
    """The description of a setting from its model, with its limits if it is typed in."""
    return field_help(str(place[0]), str(place[1]), with_limits=with_limits)


def _bind(form: Form, place: Place, element: ValidationElement[Any], hint: str) -> None:
    form.register(place, lambda error: show_error(element, error), element)
    described(element, hint).classes("w-full")
    if form.why_read_only and isinstance(element, DisableableElement):
        element.disable()


def described(element: F, hint: str) -> F:
    """Adds a hint below a field, which screen readers read with it."""
    element.without_auto_validation()  # it would clear our errors
    element.props("outlined dense stack-label")
    set_hint(element, hint)
    return element


def set_hint(element: ui.element, hint: str) -> None:
    """Changes the hint below a field."""
    element.props["hint"] = element.props["aria-description"] = hint
    element.update()


def show_error(element: ValidationElement[Any], error: str | None) -> None:
    """Shows an error at a field in place of its hint; None clears it."""
    element.error = error
    element.props["aria-description"] = error or element.props["hint"]
    element.props["aria-invalid"] = "false" if error is None else "true"


def text_field(form: Form, place: Place, label: str, *, hint: str | None = None) -> ui.input:
    """A text field; empty means null."""
    value = form.draft.get(place)
    element = ui.input(label, value="" if value is None else str(value))
    element.on_value_change(lambda event: form.set(place, (event.value or "").strip() or None))
    _bind(form, place, element, shown_help(place, with_limits=True) if hint is None else hint)
    return element


def number_field(form: Form, place: Place, label: str, *, is_whole: bool = True) -> ui.number:
    """A number field; empty means null."""

    def changed(value: float | None) -> None:
        form.set(place, None if value is None else int(value) if is_whole and value == int(value) else value)

    element = ui.number(label, value=form.draft.get(place), step=1 if is_whole else 0.1)
    element.on_value_change(lambda event: changed(event.value))
    _bind(form, place, element, shown_help(place, with_limits=True))
    return element


def switch(form: Form, place: Place, label: str, *, hint: str | None = None) -> ui.switch:
    """A switch for true or false."""
    element = explained_switch(place, label, is_on=bool(form.draft.get(place)), hint=hint)
    element.set_enabled(form.why_read_only is None)
    element.on_value_change(lambda event: form.set(place, bool(event.value)))
    return element


def explained_switch(place: Place, label: str, *, is_on: bool, hint: str | None = None) -> ui.switch:
    """A switch with the setting's hint below it."""
    text = shown_help(place) if hint is None else hint
    with ui.column().classes("gap-0 w-full"):
        element = ui.switch(label, value=is_on).props("dense").classes("py-1")
        element.props["aria-description"] = text
        ui.label(text).classes("small muted pl-11")
    return element


def choice(form: Form, place: Place, label: str, options: dict[str, str], *, hint: str | None = None) -> ui.select:
    """A select for one of a few values."""
    value = form.draft.get(place)
    element = ui.select(options, label=label, value=value if value in options else None)
    element.on_value_change(lambda event: form.set(place, event.value))
    _bind(form, place, element, shown_help(place) if hint is None else hint)
    return element


FILTER_AGAIN = """(async () => {
  const element = getElement(%d), before = %s;
  await element.$nextTick();
  const typed = element.$el.querySelector("input[type=search]")?.value;
  if (typed && !before.includes(typed)) element.$refs.qRef.filter(typed);
})()"""
"""Filters new options by what was typed while they loaded; NiceGUI would show them all until the next key. The label of
an earlier choice does not count as typed."""


class ChoiceByLabel(ui.select):
    """A select that accepts typed names, and takes a typed label as its name.

    Tab commits the text in the field, which is the label of the choice. NiceGUI would take it for a name, not find it,
    and clear the field.
    """

    def _handle_new_value(self, value: str) -> Any:
        for name, label in dict(self.options).items():
            if label == value:
                return name
        return super()._handle_new_value(value)


class Picker:
    """A select whose options are loaded from the tenant when it is opened. Other names can be typed.

    Args:
        form: the form.
        place: the place of the draft.
        label: the field's label.
        load: loads the options; called in a worker thread.
        hint: the field's hint; None: the setting's description.
        is_list: whether several can be chosen.
    """

    def __init__(
        self, form: Form, place: Place, label: str, load: Load, *, hint: str | None = None, is_list: bool = False
    ) -> None:
        self._form, self._load, self._is_list = form, load, is_list
        self._is_loaded = False
        value = form.draft.get(place)
        kept = list(value) if is_list and isinstance(value, list) else value
        names = kept if isinstance(kept, list) else [] if kept is None else [kept]
        self.select = ChoiceByLabel(
            {name: name for name in names},
            label=label,
            value=kept,
            with_input=True,
            new_value_mode="add-unique",
            multiple=is_list,
            clearable=True,
        )
        if is_list:
            self.select.props("use-chips")
        self.select.on_value_change(lambda event: form.set(place, event.value if is_list else event.value or None))
        self.select.on("focus", self._opened)
        _bind(form, place, self.select, shown_help(place) if hint is None else hint)
        with self.select.add_slot("append"):  # Quasar's own spinner would replace the Clear button and take the focus
            self._spinner = ui.spinner(size="sm")
        self._spinner.set_visibility(False)
        with ui.row().classes("items-center gap-2") as self._failure:
            self._reason = ui.label().classes("bad-text small").props('role="alert"')
            ui.button("Try again", icon="refresh", on_click=self._retry).props("flat dense size=sm")
        self._failure.set_visibility(False)

    async def _opened(self) -> None:
        if not self._is_loaded:
            await self._retry()

    async def _retry(self) -> None:
        self._is_loaded = True  # set before loading, so that the options are requested once
        self._failure.set_visibility(False)
        self._spinner.set_visibility(True)
        try:
            options = await self._form.ask(self._load)
        except PipelineError as error:
            self._is_loaded = False
            self._reason.set_text(f"{error} You can type the name.")
            self._failure.set_visibility(True)
            return
        finally:
            self._spinner.set_visibility(False)
        chosen = self.select.value if self._is_list else [self.select.value] if self.select.value else []
        missing = {name: f"{name} — not found" for name in chosen if name not in options}
        shown = [] if self._is_list else [dict(self.select.options).get(name, name) for name in chosen]
        self.select.set_options(missing | options, value=self.select.value)
        ui.run_javascript(FILTER_AGAIN % (self.select.id, json.dumps(shown)))

    def reload(self) -> None:
        """Loads the options again when it is next opened, because the setting that they depend on has changed."""
        self._is_loaded = False


def heading(text: str, level: int = 2) -> ui.element:
    """A heading element, for screen readers."""
    with ui.element(f"h{level}") as element:
        ui.html(escape(text), sanitize=False)
    return element


def text_with_code(text: str) -> ui.html:
    """A text in which `backticks` mark code."""
    return ui.html(re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)), sanitize=False)


PILL_KINDS = {"good", "bad", "warn", "busy"}


def pill(text: str = "", kind: str = "") -> ui.label:
    """A coloured label for a state: good, bad, warn, busy or neutral."""
    return ui.label(text).classes(f"pill {kind}")


def set_pill(label: ui.label, text: str, kind: str) -> None:
    """Changes a pill's text and colour."""
    label.set_text(text)
    label.classes(add=kind, remove=" ".join(PILL_KINDS - {kind}))


def focus(element: ui.element) -> None:
    """Focuses an element, after the focused one was removed."""
    element.client.run_javascript(f"getHtmlElement({element.id}).focus()")


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """A dialog that opens at the end of the context and is deleted when it is closed."""
    with ui.dialog() as element, ui.card().classes("w-full max-w-3xl gap-4"):
        element.props["aria-label"] = title
        element.on("hide", element.delete)
        heading(title)
        yield element
    element.open()


@contextmanager
def working(button: ui.button) -> Iterator[None]:
    """Shows a button as busy and ignores further clicks; it keeps the focus."""
    button.props("loading aria-disabled=true")
    try:
        yield
    finally:
        button.props(remove="loading aria-disabled")


def say_error(error: PipelineError) -> None:
    """Shows an error until the user closes it."""
    ui.notify(str(error), type="negative", multi_line=True, timeout=0, close_button="OK")
