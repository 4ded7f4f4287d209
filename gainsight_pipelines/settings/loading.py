"""Loads a settings file into ``Settings``: each section is validated independently of the others.

Nothing here raises for a user's mistake: mistakes are kept, and raised where their section is used. Secrets are read in
``secrets.py``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.near_matches import did_you_mean, near_matches
from gainsight_pipelines.objects.registry import COMPANIES, DEFINITIONS
from gainsight_pipelines.objects.section import Section
from gainsight_pipelines.settings import mistakes
from gainsight_pipelines.settings.models import (
    SECTIONS,
    AlertSettings,
    CommonSettings,
    GainsightSettings,
    PrimaryCRMSettings,
    RetentionSettings,
    Schedules,
    SchedulesSettings,
    StoreSettings,
)
from gainsight_pipelines.settings.yaml_document import MAX_BYTES, Document, DocumentError, parse
from gainsight_pipelines.text import name_key

PATH_VARIABLE = "GAINSIGHT_PIPELINES_SETTINGS"
DEFAULT_NAME = "gainsight.yaml"
DATA_FOLDER = ".gainsight_pipelines"
"""Beside the settings file: its former versions, the embedded server's data, Dagster's home."""

_WITHOUT_SECTION: Mapping[str, Section] = {
    "common": CommonSettings(),
    "schedules": SchedulesSettings(),
    "store": StoreSettings(),
}
S = TypeVar("S", bound=Section)


class SectionMistakes(SettingsError):
    """The mistakes in one section's data, each with its place."""

    def __init__(self, found: Sequence[mistakes.Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in found), "Nothing was written.")
        self.mistakes = tuple(found)


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of a settings file. Immutable; load again to see changes.

    Attributes:
        path: the file's path, whether or not it exists; None for settings that are not from a file.
        file_error: why no section could be read.
        errors: the errors by section. A misspelled section is listed under the one that was probably meant, if that one
            is missing; otherwise under its own name.
    """

    path: Path | None = None
    file_error: SettingsError | None = None
    errors: Mapping[str, SettingsError] = field(default_factory=dict)
    _sections: Mapping[str, Section] = field(default_factory=dict)
    _sections_of: Mapping[str, str] = field(default_factory=dict)
    _crm_id_field_if_broken: tuple[str | None, ...] = ()

    @property
    def gainsight(self) -> GainsightSettings | None:
        """The tenant; None: not configured. Raises SettingsError if invalid, as all of these properties do."""
        return self._get("gainsight", GainsightSettings)

    @property
    def tenant(self) -> str | None:
        """The Gainsight tenant's host, for logs, metrics and alerts; None: unknown."""
        if self.file_error is not None or "gainsight" in self.errors or self.gainsight is None:
            return None
        return urlsplit(self.gainsight.base_url).hostname

    @property
    def primary_crm(self) -> PrimaryCRMSettings | None:
        """The CRM that owns the accounts; None: not connected."""
        return self._get("primary_crm", PrimaryCRMSettings)

    @property
    def common(self) -> CommonSettings:
        """The settings for all objects; the defaults if the section is missing."""
        return self._get("common", CommonSettings) or CommonSettings()

    def section(self, name: str) -> Section | None:
        """A section by name; None: not in the file. Raises SettingsError if it is invalid."""
        return self._get(name, SECTIONS[name])

    def of(self, model: type[S]) -> S | None:
        """A section by its model; None: not in the file. Raises SettingsError if it is invalid."""
        return self._get(next(name for name, each in SECTIONS.items() if each is model), model)

    @property
    def schedules(self) -> Schedules:
        """When the pulls run; the defaults if the section is missing."""
        return self._get("schedules", SchedulesSettings) or SchedulesSettings()

    @property
    def store(self) -> StoreSettings:
        """Where the store is in the database; the defaults if the section is missing."""
        return self._get("store", StoreSettings) or StoreSettings()

    @property
    def alerts(self) -> AlertSettings | None:
        """Which alerts to send; None: none."""
        found = self._get("alerts", AlertSettings)
        return found if found is not None and found.enabled else None

    @property
    def retention(self) -> RetentionSettings | None:
        """What is purged automatically; None: nothing."""
        found = self._get("retention", RetentionSettings)
        return found if found is not None and found.enabled else None

    def crm_id_field(self) -> str | None:
        """The company field with the CRM id, by which all objects are matched. Works despite other mistakes.

        Raises:
            SettingsError: its section is so invalid that it can't be determined.
        """
        if COMPANIES.section in self.errors and self.file_error is None and self._crm_id_field_if_broken:
            return self._crm_id_field_if_broken[0]
        company = self.of(COMPANIES.model)
        return company.crm_id_field if company else None

    def unread(self) -> tuple[SettingsError, ...]:
        """Errors of sections that nothing reads, such as a misspelled one: no pull would ever report them."""
        return tuple(error for name, error in self.errors.items() if name not in SECTIONS)

    def object_names(self) -> tuple[str, ...]:
        """The configured pulls that are not disabled: company, activity, survey_<object> …, product_usage.

        The pulls of an invalid section are included, so that they stay visible and fail with the reason. If the objects
        of its rows can't be determined, the section's name stands for them.
        """
        return tuple(self._sections_of)

    def section_of(self, name: str) -> str:
        """The section that configures a pull. Any other name is returned as a section."""
        return self._sections_of.get(name, name)

    def effective(self, section: str | None = None) -> Any:
        """The effective settings, defaults filled in, as JSON-able data without secrets.

        Args:
            section: the name of one section; None: all of them; missing ones are null, invalid ones are listed under
                "errors".

        Raises:
            SettingsError: no such section, the section is invalid or missing, or the file can't be read.
        """
        if section is not None:
            return self._effective_section(section)
        if self.file_error is not None:
            raise self.file_error
        data: dict[str, Any] = {}
        for name in SECTIONS:
            if name not in self.errors:
                model = self._sections.get(name) or _WITHOUT_SECTION.get(name)
                data[name] = None if model is None else _plain(model)
        if self.errors:
            data["errors"] = {name: str(error) for name, error in self.errors.items()}
        return data

    def _effective_section(self, section: str) -> Any:
        if section not in SECTIONS:
            todo = f"{did_you_mean(section, SECTIONS)} The sections are {', '.join(SECTIONS)}.".strip()
            raise SettingsError(f"There is no section {section}.", todo)
        model = self._get(section, SECTIONS[section]) or _WITHOUT_SECTION.get(section)
        if model is None:
            raise SettingsError(
                f"The settings file has no section {section}.", f"Add {section}: to {self.path or DEFAULT_NAME}."
            )
        return _plain(model)

    def _get(self, name: str, kind: type[S]) -> S | None:
        if self.file_error is not None:
            raise self.file_error
        if name in self.errors:
            raise self.errors[name]
        model = self._sections.get(name)
        return model if isinstance(model, kind) else None


