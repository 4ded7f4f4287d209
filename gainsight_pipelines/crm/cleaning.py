"""What every answer of a CRM goes through before anybody reads it: strings without what PostgreSQL has no place for."""

from __future__ import annotations

import re
from typing import TypeVar, cast

T = TypeVar("T")

_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_BAD = re.compile("[\x00\ud800-\udfff]")


def may_be_unclean(body: bytes) -> bool:
    """Whether a JSON text can hold a NUL or a lone surrogate: only an escape can, so most answers need no more look."""
    return _ESCAPED.search(body) is not None


def cleaned(value: T) -> T:
    """A JSON value without NUL in its strings and keys, and with U+FFFD in the place of lone surrogates."""
    if isinstance(value, str):
        return cast(T, _BAD.sub(lambda match: "" if match[0] == "\0" else "\ufffd", value))
    if isinstance(value, dict):
        return cast(T, {cleaned(key): cleaned(item) for key, item in value.items()})
    if isinstance(value, list):
        return cast(T, [cleaned(item) for item in value])
    return value
