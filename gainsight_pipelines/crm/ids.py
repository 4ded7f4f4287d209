"""Account ids of both CRMs in canonical form, for comparison.

Checks only the format of an id; whether the account exists is decided by the account index.
"""

from __future__ import annotations

import re
import string

from gainsight_pipelines.text import visible

_SALESFORCE = re.compile(r"[0-9A-Za-z]{15}(?:[A-Za-z0-5]{3})?")
_HUBSPOT = re.compile(r"([0-9]{1,20})(?:\.0+)?")
# Checksum character ↔ the case of five characters, "1" for upper case: "01000" is C.
_CASES_OF = {character: f"{bits:05b}"[::-1] for bits, character in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345")}
_BY_CASES = {cases: character for character, cases in _CASES_OF.items()}
_CASES = {ord(character): "1" if character.isupper() else "0" for character in string.ascii_letters + string.digits}


def salesforce_id_18(value: str) -> str | None:
    """The case-insensitive 18-character form of a Salesforce id.

    The last three characters encode the case of the first fifteen, five each: bit i is set if character i is an
    upper-case letter (Salesforce's CASESAFEID). An 18-character id therefore stays valid when a spreadsheet changes its
    case, while 15-character ids are case-sensitive.

    Args:
        value: an id of 15 or 18 characters; surrounding whitespace and invisible characters are dropped.

    Returns:
        18 characters, or None if `value` cannot be an id: wrong length or characters, or a suffix that contradicts the
        first fifteen (a digit marked as upper case; letters in mixed case that the suffix doesn't confirm).
    """
    text = visible(value)
    if not _SALESFORCE.fullmatch(text):
        return None
    short, suffix = text[:15], text[15:].upper()
    checksum = _checksum(short)
    if suffix in ("", checksum):
        return short + checksum
    # Mixed case was not lost in transit: as the suffix contradicts it, one of the two is wrong, and we can't know
    # which.
    if short not in (short.upper(), short.lower()):
        return None
    restored = _restore_case(short, suffix)
    return restored + suffix if _checksum(restored) == suffix else None


def hubspot_id(value: str) -> str | None:
    """The canonical form of a HubSpot record id: its decimal digits.

    Args:
        value: the id as text; whitespace, invisible characters, leading zeros and ".0" (number fields) are dropped.

    Returns:
        The digits, or None if `value` isn't a positive whole number.
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
