"""An accordion per Gainsight object, one for what is common to them, one for schedules: toggle, pickers, knobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nicegui import ui

from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.objects.product_usage import AggregateSettings
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.objects.survey import SurveyObject
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.categories import CategoryEditor
from gainsight_pipelines.page.draft import in_a_form
from gainsight_pipelines.page.raw import show_json
from gainsight_pipelines.page.widgets import Form, Picker
from gainsight_pipelines.settings.mistakes import model_in

TITLES = {
    "common": "Common",
    **{name: definition.title for name, definition in DEFINITIONS.items()},
    "schedules": "Schedules",
}
CADENCES = {name: definition.cadence for name, definition in DEFINITIONS.items()}
ICONS = {
    "common": "tune",
    **{name: definition.icon for name, definition in DEFINITIONS.items()},
    "schedules": "schedule",
}
ACTIVITY_OBJECT, COMPANY_OBJECT = "activity_timeline", "company"
SHOWN_RECORDS, SHOWN_FIELDS = 3, 8


class Accordion:
    """One section of the settings, which can be built anew when its JSON was edited."""

    def __init__(self, form: Form, section: str) -> None:
        self._form, self._section = form, section
        widgets.heading(TITLES[section]).classes("sr-only")  # what stands inside a button is no heading
        with ui.expansion().classes("w-full border rounded") as self._expansion:
            self._body = ui.column().classes("w-full gap-3").props(f'role="group" aria-label="{TITLES[section]}"')
        with self._expansion.add_slot("header"), ui.row().classes("items-center no-wrap w-full gap-3"):
            ui.icon(ICONS[section]).props("aria-hidden=true").classes("text-xl")
            ui.label(f"{TITLES[section]} ").classes("text-subtitle1 grow")
            self._state = ui.badge(color=None).props('outline role="none"')
        form.on_change.append(self._show_state)
        self.build()

    def build(self) -> None:
        """Makes the fields."""
        self._form.forget(self._section)
        self._body.clear()
        with self._body:
            self._form.show_mistakes_of(self._section)
            if self._section in _PARTS:
                _PARTS[self._section](self._form)
            else:
                ObjectRows(self._form, self._section)
            show_json(self._form, self._section, self.build)
        self._form.changed(self._section)

    def _show_state(self) -> None:
        state = ""
        if self._section in CADENCES:
            listed = DEFINITIONS[self._section].model.listed
            is_on = bool(self._form.draft.get((self._section, listed or "enabled")))
            state = CADENCES[self._section] if is_on else "off"
            self._state.props(**({"add": "color=positive"} if is_on else {"remove": "color"}))
        self._state.set_text(state)
        self._state.set_visibility(bool(state))
        self._expansion.props["toggle-aria-label"] = f"{TITLES[self._section]} {state}".strip()


def _common(form: Form) -> None:
    Picker(form, ("common", "gsid_field"), "Gainsight GSID field on the CRM account", form.lookups.crm_fields)


def _override(form: Form, section: str) -> None:
    Picker(form, (section, "gsid_field"), "GSID field override", form.lookups.crm_fields)


def _company(form: Form) -> None:
    widgets.switch(form, ("company", "enabled"), "Enable account pull")
    fields = _fields_of(form, lambda: COMPANY_OBJECT)
    Picker(form, ("company", "crm_id_field"), "Company field with the CRM's account id", fields)
    place = ("company", "attributes")
    every = ui.switch("All attributes", value=form.draft.get(place) in (None, "all"))
    with ui.column().classes("w-full") as chosen:
        if not every.value:
            Picker(form, place, "Attributes to keep", fields, is_list=True)

    def toggled(is_every: bool) -> None:
        chosen.clear()
        form.set(place, "all" if is_every else [])
        if not is_every:
            with chosen:
                Picker(form, place, "Attributes to keep", fields, is_list=True)

    every.on_value_change(lambda event: toggled(bool(event.value)))
    _override(form, "company")


def _activity(form: Form) -> None:
    toggle = widgets.switch(form, ("activity", "enabled"), "Enable activity pull")
    days = ("activity", "initial_lookback_days")
    widgets.number_field(form, days, "Days of the first read").props["placeholder"] = "everything"
    editor = CategoryEditor(form)

    async def toggled(is_on: bool) -> None:
        if is_on:
            await editor.sample(is_resample=False)

    toggle.on_value_change(lambda event: toggled(bool(event.value)))
    _override(form, "activity")


def _surveys(form: Form) -> None:
    widgets.switch(form, ("surveys", "enabled"), "Enable survey pulls")
    modes = {"single": "Single object", "multiple": "Multiple objects"}
    mode = widgets.choice(form, ("surveys", "mode"), "Mode", modes)
    rows = SurveyRows(form)
    mode.on_value_change(rows.show)
    widgets.number_field(form, ("surveys", "response_limit"), "Response limit")
    widgets.number_field(form, ("surveys", "lookback_days"), "Lookback days")
    widgets.text_field(form, ("surveys", "first_day"), "First day of backfills").props(
        "type=date stack-label clearable"
    )
    widgets.switch(form, ("surveys", "register_custom_fields"), "Register custom fields")
    FilterCheck(form)
    _override(form, "surveys")


class SurveyRows:
    """The survey objects: one in single mode, a row each in multiple mode."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._box = ui.column().classes("w-full")
        self.show()

    def show(self) -> None:
        """Makes the rows."""
        self._box.clear()
        is_many = self._form.draft.get(("surveys", "mode")) == "multiple"
        rows: list[dict[str, Any]] = self._form.draft.get(("surveys", "objects")) or []
        with self._box:
            self._names = [self._row(number, can_go=len(rows) > 1) for number in range(len(rows))]
            if is_many:
                ui.button("Add a survey object", icon="add", on_click=self._add).props("flat")
        self._form.changed("surveys")

    def _row(self, number: int, *, can_go: bool) -> Picker:
        place = ("surveys", "objects", number)
        title = "Survey response object" if number == 0 else f"Survey response object {number + 1}"
        with (
            ui.card()
            .props(f'flat bordered role="group" aria-label="Survey object {number + 1}"')
            .classes("w-full gap-2")
        ):
            form, fields = self._form, SurveyObject.model_fields
            hint = in_a_form(fields["object"].description)
            name = Picker(form, (*place, "object"), title, form.lookups.objects, hint=hint)
            kind = widgets.text_field(
                form, (*place, "survey_type"), "Survey type", hint=in_a_form(fields["survey_type"].description)
            )
            kind.props["placeholder"] = "found out"
            load = _fields_of(form, lambda: form.draft.get((*place, "object")))
            hint = in_a_form(fields["company_field"].description)
            Picker(form, (*place, "company_field"), "Company field", load, hint=hint)
            if can_go:
                text = f"Remove survey object {number + 1}"
                ui.button("Remove", icon="delete", on_click=lambda: self._remove(number)).props(
                    f'flat dense color=negative aria-label="{text}"'
                )
        return name

    def _add(self) -> None:
        row: dict[str, Any] = {"object": None, "survey_type": None, "company_field": None, "field_mappings": {}}
        self._form.draft.data["surveys"]["objects"].append(row)
        self.show()
        widgets.focus(self._names[-1].select)

    def _remove(self, number: int) -> None:
        del self._form.draft.data["surveys"]["objects"][number]
        self.show()
        widgets.focus(self._names[-1].select)


