"""The sandbox's Salesforce objects: their fields, as describe returns them, and their values.

Account, User and Organization. No HTTP and no query language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from gainsight_pipelines.sandbox.soql import Column, ColumnType, Entity, Relationship
from gainsight_pipelines.sandbox.switches import Switches
from gainsight_pipelines.sandbox.world import (
    SALESFORCE_ORGANISATION,
    CrmAccount,
    Owner,
    World,
    currency,
    salesforce_id,
)

INTEGRATION_USER = salesforce_id(900_001, "005")
"""The user that the sandbox's client acts as, and that created everything."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its description, and its value."""

    name: str
    label: str
    type: ColumnType
    value: Callable[[Any], Any]
    length: int = 0
    references: tuple[str, ...] = ()
    relationship: str | None = None
    updateable: bool = True
    nillable: bool = True
    calculated: bool = False

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")


def is_gone(account: CrmAccount) -> bool:
    """Whether the account is in the recycle bin, after a deletion or a merge."""
    return account.deleted_at is not None or account.merged_into is not None


def modified_at(account: CrmAccount) -> datetime:
    """SystemModstamp. A deletion is a modification too."""
    return max(account.modified_at, account.deleted_at or account.modified_at)


def _account_id(key: int | None) -> str | None:
    return None if key is None else salesforce_id(key)


def annual_revenue(account: CrmAccount) -> Decimal:
    """The customer's own revenue, which always differs greatly from what it pays us."""
    return Decimal(5_000_000 + 1_250_000 * (account.key % 97))


def _by_system(value: object) -> Callable[[Any], Any]:
    return lambda row: value


_ACCOUNT_TYPES = ("Customer - Direct", "Customer - Channel", "Prospect")
_INDUSTRIES = ("Technology", "Manufacturing", "Healthcare", "Retail", "Finance")

ACCOUNT_FIELDS: tuple[Field, ...] = (
    Field("Id", "Account ID", "id", lambda a: salesforce_id(a.key), 18, updateable=False, nillable=False),
    Field("IsDeleted", "Deleted", "boolean", is_gone, updateable=False, nillable=False),
    Field(
        "MasterRecordId",
        "Master Record ID",
        "reference",
        lambda a: _account_id(a.merged_into),
        18,
        ("Account",),
        "MasterRecord",
        updateable=False,
    ),
    Field("Name", "Account Name", "string", lambda a: a.name, 255, nillable=False),
    Field("Type", "Account Type", "picklist", lambda a: _ACCOUNT_TYPES[a.key % 3], 255),
    Field("ParentId", "Parent Account ID", "reference", lambda a: _account_id(a.parent), 18, ("Account",), "Parent"),
    Field("BillingCountry", "Billing Country", "string", _by_system("United States"), 80),
    Field("Phone", "Account Phone", "phone", lambda a: f"+1 555 {a.key % 10_000_000:07d}", 40),
    Field("AccountNumber", "Account Number", "string", lambda a: f"C-{a.key:06d}", 40),
    Field("Website", "Website", "url", lambda a: a.website, 255),
    Field("Industry", "Industry", "picklist", lambda a: _INDUSTRIES[a.key % 5], 255),
    Field("AnnualRevenue", "Annual Revenue", "currency", annual_revenue),
    Field("NumberOfEmployees", "Employees", "int", lambda a: 50 + 30 * (a.key % 211)),
    Field("Description", "Account Description", "textarea", _by_system(None), 32000),
    Field(
        "OwnerId",
        "Owner ID",
        "reference",
        # A real account always has an owner. Here, it may have none, which keeps the expected results simple.
        lambda a: None if a.owner is None else salesforce_id(a.owner, "005"),
        18,
        ("User",),
        "Owner",
        nillable=False,
    ),
    Field("CreatedDate", "Created Date", "datetime", lambda a: a.created_at, updateable=False, nillable=False),
    Field(
        "CreatedById",
        "Created By ID",
        "reference",
        _by_system(INTEGRATION_USER),
        18,
        ("User",),
        "CreatedBy",
        updateable=False,
        nillable=False,
    ),
    Field("LastModifiedDate", "Last Modified Date", "datetime", modified_at, updateable=False, nillable=False),
    Field(
        "LastModifiedById",
        "Last Modified By ID",
        "reference",
        _by_system(INTEGRATION_USER),
        18,
        ("User",),
        "LastModifiedBy",
        updateable=False,
        nillable=False,
    ),
    Field("SystemModstamp", "System Modstamp", "datetime", modified_at, updateable=False, nillable=False),
    Field("AccountSource", "Account Source", "picklist", _by_system(None), 255),
    Field("Gainsight_GSID__c", "Gainsight GSID", "string", lambda a: a.gsid, 40),
    Field("ARR__c", "ARR", "currency", lambda a: a.arr),
    Field("Renewal_Date__c", "Renewal Date", "date", lambda a: a.renewal_date),
    Field("Is_Strategic__c", "Strategic", "boolean", lambda a: a.key % 10 == 0, nillable=False),
)

