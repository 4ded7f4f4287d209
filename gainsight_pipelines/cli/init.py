"""`init`: asks for the settings, suggests answers from the tenant, checks them, and writes gainsight.yaml and `.env`.

Nothing is written before the last question, and every change is shown first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from gainsight_pipelines import settings as settings_package
from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.invocation import program
from gainsight_pipelines.cli.prompts import Prompter
from gainsight_pipelines.cli.sandbox import find_sandbox
from gainsight_pipelines.cli.validate import validate_command
from gainsight_pipelines.cli.workspace import data_folder, export_library_variables
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.protocol import CRM_NAMES, AccountField
from gainsight_pipelines.crm.salesforce_session import DEFAULT_LOGIN_URL
from gainsight_pipelines.discovery import Catalog, DiskCache, InteractiveClients, suggestions
from gainsight_pipelines.discovery.cache import FOLDER
from gainsight_pipelines.discovery.categories import sample_categories, with_categories
from gainsight_pipelines.discovery.interactive_clients import ANSWER_SECONDS, CONNECT_SECONDS
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.gainsight.address import check_address
from gainsight_pipelines.gainsight.credentials import credential_from
from gainsight_pipelines.gainsight.metadata import ObjectInfo
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.record import KNOWN
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.settings import Secrets, Settings, parse_settings, settings_path
from gainsight_pipelines.settings.dotenv_file import ELSEWHERE, dotenv_of, write_secrets
from gainsight_pipelines.settings.editing import SettingsFile
from gainsight_pipelines.settings.files import check_writable
from gainsight_pipelines.settings.logins import LOGINS, Login, Variable, in_the_way, login_in_use, usual_login
from gainsight_pipelines.settings.pulls import find_pull
from gainsight_pipelines.text import name_key

TEMPLATE = Path(settings_package.__file__).with_name("template.yaml")

LOGIN_HOST = "SALESFORCE_LOGIN_URL"
NONE = "none"
BACKFILLS_REACH = timedelta(days=365)
"""How far back surveys can be backfilled with new settings."""


@dataclass(frozen=True, slots=True)
class Given:
    """Answers from the command line.

    `answers` by option name; `survey_objects`, `further_objects` and `without` (sections to disable) are lists.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    survey_objects: Sequence[str] = ()
    further_objects: Sequence[str] = ()
    without: Sequence[str] = ()
    sandbox: Path | None = None
    overwrite: bool = False


def init_command(given: Given, *, is_interactive: bool, path: Path | None) -> int:
    """Asks, shows the changes, writes and validates. Returns the exit status of the validation."""
    file = SettingsFile.read(settings_path(path))
    check_writable(file.path)
    if file.settings.file_error is not None and not file.is_blank:
        raise file.settings.file_error
    for section in given.without:
        if section not in DEFINITIONS:
            todo = f"{did_you_mean(section, DEFINITIONS)} The sections are {', '.join(DEFINITIONS)}.".strip()
            raise SettingsError(f"--without: there is no section {section!r}.", todo)
    setup = _Setup(file, Prompter(is_interactive, given.answers), given)
    setup.ask()
    if not setup.is_accepted():
        output.say("Nothing was written.")
        return 1
    setup.write()
    output.say("")
    status = validate_command(report=None, path=path, as_json=False)
    if status == 0:
        output.say(f"Next: `{program()} run --all`, then `{program()} dev` for the UI and the schedules.")
    return status