class ObjectRows:
    """Further objects: a row each, with the object, its company field and how far back to read."""

    def __init__(self, form: Form, section: str) -> None:
        self._form, self._section = form, section
        model = DEFINITIONS[section].model
        self._rows_at = (section, str(model.listed))
        self._described = model_in(model.model_fields[str(model.listed)].annotation)
        self._box = ui.column().classes("w-full")
        self._show()

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._form.draft.data[self._section].setdefault(self._rows_at[1], [])
        return rows

    def _show(self) -> None:
        self._box.clear()
        with self._box:
            self._names = [self._row(number) for number in range(len(self._rows()))]
            ui.button("Add an object", icon="add", on_click=self._add).props("flat")
        self._form.changed(self._section)

    def _row(self, number: int) -> Picker:
        form, place = self._form, (*self._rows_at, number)
        assert self._described is not None
        hints = {name: in_a_form(field.description) for name, field in self._described.model_fields.items()}
        with ui.card().props(f'flat bordered role="group" aria-label="Object {number + 1}"').classes("w-full gap-2"):
            name = Picker(form, (*place, "object"), f"Object {number + 1}", form.lookups.objects, hint=hints["object"])
            fields = _fields_of(form, lambda: form.draft.get((*place, "object")))
            Picker(form, (*place, "company_field"), "Company field", fields, hint=hints["company_field"])
            Picker(
                form,
                (*place, "gsid_field"),
                "GSID field override",
                form.lookups.crm_fields,
                hint=hints["gsid_field"],
            )
            ui.button("Remove", icon="delete", on_click=lambda: self._remove(number)).props(
                f'flat dense color=negative aria-label="Remove object {number + 1}"'
            )
        return name

    def _add(self) -> None:
        self._rows().append({"object": None})
        self._show()
        widgets.focus(self._names[-1].select)

    def _remove(self, number: int) -> None:
        del self._rows()[number]
        self._show()


