"""The version history of a settings file, in the data folder beside it: each version with its time and author.

A version is one JSON file that only its owner can read. Changes made by hand are saved as versions before they are
overwritten, unless the file seems to contain a secret: that shall not be stored twice.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings.loading import DATA_FOLDER
from gainsight_pipelines.settings.mistakes import looks_secret
from gainsight_pipelines.settings.yaml_document import DocumentError, parse

FOLDER = "settings_history"
BY_HAND = "by hand"
"""The origin of a version that none of our commands has written."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the settings file.

    Attributes:
        number: from 1.
        at: when it was written; for a change by hand, the file's modification time.
        who: the operating system's user.
        how: the command, or "by hand".
        fingerprint: a hash of the text.
        text: the content.
    """

    number: int
    at: datetime
    who: str
    how: str
    fingerprint: str
    text: str = field(repr=False)


def fingerprint(text: str) -> str:
    """A hash of the text."""
    return hashlib.sha256(text.encode()).hexdigest()


def who_am_i() -> str:
    """The operating system's user, by name if it has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class History:
    """The version history of one settings file.

    Args:
        settings_path: the file.
    """

    def __init__(self, settings_path: Path) -> None:
        self._settings_path = settings_path
        self.folder = settings_path.parent / DATA_FOLDER / FOLDER / settings_path.name

    def versions(self) -> list[Version]:
        """All versions, oldest first.

        Raises:
            SettingsError: one can't be read.
        """
        return [self._read(path) for path in sorted(self.folder.glob("[0-9]*.json"))]

    def version(self, number: int) -> Version:
        """One version.

        Raises:
            SettingsError: there is none with this number.
        """
        found = next((version for version in self.versions() if version.number == number), None)
        if found is None:
            raise SettingsError(
                f"There is no version {number} of {self._settings_path.name}.",
                "`gainsight-pipelines settings history` lists them.",
            )
        return found

    def keep_found(self, text: str) -> None:
        """Saves the current file as a version, unless it is the latest one."""
        versions = self.versions()
        if (versions and versions[-1].fingerprint == fingerprint(text)) or _holds_secret(text):
            return
        state = self._settings_path.stat()
        try:
            import pwd

            owner = pwd.getpwuid(state.st_uid).pw_name
        except KeyError:
            owner = str(state.st_uid)
        self.keep(text, datetime.fromtimestamp(state.st_mtime, UTC), owner, BY_HAND)

    def keep(self, text: str, at: datetime, who: str, how: str) -> Version:
        """Adds a version. The data folder must exist, and its lock be held."""
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.stem) for path in self.folder.glob("[0-9]*.json")]
        version = Version(max(numbers, default=0) + 1, at, who, how, fingerprint(text), text)
        path = self.folder / f"{version.number:06}.json"
        content = json.dumps({**asdict(version), "at": at.isoformat()}, indent=1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(content)
        return version

    def _read(self, path: Path) -> Version:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return Version(**{**data, "at": datetime.fromisoformat(data["at"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise SettingsError(
                f"The earlier version {path} can't be read: {type(error).__name__}.", "Check or delete the file."
            ) from None


def _holds_secret(text: str) -> bool:
    try:
        data = parse(text).data
    except DocumentError:
        return True  # unreadable: assume the worst
    return any(looks_secret(key) for key in _keys(data))


def _keys(data: object) -> Iterable[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from _keys(value)
    elif isinstance(data, list):
        for item in data:
            yield from _keys(item)
