"""The sandbox's data model: accounts, Gainsight objects, and the expected results. No server and no generator.

Both CRMs have the same accounts, each with its own ids (`salesforce_id`, `hubspot_id`). A Gainsight object is a table
of records, keyed by field name, with a description of its fields. `truth` holds the matches and values that tests
expect after a pull. The generator writes it; nothing computes it by matching.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

SALESFORCE_ORGANISATION = "00D5g000004sandEAA"
HUBSPOT_PORTAL = 8640311


def salesforce_id(key: int, prefix: str = "001") -> str:
    """The 18-character Salesforce id of account (prefix 001) or user (005) number `key`.

    The 15 characters differ by case between some keys, as real ones do; the last three are the checksum that
    Salesforce appends (five characters each: bit i set where character i is upper case, A-Z then 0-5).
    """
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    digits = ""
    number = key
    while number:
        number, digit = divmod(number, 62)
        digits = alphabet[digit] + digits
    short = f"{prefix}5g00000{digits.rjust(5, 'A')}"
    suffix = ""
    for start in range(0, 15, 5):
        bits = sum(1 << i for i, character in enumerate(short[start : start + 5]) if character.isupper())
        suffix += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
    return short + suffix


def hubspot_id(key: int) -> str:
    """The HubSpot company id of account number `key`, or the owner id of owner number `key`."""
    return str(9_100_000_000 + 37 * key)


def currency(key: int) -> str:
    """The currency of account number `key`, if there are several."""
    return ("USD", "EUR", "JPY")[key % 3]


@dataclass(slots=True)
class Owner:
    """A user who owns accounts."""

    key: int
    first_name: str
    last_name: str
    email: str


@dataclass(slots=True)
class CrmAccount:
    """An account of both CRMs. Times are aware UTC datetimes; `arr` is in units of the currency."""

    key: int
    name: str
    website: str | None
    parent: int | None
    arr: Decimal | None
    renewal_date: date | None
    owner: int | None
    gsid: str | None
    created_at: datetime
    modified_at: datetime
    deleted_at: datetime | None = None
    merged_into: int | None = None


@dataclass(slots=True)
class GainsightTable:
    """A Gainsight object. `describe` is its complete node in the describe call.

    Each record is keyed by field name with Python values (str, int, float, bool, None, aware datetime, date, or a list
    of ids for a multi-select). Lookups hold the GSID of their target.
    """

    name: str
    describe: dict[str, Any]
    records: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class World:
    """All data in the sandbox."""

    now: datetime
    owners: dict[int, Owner] = field(default_factory=dict)
    accounts: dict[int, CrmAccount] = field(default_factory=dict)
    tables: dict[str, GainsightTable] = field(default_factory=dict)
    """Gainsight objects by lower-case name."""
    picklists: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Dropdown categories by their GSID, as the dropdowns call returns them."""
    truth: dict[str, Any] = field(default_factory=dict)
    crm_writes: int = 0
    """Requests that tried to change something in a CRM. Stays zero."""