def settings_path(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of the settings file: as given, or GAINSIGHT_PIPELINES_SETTINGS, or ./gainsight.yaml; absolute."""
    return (path or Path(environ.get(PATH_VARIABLE) or DEFAULT_NAME)).expanduser().absolute()


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings file. Never raises for a user's mistake: see ``Settings.file_error`` and ``errors``.

    Args:
        path: the file; None: as ``settings_path`` decides.
        environ: the environment with the path.
    """
    try:
        where = settings_path(path, environ)
    except (OSError, RuntimeError):  # no such user's home, or the working directory is gone
        return Settings(path=path, file_error=SettingsError("The path of the settings file can't be resolved."))
    try:
        text = read_text(where)
    except SettingsError as error:
        return Settings(path=where, file_error=error)
    return parse_settings(text, where)


def parse_settings(text: str, path: Path | None = None) -> Settings:
    """Parses the text of a settings file, like ``load_settings``; to validate a text before it is written.

    Args:
        text: the YAML.
        path: the text's origin, for messages.
    """
    name = str(path or "The settings text")
    try:
        document = parse(text)
    except DocumentError as error:
        return Settings(path=path, file_error=SettingsError(f"{name} can't be read as YAML: {error}.", "Correct it."))
    if document.data is None and not document.problems:
        todo = "`gainsight-pipelines init` fills it; or start from gainsight.example.yaml."
        return Settings(path=path, file_error=SettingsError(f"{name} is empty.", todo))
    if not isinstance(document.data, dict):
        message = f"{name} is not a mapping of sections."
        return Settings(path=path, file_error=SettingsError(message, f"The sections are {', '.join(SECTIONS)}."))
    return _validated(document, path)


def checked_section(section: str, data: object, document: Document | None = None) -> Section | None:
    """Validates one section's data before they are written.

    Args:
        section: its name, one of SECTIONS.
        data: the section's new content.
        document: the source of the data, for line numbers in mistakes.

    Returns:
        The model; None for a primary CRM that is explicitly not connected.

    Raises:
        SectionMistakes: lists each mistake.
    """
    found: list[mistakes.Mistake] = []
    model = _section(section, data, document or Document(), found)
    if found:
        raise SectionMistakes(found)
    return model


def settings_of(data: Mapping[str, Any], path: Path | None = None) -> Settings:
    """Settings from data that are not in a file yet.

    Args:
        data: by section.
        path: the file that they are meant for.
    """
    return _validated(Document(data=dict(data)), path)


def read_text(path: Path) -> str:
    """Reads the text of the settings file.

    Raises:
        SettingsError: missing, unreadable, or not a settings file.
    """
    try:
        if not path.exists():
            todo = (
                "`gainsight-pipelines init` creates it; or copy gainsight.example.yaml there, or name another file in"
                f" {PATH_VARIABLE}."
            )
            raise SettingsError(f"There is no settings file {path}.", todo)
        if not path.is_file():
            raise SettingsError(f"{path} isn't a file.", f"Name the settings file in {PATH_VARIABLE}.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise SettingsError(f"The settings file {path} can't be read: {reason}.", "Let this user read it.") from None
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{path} is larger than 1 MB: that is no settings file.", f"Check {PATH_VARIABLE}.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} isn't UTF-8 text.", "Save it as UTF-8.") from None


def _validated(document: Document, path: Path | None) -> Settings:
    """Validates each section independently."""
    data: dict[str, Any] = document.data
    sections: dict[str, Section] = {}
    wrong: dict[str, list[mistakes.Mistake]] = {}
    for name in dict.fromkeys((*data, *_problem_keys(document))):
        if name not in SECTIONS:
            home = _likely_section(name, data)
            wrong.setdefault(home, []).append(mistakes.unknown_section(name, document))
            continue
        found = list(mistakes.problems(name, document))
        model = _section(name, data.get(name), document, found)
        if found:
            wrong.setdefault(name, []).extend(found)
        elif model is not None:
            sections[name] = model
    for name, mistake in _taken(sections, document):
        sections.pop(name, None)
        wrong.setdefault(name, []).append(mistake)
    return Settings(
        path=path,
        errors={name: _error(name, found, path) for name, found in wrong.items()},
        _sections=sections,
        _sections_of=_pulls(data, sections, wrong),
        _crm_id_field_if_broken=tuple(_crm_id_field(data.get(COMPANIES.section), document)),
    )


def _section(name: str, value: object, document: Document, found: list[mistakes.Mistake]) -> Section | None:
    """The model of a section, or None; mistakes are appended to `found`."""
    if value is None:
        value = {}
    if not isinstance(value, dict) and not (isinstance(value, list) and SECTIONS[name].listed):
        found.append(mistakes.not_a_mapping(name, value, document))
        return None
    if (
        name == "primary_crm"
        and isinstance(value, dict)
        and all(item is None for item in value.values())
        and set(value) <= {"kind"}
    ):
        return None  # a section with an empty kind: not connected
    try:
        return SECTIONS[name].model_validate(value)
    except ValidationError as error:
        found.extend(mistakes.invalid(name, error, document))
        return None


def _plain(model: Section) -> Any:
    """A section as JSON-able data, as it would be written."""
    data = model.model_dump(mode="json")
    return data[model.listed] if model.listed else data


def _problem_keys(document: Document) -> list[str]:
    """The first keys of places that the document couldn't represent; some are not in the data."""
    return [str(problem.path[0]) for problem in document.problems if problem.path]


def _likely_section(name: str, data: Mapping[str, Any]) -> str:
    """The section under which an unknown top-level key is reported."""
    near = [] if mistakes.looks_secret(name) else near_matches(name, SECTIONS)
    return near[0] if near and near[0] not in data else name


def _error(section: str, found: Iterable[mistakes.Mistake], path: Path | None) -> SettingsError:
    """A section's mistakes as one error, one line each."""
    lines = [str(mistake) for mistake in found]
    name = path.name if path else "the settings text"
    todo = f"Correct {path or 'it'}."
    if len(lines) == 1:
        return SettingsError(f"{name}, {lines[0]}", todo)
    listed = "\n".join(f"  {line}" for line in lines)
    return SettingsError(f"{name} has {len(lines)} mistakes in {section}:\n{listed}", f"\n{todo}")


def _is_disabled(name: str, data: Mapping[str, Any], sections: Mapping[str, Section]) -> bool:
    """Whether a pull is switched off. An invalid section counts as on, unless it says `enabled: false`."""
    if name in sections:
        return not getattr(sections[name], "enabled", True)
    raw = data.get(name)
    return isinstance(raw, dict) and raw.get("enabled") is False


def _taken(sections: Mapping[str, Section], document: Document) -> list[tuple[str, mistakes.Mistake]]:
    """Rows under `objects` for an object that has its own section, or whose pull would have a name already taken."""
    pulls = {
        section: list(definition.pulls(sections[section]))
        for section, definition in DEFINITIONS.items()
        if section in sections
    }
    owners = {name: section for section, definition in DEFINITIONS.items() for name in definition.owns}
    names = dict(zip(DEFINITIONS, DEFINITIONS, strict=True))
    for section, those in pulls.items():
        if not DEFINITIONS[section].is_for_any:
            owners |= {name_key(pull.gainsight_object): section for pull in those}
            names |= {name: section for pull in those for name in (pull.name, pull.name_by_day) if name}
    found = []
    for section, those in pulls.items():
        for number, pull in enumerate(those if DEFINITIONS[section].is_for_any else ()):
            path, name = (section, number, "object"), pull.gainsight_object
            if name in owners:
                text = f"{mistakes.place(path)} is {name}, which the section {owners[name]} pulls; remove the row"
            elif pull.name in names:
                text = f"{mistakes.place(path)} is {name}, a name that the section {names[pull.name]} already has"
            else:
                continue
            found.append((section, mistakes.Mistake(document.line(path), text, path)))
    return found


def _pulls(data: Mapping[str, Any], sections: Mapping[str, Section], wrong: Collection[str]) -> dict[str, str]:
    """The configured pulls that are not disabled, each with its section."""
    found: dict[str, str] = {}
    for section, definition in DEFINITIONS.items():
        if (section not in sections and section not in wrong) or _is_disabled(section, data, sections):
            continue
        model = sections.get(section)
        names = definition.names_if_broken(data.get(section)) if model is None else definition.names(model)
        for name in names:
            found.setdefault(name, section)
    return found


def _crm_id_field(raw: object, document: Document) -> list[str | None]:
    """`crm_id_field` of a company section that may be invalid elsewhere; empty if it is not certain."""
    own = {"crm_id_field": raw["crm_id_field"]} if isinstance(raw, dict) and "crm_id_field" in raw else {}
    is_told = isinstance(raw, dict) and (own or set(raw) <= set(COMPANIES.model.model_fields))
    if not is_told or {(COMPANIES.section,), (COMPANIES.section, "crm_id_field")} & {
        problem.path[:2] for problem in document.problems
    }:
        return []
    try:
        return [COMPANIES.model.model_validate(own).crm_id_field]
    except ValidationError:
        return []
