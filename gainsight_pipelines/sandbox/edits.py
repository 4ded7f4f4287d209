"""Edits the sandbox's data while it is served (records, matches, accounts), and updates the expected results.

`truth` holds what a correct pull would store. A record takes the truth of its company. A company's truth changes only
if the edit says so, or as the simple consequence of an account edit (see `_account_links`). Nothing is matched here.
"""

from __future__ import annotations

import random
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from gainsight_pipelines.sandbox.generate import NO_COMPANY, account_truth
from gainsight_pipelines.sandbox.query import DELETE_LOG, Engine, Record, UnknownObject, millisecond_of, parse_moment
from gainsight_pipelines.sandbox.schema import BASE36, describe_field
from gainsight_pipelines.sandbox.switches import Switches
from gainsight_pipelines.sandbox.words import EXPECTED_TYPES
from gainsight_pipelines.sandbox.world import CrmAccount, GainsightTable, World

SHOWN_IN_LOG = {"company": "Company", "gsuser": "GsUser", "relationship": "Relationship"}
NOT_LINKED = {"salesforce": None, "hubspot": None}


class EditError(ValueError):
    """The edit is incomplete, or names something that does not exist."""


class Editor:
    """Applies edits, which are dicts as the control endpoint receives them."""

    def __init__(self, world: World, engine: Engine, switches: Switches, seed: int) -> None:
        self._world = world
        self._engine = engine
        self._switches = switches
        self._rng = random.Random(seed + 1)

    def apply(self, edit: dict[str, Any]) -> dict[str, Any]:
        """Applies one edit.

        `{"object": name, "action": "update"|"insert"|"delete"|"touch", "gsid": …, "values": {…}, "truth": {…}}`:
        a record; insert creates a GSID unless one is given; touch gives `count` random records the modification date
        `at`.
        `{"object": name, "action": "describe", "field": {"fieldName": …, "dataType": …, "gone": true, "values": […]}}`:
        the schema; modification dates of records stay. The records take the `values` in turn.
        `{"object": name, "action": "copy", "names": […]}`: more objects with the same fields and no records.
        `{"account": key|null, "action": "update"|"insert"|"delete"|"merge", "values": {…}, "into": key}`: an account.
        Either may have `"links": [{"company": gsid, "account": key|"self"|null, "method": …, "reason": …}]`, the truth
        about companies after the edit; method is one for both CRMs or a dict by CRM.

        Returns:
            What was changed: {"gsid": …}, {"gsids": […]} or {"account": key}.
        """
        if "object" in edit:
            done = self._edit_record(edit)
        elif "account" in edit:
            done = self._edit_account(edit)
        else:
            raise EditError("an edit names an object or an account")
        for link in edit.get("links", []):
            account = done.get("account") if link.get("account") == "self" else link.get("account")
            self.link(link["company"], account, link.get("method"), link.get("reason"))
        return done

    def touch_random(self, table: GainsightTable, count: int, at: datetime | None = None) -> list[str]:
        """Sets the modification date of random records to `at`, or to the server's current time."""
        modified = self._modified_field(table)
        if modified is None or not table.records:
            return []
        records = self._rng.sample(table.records, min(count, len(table.records)))
        for record in records:
            record[modified] = self._stamp(record, at)
        self._engine.touched(table.name, membership=False)
        return [record["Gsid"] for record in records]

    def link(self, company: str, account: int | None, method: Any, reason: str | None) -> None:
        """Sets the account that a company and its records should be matched to."""
        methods = method if isinstance(method, dict) else {"salesforce": method, "hubspot": method}
        truth = {"account": account, "method": methods, "reason": reason}
        for records in self._truth.values():
            for where in records.values():
                if where.get("company") == company:
                    where.update(truth)

    # -- records --------------------------------------------------------------------------------------------------

    def _edit_record(self, edit: dict[str, Any]) -> dict[str, Any]:
        table = self._table(str(edit["object"]))
        action = edit.get("action", "update")
        if action == "touch":
            at = parse_moment(edit["at"], ZoneInfo("UTC")) if "at" in edit else None
            return {"gsids": self.touch_random(table, int(edit.get("count", 1)), at)}
        if action == "describe":
            return self._describe(table, dict(edit["field"]))
        if action == "copy":
            return self._copy(table, [str(name) for name in edit["names"]])
        values = dict(self._value(table, name, value) for name, value in edit.get("values", {}).items())
        if action == "insert":
            return self._insert(table, edit, values)
        record = self._engine.record(table.name, str(edit.get("gsid")))
        if record is None:
            raise EditError(f"{table.name} has no record {edit.get('gsid')}")
        if action == "delete":
            return self._delete(table, record)
        if action != "update":
            raise EditError(f"no such action: {action}")
        record.update(self._touched_times(table, record, values) | values)
        self._engine.touched(table.name, membership=False)
        self._update_truth(table, record, values, edit.get("truth"))
        return {"gsid": record["Gsid"]}

    def _describe(self, table: GainsightTable, changes: dict[str, Any]) -> dict[str, Any]:
        """Changes a field in describe, adds one, or removes it (`"gone": true`)."""
        name = changes.pop("fieldName")
        fields = table.describe["fields"]
        known = next((each for each in fields if each["fieldName"].lower() == name.lower()), None)
        if changes.pop("gone", False):
            fields.remove(known)
        else:
            values = changes.pop("values", None)
            if known is None or "lookup" in changes:
                data_type, lookup = changes.pop("dataType", "STRING"), changes.pop("lookup", None)
                meta = {"lookup": lookup} if lookup else {}
                node = describe_field(name, data_type, changes.pop("label", None), "CUSTOM", **meta)
                node["objectName"] = table.name
                fields[:] = [each for each in fields if each is not known] + [node]
                known = node
            known.update(changes)
            for number, record in enumerate(table.records):
                if values:
                    record[name] = values[number % len(values)]
                else:
                    record.setdefault(name, None)
        self._engine.described(table.name)
        return {"object": table.name}

    def _copy(self, table: GainsightTable, names: list[str]) -> dict[str, Any]:
        for name in names:
            node = table.describe | {"objectName": name, "label": name.replace("_", " "), "objectType": "CUSTOM"}
            node["fields"] = [each | {"objectName": name} for each in table.describe["fields"]]
            self._world.tables[name.lower()] = GainsightTable(name, node)
        return {"objects": names}

    def _insert(self, table: GainsightTable, edit: dict[str, Any], values: Record) -> dict[str, Any]:
        prefix = table.describe.get("keyPrefix", "1X01" + "0" * 14)
        gsid = edit.get("gsid") or prefix + "".join(self._rng.choices(BASE36, k=18))
        record: Record = {each["fieldName"]: None for each in table.describe["fields"]} | {"Gsid": gsid}
        created = self._stamp(record)
        record |= {"CreatedDate": created} | self._touched_times(table, record, values) | values
        table.records.append(record)
        self._engine.touched(table.name)
        where = {"account": None, "method": NOT_LINKED, "reason": "no_account", "company": gsid}
        self._truth.setdefault(table.name, {})[gsid] = dict(where if table.name == "company" else NO_COMPANY)
        self._update_truth(table, record, record, edit.get("truth"))
        return {"gsid": gsid}

    def _delete(self, table: GainsightTable, record: Record) -> dict[str, Any]:
        gsid = record["Gsid"]
        table.records.remove(record)
        self._engine.touched(table.name)
        self._truth.get(table.name, {}).pop(gsid, None)
        log = self._world.tables[DELETE_LOG]
        tombstone = {"Gsid": "".join(self._rng.choices(BASE36, k=36)), "RecordId": gsid}
        shown = SHOWN_IN_LOG.get(table.name, table.name)
        log.records.append(tombstone | {"ObjectName": shown, "DeletedOn": self._stamp({})})
        self._engine.touched(DELETE_LOG)
        if table.name == "company":
            self.link(gsid, None, None, "no_account")
        return {"gsid": gsid}

    def _update_truth(
        self, table: GainsightTable, record: Record, changed: Record, stated: dict[str, Any] | None
    ) -> None:
        """Updates a record's truth after a change of company, category, score or value; then applies the caller's."""
        where = self._truth.setdefault(table.name, {}).setdefault(record["Gsid"], {})
        names = ("GsCompanyId", "CompanyId", "Company_ID", "Account__gc")
        link = next((name for name in names if name in changed), None)
        if link:
            company = changed[link]
            known = self._truth["company"].get(company) if company else NO_COMPANY
            lost = {"account": None, "method": NOT_LINKED, "reason": "no_account", "company": company}
            taken = known or lost
            where.update({name: taken[name] for name in ("account", "method", "reason", "company")})
        for name, key in TRUTH_OF_FIELD.items():
            if name in changed and table.name != "company":
                value = changed[name]
                where[key] = value.isoformat() if isinstance(value, datetime) else value
        if "ReportingCategory" in changed:
            where["activity_type"] = EXPECTED_TYPES.get(changed["ReportingCategory"] or "", "TYPE_MANUAL")
        if stated:
            self.link(record["Gsid"], **_link_of(stated)) if table.name == "company" else where.update(stated)

    def _value(self, table: GainsightTable, name: str, value: Any) -> tuple[str, Any]:
        field = self._engine.field(table, name)
        if field is None:
            raise EditError(f"{table.name} has no field {name}")
        if value is not None and field["dataType"] in {"DATE", "DATETIME"}:
            moment = parse_moment(value, ZoneInfo("UTC")).astimezone(UTC)
            value = moment.date() if field["dataType"] == "DATE" else moment
        return field["fieldName"], value

    def _touched_times(self, table: GainsightTable, record: Record, values: Record) -> Record:
        modified = self._modified_field(table)
        return {modified: self._stamp(record)} if modified and modified not in values else {}

    def _modified_field(self, table: GainsightTable) -> str | None:
        names = {each["fieldName"] for each in table.describe["fields"]}
        return next((name for name in ("LastModifiedDate", "ModifiedDate") if name in names), None)

    def _stamp(self, record: Record, at: datetime | None = None) -> datetime:
        """A time as stored in records: whole seconds, or with the record's fraction if fractions are on."""
        moment = (at or self._switches.now()).astimezone(UTC)
        keeps = self._switches.date_fraction_hidden
        return moment.replace(microsecond=1000 * millisecond_of(record.get("Gsid", "")) if keeps else 0)

    def _table(self, name: str) -> GainsightTable:
        try:
            return self._engine.table(name)
        except UnknownObject:
            raise EditError(f"there is no object {name}") from None

    @property
    def _truth(self) -> dict[str, dict[str, dict[str, Any]]]:
        records: dict[str, dict[str, dict[str, Any]]] = self._world.truth["records"]
        return records

    # -- accounts -------------------------------------------------------------------------------------------------

    def _edit_account(self, edit: dict[str, Any]) -> dict[str, Any]:
        action, key = edit.get("action", "update"), edit["account"]
        now = self._switches.now().replace(microsecond=0)
        values = {name: _account_value(name, value) for name, value in edit.get("values", {}).items()}
        if action == "insert":
            key = int(key or max(self._world.accounts) + 1)
            blank: dict[str, Any] = {"website": None, "parent": None, "arr": None, "renewal_date": None, "owner": None}
            blank |= {"name": f"Account {key}", "gsid": None, "created_at": now, "modified_at": now}
            self._world.accounts[key] = CrmAccount(key=key, **(blank | values))
        elif key not in self._world.accounts:
            raise EditError(f"there is no account {key}")
        account = self._world.accounts[key]
        account.modified_at = now
        for name, value in values.items():
            setattr(account, name, value)
        if action in {"delete", "merge"}:
            account.deleted_at = now
            account.merged_into = edit["into"] if action == "merge" else None
            if account.merged_into is not None:
                self._world.accounts[account.merged_into].modified_at = now
        elif action not in {"insert", "update"}:
            raise EditError(f"no such action: {action}")
        self._account_links(account, values)
        self._world.truth["accounts"] = account_truth(self._world)
        return {"account": key}

    def _account_links(self, account: CrmAccount, values: dict[str, Any]) -> None:
        """The simple consequences of an account edit. The edit's `links` state all others."""
        companies = self._truth["company"]
        if account.deleted_at is not None:
            for gsid, where in list(companies.items()):
                if where["account"] == account.key:
                    reason = None if account.merged_into else "no_account"
                    self.link(gsid, account.merged_into, where["method"] if account.merged_into else None, reason)
        gsid = (values.get("gsid") or "").strip()
        if gsid in companies and companies[gsid]["reason"] == "no_account" and account.deleted_at is None:
            self.link(gsid, account.key, "gsid_field", None)


TRUTH_OF_FIELD = {
    "ReportingCategory": "category",
    "ActivityDate": "occurred_at",
    "SurveyType": "survey_type",
    "NPSScore": "score",
    "CSATScore": "score",
    "NPS__gc": "score",
    "Rating__gc": "score",
    "CES_Score__gc": "score",
    "Submitted_On__gc": "responded_at",
    "RespondedDate": "responded_at",
    "MetricName__gc": "metric",
    "MetricValue__gc": "value",
    "SecondaryValue__gc": "secondary",
    "Dimension__gc": "dimension",
    "ObservedDate__gc": "observed_at",
}
"""Field → the truth's name for it."""


def _link_of(stated: dict[str, Any]) -> dict[str, Any]:
    return {name: stated.get(name) for name in ("account", "method", "reason")}


def _account_value(name: str, value: Any) -> Any:
    if name not in {each.name for each in fields(CrmAccount)} - {"key"}:
        raise EditError(f"an account has no {name}")
    if value is None:
        return None
    if name == "arr":
        return Decimal(str(value))
    if name == "renewal_date":
        return date.fromisoformat(value)
    if name.endswith("_at"):
        return datetime.fromisoformat(value).astimezone(UTC).replace(microsecond=0) + timedelta(0)
    return value
