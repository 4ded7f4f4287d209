"""Near matches: what somebody probably meant by a name that doesn't exist. One measure for all kinds of names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from gainsight_pipelines.text import name_key

MOST = 3
"""Names that are suggested at once."""
LIKE = 0.6
"""How much of two names has to be the same, from 0 to 1: a typing mistake or two."""


def near_matches(word: str, known: Iterable[str], labels: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The known names that are most like a word, the nearest first; case doesn't count.

    Args:
        word: what was written.
        known: the names.
        labels: names by what people also write for them.
    """
    names: dict[str, str] = {}
    for spelling, name in (*((name, name) for name in known), *labels.items()):
        names.setdefault(name_key(spelling), name)
    close = difflib.get_close_matches(name_key(word), names, n=2 * MOST, cutoff=LIKE)
    return list(dict.fromkeys(names[one] for one in close))[:MOST]


def did_you_mean(word: str, known: Iterable[str], labels: Mapping[str, str] = MappingProxyType({})) -> str:
    """`Did you mean A or B?`, or nothing where no name is near. Arguments as for ``near_matches``."""
    near = near_matches(word, known, labels)
    return f"Did you mean {' or '.join(near)}?" if near else ""
