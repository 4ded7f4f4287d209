"""Text normalisation: comparison keys for names and ids, and the cleaning of text for storage.

Two strings that look the same must compare equal: pasted ids bring invisible characters, and keyboards and APIs compose
accents differently. Names, ids and labels are therefore always compared by a key from this module. Stored text stays
unchanged, except for characters that PostgreSQL can't hold.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

_NUL_OR_SURROGATE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_OF_OTHER_WIDTH = re.compile("[\u3000\uff01-\uffee]+")
_INVISIBLE_MARKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\ufff0-\ufff8\U000e0000-\U000e0fff]+"
)
"""Invisible characters that Unicode classifies as letters, marks or unassigned."""


def visible(text: str) -> str:
    """The visible part of a text: the key for comparing ids and names where case matters.

    NFC, full-width letters as ASCII, without control and zero-width characters, trimmed. For comparison only; never
    store it.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _OF_OTHER_WIDTH.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = "".join(character for character in _INVISIBLE_MARKS.sub("", text) if not _is_control(character))
    return unicodedata.normalize("NFC", text).strip()


def name_key(name: str) -> str:
    """The key for comparing names (of objects, fields, options, users): :func:`visible`, case-insensitive."""
    key = visible(name)
    return key.lower() if key.isascii() else unicodedata.normalize("NFC", key.casefold())


def label_key(label: str) -> str:
    """The key for comparing labels that people write, such as categories: ignores case and all whitespace."""
    return name_key("".join(visible(label).split()))


def canonical_gsid(value: str | None) -> str | None:
    """A GSID in upper case, as Gainsight writes it, without invisible characters; None if nothing is left."""
    return (visible(value).upper() or None) if value else None


def clean_text(text: str) -> str:
    """Text that PostgreSQL accepts: NUL removed, lone surrogates become U+FFFD. Returns the same object if clean."""
    if text.isascii() and "\0" not in text:
        return text
    if _NUL_OR_SURROGATE.search(text) is None:
        return text
    return _NUL_OR_SURROGATE.sub(lambda match: "" if match[0] == "\0" else "\ufffd", text)


def may_need_cleaning(body: bytes) -> bool:
    """Whether a JSON document in UTF-8 may contain NUL or lone surrogates. Only escapes can; most have none."""
    return _ESCAPED.search(body) is not None


def clean_value(value: Any) -> tuple[Any, int]:
    """Cleans a JSON value for PostgreSQL; returns it with the number of changes.

    Strings and keys go through :func:`clean_text`; infinities and NaN become None. Clean values are returned unchanged.
    """
    if isinstance(value, str):
        cleaned = clean_text(value)
        return cleaned, int(cleaned is not value)
    if isinstance(value, float):
        return (value, 0) if math.isfinite(value) else (None, 1)
    if isinstance(value, list):
        return _clean_list(value)
    if isinstance(value, dict):
        return _clean_dict(value)
    return value, 0


def _is_control(character: str) -> bool:
    """Control and format characters, except whitespace."""
    return unicodedata.category(character) in {"Cc", "Cf"} and not character.isspace()


def _clean_list(values: list[Any]) -> tuple[list[Any], int]:
    changed = 0
    cleaned = []
    for value in values:
        item, count = clean_value(value)
        cleaned.append(item)
        changed += count
    return (cleaned, changed) if changed else (values, 0)


def _clean_dict(values: dict[str, Any]) -> tuple[dict[str, Any], int]:
    changed = 0
    cleaned = {}
    for key, value in values.items():
        name = clean_text(key)
        item, count = clean_value(value)
        changed += count + (name is not key)
        cleaned[name] = item
    return (cleaned, changed) if changed else (values, 0)
