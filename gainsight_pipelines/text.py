"""Text at the borders of the product: how names and ids are compared, and which text can be stored.

Two strings that look the same have to match: pasted ids bring invisible characters along, keyboards and APIs disagree
about how an accent is composed. Whatever compares names, ids or labels compares them by a key that is made here. What
is stored stays as the other side wrote it, less what PostgreSQL can't hold.
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
"""Characters that Unicode gives no shape, though it counts them as letters, as marks or as unassigned."""


def visible(text: str) -> str:
    """What a person sees of a text: the key by which ids and names are compared where case matters.

    Composed (NFC), full-width letters as plain ones, without control and zero-width characters, trimmed. The result is
    for comparing; it is never stored in the place of a text.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _OF_OTHER_WIDTH.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = "".join(character for character in _INVISIBLE_MARKS.sub("", text) if not _is_control(character))
    return unicodedata.normalize("NFC", text).strip()


def name_key(name: str) -> str:
    """The key by which names are compared: of objects, fields, options, users; as :func:`visible`, without case."""
    key = visible(name)
    return key.lower() if key.isascii() else unicodedata.normalize("NFC", key.casefold())


def label_key(label: str) -> str:
    """The key by which labels that people write are compared, such as categories: no case, no blanks at all."""
    return name_key("".join(visible(label).split()))


def canonical_gsid(value: str | None) -> str | None:
    """A Gsid in upper case, as Gainsight writes them, without what can't be seen; None for a blank one."""
    return (visible(value).upper() or None) if value else None


def clean_text(text: str) -> str:
    """The text as PostgreSQL takes it: without NUL, lone surrogates as U+FFFD. The same object if nothing is wrong."""
    if text.isascii() and "\0" not in text:
        return text
    if _NUL_OR_SURROGATE.search(text) is None:
        return text
    return _NUL_OR_SURROGATE.sub(lambda match: "" if match[0] == "\0" else "\ufffd", text)


def may_need_cleaning(body: bytes) -> bool:
    """Whether a JSON text in UTF-8 may hold NUL or a lone surrogate: only escapes can, and most texts have none."""
    return _ESCAPED.search(body) is not None


def clean_value(value: Any) -> tuple[Any, int]:
    """A JSON value whose strings, keys and numbers PostgreSQL takes, and how many had to be changed.

    Strings and keys as :func:`clean_text`; infinities and NaN become None. Values that are right stay the same objects.
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
    """Control and format characters, except those that separate words."""
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