_INTEGRATION_OWNER = Owner(0, "Integration", "User", "integration@sandbox.example")


def _user_id(owner: Owner) -> str:
    """The Salesforce id of a user."""
    return INTEGRATION_USER if owner is _INTEGRATION_OWNER else salesforce_id(owner.key, "005")


USER_FIELDS: tuple[Field, ...] = (
    Field("Id", "User ID", "id", _user_id, 18, updateable=False, nillable=False),
    Field("Username", "Username", "string", lambda u: u.email, 80, nillable=False),
    Field("LastName", "Last Name", "string", lambda u: u.last_name, 80, nillable=False),
    Field("FirstName", "First Name", "string", lambda u: u.first_name, 40),
    Field(
        "Name",
        "Full Name",
        "string",
        lambda u: f"{u.first_name} {u.last_name}".strip(),
        121,
        updateable=False,
        nillable=False,
    ),
    Field("Email", "Email", "email", lambda u: u.email, 128, nillable=False),
    Field("IsActive", "Active", "boolean", _by_system(True), nillable=False),
)

ORGANIZATION_FIELDS: tuple[Field, ...] = (
    Field("Id", "Organization ID", "id", _by_system(SALESFORCE_ORGANISATION), 18, updateable=False, nillable=False),
    Field("Name", "Name", "string", _by_system("Sandbox Company"), 80),
    Field("OrganizationType", "Edition", "picklist", _by_system("Enterprise Edition"), 40),
    Field("InstanceName", "Instance Name", "string", _by_system("USA000S"), 5),
    Field("IsSandbox", "Is Sandbox", "boolean", _by_system(False), nillable=False),
    Field("NamespacePrefix", "Namespace Prefix", "string", _by_system(None), 15),
    Field("TimeZoneSidKey", "Time Zone", "picklist", _by_system("America/Los_Angeles"), 40),
)

CURRENCY_FIELD = Field("CurrencyIsoCode", "Account Currency", "picklist", lambda a: currency(a.key), 3, nillable=False)
"""What Account has in an organisation with several currencies."""

FIELDS: dict[str, tuple[Field, ...]] = {
    "Account": ACCOUNT_FIELDS,
    "User": USER_FIELDS,
    "Organization": ORGANIZATION_FIELDS,
}
"""The fields of each object, by its name, as they are without switches."""
KEY_PREFIXES = {"Account": "001", "User": "005", "Organization": "00D"}


