"""The plain text of HTML notes, for tenants that don't offer it themselves."""

from __future__ import annotations

from functools import cache
from typing import Any


def html_text(html: str | None) -> str | None:
    """Text of an HTML fragment: one line per block, no markup, no scripts; None where nothing is left."""
    if not html:
        return None
    body = _parser()(html).body
    text = "" if body is None else body.text(separator="\n", strip=True)
    return text or None


@cache
def _parser() -> Any:
    from selectolax.lexbor import LexborHTMLParser

    def parse(html: str) -> LexborHTMLParser:
        tree = LexborHTMLParser(html)
        tree.strip_tags(["script", "style"])
        return tree

    return parse
