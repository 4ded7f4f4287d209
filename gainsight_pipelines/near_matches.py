"""Suggestions for mistyped names: "Did you mean …?". One similarity measure for names of all kinds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from gainsight_pipelines.text import name_key

MOST = 3
"""Suggestions per name."""
LIKE = 0.6
"""Similarity threshold, 0 to 1: allows one or two typos."""


def near_matches(word: str, known: Iterable[str], labels: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The known names closest to a word, best first; ignores case.

    Args:
        word: what the user wrote.
        known: the names.
        labels: what people may write instead, mapped to the name that it stands for.
    """
    names: dict[str, str] = {}
    for spelling, name in (*((name, name) for name in known), *labels.items()):
        names.setdefault(name_key(spelling), name)
    close = difflib.get_close_matches(name_key(word), names, n=2 * MOST, cutoff=LIKE)
    return list(dict.fromkeys(names[one] for one in close))[:MOST]


def did_you_mean(word: str, known: Iterable[str], labels: Mapping[str, str] = MappingProxyType({})) -> str:
    """`Did you mean A or B?`, or "" if nothing is close. Arguments as for ``near_matches``."""
    near = near_matches(word, known, labels)
    return f"Did you mean {' or '.join(near)}?" if near else ""
