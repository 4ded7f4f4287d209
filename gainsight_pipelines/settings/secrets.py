"""Reads keys, tokens and passwords from the environment, ``.env`` beside the settings file, or files that either names.

``Secrets.read`` reads them again each time, so a rotated key needs no restart. Nothing is exported into ``os.environ``,
and no repr, error or log line contains a value.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gainsight_pipelines.errors import SettingsError

_OURS = ("GAINSIGHT_", "SALESFORCE_", "HUBSPOT_", "DESTINATION__")
"""Begin a tenant's own variables. The last one is dlt's, of a warehouse's credentials."""

_WITH_FILES = (*_OURS, "DAGSTER_POSTGRES_URL")
"""Prefixes of the variables that can be read from a file: NAME_FILE is its path."""
_MAX_BYTES = 100_000
_OTHER_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables of the HTTP clients that name files."""


@dataclass(frozen=True, slots=True, repr=False)
class _Layer:
    """One source of variables: the environment, or .env."""

    values: Mapping[str, str]
    folder: Path
    """The base of relative paths in NAME_FILE."""
    prefix: str = ""
    """The tenant's prefix of variable names, for errors."""

    def get(self, name: str) -> str | None:
        """The value of a variable here; NAME_FILE wins over NAME. Blank counts as not set."""
        variable = f"{name}_FILE"
        if name.startswith(_WITH_FILES) and (path := self.values.get(variable)):
            return _content(f"{self.prefix}{variable}", self._path(path))
        value = self.values.get(name)
        if value and name.startswith(_WITH_FILES) and name.endswith("_FILE"):
            return str(self._path(value))
        return value or None

    def _path(self, value: str) -> Path:
        return self.folder / _at_home(value)

    def names(self) -> Iterator[str]:
        """The variables set here, blank ones included; NAME as well if only NAME_FILE is set."""
        for name in self.values:
            yield name
            if name.startswith(_WITH_FILES) and name.endswith("_FILE"):
                yield name.removesuffix("_FILE")


def with_absolute_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for processes in another folder: relative paths that it names are made absolute."""

    def names_file(name: str) -> bool:
        return name in _OTHER_FILES or (name.startswith(_WITH_FILES) and name.endswith("_FILE"))

    return {
        name: str(_at_home(value.strip()).absolute()) if value.strip() and names_file(name) else value
        for name, value in environ.items()
    }


class Secrets:
    """The secrets at one moment."""

    __slots__ = ("_dotenv_path", "_layers", "_prefix")

    def __init__(self, layers: tuple[_Layer, ...], dotenv_path: Path, prefix: str = "") -> None:
        self._layers = layers
        self._dotenv_path = dotenv_path
        self._prefix = prefix

    @property
    def prefix(self) -> str:
        """The prefix of this tenant's variables."""
        return self._prefix

    @classmethod
    def read(
        cls, settings_path: Path | None = None, environ: Mapping[str, str] = os.environ, prefix: str = ""
    ) -> Secrets:
        """Reads the environment and `.env`; the environment wins.

        Args:
            settings_path: the settings file, with `.env` in its folder; None: the working directory.
            environ: the environment.
            prefix: of this tenant's variables: with `ACME_`, the key is ACME_GAINSIGHT_API_KEY. A variable without it
                belongs to another tenant and is never read instead.

        Raises:
            SettingsError: `.env` exists but can't be read.
        """
        dotenv_path = Path(".env").absolute() if settings_path is None else settings_path.absolute().with_name(".env")
        of_environment = {name: value.strip() for name, value in environ.items()}
        layers = (
            _Layer(_own(of_environment, prefix), Path(), prefix),
            _Layer(_own(_dotenv(dotenv_path), prefix), dotenv_path.parent, prefix),
        )
        return cls(layers, dotenv_path, prefix)

    def variable(self, name: str) -> str:
        """A variable's name as the user sets it: with this tenant's prefix."""
        return f"{self._prefix}{name}" if name.startswith(_OURS) else name

    def with_dotenv(self, changes: Mapping[str, str | None]) -> Secrets:
        """The secrets with these values in `.env`; None removes a variable."""
        *others, dotenv = self._layers
        values = {name: value for name, value in dotenv.values.items() if name not in changes}
        values |= {name: value for name, value in changes.items() if value is not None}
        return Secrets((*others, _Layer(values, dotenv.folder, self._prefix)), self._dotenv_path, self._prefix)

    def get(self, name: str) -> str | None:
        """A variable's value; None if it isn't set.

        Raises:
            SettingsError: NAME_FILE names a file that is missing, empty or unreadable.
        """
        return next((value for layer in self._layers if (value := layer.get(name)) is not None), None)

    def require(self, name: str) -> str:
        """A variable's value.

        Raises:
            SettingsError: it isn't set, or NAME_FILE names a file that is missing, empty or unreadable.
        """
        value = self.get(name)
        if value is None:
            where, variable = f"Set it in the environment or in {self._dotenv_path}", self.variable(name)
            raise SettingsError(f"{variable} is not set.", f"{where}, or name a file that holds it in {variable}_FILE.")
        return value

    def environment(self) -> Mapping[str, str]:
        """All variables, the environment over .env. A NAME_FILE is read when its NAME is looked up.

        Blank variables are empty strings.
        """
        return _Environment(self)

    def names(self) -> tuple[str, ...]:
        """The names of all variables that are set, sorted."""
        return tuple(sorted({name for layer in self._layers for name in layer.names()}))

    def __repr__(self) -> str:
        return f"Secrets({', '.join(name for name in self.names() if name.startswith(_OURS))})"


class _Environment(Mapping[str, str]):
    """``Secrets`` as a mapping. Lazy, so that a missing file for the other CRM is no error."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __getitem__(self, name: str) -> str:
        value = self._secrets.get(name)
        if value is None and name not in self:
            raise KeyError(name)
        return value or ""

    def __contains__(self, name: object) -> bool:
        return name in self._secrets.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets.names())

    def __len__(self) -> int:
        return len(self._secrets.names())

    def __repr__(self) -> str:
        return repr(self._secrets)


def _own(values: Mapping[str, str], prefix: str) -> Mapping[str, str]:
    """One tenant's variables under their usual names, and those that belong to no tenant."""
    if not prefix:
        return values
    own = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    others = {name: value for name, value in values.items() if not name.startswith((prefix, *_OURS))}
    return others | {name: value for name, value in own.items() if name.startswith(_OURS)}


def _at_home(path: str) -> Path:
    """The path with `~` resolved; unchanged if there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _dotenv(path: Path) -> dict[str, str]:
    """The variables of a .env file, literally: a $ in a password is a $."""
    text = _text(path, missing_ok=True, what=str(path))
    if text is None:
        return {}
    from dotenv import dotenv_values

    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: (value or "").strip() for name, value in values.items()}


def _content(variable: str, path: Path) -> str:
    """The secret in a file that a variable names."""
    what = f"The file {path} that {variable} names"
    text = (_text(path, missing_ok=False, what=what) or "").strip()
    if not text:
        raise SettingsError(f"{what} is empty.", "Put the secret into it.")
    return text


def _text(path: Path, *, missing_ok: bool, what: str) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        if missing_ok:
            return None
        raise SettingsError(f"{what} does not exist.", "Create it, or unset the variable.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise SettingsError(f"{what} can't be read: {reason}.", "Let this user read it.") from None
    if len(content) > _MAX_BYTES:
        raise SettingsError(f"{what} is too large for a secret.", "Check its content.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{what} isn't UTF-8 text.", "Save it as UTF-8.") from None
