"""The sections of the form: a card per Gainsight object, one for account matching and one for schedules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nicegui import ui

from gainsight_pipelines.crm.protocol import CRM_NAMES
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.objects.product_usage import AggregateSettings
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.objects.survey import SurveyObject
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.categories import CategoryEditor
from gainsight_pipelines.page.draft import Unfit, in_a_form
from gainsight_pipelines.page.raw import show_json
from gainsight_pipelines.page.widgets import Form, Picker
from gainsight_pipelines.scheduling.wording import cadence
from gainsight_pipelines.settings.mistakes import model_in
from gainsight_pipelines.settings.models import ALERTS_VARIABLE, ALL_CHECKS

TITLES = {
    "common": "Account matching",
    **{name: definition.title for name, definition in DEFINITIONS.items()},
    "schedules": "Schedules",
    "alerts": "Alerts",
}
ICONS = {
    "common": "tune",
    **{name: definition.icon for name, definition in DEFINITIONS.items()},
    "schedules": "schedule",
    "alerts": "notifications",
}
COMPANY_OBJECT = "company"
FILTER = ("surveys", "filter")
SHOWN_RECORDS, SHOWN_FIELDS = 3, 8


class Accordion:
    """A section of the settings. It is rebuilt after its JSON was edited."""

    def __init__(self, form: Form, section: str) -> None:
        self._form, self._section = form, section
        self._title = TITLES[section]
        widgets.heading(self._title).classes("sr-only")  # screen readers ignore headings inside buttons
        with ui.expansion().classes("w-full section") as self._expansion:
            self._body = ui.column().classes("w-full gap-4").props(f'role="group" aria-label="{self._title}"')
        with self._expansion.add_slot("header"), ui.row().classes("items-center no-wrap w-full gap-3"):
            ui.icon(ICONS[section]).props("aria-hidden=true").classes("text-xl muted")
            ui.label(f"{self._title} ").classes("font-medium grow")
            self._state = widgets.pill()
        form.on_change.append(self._show_state)
        form.rebuild[section] = self.build
        form.reveal[section] = self._open
        self.build()

    def _open(self) -> None:
        self._expansion.set_value(True)

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
            show_json(self._form, self._section, self._title, self.build)
        self._form.changed(self._section)

    def _show_state(self) -> None:
        state, kind = "", ""
        if self._section in DEFINITIONS:
            listed = DEFINITIONS[self._section].model.listed
            is_on = bool(self._form.draft.get((self._section, listed or "enabled")))
            state, kind = (self._cadence(), "good") if is_on else ("off", "")
        elif self._section == "alerts":
            state, kind = ("on", "good") if self._form.draft.get(("alerts", "enabled")) else ("off", "")
        widgets.set_pill(self._state, state[:1].upper() + state[1:], kind)
        self._state.set_visibility(bool(state))
        self._expansion.props["toggle-aria-label"] = f"{self._title} {state}".strip()

    def _cadence(self) -> str:
        definition = DEFINITIONS[self._section]
        own = None if definition.is_each_scheduled else self._form.draft.get(("schedules", self._section))
        return cadence(own or definition.cron)


def _common(form: Form) -> None:
    Picker(form, ("common", "gsid_field"), "Gainsight GSID field on the CRM account", form.lookups.crm_fields)
    with form.advanced("common"):
        Owners(form)


class Owners:
    """The owners of the assets, one per line."""

    def __init__(self, form: Form) -> None:
        place = ("common", "owners")
        area = ui.textarea("Owners of the assets", value="\n".join(form.draft.get(place) or []))
        area.on_value_change(lambda event: form.set(place, (event.value or "").split()))
        widgets.described(area, f"{widgets.shown_help(place)} One per line.").classes("w-full").props("autogrow")
        area.set_enabled(form.why_read_only is None)
        form.register(place, lambda error: widgets.show_error(area, error), area)


def _override(form: Form, section: str) -> None:
    Picker(form, (section, "gsid_field"), "GSID field override", form.lookups.crm_fields)


def _owner(form: Form) -> str:
    """The name of the CRM that owns the accounts."""
    return CRM_NAMES.get(form.draft.get(("primary_crm", "kind")), "The primary CRM")


def _company(form: Form) -> None:
    hint = (
        f"Adds Gainsight's attributes to the accounts. {_owner(form)} stays the source of truth: no account is created"
        " or changed."
    )
    widgets.switch(form, ("company", "enabled"), "Pull company attributes", hint=hint)
    fields = _fields_of(form, lambda: COMPANY_OBJECT)
    place = ("company", "attributes")
    every = ui.switch("All attributes", value=form.draft.get(place) in (None, "all")).props("dense")
    every.set_enabled(form.why_read_only is None)
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
    with form.advanced("company"):
        Picker(form, ("company", "crm_id_field"), "Company field with the CRM's account ID", fields)
        _override(form, "company")


def _activity(form: Form) -> None:
    hint = "Adds meetings, calls, emails and notes from the timeline to the accounts. Nothing is written to Gainsight."
    toggle = widgets.switch(form, ("activity", "enabled"), "Pull timeline activities", hint=hint)
    editor = CategoryEditor(form)

    async def toggled(is_on: bool) -> None:
        if is_on:
            await editor.sample(is_resample=False)

    toggle.on_value_change(lambda event: toggled(bool(event.value)))
    with form.advanced("activity"):
        days = ("activity", "initial_lookback_days")
        widgets.number_field(form, days, "Days to read at first").props["placeholder"] = "everything"
        _override(form, "activity")


def _surveys(form: Form) -> None:
    hint = "Adds NPS, CSAT and other responses to the accounts, as activities."
    widgets.switch(form, ("surveys", "enabled"), "Pull survey responses", hint=hint)
    modes = {"single": "Single object", "multiple": "Multiple objects"}
    mode = widgets.choice(form, ("surveys", "mode"), "Mode", modes)
    rows = SurveyRows(form)
    mode.on_value_change(rows.show)
    with ui.element("div").classes("w-full grid grid-cols-1 sm:grid-cols-2 gap-4"):
        widgets.number_field(form, ("surveys", "response_limit"), "Response limit")
        widgets.number_field(form, ("surveys", "lookback_days"), "Lookback days")
    with form.advanced("surveys"):
        first_day = widgets.text_field(form, ("surveys", "first_day"), "First day of backfills")
        first_day.props("type=date clearable")
        widgets.switch(form, ("surveys", "register_custom_fields"), "Register custom fields")
        FilterCheck(form)
        _override(form, "surveys")


class SurveyRows:
    """The survey objects: one in single mode, a row per object in multiple mode."""

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
                add = ui.button("Add a survey object", icon="add", on_click=self._add).props("outline dense")
                add.props("padding='4px 12px'").set_enabled(self._form.why_read_only is None)
        self._form.changed("surveys")

    def _row(self, number: int, *, can_go: bool) -> Picker:
        place = ("surveys", "objects", number)
        title = "Survey response object" if number == 0 else f"Survey response object {number + 1}"
        with ui.column().props(f'role="group" aria-label="Survey object {number + 1}"').classes("inset"):
            form, fields = self._form, SurveyObject.model_fields
            hint = in_a_form(fields["object"].description)
            name = Picker(form, (*place, "object"), title, form.lookups.objects, hint=hint)
            kind = widgets.text_field(
                form, (*place, "survey_type"), "Survey type", hint=in_a_form(fields["survey_type"].description)
            )
            kind.props["placeholder"] = "detected"
            load = _fields_of(form, lambda: form.draft.get((*place, "object")))
            hint = in_a_form(fields["company_field"].description)
            Picker(form, (*place, "company_field"), "Company field", load, hint=hint)
            if can_go:
                text = f"Remove survey object {number + 1}"
                remove = ui.button("Remove", icon="delete_outline", color=None, on_click=lambda: self._remove(number))
                remove.classes("quiet-button").props(f'flat dense padding="4px 10px" aria-label="{text}"')
                remove.set_enabled(self._form.why_read_only is None)
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
    """Further objects: a row per object, with its company field and lookback."""

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
            add = ui.button("Add an object", icon="add", on_click=self._add)
            add.props("outline dense padding='4px 12px'").set_enabled(self._form.why_read_only is None)
        self._form.changed(self._section)

    def _row(self, number: int) -> Picker:
        form, place = self._form, (*self._rows_at, number)
        assert self._described is not None
        hints = {name: in_a_form(field.description) for name, field in self._described.model_fields.items()}
        with ui.column().props(f'role="group" aria-label="Object {number + 1}"').classes("inset"):
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
            remove = ui.button("Remove", icon="delete_outline", color=None, on_click=lambda: self._remove(number))
            remove.classes("quiet-button").props(
                f'flat dense padding="4px 10px" aria-label="Remove object {number + 1}"'
            )
            remove.set_enabled(form.why_read_only is None)
        return name

    def _add(self) -> None:
        self._rows().append({"object": None})
        self._show()
        widgets.focus(self._names[-1].select)

    def _remove(self, number: int) -> None:
        del self._rows()[number]
        self._show()


class FilterCheck:
    """The editor of a where clause as JSON, with a button that shows what it matches."""

    def __init__(self, form: Form) -> None:
        self._form = form
        unfit = form.draft.unfit.get(FILTER)
        value = form.draft.get(FILTER)
        text = unfit.shown if unfit else "" if value is None else json.dumps(value, indent=2)
        with ui.column().classes("w-full gap-2"):
            self._area = ui.textarea("Response filter, as a JSON object", value=text, on_change=self._typed)
            widgets.described(self._area, widgets.shown_help(FILTER))
            self._area.props("autogrow spellcheck=false").classes("w-full font-mono")
            self._area.set_enabled(form.why_read_only is None)
            self._button = ui.button("Check filter", icon="fact_check", on_click=self._check)
            self._button.props("outline dense padding='4px 12px'")
            self._found = ui.column().classes("w-full overflow-x-auto").props('role="status" aria-live="polite"')
        form.register(FILTER, lambda error: widgets.show_error(self._area, error), self._area)

    def _typed(self) -> None:
        try:
            value = self._parsed()
        except ValueError as error:
            self._form.draft.refuse(FILTER, Unfit(self._area.value, str(error)))
            self._form.changed("surveys")
            return
        self._form.draft.refuse(FILTER, None)
        self._form.set(FILTER, value)

    def _parsed(self) -> Any:
        """The parsed filter.

        Raises:
            ValueError: not JSON; says where.
        """
        text = (self._area.value or "").strip()
        if not text:
            return None
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"Not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Not valid JSON: {error}.") from None
        if not isinstance(found, dict):
            raise ValueError("Must be a JSON object, in braces.")  # noqa: TRY004 - shown at the field like the others
        return found

    async def _check(self) -> None:
        try:
            parsed = self._parsed()
        except ValueError:
            return  # the field shows the error
        self._found.clear()
        form = self._form
        with widgets.working(self._button):
            for row in form.draft.get(("surveys", "objects")) or []:
                name = row.get("object")
                if not name:
                    continue
                try:
                    found = await form.ask(form.lookups.check_filter, name, parsed)
                except PipelineError as error:
                    with self._found:
                        ui.label(f"{name}: {error}").classes("bad-text").props('role="alert"')
                    continue
                with self._found:
                    self._show(found)

    def _show(self, found: Any) -> None:
        ui.label(f"{found.object_name}: {found.count} records match. Nothing was written.")
        for note in found.notes:
            ui.label(note).classes("small muted")
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
    hint = "Rolls usage metrics up to the accounts."
    widgets.switch(form, ("product_usage", "enabled"), "Pull product usage", hint=hint)
    object_place = ("product_usage", "object")
    source = Picker(form, object_place, "Product usage object", form.lookups.objects)
    widgets.text_field(form, ("product_usage", "product_name"), "Product name")
    fields = _fields_of(form, lambda: form.draft.get(object_place))
    pickers = [
        Picker(form, ("product_usage", "company_field"), "Company field", fields),
        Picker(form, ("product_usage", "observed_at_field"), "Time of the observation", fields),
    ]
    place = ("product_usage", "aggregate")
    toggle = widgets.explained_switch(place, "Aggregate rows by a key", is_on=form.draft.get(place) is not None)
    toggle.set_enabled(form.why_read_only is None)
    box = ui.column().classes("inset")
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
    with form.advanced("product_usage"):
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
        "auto": "detect",
        "crm_id": "CRM account ID",
        "gsid": "GSID",
        "domain": "account domain",
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
    for section, definition in DEFINITIONS.items():
        if definition.is_each_scheduled:
            continue  # one per object: edited as JSON below
        place = ("schedules", section)
        field = widgets.text_field(form, place, f"{definition.title} (cron)")
        field.props["placeholder"] = f"{definition.cron}  ({cadence(definition.cron)})"


def _alerts(form: Form) -> None:
    hint = f"One message when a problem starts and one when it is over, sent to {ALERTS_VARIABLE}."
    widgets.switch(form, ("alerts", "enabled"), "Send alerts", hint=hint)
    widgets.number_field(form, ("alerts", "failed_runs"), "Failed runs in a row")
    widgets.number_field(form, ("alerts", "gate_minutes"), "Minutes without the CRM")
    widgets.number_field(form, ("alerts", "late_turns"), "Intervals without a completed run", is_whole=False)
    widgets.switch(form, ("alerts", "rejected_key"), "Tell of a rejected key")
    widgets.switch(form, ("alerts", "rejected"), "Tell of records that could not be stored")
    widgets.text_field(form, ("alerts", "dagster_url"), "Address of the Dagster UI")
    with form.advanced("alerts"):
        names: dict[str, str] = {name: name for name in ALL_CHECKS}
        Picker(form, ("alerts", "checks"), "Checks to tell of", lambda: names, is_list=True)
        widgets.number_field(form, ("alerts", "warned_runs"), "Warnings in a row")


def _fields_of(form: Form, name: Callable[[], str | None]) -> widgets.Load:
    """A picker's options: the fields of the object that is currently chosen."""

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
    "alerts": _alerts,
}
"""By section. `ObjectRows` draws a section that is a list of objects."""
