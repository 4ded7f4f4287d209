"""Which fields of the CRM's account object are read, and the check that they exist.

What their values mean is values.py's matter; how a CRM is asked for them is salesforce.py's and hubspot.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from gainsight_pipelines.crm.protocol import AccountField
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.near_matches import near_matches
from gainsight_pipelines.text import name_key

GsidFields = Sequence[str] | Mapping[str, str]
"""The account fields with GSIDs: names, or names → the setting that names each (for error messages)."""

GSID_SETTING = "common.gsid_field"
_TODO = "Name a field that exists there, or let the integration's user read it (a hidden field looks like none)."
FIELDS_SETTING = "primary_crm.fields"


@dataclass(frozen=True, slots=True)
class AccountFieldMap:
    """The CRM's field for each attribute that the CRM owns; None is the CRM's usual field.

    `arr` and `renewal_date` have no usual field: None leaves them empty. (Salesforce's and HubSpot's annual revenue is
    the customer's own, not what it pays.)
    """

    domain: str | None = None
    parent: str | None = None
    owner: str | None = None
    arr: str | None = None
    renewal_date: str | None = None


@dataclass(frozen=True, slots=True)
class LiveFields:
    """The fields to read, spelt as the CRM spells them; None where there is none to read.

    `gsids` maps each configured name, spelt as configured, to the CRM's spelling; `missing` those that aren't there to
    the error that says so. Only who matches by such a field has to stop: the setting may be another object's.
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
            SettingsError: there is no such field.
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
    """Looks the configured fields up in the live schema, without regard to case.

    A usual field that isn't there (hidden from the integration's user) is left out; a configured one is an error. One
    for GSIDs is an error for those who ask for it: it stands in `missing`.

    Args:
        wanted: the configured fields.
        usual: the CRM's usual ones.
        gsid_fields: the configured GSID fields.
        described: the live schema.
        account_object: what to call the object in messages ("Salesforce Account").

    Raises:
        SettingsError: naming each setting whose field doesn't exist, with near matches.
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
