"""What somebody is editing: the data of each section, not yet written. Knows no browser."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.objects.section import Takes
from gainsight_pipelines.settings import SECTIONS, Settings
from gainsight_pipelines.settings.document import Path as Place
from gainsight_pipelines.settings.editing import SettingsFile
from gainsight_pipelines.settings.loading import SectionMistakes, checked_section, settings_of

HOW = "settings-page"


class Draft:
    """The settings as one browser tab shows them.

    Args:
        path: the settings file; need not be there yet.

    Raises:
        SettingsError: the file can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.file = SettingsFile.read(path)
        self._original = {section: self.file.data(section) for section in SECTIONS}
        self.data = copy.deepcopy(self._original)

    def get(self, place: Place) -> Any:
        """What stands in a place; the default where nothing does, None where there is none."""
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
        """Puts a value in a place; mappings on the way are made. None takes out what has to be set."""
        holder: Any = self.data
        for part in place[:-1]:
            if isinstance(holder, dict) and holder.get(part) is None:
                holder[part] = {}
            holder = holder[part]
        if value is None and isinstance(holder, dict) and _is_required(place):
            holder.pop(place[-1], None)
        else:
            holder[place[-1]] = value

    def changed(self) -> tuple[str, ...]:
        """The sections that say something else than the file."""
        return tuple(section for section in SECTIONS if self.data[section] != self._original[section])

    def mistakes(self, section: str) -> Sequence[tuple[Place, str]]:
        """What will not do in a section, by place. One that isn't in the file and wasn't touched has none."""
        if section not in self.changed() and section not in self.file.settings.errors:
            return ()
        try:
            checked_section(section, copy.deepcopy(self.data[section]))
        except SectionMistakes as error:
            return [(mistake.path, f"{in_a_form(mistake.text)}.") for mistake in error.mistakes]
        return ()

    def settings(self) -> Settings:
        """The settings as they would be if this were saved: what the tenant is asked with."""
        is_there = self.file.written_sections() | set(self.changed())
        data = {section: copy.deepcopy(self.data[section]) for section in SECTIONS if section in is_there}
        return settings_of(data, self.file.path)

    def text(self) -> str:
        """The file's text with all changes.

        Raises:
            SettingsError: something will not do.
        """
        return self.file.with_sections({section: self.data[section] for section in self.changed()})

    def save(self, text: str, clock: Clock) -> None:
        """Writes the file.

        Raises:
            ChangedMeanwhile: somebody else has changed it.
            SettingsError: it will not do, or can't be written.
        """
        self.file = self.file.write(text, clock, HOW)
        self._original = {section: self.file.data(section) for section in SECTIONS}
        self.data = copy.deepcopy(self._original)

    def is_stale(self) -> bool:
        """Whether the file on disk is another one by now."""
        return SettingsFile.read(self.file.path).text != self.file.text

    def on_theirs(self) -> tuple[Draft, tuple[str, ...]]:
        """These changes on top of the file as it is now, and the sections that both sides have changed."""
        theirs = Draft(self.file.path)
        both = tuple(section for section in self.changed() if theirs.data[section] != self._original[section])
        for section in self.changed():
            theirs.data[section] = copy.deepcopy(self.data[section])
        return theirs, both


def _is_required(place: Place) -> bool:
    model: Any = SECTIONS[str(place[0])]
    field = model.model_fields.get(place[-1]) if len(place) == 2 else None
    return field is not None and field.is_required()


def field_help(section: str, name: str, *, with_limits: bool) -> str:
    """What a setting is, and what it takes: the words of the docs and of messages, where null is an empty field."""
    field = SECTIONS[section].model_fields[name]
    takes = next((item.text for item in field.metadata if isinstance(item, Takes)), "") if with_limits else ""
    return in_a_form(f"{field.description} Takes {takes}." if takes else str(field.description))


def in_a_form(text: str | None) -> str:
    """A model's words, for a form: null is an empty field there."""
    return re.sub(r"\bnull\b", "empty", text or "")
