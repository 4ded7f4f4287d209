"""The Connection card: Gainsight and the primary CRM, each with its state, its login, and a test.

Typed secrets are part of the draft: they can be tested before Save writes them. Stored secrets are never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from nicegui import ui

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import CRM_NAMES
from gainsight_pipelines.discovery.validation import Check, Outcome
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.objects.registry import COMPANIES, DEFINITIONS
from gainsight_pipelines.page import widgets
from gainsight_pipelines.page.draft import in_a_form
from gainsight_pipelines.page.lookups import EVERYTHING
from gainsight_pipelines.page.status import GateState, Status
from gainsight_pipelines.page.widgets import Form, Picker
from gainsight_pipelines.scheduling.wording import ago
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.settings.dotenv_file import source_of
from gainsight_pipelines.settings.logins import LOGINS, Login, Variable, in_the_way, login_in_use, usual_login
from gainsight_pipelines.settings.models import AccountFields
from gainsight_pipelines.settings.yaml_document import Path as Place

GAINSIGHT, CRM = "gainsight", "primary_crm"
CREDENTIAL_CHECKS = frozenset({"address", "key", "accounts"})
"""The checks of credentials; the others concern what the settings name in the service."""
LOOKS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.PASSED: ("check_circle", "good"),
    Outcome.WARNING: ("warning", "warn"),
    Outcome.FAILED: ("error", "bad-text"),
    Outcome.SKIPPED: ("do_not_disturb_on", "muted"),
}


@dataclass(frozen=True, slots=True)
class State:
    """Result and time of a service's last test.

    `entered`: identifies the address and secrets that were tested; the result holds for these alone.
    """

    is_good: bool
    text: str
    at: datetime
    entered: int


class Connection:
    """The card.

    Args:
        form: the form.
        clock: the source of time.
        states: the last test of each service; shared by all tabs.
    """

    def __init__(self, form: Form, clock: Clock, states: dict[str, State]) -> None:
        self._form = form
        self._former: dict[Any, dict[Place, Any]] = {}
        with ui.card().classes("w-full panel").props('role="region" aria-label="Connection"'):
            with ui.row().classes("w-full items-center justify-between gap-2"):
                widgets.heading("Connection")
                self._every = ui.button("Check all settings", icon="fact_check", on_click=self._check_everything)
                self._every.props("flat dense no-caps padding='4px 10px'")
            self._gainsight = Service(form, GAINSIGHT, "Gainsight", clock, states, self._gainsight_fields)
            self._crm_box = ui.column().classes("w-full")
            self._crm: Service | None = None
            self._clock, self._states = clock, states
            self._status: Status | None = None
            self._show_crm()
            self._findings = ui.column().classes("w-full gap-1").props('role="status" aria-live="polite"')
        form.on_change.append(self._show_states)

    async def test_typed(self) -> Mapping[str, Sequence[Check]]:
        """Tests each service with typed secrets separately. Returns the failed checks by service name."""
        found = {}
        for service in (self._gainsight, self._crm):
            if service is not None and service.typed():
                found[service.title] = await service.test()
        return found

    def names_of(self, title: str) -> tuple[str, ...]:
        """The typed variables of a service."""
        return next(one.typed() for one in (self._gainsight, self._crm) if one is not None and one.title == title)

    def show_status(self, status: Status) -> None:
        """Updates the states of the connections from the last runs and the gate."""
        self._status = status
        self._show_states()

    def refresh(self) -> None:
        """Shows which secrets are set, after saving."""
        self._gainsight.show_login()
        self._show_crm()

    def _show_states(self) -> None:
        self._gainsight.show_state(self._status, None)
        if self._crm is not None:
            self._crm.show_state(self._status, self._status.gate if self._status else None)

    def _gainsight_fields(self) -> None:
        self._form.show_mistakes_of(GAINSIGHT)
        hint = "The address of your tenant, as your browser shows it in Gainsight."
        address = widgets.text_field(self._form, (GAINSIGHT, "base_url"), "Gainsight base URL", hint=hint)
        address.props["placeholder"] = "https://your-tenant.gainsightcloud.com"

    def _show_crm(self) -> None:
        """The panel of the chosen CRM, or the choice alone."""
        kind = self._form.draft.get((CRM, "kind"))
        self._crm_box.clear()
        with self._crm_box:
            title = CRM_NAMES.get(kind, "Primary CRM")
            self._crm = Service(self._form, kind, title, self._clock, self._states, self._crm_fields, part=CRM)
        self._show_states()

    def _crm_fields(self) -> None:
        self._form.show_mistakes_of(CRM)
        hint = "Owns the accounts that Gainsight data is matched to. Nothing is pulled while it is unavailable."
        choice = widgets.choice(
            self._form, (CRM, "kind"), "Primary CRM", {str(kind): name for kind, name in CRM_NAMES.items()}, hint=hint
        )
        before = choice.value
        choice.on_value_change(lambda event: self._other_crm(before, event.value))

    def _other_crm(self, before: Any, kind: Any) -> None:
        """Clears the account fields after the CRM changed. Each CRM's fields are kept while the page is open."""
        draft = self._form.draft
        places: list[Place] = [(CRM, "fields", name) for name in AccountFields.model_fields]
        places += [("common", "gsid_field"), (COMPANIES.section, "crm_id_field")]
        for section, definition in DEFINITIONS.items():
            rows = definition.model.listed  # a section with a list of objects has a field for each
            count = len(draft.get((section, rows)) or ()) if rows else 0
            places += [(section, rows, number, "gsid_field") for number in range(count)] if rows else []
            places += [] if rows else [(section, "gsid_field")]
        values = {place: draft.get(place) for place in places}
        self._former[before] = {place: value for place, value in values.items() if value is not None}
        kept = self._former.get(kind, {})
        for place in values.keys() & (self._former[before].keys() | kept.keys()):
            draft.set(place, kept.get(place))
        for section in {str(place[0]) for place in (*self._former[before], *kept)} - {CRM}:
            self._form.rebuild[section]()
        self._show_crm()
        assert self._crm is not None
        self._crm.focus()
        if self._former[before] and before is not None:
            with self._crm_box:  # the choice itself was rebuilt
                ui.notify(f"The account fields of {CRM_NAMES[before]} were removed. Choose those of {CRM_NAMES[kind]}.")

    async def _check_everything(self) -> None:
        """Runs all checks and shows each when it is done."""
        self._findings.clear()
        found: list[Check] = []
        shown = 0

        def show() -> None:
            nonlocal shown
            with self._findings:
                for check in found[shown:]:
                    shown += 1
                    finding(check)

        timer = ui.timer(0.3, show)
        try:
            with widgets.working(self._every):
                await self._form.ask(self._form.lookups.validate, EVERYTHING, found.append)
        except PipelineError as error:
            widgets.say_error(error)
        finally:
            timer.deactivate()
            show()


