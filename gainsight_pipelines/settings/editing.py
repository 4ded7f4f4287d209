"""Edits the settings file: shared by `settings set`, `init`, `categories --add` and the settings page.

Read a ``SettingsFile``, create a new text from it (``with_section``, ``with_value``, ``with_json``), write that text.
An invalid text is never written, concurrent changes are never overwritten, and former versions are kept (``history``).
Sections that were already invalid don't prevent changes elsewhere.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.section import Section
from gainsight_pipelines.settings.files import check_writable, locked, write_whole
from gainsight_pipelines.settings.history import History, Version, fingerprint, who_am_i
from gainsight_pipelines.settings.loading import (
    DATA_FOLDER,
    SectionMistakes,
    Settings,
    checked_section,
    parse_settings,
    read_text,
)
from gainsight_pipelines.settings.mistakes import looks_secret
from gainsight_pipelines.settings.models import SECTIONS
from gainsight_pipelines.settings.yaml_document import Document, DocumentError, parse
from gainsight_pipelines.settings.yaml_document import Path as Place
from gainsight_pipelines.settings.yaml_edit import put_section, remove_value, replace_section, section_text

LOCK = "settings.lock"


class ChangedMeanwhile(SettingsError):
    """The file was changed after it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} was changed by somebody else meanwhile: nothing was written.",
            "Read it again, then repeat your change.",
        )


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The settings file at one moment.

    Attributes:
        path: its path.
        text: its content; empty if there is no file yet.
        is_there: whether the file exists.
        settings: the parsed content.
    """

    path: Path
    text: str = field(repr=False)
    is_there: bool
    settings: Settings = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> SettingsFile:
        """Reads the file; a missing one is empty.

        Raises:
            SettingsError: it can't be read.
        """
        is_there = path.exists()
        text = read_text(path) if is_there else ""
        return cls(path, text, is_there, parse_settings(text, path))

    @property
    def is_blank(self) -> bool:
        """Whether it has no content: missing, empty, or comments only."""
        try:
            return parse(self.text).data is None
        except DocumentError:
            return False

    @property
    def fingerprint(self) -> str:
        """A hash of the content."""
        return fingerprint(self.text)

    @property
    def history(self) -> History:
        """The file's version history."""
        return History(self.path)

    def data(self, section: str) -> dict[str, Any]:
        """A section as JSON-able data with defaults filled in; an invalid section as written in the file.

        Pulls and alerts that are not in the file have `enabled: false`, which is the effect.

        Raises:
            SettingsError: no such section, or the file isn't YAML.
        """
        _check_section(section)
        raw = _document(self.text, self.path).data
        written = raw.get(section) if isinstance(raw, dict) else None
        try:
            model = checked_section(section, written)
        except SectionMistakes:
            listed = SECTIONS[section].listed
            if isinstance(written, list) and listed:
                written = {listed: written}
            if not isinstance(written, dict):
                return {}
            return dict(json.loads(json.dumps(written, default=str)))
        data = {} if model is None else model.model_dump(mode="json")
        is_missing = not isinstance(raw, dict) or section not in raw
        return {**data, "enabled": False} if is_missing and _is_switched(section) else data

    def with_section(self, section: str, data: Mapping[str, Any], lines: Document | None = None) -> str:
        """The file's text with new data in one section; comments and all other sections are kept.

        Args:
            section: its name.
            data: the whole section, as ``data`` returns it. A missing setting takes its default.
            lines: the source of the data, for line numbers in mistakes.

        Raises:
            SectionMistakes: the data are invalid; each mistake has its place.
            SettingsError: no such section, or the file's YAML can't be edited here.
        """
        _check_section(section)
        before = self.data(section)
        model = checked_section(section, dict(data), lines)
        after = {} if model is None else model.model_dump(mode="json")
        if before == after:
            return self.text
        listed = SECTIONS[section].listed
        states = (before, after, _short(section, model))
        text = replace_section(self.text, section, *(each.get(listed, []) if listed else each for each in states))
        written = _document(text, self.path).data.get(section)
        again = checked_section(section, written)
        if ({} if again is None else again.model_dump(mode="json")) != after:
            raise SettingsError(f"{section} can't be changed here: nothing was written.", "Change the file by hand.")
        return text

    def with_sections(self, sections: Mapping[str, Mapping[str, Any]]) -> str:
        """The file's text with new data in several sections.

        Raises:
            SettingsError: as for ``with_section``.
        """
        file = self
        for section, data in sections.items():
            text = file.with_section(section, data)
            file = SettingsFile(self.path, text, self.is_there, parse_settings(text, self.path))
        return file.text

    def written_sections(self) -> set[str]:
        """The sections in the file."""
        return set(_sections(self.text)) & set(SECTIONS)

    def with_value(self, place: str, value: str) -> str:
        """The file's text with a new value in one place.

        Args:
            place: for example `surveys.lookback_days`, `surveys.objects[1].survey_type`,
                `activity.reporting_categories["QBR call"]`.
            value: YAML (or JSON); the text itself if the setting only takes text.

        Raises:
            SettingsError: no such place, or an invalid value.
        """
        path = parse_place(place)
        section = str(path[0])
        read = _value(value)
        try:
            return self.with_section(section, _with(self.data(section), path, read))
        except SectionMistakes:
            if isinstance(read, str):
                raise
            try:  # product_name 360 is a text that looks like a number
                return self.with_section(section, _with(self.data(section), path, value))
            except SectionMistakes:
                pass
            raise

    def without_value(self, place: str) -> str:
        """The file's text without the value of one place, which resets it to its default.

        Args:
            place: as for ``with_value``; also a row of a list or an entry of a mapping.

        Raises:
            SettingsError: no such place, or the section is invalid without it.
        """
        path = parse_place(place)
        if len(path) == 1:
            raise SettingsError(f"{place} is a whole section.", "Name a setting in it, or change the file by hand.")
        section = str(path[0])
        _check_there(self.data(section), path)
        text = remove_value(self.text, path)
        if text == self.text:
            return text
        document = _document(text, self.path)
        checked_section(section, document.data.get(section), document)
        return text

    def with_json(self, section: str, text: str) -> str:
        """The file's text with a section that the user has edited as JSON.

        Raises:
            SectionMistakes: the data are invalid; each mistake has its line in the JSON.
            SettingsError: not JSON; says where.
        """
        data, lines = read_json(section, text)
        return self.with_section(section, data, lines)

    def with_written(self, section: str, written: str) -> str:
        """The file's text with a section that the user has edited as YAML, comments included.

        Args:
            section: its name.
            written: `section:` and its content.

        Raises:
            SettingsError: not YAML, another section, or invalid.
        """
        document = _document(written, None)
        if not isinstance(document.data, dict) or list(document.data) != [section]:
            raise SettingsError(f"The text must be the section {section} and nothing else: nothing was written.")
        if document.problems:
            raise parse_settings(written).errors[section]
        checked_section(section, document.data[section], document)
        return put_section(self.text, section, written)

    def written(self, section: str) -> str:
        """A section as written, with its comments; a minimal valid one if the file doesn't have it yet."""
        _check_section(section)
        return section_text(self.text, section) or f"{section}:\n"

    def write(self, text: str, clock: Clock, how: str) -> SettingsFile:
        """Writes the file atomically.

        Args:
            text: the new content, from one of the methods above.
            clock: for the version's time.
            how: the command or page that writes.

        Returns:
            The file as it is then; `self` if the text is unchanged.

        Raises:
            ChangedMeanwhile: the file was changed after it was read.
            SettingsError: the text is invalid, or the file can't be written.
        """
        self.check(text)
        check_writable(self.path)
        with locked(self.path.parent / DATA_FOLDER, LOCK):
            now = SettingsFile.read(self.path)
            if (now.is_there, now.text) != (self.is_there, self.text):
                raise ChangedMeanwhile(self.path)
            if text == self.text and self.is_there:
                return self
            if self.is_there:
                self.history.keep_found(self.text)
            write_whole(self.path, text)
            self.history.keep(text, clock.now(), who_am_i(), how)
        return SettingsFile.read(self.path)

    def restore(self, version: Version) -> str:
        """The text of a former version, if it is still valid.

        Raises:
            SettingsError: it is no longer valid.
        """
        self.check(version.text)
        return version.text

    def check(self, text: str) -> None:
        """Refuses a text with a mistake that the file doesn't already have.

        Raises:
            SettingsError: names the mistake and its place.
        """
        new = parse_settings(text, self.path)
        if new.file_error is not None:
            raise SettingsError(new.file_error.message, "Nothing was written.")
        before, after = _sections(self.text), _sections(text)
        for name, error in new.errors.items():
            if name not in self.settings.errors or before.get(name) != after.get(name):
                raise SettingsError(error.message, "Nothing was written.")

    def difference(self, text: str) -> str:
        """The changes in a new text as a unified diff; empty if there are none."""
        return difference(self.text, text, self.path.name)


