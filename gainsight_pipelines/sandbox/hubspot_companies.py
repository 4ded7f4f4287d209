"""The sandbox's HubSpot companies and owners: properties, values, and which are archived. No HTTP.

As in HubSpot, all values are strings, numbers and booleans included; a missing value is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from gainsight_pipelines.sandbox.world import CrmAccount, Owner, World, currency, hubspot_id

DEFAULT_PROPERTIES = ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name")
"""What comes when no properties are asked for."""
ALWAYS = ("createdate", "hs_lastmodifieddate", "hs_object_id")
"""What comes whatever is asked for."""


@dataclass(frozen=True, slots=True)
class Property:
    """A company property: its description, and its value in a record (a string, or None)."""

    name: str
    label: str
    type: str
    field_type: str
    group: str = "companyinformation"
    hubspot_defined: bool = True
    calculated: bool = False
    read_only: bool = False
    description: str = ""
    referenced: str | None = None
    currency_from: str | None = None
    """The property that holds the currency of this one, in a portal with several currencies."""


PROPERTIES: dict[str, Property] = {
    each.name: each
    for each in (
        Property("name", "Company name", "string", "text"),
        Property("domain", "Company Domain Name", "string", "text"),
        Property("website", "Website URL", "string", "text"),
        Property("phone", "Phone Number", "string", "phonenumber"),
        Property("country", "Country/Region", "string", "text"),
        Property("industry", "Industry", "enumeration", "select"),
        Property("annualrevenue", "Annual Revenue", "number", "number"),
        Property("numberofemployees", "Number of Employees", "number", "number"),
        Property("hubspot_owner_id", "Company owner", "enumeration", "select", referenced="OWNER"),
        Property("createdate", "Create Date", "datetime", "date"),
        Property("hs_lastmodifieddate", "Last Modified Date", "datetime", "date", read_only=True),
        Property("hs_object_id", "Record ID", "number", "number", read_only=True),
        Property(
            "hs_parent_company_id",
            "Parent Company",
            "number",
            "number",
            calculated=True,
            read_only=True,
            description="The parent company of this company, from its associations",
        ),
        Property("hs_num_child_companies", "Number of child companies", "number", "number", read_only=True),
        Property("hs_merged_object_ids", "Merged record IDs", "enumeration", "checkbox", read_only=True),
        Property("hs_is_target_account", "Target Account", "bool", "booleancheckbox"),
        Property("gainsight_gsid", "Gainsight GSID", "string", "text", hubspot_defined=False),
        Property("arr", "ARR", "number", "number", hubspot_defined=False, currency_from="arr_currency"),
        Property("arr_currency", "ARR currency", "enumeration", "select", hubspot_defined=False),
        Property("renewal_date", "Renewal date", "date", "date", hubspot_defined=False),
    )
}


def iso(moment: datetime) -> str:
    """A time in HubSpot's format: with milliseconds and Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _number(value: Decimal | int | None) -> str | None:
    return None if value is None else format(value, "f")


def bare_domain(website: str | None) -> str | None:
    """The domain that HubSpot derives from a website: no scheme, no www, no path, lower case."""
    if not website:
        return None
    host = urlsplit(website if "//" in website else f"//{website}").hostname or ""
    return host.removeprefix("www.") or None


def is_archived(account: CrmAccount) -> bool:
    """Whether a company was deleted. Merged ones no longer exist at all."""
    return account.deleted_at is not None and account.merged_into is None


def is_live(account: CrmAccount) -> bool:
    return account.deleted_at is None and account.merged_into is None


