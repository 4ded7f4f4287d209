"""Selects the fields of the CRM's account object to read, and checks that they exist.

How values are parsed is in values.py; how fields are requested is in salesforce.py and hubspot.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from gainsight_pipelines.crm.protocol import AccountField
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.near_matches import near_matches
from gainsight_pipelines.text import name_key

GsidFields = Sequence[str] | Mapping[str, str]
"""The account fields that hold GSIDs: names, or names → the setting that names each (for error messages)."""

GSID_SETTING = "common.gsid_field"
_TODO = "Name a field that exists there, or let the integration's user read it (a hidden field seems not to exist)."
FIELDS_SETTING = "primary_crm.fields"


@dataclass(frozen=True, slots=True)
class AccountFieldMap:
    """The CRM's field for each attribute of an account; None means the CRM's usual field.

    `arr` and `renewal_date` have no usual field: None leaves them empty. (The annual revenue in Salesforce and HubSpot
    is the customer's own, not what it pays.)
    """

    domain: str | None = None
    parent: str | None = None
    owner: str | None = None
    arr: str | None = None
    renewal_date: str | None = None


@dataclass(frozen=True, slots=True)
class LiveFields:
    """The fields to read, in the CRM's spelling; None where there is none.

    `gsids` maps each configured name to the CRM's spelling; `missing` maps those that don't exist to their error. The
    error concerns only pulls that match by that field.
    """

    domain: str | None
    parent: str | None
    owner: str | None
    arr: str | None
    renewal_date: str | None
    gsids: Mapping[str, str]
    missing: Mapping[str, SettingsError] = field(default_factory=dict)
    currency: str | None = None

    def gsid(self, name: str) -> str:
        """The CRM's spelling of a configured GSID field.

        Raises:
            SettingsError: the field doesn't exist.
        """
        if name in self.missing:
            raise self.missing[name]
        return self.gsids[name]

    def names(self) -> list[str]:
        """Each field once, in a stable order."""
        single = (self.domain, self.parent, self.owner, self.arr, self.renewal_date, self.currency)
        return list(dict.fromkeys(name for name in (*single, *self.gsids.values()) if name))


def live_fields(
    wanted: AccountFieldMap,
    usual: AccountFieldMap,
    gsid_fields: GsidFields,
    described: Sequence[AccountField],
    account_object: str,
) -> LiveFields:
    """Looks up the configured fields in the live schema, ignoring case.

    A missing usual field (hidden from the integration's user) is left out; a missing configured field is an error. A
    missing GSID field goes into `missing` and is an error only for pulls that use it.

    Args:
        wanted: the configured fields.
        usual: the CRM's usual fields.
        gsid_fields: the configured GSID fields.
        described: the live schema.
        account_object: the object's name in messages ("Salesforce Account").

    Raises:
        SettingsError: names each setting whose field doesn't exist, with near matches.
    """
    known = {name_key(field.name): field.name for field in described}
    settings = gsid_fields if isinstance(gsid_fields, Mapping) else dict.fromkeys(gsid_fields, GSID_SETTING)
    problems: list[str] = []

    def problem(setting: str, name: str) -> str:
        return f"{setting}: {account_object} has no field {name!r}{_near(name, described)}"

    def find(setting: str, name: str) -> str | None:
        found = known.get(name_key(name))
        if found is None:
            problems.append(problem(setting, name))
        return found

    found: dict[str, str | None] = {}
    for attribute in (each.name for each in fields(AccountFieldMap)):
        configured, default = getattr(wanted, attribute), getattr(usual, attribute)
        if configured:
            found[attribute] = find(f"{FIELDS_SETTING}.{attribute}", configured)
        else:
            found[attribute] = known.get(name_key(default)) if default else None
    if problems:
        raise SettingsError("; ".join(problems) + ".", _TODO)
    gsids = {name: known.get(name_key(name)) for name in settings}
    return LiveFields(
        **found,
        gsids={name: spelling for name, spelling in gsids.items() if spelling},
        missing={
            name: SettingsError(f"{problem(settings[name], name)}.", _TODO)
            for name, spelling in gsids.items()
            if spelling is None
        },
    )


def _near(name: str, described: Iterable[AccountField]) -> str:
    fields = list(described)
    names = near_matches(name, [each.name for each in fields], {each.label: each.name for each in fields})
    return f" (did you mean {' or '.join(names)}?)" if names else ""