class SalesforceObjects:
    """The objects of a world for the query language. Rows are read when requested; nothing is copied."""

    def __init__(self, world: World, switches: Switches | None = None) -> None:
        self._world = world
        self._switches = switches or Switches()

    @property
    def fields(self) -> Mapping[str, Sequence[Field]]:
        """The fields of each object, by its name."""
        account = (*ACCOUNT_FIELDS, CURRENCY_FIELD) if self._switches.crm_currencies else ACCOUNT_FIELDS
        return FIELDS | {"Account": tuple(map(self._as_switched, account))}

    def _as_switched(self, each: Field) -> Field:
        if each.name in self._switches.crm_formulas:
            return replace(each, calculated=True, updateable=False)
        return replace(each, type="textarea", length=32_768) if each.name in self._switches.crm_long_texts else each

    @property
    def entities(self) -> Mapping[str, Entity]:
        """The objects by lower-case name."""
        user, organization = (Entity.of(name, _columns(FIELDS[name])) for name in ("User", "Organization"))
        account = Entity.of(
            "Account",
            _columns(self.fields["Account"]),
            (
                Relationship("Owner", lambda: user, self._owner),
                Relationship("Parent", lambda: account, lambda a: self._account(a.parent)),
                Relationship("MasterRecord", lambda: account, lambda a: self._account(a.merged_into)),
                Relationship("CreatedBy", lambda: user, lambda a: _INTEGRATION_OWNER),
                Relationship("LastModifiedBy", lambda: user, lambda a: _INTEGRATION_OWNER),
            ),
        )
        return {e.name.lower(): e for e in (account, user, organization)}

    def rows(self, entity: str, include_deleted: bool) -> list[Any]:
        """All rows of an object, with those in the recycle bin if requested."""
        if entity == "Organization":
            return [None]
        if entity == "User":
            return [*self._world.owners.values(), _INTEGRATION_OWNER]
        return [account for account in self._world.accounts.values() if include_deleted or not is_gone(account)]

    def _owner(self, account: CrmAccount) -> Owner | None:
        return None if account.owner is None else self._world.owners.get(account.owner)

    def _account(self, key: int | None) -> CrmAccount | None:
        return None if key is None else self._world.accounts.get(key)


def _columns(fields: Sequence[Field]) -> list[Column]:
    return [Column(each.name, each.type, each.value, each.custom) for each in fields]


_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
}


def object_summary(name: str, base: str) -> dict[str, Any]:
    """An object in the global describe."""
    own = f"{base}/sobjects/{name}"
    return {
        "activateable": False,
        "createable": True,
        "custom": False,
        "customSetting": False,
        "deletable": True,
        "deprecatedAndHidden": False,
        "feedEnabled": name == "Account",
        "keyPrefix": KEY_PREFIXES[name],
        "label": name,
        "labelPlural": f"{name}s",
        "layoutable": True,
        "mergeable": name == "Account",
        "mruEnabled": True,
        "name": name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": True,
        "updateable": True,
        "urls": {"sobject": own, "describe": f"{own}/describe", "rowTemplate": own + "/{ID}"},
    }


def describe(name: str, fields: Sequence[Field], base: str) -> dict[str, Any]:
    """The response of sobjects/{name}/describe."""
    return {
        "actionOverrides": [],
        "childRelationships": [],
        **object_summary(name, base),
        "fields": [_describe_field(each) for each in fields],
        "recordTypeInfos": [],
        "supportedScopes": [{"label": f"All {name.lower()}s", "name": "everything"}],
    }


def _describe_field(each: Field) -> dict[str, Any]:
    is_text = each.type not in ("boolean", "int", "double", "currency", "date", "datetime")
    return {
        "aggregatable": each.type != "textarea",
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": each.length * 3 if is_text and each.type not in ("id", "reference") else each.length,
        "calculated": each.calculated,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": False,
        "compoundFieldName": None,
        "createable": each.updateable,
        "custom": each.custom,
        "defaultValue": False if each.type == "boolean" else None,
        "defaultedOnCreate": each.name == "OwnerId" or not each.updateable,
        "deprecatedAndHidden": False,
        "digits": 8 if each.type == "int" else 0,
        "encrypted": False,
        "externalId": False,
        "extraTypeInfo": None,
        "filterable": each.type != "textarea",
        "groupable": each.type not in ("textarea", "currency", "double", "datetime"),
        "idLookup": each.name == "Id",
        "inlineHelpText": None,
        "label": each.label,
        "length": each.length,
        "name": each.name,
        "nameField": each.name == "Name",
        "nillable": each.nillable,
        "permissionable": each.updateable and each.nillable,
        "picklistValues": [],
        "precision": 18 if each.type == "currency" else 0,
        "referenceTo": list(each.references),
        "relationshipName": each.relationship,
        "restrictedPicklist": False,
        "scale": (2 if each.custom else 0) if each.type == "currency" else 0,
        "soapType": _SOAP_TYPES.get(each.type, "xsd:string"),
        "sortable": each.type != "textarea",
        "type": each.type,
        "unique": False,
        "updateable": each.updateable,
    }