def difference(old: str, new: str, name: str) -> str:
    """A unified diff of two versions of a settings file. Values of keys that look secret are hidden."""
    lines = difflib.unified_diff(
        _without_secrets(old), _without_secrets(new), f"{name} before", f"{name} after", lineterm=""
    )
    return "\n".join(lines)


def read_json(section: str, text: str) -> tuple[dict[str, Any], Document]:
    """A section's data from JSON, with the line of each place.

    Raises:
        SettingsError: not a JSON object; says where.
    """
    try:
        data = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"This isn't JSON: {where}: {error.msg}.", "Nothing was written.") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"This JSON can't be used: {error}.", "Nothing was written.") from None
    listed = SECTIONS[section].listed if section in SECTIONS else None
    if isinstance(data, list) and listed:
        data = {listed: data}
    if not isinstance(data, dict):
        raise SettingsError(f"{section} takes a JSON object, in braces.", "Nothing was written.")
    lines = Document()
    try:
        # JSON is YAML, except for tabs, which JSON has only between tokens. Parsed for its line numbers only.
        found = parse(f"{{{section}: {text}}}".replace("\t", " "))
        lines.lines = found.lines
    except DocumentError:
        pass
    return data, lines


def parse_place(text: str) -> Place:
    """Parses a place as written by ``mistakes.place`` or by a person.

    Raises:
        SettingsError: not a place, or it doesn't begin with a section.
    """
    parts: list[str | int] = []
    rest = text.strip()
    token = re.compile(
        r"""\.?(?:\[(?P<number>\d+)\]|\[?"(?P<quoted>[^"]+)"\]?|\['(?P<single>[^']+)'\]|(?P<word>[^.\[\]"']+))"""
    )
    while rest:
        match = token.match(rest)
        if match is None:
            raise SettingsError(f"{text} is not a path.", "Write it like surveys.objects[0].survey_type.")
        number = match["number"]
        parts.append(int(number) if number is not None else match["quoted"] or match["single"] or match["word"])
        rest = rest[match.end() :]
    if not parts:
        raise SettingsError("No setting was named.", "Write its path, like surveys.lookback_days.")
    _check_section(str(parts[0]))
    return tuple(parts)


