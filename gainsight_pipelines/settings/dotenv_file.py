"""Writes keys and passwords to `.env` beside the settings file, readable by its owner only. ``secrets`` reads them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings.files import check_writable, locked, write_whole
from gainsight_pipelines.settings.loading import DATA_FOLDER

LOCK = "dotenv.lock"
ELSEWHERE = "Set the variables where they come from: in the environment, or in files that NAME_FILE names."


def dotenv_of(settings_path: Path) -> Path:
    """The path of the `.env` beside a settings file."""
    return settings_path.absolute().with_name(".env")


def write_secrets(settings_path: Path, values: Mapping[str, str | None]) -> Path:
    """Sets variables in `.env` and keeps its other lines and comments. Atomic; mode 0600.

    Args:
        settings_path: the settings file; `.env` is in its folder.
        values: by variable name; None removes the variable.

    Returns:
        The path of `.env`.

    Raises:
        SettingsError: a value has line breaks, or the file can't be read or written. No value is in the message.
    """
    path = dotenv_of(settings_path)
    for name, value in values.items():
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            raise SettingsError(f"{name} is not a valid variable name.")
        if value is not None and not value.isprintable():
            todo = f"Put a key of several lines into its own file, and name that file in {name}_FILE."
            raise SettingsError(f"The value of {name} has line breaks or characters that can't be printed.", todo)
    check_writable(path, ELSEWHERE)
    with locked(path.parent / DATA_FOLDER, LOCK):
        text = _read(path)
        for name, value in values.items():
            text = _with(text, name, value)
        write_whole(path, text, mode=0o600)
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it isn't UTF-8 text"
        raise SettingsError(f"{path} can't be read: {reason}.", "Check the file.") from None


def _with(text: str, name: str, value: str | None) -> str:
    from dotenv.parser import parse_stream

    line = "" if value is None else f"{name}={_quoted(value)}\n"
    parts, is_there = [], False
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        if binding.key == name:  # the last one wins, so each of them must go
            before = original[: len(original) - len(original.lstrip())]
            parts.append(before + line if not is_there else before)
            is_there = True
        else:
            parts.append(original)
    if line and not is_there:
        if parts and not parts[-1].endswith("\n"):
            parts.append("\n")
        parts.append(line)
    return "".join(parts)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@%+=,-]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


Source = Literal["environment", "file", "dotenv"]


def source_of(settings_path: Path, name: str, environ: Mapping[str, str]) -> Source | None:
    """Where a variable comes from, as ``secrets`` reads it; None: it isn't set.

    "file": named by ``NAME_FILE``. "dotenv": the only source that ``write_secrets`` can change.
    """
    from dotenv import dotenv_values

    if environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip():
        return "environment"
    text = _read(dotenv_of(settings_path))
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    if (values.get(f"{name}_FILE") or "").strip():
        return "file"
    return "dotenv" if (values.get(name) or "").strip() else None
