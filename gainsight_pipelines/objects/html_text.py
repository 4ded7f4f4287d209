"""The plain text of HTML notes, for tenants that don't provide it.

Tags are recognised as browsers do (the HTML standard's tokenizer), but no tree is built: nesting doesn't affect the
text, and building a tree takes quadratic time in its depth.
"""

from __future__ import annotations

import re
from html import unescape

BLOCKS = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol optgroup option p pre section select"
    " summary table tbody textarea tfoot thead tr ul"
).split()
"""Elements that start and end a line."""

CELLS = ("td", "th")
UNSEEN = ("script", "style", "title", "template", "iframe", "noembed", "noframes", "xmp")
"""Elements whose content isn't shown; in most of them, only their own end tag counts."""

_INLINE = (
    "a abbr b bdi bdo big cite code em font i img ins kbd label mark q s small span strike strong sub sup tt u var"
)

_ATTRIBUTES = r"""(?>[^=>]*+(?:=\s*+(?>"[^"]*+"?|'[^']*+'?)?[^=>]*+)*+>?)"""
"""The rest of a tag after its name, up to its end; without an end, the rest of the text, as in a browser.

`>` ends nothing only in a quoted value. Possessive, so the time is linear in the length.
"""

_TAG = re.compile(rf"<(?:/?+([a-zA-Z][^\s/>]*+)(?:>|{_ATTRIBUTES})|[!?/][^>]*+>?)")
_NOT_SHOWN = re.compile(
    rf"""<!--(?:-?>|.*?(?:--!?>|\Z))
        |<({"|".join(UNSEEN)})(?=[\s/>]){_ATTRIBUTES}.*?(?:</\1(?=[\s/>]){_ATTRIBUTES}|\Z)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_BLANKS = "\n\r\t\f\xa0"
"""Only blanks between tags."""

_END, _CHECK = "\x1e", "\x1d"


class _Marks(dict[str | None, str]):
    """What replaces a tag: the end of a line, a blank, nothing; `_CHECK`: part of the text is not shown."""

    def __missing__(self, name: str | None) -> str:
        return self.get(name.lower(), "") if name is not None else _CHECK  # no name: perhaps a comment


_MARKS = _Marks(
    dict.fromkeys(_INLINE.split(), "")
    | dict.fromkeys(BLOCKS, _END)
    | dict.fromkeys(CELLS, " ")
    | dict.fromkeys(UNSEEN, _CHECK)
)


def html_text(html: str | None) -> str | None:
    """The text of an HTML fragment: a line per block, blanks between cells; None if nothing is left.

    Inline markup adds nothing; scripts, styles and comments have no text. A text without any tag keeps its lines.
    """
    if not html:
        return None
    if "<" in html:
        text, is_to_check = _without_tags(html)
        if is_to_check:
            text = _without_tags(_NOT_SHOWN.sub("", html))[0].replace(_CHECK, "")
    else:
        text = _END.join(html.splitlines())
    if "&" in text:
        text = _unescaped(text)
    for blank in _BLANKS:
        text = text.replace(blank, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return "\n".join(filter(None, map(str.strip, text.split(_END)))) or None


def _unescaped(text: str) -> str:
    """The text with character references resolved; most notes have only this one."""
    found = text.replace("&amp;", "&")
    is_all = len(text) - len(found) == text.count("&") * len("amp;")
    return found if is_all else unescape(text.replace("&nbsp;", " "))


def _without_tags(html: str) -> tuple[str, bool]:
    """The text with tags replaced by marks, and whether part of it is not shown."""
    parts: list[str] = _TAG.split(html)
    marks = list(map(_MARKS.__getitem__, parts[1::2]))
    parts[1::2] = marks
    return "".join(parts), _CHECK in marks