def _with(data: dict[str, Any], path: Place, value: Any) -> dict[str, Any]:
    """The data of a section with a new value in one place; missing parents are created."""
    listed = SECTIONS[str(path[0])].listed
    if listed and (len(path) == 1 or isinstance(path[1], int)):
        path = (path[0], listed, *path[1:])
    if len(path) == 1:
        if not isinstance(value, dict):
            raise SettingsError(f"{path[0]} takes a mapping of settings.", "Name one setting, or write a mapping.")
        return value
    data = copy.deepcopy(data)
    holder: Any = data
    for part, following in itertools.pairwise(path[1:]):
        empty: Any = [] if isinstance(following, int) else {}
        holder = _step(holder, part, empty, path)
    if isinstance(holder, list) and isinstance(path[-1], int):
        _step(holder, path[-1], None, path)
        holder[path[-1]] = value
    elif isinstance(holder, dict) and isinstance(path[-1], str):
        holder[path[-1]] = value
    else:
        raise _no_place(path)
    return data


def _value(text: str) -> Any:
    """Parses a value from the command line: a mapping, list, number, true, false or null; otherwise text.

    Text is taken literally, since the shell has already removed the quotes: `NPS #1` contains no comment.
    """
    try:
        document = parse(text)
    except DocumentError:
        return text
    read = document.data
    if document.problems or (not isinstance(read, bool | int | float | dict | list) and read is not None):
        is_quoted = isinstance(read, str) and text.strip()[:1] in ("'", '"') and text.strip()[-1:] == text.strip()[:1]
        return read if is_quoted else text
    return read if read is not None or text.strip() in ("null", "~", "") else text