class Companies:
    """The companies of a world, read when they are requested."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._values: dict[str, Callable[[CrmAccount], str | None]] = {
            "name": lambda a: a.name,
            "domain": lambda a: bare_domain(a.website),
            "website": lambda a: a.website,
            "phone": lambda a: f"+1 555 {a.key % 10_000_000:07d}",
            "country": lambda a: "United States",
            "industry": lambda a: ("COMPUTER_SOFTWARE", "RETAIL", "BANKING")[a.key % 3],
            "annualrevenue": lambda a: str(5_000_000 + 1_250_000 * (a.key % 97)),
            "numberofemployees": lambda a: str(50 + 30 * (a.key % 211)),
            "hubspot_owner_id": lambda a: None if a.owner is None else hubspot_id(a.owner),
            "createdate": lambda a: iso(a.created_at),
            "hs_lastmodifieddate": lambda a: iso(a.modified_at),
            "hs_object_id": lambda a: hubspot_id(a.key),
            "hs_parent_company_id": self._parent,
            "hs_num_child_companies": lambda a: str(len(self.children(a))),
            "hs_merged_object_ids": self._merged,
            "hs_is_target_account": lambda a: "true" if a.key % 10 == 0 else None,
            "gainsight_gsid": lambda a: a.gsid,
            "arr": lambda a: _number(a.arr),
            "arr_currency": lambda a: currency(a.key),
            "renewal_date": lambda a: _day(a.renewal_date),
        }
        assert self._values.keys() == PROPERTIES.keys()

    def live(self) -> list[CrmAccount]:
        """Companies in lists and searches, by id."""
        return self._sorted(is_live)

    def archived(self) -> list[CrmAccount]:
        """Companies in the recycle bin, by id."""
        return self._sorted(is_archived)

    def _sorted(self, wanted: Callable[[CrmAccount], bool]) -> list[CrmAccount]:
        return sorted((a for a in self._world.accounts.values() if wanted(a)), key=lambda a: int(hubspot_id(a.key)))

    def by_id(self, record_id: str) -> CrmAccount | None:
        """The company with an id; for the id of a merged company, the one that it was merged into."""
        key = next((key for key in self._world.accounts if hubspot_id(key) == record_id), None)
        return None if key is None else self._survivor(key)

    def _survivor(self, key: int) -> CrmAccount | None:
        account = self._world.accounts.get(key)
        while account is not None and account.merged_into is not None:
            account = self._world.accounts.get(account.merged_into)
        return account

    def children(self, account: CrmAccount) -> list[CrmAccount]:
        return [each for each in self._world.accounts.values() if each.parent == account.key and is_live(each)]

    def parent(self, account: CrmAccount) -> CrmAccount | None:
        """The parent. Archived companies have no associations."""
        found = None if account.parent is None else self._survivor(account.parent)
        return found if found is not None and is_live(found) else None

    @staticmethod
    def _parent(account: CrmAccount) -> str | None:
        # As in the world: the edit that deletes or merges a parent also sets the parents of its children.
        return None if account.parent is None else hubspot_id(account.parent)

    def _merged(self, account: CrmAccount) -> str | None:
        """All ids that were merged into this company, directly or indirectly."""
        losers = [each for each in self._world.accounts.values() if each.merged_into is not None]
        return ";".join(hubspot_id(each.key) for each in losers if self._survivor(each.key) is account) or None

    def value(self, account: CrmAccount, name: str) -> str | None:
        """A property's value. None for unknown names too, which HubSpot ignores."""
        read = self._values.get(name)
        return None if read is None else read(account)

    def record(self, account: CrmAccount, names: list[str]) -> dict[str, Any]:
        """A company as JSON, with the requested or the default properties. Unknown names are ignored."""
        chosen = [name for name in names if name in PROPERTIES] if names else list(DEFAULT_PROPERTIES)
        properties = {name: self.value(account, name) for name in sorted({*chosen, *ALWAYS})}
        record: dict[str, Any] = {
            "id": hubspot_id(account.key),
            "properties": properties,
            "createdAt": iso(account.created_at),
            "updatedAt": iso(account.modified_at),
            "archived": account.deleted_at is not None,
        }
        if account.deleted_at is not None:
            record["archivedAt"] = iso(account.deleted_at)
        return record


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def described_properties(*, has_currencies: bool) -> list[dict[str, Any]]:
    """All properties; those for currencies only if the portal has several."""
    hidden = set() if has_currencies else {each.currency_from for each in PROPERTIES.values()}
    found = [describe_property(each) for each in PROPERTIES.values() if each.name not in hidden]
    for each in found:
        if not has_currencies:
            each.pop("currencyPropertyName", None)
    return found


def describe_property(each: Property) -> dict[str, Any]:
    """A property as in GET /crm/v3/properties/companies."""
    described: dict[str, Any] = {
        "name": each.name,
        "label": each.label,
        "type": each.type,
        "fieldType": each.field_type,
        "description": each.description,
        "groupName": each.group,
        "options": [{"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False, "description": ""}]
        if each.type == "bool"
        else [],
        "displayOrder": -1,
        "calculated": each.calculated,
        "externalOptions": each.referenced is not None,
        "hasUniqueValue": each.name == "hs_object_id",
        "hidden": False,
        "hubspotDefined": each.hubspot_defined,
        "modificationMetadata": {
            "archivable": not each.hubspot_defined,
            "readOnlyDefinition": each.hubspot_defined,
            "readOnlyValue": each.read_only,
        },
        "formField": not each.read_only,
        "archived": False,
        "createdAt": "2019-08-06T02:41:08.029Z",
        "updatedAt": "2024-11-12T16:20:15.101Z",
    }
    if each.referenced:
        described["referencedObjectType"] = each.referenced
    if each.currency_from:
        described |= {"showCurrencySymbol": True, "currencyPropertyName": each.currency_from}
    return described


def owner_record(owner: Owner) -> dict[str, Any]:
    """An owner as in GET /crm/v3/owners."""
    return {
        "id": hubspot_id(owner.key),
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "userId": 60_000_000 + owner.key,
        "userIdIncludingInactive": 60_000_000 + owner.key,
        "createdAt": "2023-03-01T09:00:00.000Z",
        "updatedAt": "2025-06-01T09:00:00.000Z",
        "archived": False,
    }
