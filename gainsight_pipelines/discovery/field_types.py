"""Which field types fit which setting. Whether a field exists is checked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gainsight_pipelines.gainsight.metadata import Field
from gainsight_pipelines.objects.pull import Fit

_DATES = frozenset({"date", "datetime", "time"})
_NUMBERS = frozenset({"int", "double", "currency", "percent", "number"})
_FLAGS = frozenset({"boolean", "bool"})
_PLACES = frozenset({"address", "location"})
CRM_UNFIT: Mapping[str, frozenset[str]] = {
    "gsid": _DATES | _NUMBERS | _FLAGS | _PLACES,
    "domain": _DATES | _NUMBERS | _FLAGS | _PLACES,
    "parent": _DATES | _FLAGS | _PLACES,
    "owner": _DATES | _FLAGS | _PLACES,
    "arr": _DATES | _FLAGS | _PLACES,
    "renewal_date": _NUMBERS | _FLAGS | _PLACES,
}
"""Types of account fields (Salesforce's and HubSpot's names) that don't fit a setting."""
CRM_TAKES: Mapping[str, str] = {
    "gsid": "a text",
    "domain": "a text or an address",
    "parent": "an account's id",
    "owner": "a user's id or name",
    "arr": "a number",
    "renewal_date": "a date",
}

GAINSIGHT_FITS: Mapping[Fit, Callable[[Field], bool]] = {
    Fit.COMPANY: lambda one: not (one.is_numeric or one.is_date or one.is_rich_text or _is_flag(one)),
    Fit.DATE: lambda one: one.is_date,
    Fit.NUMBER: lambda one: not (one.is_date or one.is_lookup or one.is_rich_text or _is_flag(one)),
    Fit.ID: lambda one: not (one.is_date or one.is_rich_text or _is_flag(one)),
}
"""What a setting takes → whether a Gainsight field fits; numbers stored as text do."""


def _is_flag(one: Field) -> bool:
    return one.data_type in {"BOOLEAN", "JSONBOOLEAN"}