class Service:
    """One service: its state, its login, its test.

    Args:
        form: the form.
        kind: gainsight, salesforce or hubspot; None while no CRM is chosen.
        title: its name.
        clock: the source of time.
        states: the last tests.
        fields: makes the fields above the login.
        part: the part of the validation that tests it; None: same as `kind`.
    """

    def __init__(
        self,
        form: Form,
        kind: str | None,
        title: str,
        clock: Clock,
        states: dict[str, State],
        fields: Callable[[], None],
        *,
        part: str | None = None,
    ) -> None:
        self.title = title
        self._form, self._kind, self._clock, self._states = form, kind, clock, states
        self._part = part or str(kind)
        self._read_only = form.draft.why_secrets_read_only()
        with ui.column().classes("inset").props(f'role="group" aria-label="{title}"') as self._box:
            with ui.row().classes("w-full items-center gap-3"):
                with ui.column().classes("gap-0 grow min-w-0"):
                    with ui.row().classes("items-center gap-2"):
                        widgets.heading(title, 3)
                        self._pill = widgets.pill()
                    self._detail = ui.label().classes("small muted break-words")
                self._button = ui.button("Test", icon="bolt", on_click=self.test)
                self._button.props(f'outline dense padding="4px 12px" aria-label="Test the connection to {title}"')
                self._button.set_visibility(kind is not None)
            fields()
            self._login_box = ui.element("div").classes("w-full grid grid-cols-1 sm:grid-cols-2 gap-x-4 gap-y-3")
            self._found = ui.column().classes("w-full gap-1").props('role="status" aria-live="polite"')
            if part is None:
                with form.advanced(self._part):
                    widgets.number_field(form, (GAINSIGHT, "quota_share"), "Share of the API quota", is_whole=False)
                    widgets.number_field(form, (GAINSIGHT, "overlap_minutes"), "Overlap in minutes")
            elif kind is not None:
                with form.advanced(self._part, "Account field overrides"):
                    for field, info in AccountFields.model_fields.items():
                        place, load = (CRM, "fields", field), form.lookups.crm_fields
                        label = field.replace("_", " ").capitalize().replace("Arr", "ARR")
                        Picker(form, place, label, load, hint=in_a_form(info.description))
        self.show_login()

    def focus(self) -> None:
        """Focuses its first field."""
        _focus_first(self._box)

    # -- the login ------------------------------------------------------------------------------------------------

    def show_login(self, chosen: Login | None = None) -> None:
        """Shows the fields of the current login, or of another one."""
        self._login_box.clear()
        if self._kind is None:
            return
        logins = LOGINS[self._kind]
        login = chosen or login_in_use(self._kind, self._is_set) or usual_login(self._kind)
        with self._login_box:
            if len(logins) > 1:
                self._choice(logins, login)
            for variable in login.variables:
                self._field(variable)
            if self._read_only:
                text = f"{self._read_only} Set the variables in the environment, or name files with NAME_FILE."
                ui.label(text).classes("small muted sm:col-span-2")

    def _choice(self, logins: Sequence[Login], login: Login) -> None:
        titles = {one.key: one.title for one in logins}
        select = ui.select(titles, label="Log in with", value=login.key)
        fixed = [
            name
            for each in logins
            for name in each.marks
            if self._source(name) in {"environment", "file"} and name in login.marks
        ]
        hint = ""
        if fixed:
            hint = f"{fixed[0]} is set outside this page, which selects this login."
            select.disable()
        widgets.described(select, hint).classes("w-full")
        if self._read_only:
            select.disable()
        by_key = {one.key: one for one in logins}
        select.on_value_change(lambda event: self._choose(by_key[event.value]))

    def _choose(self, login: Login) -> None:
        """Removes variables from `.env` that would select another login, and drops what was typed for others."""
        assert self._kind is not None
        draft, own = self._form.draft, {variable.name for variable in login.variables}
        for name in self._names():
            if name not in own:
                draft.set_secret(name, None, is_same=True)
        for name in in_the_way(self._kind, login):
            if self._saved().get(name):
                draft.set_secret(name, None)
        for variable in login.variables:
            if variable.may_be_empty and self._saved().get(variable.name) is None:
                draft.set_secret(variable.name, "")
        self._form.changed(self._part)
        self.show_login(login)
        _focus_first(self._login_box)

    def _field(self, variable: Variable) -> None:
        """A field for a variable. A saved secret is never shown."""
        name, draft = variable.name, self._form.draft
        source = self._source(name)
        saved = "" if variable.is_secret or source is None else (self._saved().get(name) or "")
        typed = draft.secrets.get(name)
        element = ui.input(variable.label, value=saved if typed is None else typed, password=variable.is_secret)
        element.props(f'autocomplete="{"new-password" if variable.is_secret else "off"}" data-variable="{name}"')
        if variable.is_secret and source is not None:
            element.props["placeholder"] = "••••••••••••"
        by_source = {
            "environment": "Set in the environment, which takes precedence. Change it there.",
            "file": f"Set in the file that {name}_FILE names. Change it there.",
            "dotenv": "Set in .env. Enter a new value to replace it." if variable.is_secret else "Set in .env.",
            None: "Optional." if variable.is_optional else "Not set yet.",
        }
        unchanged = " ".join(filter(None, (by_source[source], variable.hint if source is None else "")))

        def hint() -> str:
            if draft.secrets.get(name):
                return "Not saved yet."
            return "Will be removed from .env." if name in draft.secrets and source == "dotenv" else unchanged

        widgets.described(element, hint()).classes("w-full")
        if source in {"environment", "file"} or self._read_only:
            element.disable()

        def changed(value: str | None) -> None:
            text = (value or "").strip()
            if text == saved:
                draft.set_secret(name, None, is_same=True)
                if variable.may_be_empty and source is None:
                    draft.set_secret(name, "")
            else:
                draft.set_secret(name, text or None)
            widgets.set_hint(element, hint())
            self._form.changed(self._part)

        element.on_value_change(lambda event: changed(event.value))

    def _names(self) -> tuple[str, ...]:
        assert self._kind is not None
        return tuple(
            dict.fromkeys(
                name
                for login in LOGINS[self._kind]
                for name in (*login.marks, *(variable.name for variable in login.variables))
            )
        )

    def _source(self, name: str) -> str | None:
        return source_of(self._form.draft.file.path, name, self._form.lookups.environ)

    def _saved(self) -> Secrets:
        return Secrets.read(self._form.draft.file.path, self._form.lookups.environ)

    def _is_set(self, name: str) -> bool:
        return bool(self._saved().with_dotenv(self._form.draft.secrets).get(name))

    def typed(self) -> tuple[str, ...]:
        """The variables of this service that were typed and are not written yet."""
        return () if self._kind is None else tuple(name for name in self._names() if name in self._form.draft.secrets)

    # -- the state ------------------------------------------------------------------------------------------------

    def show_state(self, status: Status | None, gate: GateState | None) -> None:
        """Shows the result of the last test, or what runs and the gate tell.

        Args:
            status: of the runs.
            gate: of the CRM.
        """
        text, kind, detail = "Not tested", "", ""
        state = self._states.get(str(self._kind))
        if self._kind is None:
            text, detail = "Not set up", "Choose the CRM that owns your accounts."
        elif not self._is_complete():
            text, detail = "Not set up", "Enter the address and the credentials, then test them."
        elif state is not None and state.entered == self._entered():
            text, kind = ("Connected", "good") if state.is_good else ("Not connected", "bad")
            detail = f"{state.text} Checked {ago(state.at, self._clock.now())}."
        elif self._is_edited():
            detail = "Changed, not tested yet."
        elif gate is not None:
            text, kind = ("Connected", "good") if gate.is_open else ("Not connected", "bad")
            detail = f"{gate.text} Checked {gate.checked}."
        elif status is not None and status.completed:
            text, kind, detail = "Connected", "good", f"Used by a run that completed {status.completed}."
        widgets.set_pill(self._pill, text, kind)
        self._detail.set_text(detail)
        self._detail.set_visibility(bool(detail))

    def _is_edited(self) -> bool:
        return bool(self.typed()) or self._part in self._form.draft.changed()

    def _is_complete(self) -> bool:
        assert self._kind is not None
        try:
            login = login_in_use(self._kind, self._is_set)
            return (
                login is not None
                and all(
                    self._is_set(variable.name)
                    for variable in login.variables
                    if not variable.is_optional and not variable.may_be_empty
                )
                and (self._part != GAINSIGHT or bool(self._form.draft.get((GAINSIGHT, "base_url"))))
            )
        except PipelineError:
            return True  # the test reports the error

    def _entered(self) -> int:
        """Identifies the address and secrets that a test uses, saved or not."""
        draft = self._form.draft
        secrets = self._saved().with_dotenv(draft.secrets)
        where = draft.get((GAINSIGHT, "base_url")) if self._part == GAINSIGHT else self._kind
        return hash((where, *(self._value(secrets, name) for name in self._names())))

    def _value(self, secrets: Secrets, name: str) -> str | None:
        try:
            return secrets.get(name)
        except PipelineError as error:
            return str(error)

    async def test(self) -> Sequence[Check]:
        """Tests the service with the values on the page. Returns the failed checks of its credentials."""
        self._found.clear()
        found: list[Check] = []
        entered = self._entered()
        try:
            with widgets.working(self._button):
                await self._form.ask(self._form.lookups.validate, (self._part,), found.append)
        except PipelineError as error:
            found.append(Check(self._part, "accounts", Outcome.FAILED, str(error)))
        about = [check for check in found if check.section == self._part and check.name in CREDENTIAL_CHECKS]
        failed = [check for check in about if check.outcome in {Outcome.FAILED, Outcome.SKIPPED}]
        if about:
            last = failed[0] if failed else about[-1]
            self._states[str(self._kind)] = State(not failed, self._as_state(last), self._clock.now(), entered)
        with self._found:
            for check in found:
                if check.outcome is not Outcome.PASSED:
                    finding(check)
        self._form.changed(self._part)
        return failed

    def _as_state(self, check: Check) -> str:
        """A check's result, as the state of a connection."""
        facts = check.facts
        if check.outcome is not Outcome.PASSED:
            return check.text
        if check.section == GAINSIGHT:
            host = urlsplit(str(self._form.draft.get((GAINSIGHT, "base_url")))).netloc
            return f"Connected to {host}: {facts['objects']:,} objects, {facts['readable']:,} of them readable."
        secrets = self._saved().with_dotenv(self._form.draft.secrets)
        login = login_in_use(str(self._kind), lambda name: bool(secrets.get(name)))
        names = [variable.name for variable in login.variables] if login else []
        user = next((secrets.get(name) for name in names if name.endswith("_USERNAME")), None)
        who = f"as {user} " if user else ""
        counted = "" if facts["accounts"] is None else f": {facts['accounts']:,} accounts"
        what = "organization" if facts["crm"] == "salesforce" else "portal"
        return f"Connected {who}to {what} {facts['organisation']}{counted}."


def _focus_first(box: ui.element) -> None:
    """Focuses the first field after a rebuild."""
    box.client.run_javascript(f"getHtmlElement({box.id}).querySelector('input')?.focus()")


def finding(check: Check) -> None:
    """A line with the result of a check."""
    icon, color = LOOKS[check.outcome]
    with ui.row().classes("items-start no-wrap gap-2 w-full"):
        ui.icon(icon).classes(f"{color} text-lg").props(
            f'role="img" aria-hidden="false" aria-label="{check.outcome.value}"'
        )
        widgets.text_with_code(f"{check.text} {check.todo}".strip()).classes("min-w-0 break-words")
