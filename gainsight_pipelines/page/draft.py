"""The unsaved changes of a tab: each section's data, and secrets. No browser code."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.objects.section import Takes
from gainsight_pipelines.settings import SECTIONS, Settings
from gainsight_pipelines.settings.dotenv_file import dotenv_of, write_secrets
from gainsight_pipelines.settings.editing import SettingsFile
from gainsight_pipelines.settings.files import why_read_only
from gainsight_pipelines.settings.history import Version
from gainsight_pipelines.settings.loading import SectionMistakes, checked_section, settings_of
from gainsight_pipelines.settings.yaml_document import Path as Place

HOW = "settings-page"


@dataclass(frozen=True, slots=True)
class Unfit:
    """Input that a section's data can't hold, such as a duplicate category or invalid JSON."""

    shown: Any
    why: str


class Draft:
    """The settings as one browser tab shows them.

    Attributes:
        data: data by section.
        secrets: variables to write to `.env`; None for one to remove.
        unfit: input that can't be saved, by place.

    Args:
        path: the settings file; it may not exist yet.

    Raises:
        SettingsError: the file can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.file = SettingsFile.read(path)
        self._original = {section: self.file.data(section) for section in SECTIONS}
        self.data = copy.deepcopy(self._original)
        self.secrets: dict[str, str | None] = {}
        self.unfit: dict[Place, Unfit] = {}

    def get(self, place: Place) -> Any:
        """The value at a place, or its default, or None."""
        holder: Any = self.data
        for part in place:
            if isinstance(holder, dict):
                holder = holder.get(part)
            elif isinstance(holder, list) and isinstance(part, int) and part < len(holder):
                holder = holder[part]
            else:
                return None
        return holder

    def set(self, place: Place, value: Any) -> None:
        """Sets the value at a place and creates mappings on the way. None removes a required value."""
        holder: Any = self.data
        for part in place[:-1]:
            if isinstance(holder, dict) and holder.get(part) is None:
                holder[part] = {}
            holder = holder[part]
        if value is None and isinstance(holder, dict) and _is_required(place):
            holder.pop(place[-1], None)
        else:
            holder[place[-1]] = value

    def set_secret(self, name: str, value: str | None, *, is_same: bool = False) -> None:
        """Sets a variable; None removes it from `.env`, and `is_same` drops what was typed."""
        if is_same:
            self.secrets.pop(name, None)
        else:
            self.secrets[name] = value

    def refuse(self, place: Place, unfit: Unfit | None) -> None:
        """Records input that can't be saved; None if it can be saved now."""
        self.unfit.pop(place, None)
        if unfit is not None:
            self.unfit[place] = unfit

    def changed(self) -> tuple[str, ...]:
        """The sections that differ from the file."""
        unfit = {place[0] for place in self.unfit}
        return tuple(
            section for section in SECTIONS if self.data[section] != self._original[section] or section in unfit
        )

    def is_changed(self) -> bool:
        """Whether there is anything to save."""
        return bool(self.changed() or self.secrets)

    def mistakes(self, section: str) -> Sequence[tuple[Place, str]]:
        """The errors in a section, by place. None for a section that is neither in the file nor changed."""
        if section not in self.changed() and section not in self.file.settings.errors:
            return ()
        unfit = [(place, one.why) for place, one in self.unfit.items() if place[0] == section]
        try:
            checked_section(section, copy.deepcopy(self.data[section]))
        except SectionMistakes as error:
            found = [(mistake.path, f"{in_a_form(mistake.text)}.") for mistake in error.mistakes]
            return [*unfit, *(one for one in found if one[0] not in self.unfit)]
        return unfit

    def settings(self) -> Settings:
        """The settings as if this draft were saved. Lookups use them."""
        is_there = self.file.written_sections() | set(self.changed())
        data = {section: copy.deepcopy(self.data[section]) for section in SECTIONS if section in is_there}
        return settings_of(data, self.file.path)

    def text(self) -> str:
        """The file's text with all changes.

        Raises:
            SettingsError: the draft is not valid.
        """
        return self.file.with_sections({section: self.data[section] for section in self.changed()})

    def save(self, text: str, clock: Clock, secrets: Mapping[str, str | None] | None = None) -> None:
        """Writes the file, then `.env`. Typed secrets that are not in `secrets` stay in the draft.

        Raises:
            ChangedMeanwhile: the file has changed on disk; nothing was written.
            SettingsError: the settings are not valid, or can't be written.
        """
        if text != self.file.text:
            self.file = self.file.write(text, clock, HOW)
            self._original = {section: self.file.data(section) for section in SECTIONS}
            self.data = copy.deepcopy(self._original)
        if secrets:
            write_secrets(self.file.path, secrets)
            self.secrets = {name: value for name, value in self.secrets.items() if name not in secrets}

    def restore(self, version: Version, clock: Clock) -> None:
        """Restores an earlier version of the file.

        Raises:
            ChangedMeanwhile: the file has changed on disk; nothing was written.
            SettingsError: the version is no longer valid, or the file can't be written.
        """
        self.file.write(self.file.restore(version), clock, f"{HOW}: version {version.number} restored")

    def why_read_only(self) -> str | None:
        """Why the settings can't be written, as a sentence; None if they can."""
        return why_read_only(self.file.path)

    def why_secrets_read_only(self) -> str | None:
        """Why `.env` can't be written, as a sentence; None if it can."""
        return why_read_only(dotenv_of(self.file.path))

    def is_stale(self) -> bool:
        """Whether the file on disk has changed."""
        return SettingsFile.read(self.file.path).text != self.file.text

    def on_theirs(self) -> tuple[Draft, tuple[str, ...]]:
        """These changes rebased on the file on disk, and the sections that both sides changed."""
        theirs = Draft(self.file.path)
        both = tuple(section for section in self.changed() if theirs.data[section] != self._original[section])
        for section in self.changed():
            theirs.data[section] = copy.deepcopy(self.data[section])
        theirs.secrets, theirs.unfit = dict(self.secrets), dict(self.unfit)
        return theirs, both


def _is_required(place: Place) -> bool:
    model: Any = SECTIONS[str(place[0])]
    field = model.model_fields.get(place[-1]) if len(place) == 2 else None
    return field is not None and field.is_required()


def field_help(section: str, name: str, *, with_limits: bool) -> str:
    """The description of a setting and the values that it takes, worded for a form."""
    field = SECTIONS[section].model_fields[name]
    takes = next((item.text for item in field.metadata if isinstance(item, Takes)), "") if with_limits else ""
    return in_a_form(f"{field.description} Takes {takes}." if takes else str(field.description))


def in_a_form(text: str | None) -> str:
    """A description worded for a form, where null is an empty field."""
    return re.sub(r"\bnull\b", "empty", text or "")
