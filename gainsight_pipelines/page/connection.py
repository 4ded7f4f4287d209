"""The Connection card: whom to talk to, with which keys, does it work. Keys go into `.env` and never come back."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from nicegui import run, ui

from gainsight_pipelines.discovery.validation import Check, Outcome
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.gainsight.credentials import API_KEY_VARIABLE
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.draft import in_a_form
from gainsight_pipelines.page.lookups import CONNECTION, EVERYTHING
from gainsight_pipelines.page.widgets import Form, Picker
from gainsight_pipelines.settings.dotenv_file import source_of, write_secrets
from gainsight_pipelines.settings.models import AccountFields

CRM_KEYS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "salesforce": (
        ("SALESFORCE_INSTANCE_URL", "Salesforce instance URL"),
        ("SALESFORCE_CLIENT_ID", "Client id of the connected app"),
        ("SALESFORCE_CLIENT_SECRET", "Client secret"),
    ),
    "hubspot": (("HUBSPOT_ACCESS_TOKEN", "Access token of the private app"),),
}
KINDS = {"salesforce": "Salesforce", "hubspot": "HubSpot"}
SOURCES = {
    "environment": "Set in the environment, which wins: change it there.",
    "file": "In the file that {name}_FILE names: change it there.",
    "dotenv": "Is set, and is never shown. Type a new one to replace it.",
    None: "Not set yet.",
}
LOOKS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.PASSED: ("check_circle", "text-positive"),
    Outcome.WARNING: ("warning", "text-warning"),
    Outcome.FAILED: ("error", "text-negative"),
    Outcome.SKIPPED: ("do_not_disturb_on", "opacity-60"),
}


class Connection:
    """The card."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._entered: dict[str, str] = {}
        with ui.card().classes("w-full"):
            widgets.heading("Connection")
            form.show_mistakes_of("gainsight")
            widgets.text_field(form, ("gainsight", "base_url"), "Gainsight base URL")
            self._gainsight = ui.column().classes("w-full")
            form.show_mistakes_of("primary_crm")
            kind = widgets.choice(form, ("primary_crm", "kind"), "Primary CRM", KINDS)
            self._crm = ui.column().classes("w-full")
            kind.on_value_change(self._show_crm)
            self._show_key()
            self._show_crm()
            with ui.row().classes("items-center"):
                self._button = ui.button("Validate connection", icon="network_check", on_click=self._connect)
                self._every = ui.button("Check all settings", icon="fact_check", on_click=self._check_everything)
                self._every.props("outline")
                ui.button("Keep keys untried", on_click=self._keep).props("flat").tooltip(
                    "Writes the keys that you typed into .env without trying them."
                )
            self._findings = ui.column().classes("w-full gap-1").props('role="status" aria-live="polite"')

    def _show_key(self) -> None:
        """The field for Gainsight's key, empty whatever is set."""
        self._entered.pop(API_KEY_VARIABLE, None)
        self._gainsight.clear()
        with self._gainsight:
            self._key(API_KEY_VARIABLE, "Gainsight API key")

    def _show_crm(self) -> None:
        """The fields for the keys of the CRM that is chosen."""
        self._entered = {name: value for name, value in self._entered.items() if name == API_KEY_VARIABLE}
        kind = self._form.draft.get(("primary_crm", "kind"))
        self._crm.clear()
        with self._crm:
            for name, label in CRM_KEYS.get(kind, ()):
                self._key(name, label)
            if kind == "salesforce":
                ui.label(
                    "Other ways to log in (JWT bearer, user name and password) are set in .env: see .env.example."
                ).classes("text-caption opacity-70")
            if kind is not None:
                with ui.expansion("CRM fields that differ from the usual ones").classes("w-full"):
                    for field, info in AccountFields.model_fields.items():
                        place = ("primary_crm", "fields", field)
                        load = self._form.lookups.crm_fields
                        Picker(self._form, place, field.replace("_", " "), load, hint=in_a_form(info.description))

    def _key(self, name: str, label: str) -> None:
        """A field for a secret."""
        path = self._form.draft.file.path
        source = source_of(path, name, os.environ)
        is_address = name.endswith("_URL")
        element = ui.input(label, password=not is_address, on_change=lambda event: self._typed(name, event.value))
        element.props('autocomplete="new-password" stack-label').classes("w-full")
        widgets.described(element, SOURCES[source].format(name=name))
        if source in {"environment", "file"}:
            element.disable()

    def _typed(self, name: str, value: str | None) -> None:
        if value and value.strip():
            self._entered[name] = value.strip()
        else:
            self._entered.pop(name, None)

    async def _connect(self) -> None:
        is_good = await self._validate(self._button, CONNECTION)
        with self._findings:
            if self._entered and is_good:
                await self._write("The keys work and are in .env, which only you can read.")
            elif self._entered:
                _line(Outcome.FAILED, "The keys that you typed were not kept.")

    async def _check_everything(self) -> None:
        await self._validate(self._every, EVERYTHING)

    async def _validate(self, button: ui.button, parts: Collection[str]) -> bool:
        """Shows each check as it is done; whether none failed."""
        self._findings.clear()
        found: list[Check] = []
        shown = 0

        def show() -> None:
            nonlocal shown
            with self._findings:
                for check in found[shown:]:
                    shown += 1
                    _line(check.outcome, f"{check.text} {check.todo}".strip())

        timer = ui.timer(0.3, show)
        try:
            with widgets.working(button):
                return await self._form.ask(self._form.lookups.validate, dict(self._entered), parts, found.append)
        except PipelineError as error:
            widgets.say_error(error)
            return False
        finally:
            timer.deactivate()
            show()

    async def _keep(self) -> None:
        if not self._entered:
            ui.notify("You have typed no key.")
            return
        self._findings.clear()
        with self._findings:
            await self._write("The keys are in .env, which only you can read.")

    async def _write(self, said: str) -> None:
        path = self._form.draft.file.path
        try:
            await run.io_bound(write_secrets, path, dict(self._entered))
        except PipelineError as error:
            widgets.say_error(error)
            return
        self._form.lookups.forget()
        self._show_key()
        self._show_crm()
        _line(Outcome.PASSED, said)


def _line(outcome: Outcome, text: str) -> None:
    icon, color = LOOKS[outcome]
    with ui.row().classes("items-start no-wrap gap-2"):
        ui.icon(icon).classes(f"{color} text-lg").props(f'role="img" aria-hidden="false" aria-label="{outcome.value}"')
        ui.label(text)