class FilterCheck:
    """A where-clause as JSON, and what it would bring."""

    def __init__(self, form: Form) -> None:
        self._form = form
        value = form.draft.get(("surveys", "filter"))
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value, indent=2)
        with ui.expansion("Survey response filter (advanced)").classes("w-full"):
            self._area = ui.textarea("Filter, as a JSON object", value=text, on_change=self._typed)
            self._area.props("autogrow stack-label spellcheck=false").classes("w-full font-mono")
            widgets.described(self._area, widgets.shown_help(("surveys", "filter")))
            self._button = ui.button("Check", icon="fact_check", on_click=self._check).props("outline")
            self._found = ui.column().classes("w-full overflow-x-auto").props('role="status" aria-live="polite"')
        form.register(("surveys", "filter"), self._show_error)

    def _show_error(self, error: str | None) -> None:
        if self._parsed() is not None:
            widgets.show_error(self._area, error)

    def _typed(self) -> None:
        found = self._parsed()
        # What can't be read is kept as it stands: saving would pass over it otherwise.
        self._form.set(("surveys", "filter"), self._area.value if found is None else found[0])

    def _parsed(self) -> tuple[Any] | None:
        """The filter, or None if it can't be read: then the field says where."""
        text = (self._area.value or "").strip()
        if not text:
            return (None,)
        try:
            found = json.loads(text)
        except ValueError as error:
            where = f"line {error.lineno}, column {error.colno}: " if isinstance(error, json.JSONDecodeError) else ""
            widgets.show_error(self._area, f"This isn't JSON: {where}{getattr(error, 'msg', error)}.")
            return None
        if not isinstance(found, dict):
            widgets.show_error(self._area, "It takes a JSON object, in braces.")
            return None
        return (found,)

    async def _check(self) -> None:
        parsed = self._parsed()
        if parsed is None:
            return
        self._found.clear()
        form = self._form
        with widgets.working(self._button):
            for row in form.draft.get(("surveys", "objects")) or []:
                name = row.get("object")
                if not name:
                    continue
                try:
                    found = await form.ask(form.lookups.check_filter, name, parsed[0])
                except PipelineError as error:
                    with self._found:
                        ui.label(f"{name}: {error}").classes("text-negative").props('role="alert"')
                    continue
                with self._found:
                    self._show(found)

    def _show(self, found: Any) -> None:
        ui.label(f"{found.object_name}: {found.count} records match; nothing was written.")
        for note in found.notes:
            ui.label(note).classes("text-caption")
        records = [record.raw for record in found.records[:SHOWN_RECORDS]]
        names = [name for name in (records[0] if records else {}) if any(record.get(name) for record in records)]
        columns = [{"name": name, "label": name, "field": name, "align": "left"} for name in names[:SHOWN_FIELDS]]
        if columns:
            rows = [{name: _short(record.get(name)) for name in names[:SHOWN_FIELDS]} for record in records]
            ui.table(columns=columns, rows=rows).props("dense flat").classes("w-full")


