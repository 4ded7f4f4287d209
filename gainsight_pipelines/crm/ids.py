"""The ids of accounts in both CRMs, in the one form in which the rest of the package compares them.

Only the shape of an id is judged here; whether an account with it exists is the account index's question.
"""

from __future__ import annotations

import re
import string

from gainsight_pipelines.text import visible

_SALESFORCE = re.compile(r"[0-9A-Za-z]{15}(?:[A-Za-z0-5]{3})?")
_HUBSPOT = re.compile(r"([0-9]{1,20})(?:\.0+)?")
# A checksum's character ↔ the case of the five that it stands for, "1" for an upper-case letter: "01000" is C.
_CASES_OF = {character: f"{bits:05b}"[::-1] for bits, character in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345")}
_BY_CASES = {cases: character for character, cases in _CASES_OF.items()}
_CASES = {ord(character): "1" if character.isupper() else "0" for character in string.ascii_letters + string.digits}


def salesforce_id_18(value: str) -> str | None:
    """The case-safe 18-character form of a Salesforce id.

    The three last characters hold the case of the first fifteen, five each: bit i is set where character i is an
    upper-case letter, as Salesforce's formula function CASESAFEID does it. So an 18-character id that a spreadsheet
    has upper- or lower-cased is still the same id, while 15-character ids differ by case.

    Args:
        value: an id of 15 or 18 characters; blanks and what can't be seen are dropped.

    Returns:
        18 characters, or None when `value` cannot be an id: wrong length or characters, or a suffix that contradicts
        the first fifteen (a digit marked as upper case; letters in mixed case that the suffix doesn't confirm).
    """
    text = visible(value)
    if not _SALESFORCE.fullmatch(text):
        return None
    short, suffix = text[:15], text[15:].upper()
    checksum = _checksum(short)
    if suffix in ("", checksum):
        return short + checksum
    # Mixed case was not lost on the way: since the suffix says otherwise, one of the two is wrong, nobody knows which.
    if short not in (short.upper(), short.lower()):
        return None
    restored = _restore_case(short, suffix)
    return restored + suffix if _checksum(restored) == suffix else None


def hubspot_id(value: str) -> str | None:
    """The canonical form of a HubSpot record id: its decimal digits.

    Args:
        value: the id as text; blanks, what can't be seen, leading zeros and a ".0" (of a number field) are dropped.

    Returns:
        The digits, or None when `value` isn't a positive whole number.
    """
    match = _HUBSPOT.fullmatch(visible(value))
    if match is None or not (number := int(match[1])):
        return None
    return str(number)


def _checksum(short: str) -> str:
    cases = short.translate(_CASES)
    return _BY_CASES[cases[:5]] + _BY_CASES[cases[5:10]] + _BY_CASES[cases[10:]]


def _restore_case(short: str, suffix: str) -> str:
    cases = "".join(_CASES_OF[character] for character in suffix)
    return "".join(
        character.upper() if case == "1" else character.lower() for character, case in zip(short, cases, strict=True)
    )
