"""The plain text of HTML notes, for tenants that don't offer it themselves.

Tags are told from text as browsers tell them (the tokenizer of the HTML standard), but no tree is built: how elements
are nested makes no difference to their text, and a tree takes time that grows with the square of its depth.
"""

from __future__ import annotations

import re
from html import unescape

BLOCKS = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol optgroup option p pre section select"
    " summary table tbody textarea tfoot thead tr ul"
).split()
"""Elements that begin and end a line."""

CELLS = ("td", "th")
UNSEEN = ("script", "style", "title", "template", "iframe", "noembed", "noframes", "xmp")
"""Elements whose content isn't shown, and in most of which no tag counts but their own end."""

_INLINE = (
    "a abbr b bdi bdo big cite code em font i img ins kbd label mark q s small span strike strong sub sup tt u var"
)

_ATTRIBUTES = r"""(?>[^=>]*+(?:=\s*+(?>"[^"]*+"?|'[^']*+'?)?[^=>]*+)*+>?)"""
"""What follows a tag's name, up to its end; where none comes, everything, as in a browser.

Only in a quoted value does `>` end nothing. Nothing is tried twice: the time grows with the length alone.
"""

_TAG = re.compile(rf"<(?:/?+([a-zA-Z][^\s/>]*+)(?:>|{_ATTRIBUTES})|[!?/][^>]*+>?)")
_NOT_SHOWN = re.compile(
    rf"""<!--(?:-?>|.*?(?:--!?>|\Z))
        |<({"|".join(UNSEEN)})(?=[\s/>]){_ATTRIBUTES}.*?(?:</\1(?=[\s/>]){_ATTRIBUTES}|\Z)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_BLANKS = "\n\r\t\f\xa0"
"""Nothing but blanks between tags."""

_END, _CHECK = "\x1e", "\x1d"


class _Marks(dict[str | None, str]):
    """What stands in a tag's place: the end of a line, a blank, nothing; `_CHECK`: not all of the text is shown."""

    def __missing__(self, name: str | None) -> str:
        return self.get(name.lower(), "") if name is not None else _CHECK  # no name: a comment, maybe


_MARKS = _Marks(
    dict.fromkeys(_INLINE.split(), "")
    | dict.fromkeys(BLOCKS, _END)
    | dict.fromkeys(CELLS, " ")
    | dict.fromkeys(UNSEEN, _CHECK)
)


def html_text(html: str | None) -> str | None:
    """The text of an HTML fragment: a line for each block, blanks for cells; None where nothing is left.

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
    """Characters in the place of references; most notes have none but this one."""
    found = text.replace("&amp;", "&")
    is_all = len(text) - len(found) == text.count("&") * len("amp;")
    return found if is_all else unescape(text.replace("&nbsp;", " "))


def _without_tags(html: str) -> tuple[str, bool]:
    """The text with marks in the place of its tags, and whether there is something in it that isn't shown."""
    parts: list[str] = _TAG.split(html)
    marks = list(map(_MARKS.__getitem__, parts[1::2]))
    parts[1::2] = marks
    return "".join(parts), _CHECK in marks