class _Setup:
    """The answers so far: the text of the settings file and the variables for `.env`."""

    def __init__(self, file: SettingsFile, prompts: Prompter, given: Given) -> None:
        self._file = file
        self._prompts = prompts
        self._given = given
        self._clock = SystemClock()
        template = TEMPLATE.read_text("utf-8")
        above = f"{file.text.rstrip()}\n\n" if file.text.strip() else ""  # keep the comments of an otherwise empty file
        self._text = above + template if file.is_blank else file.text
        self._secrets = Secrets.read(file.path, os.environ)
        self._entered: dict[str, str] = {}
        self._told: set[str] = set()
        self._sandbox = find_sandbox(given.sandbox)
        self._is_sandbox = False

    def ask(self) -> None:
        """Asks all questions; later ones depend on earlier answers."""
        output.say("Press Enter to accept the answer in brackets. Nothing is written before the last question.")
        self._gainsight()
        has_crm = self._crm()
        if has_crm:
            self._account_fields()
        objects = self._objects()
        self._company(objects)
        self._activity(objects)
        self._surveys(objects)
        self._usage(objects)
        self._further(objects)

    def is_accepted(self) -> bool:
        """Shows what would be written, and asks whether to write it."""
        changes = self._file.difference(self._text)
        if not self._file.is_blank:
            output.say(f"\n{changes}" if changes else f"\n{self._file.path.name} does not change.")
            if not changes and not self._to_write():
                return True
            if changes and not self._prompts.is_interactive and not self._given.overwrite:
                raise SettingsError(f"{self._file.path} exists already.", "Use --overwrite to make these changes.")
        else:
            output.say(f"\n{self._text}")
        if names := self._to_write():
            output.say(f".env gets {', '.join(names)}; only you can read it.")
        return self._prompts.yes(f"Write {self._file.path}?", ready=True)

    def write(self) -> None:
        """Writes both files, each completely or not at all."""
        names = self._to_write()
        if names:
            write_secrets(self._file.path, {name: self._entered[name] for name in names})
            output.say(f"Written: {self._file.path.with_name('.env')}.")
        if self._text != self._file.text:
            self._file.write(self._text, self._clock, "init")
            output.say(f"Written: {self._file.path}.")
        for name in names:
            if os.environ.get(name) not in (None, "", self._entered[name]):
                output.say(f"The environment sets {name} to another value, which takes precedence: unset it there.")
        export_library_variables(Secrets.read(self._file.path, os.environ), os.environ)

    # -- questions ------------------------------------------------------------------------------------------------

    def _gainsight(self) -> None:
        data = self._data("gainsight")
        tenant = self._file.settings.gainsight if self._is_sound("gainsight") else None
        known = tenant.base_url if tenant is not None else None
        # Offer the sandbox only for new settings, or if the user names it.
        if self._sandbox is not None and (known is None or self._given.sandbox is not None):
            known = self._sandbox.urls["gainsight"]
            output.say(f"A sandbox with made-up data is running at {known}: its values are suggested.")

        def check(answer: str) -> str:
            check_address(answer, connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS)
            return "Gainsight responds at this address"

        address = self._prompts.text("base-url", "Gainsight's base URL", known, check).rstrip("/")
        self._put("gainsight", {**data, "base_url": address})
        self._is_sandbox = self._sandbox is not None and address == self._sandbox.urls["gainsight"]
        if self._is_sandbox and self._sandbox is not None:
            self._entered |= self._sandbox.credentials

        login = self._login("gainsight", "gainsight-login", "Which Gainsight credentials?")
        *others, secret = login.variables

        def check_login(answer: str) -> str:
            self._entered[secret.name] = answer
            objects = self._catalog().objects(is_fresh=True).objects
            words = credential_from(self._connections().secrets()).words
            return f"the {words} is accepted: {len(objects):,} objects discovered"

        for variable in others:
            self._variable(variable)
        self._variable(secret, check_login)

    def _crm(self) -> bool:
        """Asks for the CRM and its login. Returns whether the CRM responds."""
        data = self._data("primary_crm")
        primary = self._file.settings.primary_crm if self._is_sound("primary_crm") else None
        ready = primary.kind if primary is not None else self._likely_crm()
        kind = self._prompts.choice("crm", "Which CRM owns the accounts?", list(CRM_NAMES), ready)
        if primary is not None and primary.kind != kind:
            data["fields"] = {}
        self._put("primary_crm", {**data, "kind": kind})
        login = self._login(kind, "login", "How to log in to the CRM?")
        if any(variable.name == LOGIN_HOST for variable in login.variables) and not self._is_sandbox:
            self._login_host()
        *others, last = (variable for variable in login.variables if not variable.is_optional)
        for variable in others:
            self._variable(variable)

        def check(answer: str) -> str:
            self._entered[last.name] = answer
            with closing(self._connections().crm()) as crm:
                crm.probe()
                for proof in crm.proofs():
                    if proof.error is not None:
                        raise proof.error
                accounts = crm.count_accounts()
                found = f": {accounts:,} accounts" if accounts is not None else ""
                return f"{CRM_NAMES[crm.kind]} is connected{found}"

        self._variable(last, check)
        try:
            self._catalog().crm_fields(is_fresh=True)
        except PipelineError as error:
            output.say(f"  The CRM's fields can't be listed; their settings are not changed. {error}")
            return False
        return True

    def _login(self, service: str, option: str, question: str) -> Login:
        """The login to use: the only one, the sandbox's, or the one that the user chooses.

        Raises:
            SettingsError: variables that are set select another login, and nobody can be asked.
        """
        logins = {login.key: login for login in LOGINS[service]}
        usual = login_in_use(service, lambda name: bool(self._value(name))) or usual_login(service)
        if self._is_sandbox or len(logins) == 1:
            return usual
        while True:
            login = logins[self._prompts.choice(option, question, list(logins), usual.key)]
            set_names = [name for name in in_the_way(service, login) if self._value(name)]
            if not set_names:
                return login
            error = SettingsError(
                f"{' and '.join(set_names)} {'is' if len(set_names) == 1 else 'are'} set and would be used instead of"
                f" {login.key}.",
                f"Unset {'it' if len(set_names) == 1 else 'them'}, or choose {usual.key}.",
            )
            if not self._prompts.is_interactive:
                raise error
            output.say(f"  ✗ {error}")

    def _login_host(self) -> None:
        """Asks for the login URL, which differs for Salesforce sandboxes."""
        known = self._value(LOGIN_HOST)
        answer = self._prompts.text("salesforce-login-url", LOGIN_HOST, known or DEFAULT_LOGIN_URL)
        if answer != (known or DEFAULT_LOGIN_URL):
            self._entered[LOGIN_HOST] = answer

    def _likely_crm(self) -> str:
        if self._is_sandbox and self._sandbox is not None:
            return self._sandbox.crm
        return "hubspot" if self._value("HUBSPOT_ACCESS_TOKEN") else "salesforce"

    def _account_fields(self) -> None:
        fields = self._catalog().crm_fields().fields
        names = [(one.name, one.label) for one in fields]
        common = self._data("common")
        ready = _ready(common["gsid_field"], suggestions.gsid_fields(fields), fields)
        gsid = self._prompts.pick("gsid-field", "CRM field with Gainsight's GSID", names, ready, listed_by="crm-fields")
        self._put("common", {**common, "gsid_field": gsid})
        self._tell_filled(gsid)
        primary = self._data("primary_crm")
        guesses = {"arr": suggestions.arr_fields(fields), "renewal_date": suggestions.renewal_date_fields(fields)}
        questions = {"arr": "CRM field with ARR", "renewal_date": "CRM field with the renewal date"}
        for name, question in questions.items():
            option = f"{name.replace('_', '-')}-field"
            before = primary["fields"].get(name)
            likely = _ready(before, guesses[name], fields)
            chosen = self._prompts.pick(option, question, names, likely, listed_by="crm-fields")
            primary["fields"] = {**primary["fields"], name: chosen}
        self._put("primary_crm", primary)

    def _tell_filled(self, name: str | None) -> None:
        if name is None:
            return
        try:
            with closing(self._connections().crm()) as crm:
                output.say(f"  ✓ {name} is filled for {crm.count_filled(name).words()}")
        except PipelineError as error:
            output.say(f"  ✗ {error}")

    def _objects(self) -> tuple[ObjectInfo, ...]:
        """The tenant's objects; none if they can't be listed, and suggested names are then not checked."""
        try:
            return self._catalog().objects().objects
        except PipelineError as error:
            output.say(f"  Objects can't be listed; the usual names are suggested. {error}")
            return ()

    def _company(self, objects: Sequence[ObjectInfo]) -> None:
        data = self._data("company")
        data["enabled"] = self._is_wanted("company")
        schema = self._schema("company") if objects else None
        if schema is not None:
            crm = self._settings().primary_crm
            guesses = suggestions.crm_id_fields(schema, crm.kind if crm is not None else "salesforce")
            if guesses or data["crm_id_field"] or "crm-id-field" in self._given.answers:
                names = [(one.name, one.label) for one in schema.fields.values()]
                ready = data["crm_id_field"] or next(iter(guesses), None)
                data["crm_id_field"] = self._prompts.pick(
                    "crm-id-field", "Company field with the CRM's account id", names, ready, listed_by="fields company"
                )
        self._put("company", data)

    def _activity(self, objects: Sequence[ObjectInfo]) -> None:
        data = self._data("activity")
        data["enabled"] = self._is_wanted("activity")
        if data["enabled"] and objects:
            try:
                found = sample_categories(self._catalog(), say=lambda sentence: output.say(f"  {sentence}"))
                added = {one.name: one.suggested for one in found.unmapped if one.suggested is not None}
                shown = ", ".join(f"{name} as {kind}" for name, kind in added.items())
                if added and self._prompts.yes(f"Add the categories found in the timeline: {shown}?", ready=True):
                    data = with_categories(data, added)
            except PipelineError as error:
                output.say(f"  The timeline's categories can't be sampled now. {error}")
        self._put("activity", data)

    def _surveys(self, objects: Sequence[ObjectInfo]) -> None:
        data = self._data("surveys")
        guesses = suggestions.survey_objects(objects)
        known = [row["object"] for row in data["objects"]]
        is_new = not self._is_in_file("surveys")
        chosen = list(self._given.survey_objects) or (guesses if is_new and objects else known)
        is_possible = bool(chosen or not objects)
        data["enabled"] = is_possible and self._is_wanted("surveys", is_possible=is_possible)
        if data["enabled"] and objects:
            chosen = self._survey_objects(objects, chosen)
        if chosen:
            rows = {row["object"]: row for row in data["objects"]}
            data["objects"] = [rows.get(name, {"object": name}) for name in chosen]
            data["mode"] = "single" if len(chosen) == 1 else "multiple"
        if is_new:
            data["first_day"] = (self._clock.now().date() - BACKFILLS_REACH).isoformat()
        self._put("surveys", data)
        if data["enabled"]:
            self._try_pulls("surveys")

    def _survey_objects(self, objects: Sequence[ObjectInfo], ready: Sequence[str]) -> list[str]:
        by_key = {one.name.casefold(): one.name for one in objects if one.is_readable}

        def check(answer: str) -> str:
            missing = [name for name in _listed(answer) if name.casefold() not in by_key]
            if missing:
                likely = ", ".join(suggestions.survey_objects(objects)) or "none"
                near = " ".join(filter(None, (did_you_mean(name, by_key) for name in missing)))
                todo = f"{near} Likely objects: {likely}.".strip()
                raise SettingsError(f"The tenant has no readable object {', '.join(missing)}.", todo)
            return ""

        answer = self._prompts.text(
            "survey-object", "Objects with survey responses, separated by commas", ", ".join(ready), check
        )
        return [by_key.get(name.casefold(), name) for name in dict.fromkeys(_listed(answer))]

    def _usage(self, objects: Sequence[ObjectInfo]) -> None:
        data = self._data("product_usage")
        guesses = suggestions.usage_objects(objects)
        is_new = not self._is_in_file("product_usage")
        ready = next(iter(guesses), None) if is_new and objects else data["object"]
        is_possible = ready is not None or "usage-object" in self._given.answers
        data["enabled"] = is_possible and self._is_wanted("product_usage", is_possible=is_possible)
        if data["enabled"] and objects:
            names = [(one.name, one.label) for one in objects if one.is_readable]
            chosen = self._prompts.pick(
                "usage-object", "Object with product usage", names, ready, listed_by="objects", optional=False
            )
            schema = self._schema(chosen or data["object"])
            if schema is not None and (is_new or chosen != data["object"]):
                data |= {"object": schema.name, "aggregate": suggestions.aggregate(schema), "company_field": None}
                data["observed_at_field"] = next(iter(suggestions.observed_at_fields(schema)), None)
                _tell_aggregate(data["aggregate"])
        self._put("product_usage", data)
        if data["enabled"]:
            self._try_pulls("product_usage")

    def _further(self, objects: Sequence[ObjectInfo]) -> None:
        """Asks for objects without a section of their own."""
        section = next(name for name, each in DEFINITIONS.items() if each.is_for_any)
        rows = {str(row["object"]): row for row in self._data(section).get("rows", [])}
        by_key = {name_key(one.name): one.name for one in objects if one.is_readable}

        def check(answer: str) -> str:
            missing = [name for name in _listed(answer) if by_key and name_key(name) not in by_key]
            if missing and answer != NONE:
                near = " ".join(filter(None, (did_you_mean(name, by_key) for name in missing)))
                raise SettingsError(f"The tenant has no readable object {', '.join(missing)}.", near)
            return ""

        ready = ", ".join(self._given.further_objects or rows) or NONE
        likely = ", ".join(name for name in KNOWN if name in by_key) or "any object of the tenant"
        answer = self._prompts.text("object", f"Further objects, separated by commas ({likely})", ready, check)
        chosen = [] if answer == NONE else [by_key.get(name_key(name), name) for name in dict.fromkeys(_listed(answer))]
        if chosen != list(rows):
            self._put(section, {"rows": [rows.get(name, {"object": name}) for name in chosen]})

    def _is_wanted(self, section: str, *, is_possible: bool = True) -> bool:
        if section in self._given.without or not is_possible:
            return False
        ready = self._file.is_blank or bool(self._data(section)["enabled"])
        return self._prompts.yes(f"Pull {DEFINITIONS[section].summary} ({DEFINITIONS[section].cadence})?", ready=ready)

    def _try_pulls(self, section: str) -> None:
        """Says which of a section's pulls lack a field that they need. Only a hint: `validate` follows."""
        settings = self._settings()
        for name in settings.object_names():
            if settings.section_of(name) != section:
                continue
            try:
                pull = find_pull(settings, name)
                schema = self._schema(pull.gainsight_object)
                if schema is not None:
                    pull.mapper(schema, None)
            except PipelineError as error:
                output.say(f"  ✗ {error}")

    # -- variables ------------------------------------------------------------------------------------------------

    def _variable(self, variable: Variable, check: Callable[[str], str] | None = None) -> None:
        """Asks for one variable, unless the sandbox or a file gives it."""
        name, ready = variable.name, self._value(variable.name)
        if not variable.is_secret:
            if ready is not None and self._is_sandbox:
                return
            self._check_can_be_kept(ready)
            option = name.lower().replace("_", "-")
            answer = self._prompts.text(option, name, ready, check or (lambda answer: ""))
            if answer != self._secrets.get(name):
                self._entered[name] = answer
            return
        is_in_file = f"{name}_FILE" in self._secrets.names() and name not in self._entered
        if ready is not None and (self._is_sandbox or is_in_file):
            self._silently(name, ready, check)
        else:
            self._check_can_be_kept(ready)
            self._entered[name] = self._prompts.secret(
                name, ready, check or (lambda answer: ""), optional=variable.may_be_empty
            )
        if self._entered.get(name) == self._secrets.get(name):
            self._entered.pop(name, None)

    def _check_can_be_kept(self, ready: str | None) -> None:
        """Raises an error before the user types a value that can't be written."""
        if ready is None:
            check_writable(dotenv_of(self._file.path), ELSEWHERE)

    def _silently(self, name: str, ready: str, check: Callable[[str], str] | None) -> None:
        """Checks a value without asking for it: the sandbox's, or one from a file that a variable names."""
        try:
            if check is not None and (said := check(ready)):
                output.say(f"  ✓ {said}")
        except PipelineError as error:
            output.say(f"  ✗ {name}: {error}")

    def _value(self, name: str) -> str | None:
        return self._entered.get(name) or self._secrets.get(name)

    def _to_write(self) -> list[str]:
        """The variables to write to `.env`, without those of the other CRM, which a sandbox has too."""
        primary = self._settings().primary_crm
        other = {"salesforce": "HUBSPOT_", "hubspot": "SALESFORCE_"}.get(primary.kind if primary else "", "\0")
        changed = {name for name, value in self._entered.items() if value != self._secrets.get(name)}
        return [name for name in self._entered if name in changed and not name.startswith(other)]

    # -- the draft ------------------------------------------------------------------------------------------------

    def _draft(self) -> SettingsFile:
        return SettingsFile(self._file.path, self._text, self._file.is_there, self._settings())

    def _settings(self) -> Settings:
        return parse_settings(self._text, self._file.path)

    def _data(self, section: str) -> dict[str, Any]:
        """A section of the draft, or the template's if it is invalid.

        Raises:
            SettingsError: the section is invalid, and nobody can confirm replacing it.
        """
        if (error := self._settings().errors.get(section)) is not None:
            if not self._prompts.is_interactive:
                raise error
            if section not in self._told:
                output.say(f"The section {section} is invalid; answer its questions again. {error}")
                self._told.add(section)
            template = TEMPLATE.read_text("utf-8")
            return SettingsFile(self._file.path, template, True, parse_settings(template)).data(section)
        return self._draft().data(section)

    def _put(self, section: str, data: Mapping[str, Any]) -> None:
        self._text = self._draft().with_section(section, data)

    def _is_sound(self, section: str) -> bool:
        return section not in self._file.settings.errors and self._file.settings.file_error is None

    def _is_in_file(self, section: str) -> bool:
        return self._is_sound(section) and self._file.settings.section(section) is not None

    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self._entered}

    def _connections(self) -> InteractiveClients:
        return InteractiveClients(self._settings(), self._clock, self._environ())

    def _catalog(self) -> Catalog:
        return Catalog(self._connections(), DiskCache(data_folder(self._file.path) / FOLDER, self._clock))

    def _schema(self, name: str) -> Any:
        try:
            return self._catalog().fields(name).schema
        except PipelineError as error:
            output.say(f"  ✗ {error}")
            return None


def _ready(before: str | None, guesses: Sequence[str], fields: Sequence[AccountField]) -> str | None:
    """The field in the file if the CRM has it, else the best guess."""
    names = {one.name.casefold() for one in fields}
    return before if before is not None and before.casefold() in names else next(iter(guesses), None)


def _listed(answer: str) -> list[str]:
    return [part.strip() for part in answer.split(",") if part.strip()]


def _tell_aggregate(aggregate: Mapping[str, Any] | None) -> None:
    if aggregate is None:
        output.say("  Wide rows: each numeric field is a metric.")
    else:
        name, value, key = (aggregate[each] for each in ("metric_name_field", "metric_value_field", "key"))
        output.say(f"  Flat rows: {name} has the metric's name, {value} its value, {key} the account.")