def _check_there(data: dict[str, Any], path: Place) -> None:
    """Checks that a section's data have a place.

    Raises:
        SettingsError: they don't.
    """
    holder: Any = data
    for part in path[1:]:
        is_row = isinstance(holder, list) and isinstance(part, int) and part < len(holder)
        if not is_row and not (isinstance(holder, dict) and part in holder):
            raise _no_place(path, list(holder) if isinstance(holder, dict) else ())
        holder = holder[part]


def _step(holder: Any, part: str | int, empty: Any, path: Place) -> Any:
    if isinstance(holder, list) and isinstance(part, int) and part <= len(holder):
        if part == len(holder):
            holder.append(empty)
        return holder[part]
    if isinstance(holder, dict) and isinstance(part, str):
        if holder.get(part) is None:
            holder[part] = empty
        return holder[part]
    raise _no_place(path)


def _no_place(path: Place, known: Iterable[str] = ()) -> SettingsError:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    todo = f"{did_you_mean(str(path[-1]), known)} `gainsight-pipelines settings show {path[0]}` lists them.".strip()
    return SettingsError(f"There is no setting {text}.", todo)


def _check_section(section: str) -> None:
    if section not in SECTIONS:
        todo = f"{did_you_mean(section, SECTIONS)} The sections are {', '.join(SECTIONS)}.".strip()
        raise SettingsError(f"There is no section {section}.", todo)


def _document(text: str, path: Path | None) -> Document:
    try:
        return parse(text)
    except DocumentError as error:
        raise SettingsError(
            f"{path or 'The text'} can't be read as YAML: {error}.", "Correct it by hand first." if path else ""
        ) from None


def _sections(text: str) -> dict[str, Any]:
    try:
        data = parse(text).data
    except DocumentError:
        return {}
    return data if isinstance(data, dict) else {}


def _is_switched(section: str) -> bool:
    """Whether a section itself says whether its object is pulled, or its alerts are sent."""
    return "enabled" in SECTIONS[section].model_fields


def _short(section: str, model: Section | None) -> dict[str, Any]:
    """What must be written of a section: no defaults, except whether it is in use."""
    if model is None:
        return {}
    short = model.model_dump(mode="json", exclude_defaults=True)
    return {"enabled": getattr(model, "enabled", True), **short} if _is_switched(section) else short


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"{key} occurs twice")
        data[key] = value
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _without_secrets(text: str) -> list[str]:
    lines = []
    for line in text.splitlines():
        match = re.match(r"""^(\s*(?:- *)?["']?([\w .-]+)["']?\s*:)(.*)$""", line)
        lines.append(f"{match[1]} …" if match and match[3].strip() and looks_secret(match[2]) else line)
    return lines
