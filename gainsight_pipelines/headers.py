"""Validates keys and tokens before they go into an HTTP header, for Gainsight and the CRMs."""

from __future__ import annotations

import unicodedata

from gainsight_pipelines.errors import SettingsError


def fit_for_header(value: str, variable: str) -> str:
    """The key or token, trimmed and ready to be sent: ASCII, without whitespace or surrounding quotes.

    Without this check, characters added by a text editor, a chat or an env file would end in an error that quotes the
    secret, or in a rejected login.

    Raises:
        SettingsError: names the variable and the character, and nothing else of the value.
    """
    text = value.strip()
    odd = next(
        ((at, one) for at, one in enumerate(text, 1) if not one.isascii() or not one.isprintable() or one == " "), None
    )
    if odd is not None:
        at, character = odd
        name = unicodedata.name(character, "a control character").lower()
        found = f"{name} (U+{ord(character):04X}) as character {at} of {len(text)}"
    elif len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        found = "quotes around it"
    elif not text:
        raise SettingsError(f"{variable} is empty.", f"Set {variable} or {variable}_FILE.")
    else:
        return text
    raise SettingsError(
        f"{variable} holds {found}, which no key or token has.",
        f"Copy it again into {variable}, from where it was made and not from a document or a chat.",
    )