def _short(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _product_usage(form: Form) -> None:
    widgets.switch(form, ("product_usage", "enabled"), "Enable product usage pull")
    object_place = ("product_usage", "object")
    source = Picker(form, object_place, "Product usage object", form.lookups.objects)
    widgets.text_field(form, ("product_usage", "product_name"), "Product name")
    fields = _fields_of(form, lambda: form.draft.get(object_place))
    pickers = [
        Picker(form, ("product_usage", "company_field"), "Company field", fields),
        Picker(form, ("product_usage", "observed_at_field"), "Time of the observation", fields),
    ]
    place = ("product_usage", "aggregate")
    toggle = widgets.explained_switch(place, "Aggregate settings", is_on=form.draft.get(place) is not None)
    box = ui.column().classes("w-full pl-4 border-l")
    inner: list[Picker] = []

    def show() -> None:
        box.clear()
        inner.clear()
        box.set_visibility(toggle.value)
        if toggle.value:
            with box:
                inner.extend(_aggregate(form, fields))

    def toggled(is_on: bool) -> None:
        empty = {"key": None, "key_kind": "auto", "metric_name_field": None, "metric_value_field": None}
        form.set(place, empty if is_on else None)
        show()
        form.changed("product_usage")

    def other_object() -> None:
        for picker in (*pickers, *inner):
            picker.reload()

    toggle.on_value_change(lambda event: toggled(bool(event.value)))
    source.select.on_value_change(other_object)
    show()
    _override(form, "product_usage")


def _aggregate(form: Form, fields: widgets.Load) -> list[Picker]:
    described = AggregateSettings.model_fields
    labels = {
        "key": "Aggregate key",
        "dimension_field": "Dimension key field",
        "metric_name_field": "Metric name field",
        "metric_value_field": "Metric value field",
    }
    place = ("product_usage", "aggregate")
    pickers = [
        Picker(form, (*place, name), label, fields, hint=in_a_form(described[name].description))
        for name, label in labels.items()
    ]
    kinds = {
        "auto": "by its type",
        "crm_id": "the CRM's account id",
        "gsid": "a GSID",
        "domain": "the account's domain",
    }
    widgets.choice(
        form, (*place, "key_kind"), "What the key holds", kinds, hint=in_a_form(described["key_kind"].description)
    )
    additional, name = "Additional value fields", "additional_value_fields"
    pickers.append(
        Picker(form, (*place, name), additional, fields, hint=in_a_form(described[name].description), is_list=True)
    )
    return pickers


def _schedules(form: Form) -> None:
    widgets.text_field(form, ("schedules", "timezone"), "Time zone")
    for section, cadence in CADENCES.items():
        if DEFINITIONS[section].is_each_scheduled:
            continue  # by object: in the JSON below
        label = f"{TITLES[section]} (cron)"
        widgets.text_field(form, ("schedules", section), label).props["placeholder"] = cadence


def _fields_of(form: Form, name: Callable[[], str | None]) -> widgets.Load:
    """A picker's options: the fields of the object that is chosen by then."""

    def load() -> dict[str, str]:
        chosen = name()
        return form.lookups.fields(chosen) if chosen else {}

    return load


_PARTS: dict[str, Callable[[Form], None]] = {
    "common": _common,
    "company": _company,
    "activity": _activity,
    "surveys": _surveys,
    "product_usage": _product_usage,
    "schedules": _schedules,
}
"""By section; one that is a list of rows for any object is drawn by `ObjectRows`."""
