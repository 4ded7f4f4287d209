"""Generates CTAs with tasks, success plans, people, scores and email logs, and their truth.

They have lookups, picklists, multi-selects and rich text. Some reach their company only through a relationship or CTA.
A separate random generator keeps the other data unchanged when something is added here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from gainsight_pipelines.sandbox import words
from gainsight_pipelines.sandbox.schema import (
    PicklistMaker,
    describe_field,
    describe_object,
    picklist_field,
    system_fields,
)
from gainsight_pipelines.sandbox.world import World

Record = dict[str, Any]
Place = tuple[str | None, dict[str, Any]]
"""A company's Gsid and what is true of a record that hangs on it."""

CTA, TASK, PLAN = "call_to_action", "cs_task", "cta_group"
PERSON, COMPANY_PERSON, RELATIONSHIP_PERSON = "person", "company_person", "relationship_person"
SCORE, SCORE_HISTORY, EMAIL = "scorecard_fact", "scorecard_history", "email_logs"

STATUSES, PRIORITIES = ["Open", "In Progress", "Closed Success", "Closed Lost"], ["High", "Medium", "Low"]
REASONS = ["Low Usage", "Renewal", "Executive Change", "Support Risk", "Onboarding"]
SCORES, EMAIL_STATES = ["Red", "Yellow", "Green"], ["Sent", "Opened", "Bounced"]
ROLES = ["Champion", "Decision Maker", "Admin", "End User"]


class SuccessMaker:
    """Describes the objects and creates their records."""

    def __init__(self, seed: int, picklists: PicklistMaker) -> None:
        self._rng = random.Random(f"{seed}/success objects")
        self._gsids = picklists.gsids.beside(self._rng)
        self._picklists = PicklistMaker(self._gsids, picklists.created_at, picklists.categories, picklists.items)
        self.nodes: dict[str, dict[str, Any]] = {
            node["objectName"]: node
            for node in (
                self._cta(),
                self._task(),
                self._plan(),
                self._person(),
                self._company_person(),
                self._relationship_person(),
                self._score(SCORE, "Scorecard Fact"),
                self._score(SCORE_HISTORY, "Scorecard History"),
                self._email(),
            )
        }

    def fill(
        self, world: World, truth: dict[str, dict[str, Any]], places: Sequence[Place], relationships: dict[str, str]
    ) -> None:
        """Creates a few records for each company. `relationships`: company → its relationship, if any."""
        self._world, self._truth = world, truth
        self._users = [user["Gsid"] for user in world.tables["gsuser"].records]
        plans = self._plans(places)
        ctas = self._ctas(places, relationships)
        self._tasks(ctas, plans)
        people = self._people(places, relationships)
        self._scores(places)
        self._emails(places, people)

    # -- schemas --------------------------------------------------------------------------------------------------

    def _cta(self) -> dict[str, Any]:
        make = self._picklists.make
        fields = [
            *system_fields(),
            describe_field("Name", "STRING"),
            describe_field("CompanyId", "LOOKUP", "Company", lookup="company"),
            describe_field("RelationshipId", "LOOKUP", "Relationship", lookup="relationship"),
            describe_field("OwnerId", "LOOKUP", "Owner", lookup="gsuser"),
            picklist_field("StatusId", make("CTA Status", STATUSES, inactive=("Parked",)), "Status"),
            picklist_field("PriorityId", make("CTA Priority", PRIORITIES), "Priority"),
            picklist_field("ReasonId", make("CTA Reason", REASONS), "Reason", multiple=True),
            describe_field("Comments", "RICHTEXTAREA"),
            describe_field("DueDate", "DATE", "Due Date"),
            describe_field("ClosedDate", "DATETIME", "Closed Date"),
            describe_field("IsClosed", "BOOLEAN", "Is Closed"),
            describe_field("Snooze__gc", "NUMBER", "Snooze", "CUSTOM"),
            describe_field("snooze__GC", "STRING", "Snooze reason", "CUSTOM"),
        ]
        return describe_object(CTA, "Call To Action", fields, self._picklists)

    def _task(self) -> dict[str, Any]:
        fields = [
            *system_fields(),
            describe_field("Name", "STRING"),
            describe_field("CtaId", "LOOKUP", "CTA", lookup=CTA),
            describe_field("OwnerId", "LOOKUP", "Owner", lookup="gsuser"),
            describe_field("DueDate", "DATE", "Due Date"),
            describe_field("IsEmailSent", "BOOLEAN", "Is Email Sent"),
            describe_field("Order", "NUMBER"),
        ]
        return describe_object(TASK, "Task", fields, self._picklists)

    def _plan(self) -> dict[str, Any]:
        kind = self._picklists.make("Success Plan Type", ["ROI", "Onboarding"])
        fields = [
            *system_fields(),
            describe_field("Name", "STRING"),
            describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
            picklist_field("SuccessPlanTypeId", kind, "Success Plan Type"),
            describe_field("PercentComplete", "PERCENTAGE", "Percent Complete"),
            describe_field("OpenCtas", "NUMBER", "Open CTAs"),
            describe_field("DueDate", "DATE", "Due Date"),
        ]
        return describe_object(PLAN, "Success Plan", fields, self._picklists)

    def _person(self) -> dict[str, Any]:
        fields = [
            *system_fields(),
            describe_field("FirstName", "STRING", "First Name"),
            describe_field("LastName", "STRING", "Last Name"),
            describe_field("Email", "EMAIL"),
            describe_field("LinkedinUrl", "URL", "LinkedIn"),
        ]
        return describe_object(PERSON, "Person", fields, self._picklists)

    def _company_person(self) -> dict[str, Any]:
        roles = self._picklists.make("Person Role", ROLES)
        fields = [
            *system_fields(),
            describe_field("Company_ID", "LOOKUP", "Company", lookup="company"),
            describe_field("Person_ID", "LOOKUP", "Person", lookup=PERSON),
            picklist_field("Role", roles, "Role", multiple=True),
            describe_field("Title", "STRING"),
            describe_field("Active", "BOOLEAN"),
            describe_field("LastNpsScore", "NUMBER", "Last NPS Score"),
        ]
        return describe_object(COMPANY_PERSON, "Company Person", fields, self._picklists)

    def _relationship_person(self) -> dict[str, Any]:
        fields = [
            *system_fields(),
            describe_field("Relationship_ID", "LOOKUP", "Relationship", lookup="relationship"),
            describe_field("Person_ID", "LOOKUP", "Person", lookup=PERSON),
            describe_field("IsPrimaryCompany", "BOOLEAN", "Is Primary Company"),
        ]
        return describe_object(RELATIONSHIP_PERSON, "Relationship Person", fields, self._picklists)

    def _score(self, name: str, label: str) -> dict[str, Any]:
        if "Score Label" not in self._picklists.items:
            self._score_labels = self._picklists.make("Score Label", SCORES)
        fields = [
            *system_fields(),
            describe_field("CompanyId", "LOOKUP", "Company", lookup="company"),
            describe_field("Measure", "STRING"),
            describe_field("Score", "NUMBER"),
            picklist_field("LabelId", self._score_labels, "Label"),
            describe_field("SnapshotDate", "DATE", "Snapshot Date"),
        ]
        return describe_object(name, label, fields, self._picklists)

    def _email(self) -> dict[str, Any]:
        states = self._picklists.make("Email State", EMAIL_STATES)
        fields = [
            *system_fields(),
            describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
            describe_field("PersonId", "LOOKUP", "Person", lookup=PERSON),
            describe_field("EmailAddress", "EMAIL", "Email Address"),
            describe_field("SentDate", "DATETIME", "Sent Date"),
            describe_field("OpenCount", "NUMBER", "Open Count"),
            picklist_field("StateId", states, "State"),
        ]
        return describe_object(EMAIL, "Email Logs", fields, self._picklists)

    # -- records --------------------------------------------------------------------------------------------------

    def _add(self, name: str, where: dict[str, Any], fields: Record, shown: Record | None = None) -> Record:
        """Adds a record. `shown`: the expected stored values of some fields."""
        created = self._world.now - timedelta(seconds=self._rng.randint(9_000, 60_000_000))
        lasting = int((self._world.now - created).total_seconds()) - 3600
        user = self._rng.choice(self._users)
        record: Record = {
            "Gsid": self._gsids.new(name),
            "CreatedDate": created,
            "ModifiedDate": created + timedelta(seconds=self._rng.randint(0, lasting)),
            "CreatedBy": user,
            "ModifiedBy": user,
        }
        record |= fields
        self._world.tables[name].records.append(record)
        self._truth[name][record["Gsid"]] = where | {"shown": shown or {}}
        return record

    def _plans(self, places: Sequence[Place]) -> list[Record]:
        kinds = self._picklists.items["Success Plan Type"]
        plans = []
        for number, (company, where) in enumerate(places):
            if number % 3:
                continue
            kind = ("ROI", "Onboarding")[number % 2]
            fields: Record = {"Name": f"Plan {number}", "GsCompanyId": company, "SuccessPlanTypeId": kinds[kind]}
            fields |= {"PercentComplete": number % 101 + 0.5, "OpenCtas": number % 4}
            fields["DueDate"] = (self._world.now + timedelta(days=number % 90)).date()
            shown = {"SuccessPlanTypeId": kind, "PercentComplete": number % 101 + 0.5}
            plans.append(self._add(PLAN, where, fields, shown))
        return plans

    def _ctas(self, places: Sequence[Place], relationships: dict[str, str]) -> list[tuple[Record, dict[str, Any]]]:
        items, rng = self._picklists.items, self._rng
        ctas = []
        for number, (company, where) in enumerate(places):
            for round_ in range(1 + number % 2):
                status = [*STATUSES, "Parked"][(number + round_) % 5]
                reasons = rng.sample(REASONS, k=1 + number % 3)
                relationship = relationships.get(company or "")
                # Some name their company only through the relationship.
                is_told = relationship is None or round_ == 0
                due = (self._world.now + timedelta(days=rng.randint(-40, 60))).date()
                closed = self._world.now - timedelta(hours=number + 2) if status.startswith("Closed") else None
                fields = {
                    "Name": f"{reasons[0]} at {words.COMPANY_FIRST[number % len(words.COMPANY_FIRST)]}",
                    "CompanyId": company if is_told else None,
                    "RelationshipId": relationship,
                    "OwnerId": rng.choice(self._users),
                    "StatusId": items["CTA Status"][status],
                    "PriorityId": items["CTA Priority"][PRIORITIES[number % 3]],
                    "ReasonId": ";".join(items["CTA Reason"][each] for each in reasons),
                    "Comments": f"<p>Call <b>{words.FIRST_NAMES[number % len(words.FIRST_NAMES)]}</b> back</p>",
                    "DueDate": due,
                    "ClosedDate": closed,
                    "IsClosed": closed is not None,
                    "Snooze__gc": number % 9 if number % 4 else None,
                    "snooze__GC": "waiting" if number % 7 == 0 else None,
                }
                shown = {"StatusId": status, "ReasonId": reasons, "DueDate": due.isoformat(), "IsClosed": bool(closed)}
                ctas.append((self._add(CTA, where, fields, shown), where))
        return ctas

    def _tasks(self, ctas: Sequence[tuple[Record, dict[str, Any]]], _plans: Sequence[Record]) -> None:
        for number, (cta, where) in enumerate(ctas):
            for order in range(1 + number % 2):
                # A task has the company of its CTA, except if the CTA names it only through a relationship.
                known = where if cta["CompanyId"] else None
                fields = {"Name": f"Task {order + 1}", "CtaId": cta["Gsid"], "OwnerId": self._rng.choice(self._users)}
                fields |= {"DueDate": cta["DueDate"], "IsEmailSent": number % 2 == 0, "Order": order + 1}
                self._add(TASK, known or NOBODY, fields, {"Order": order + 1, "IsEmailSent": number % 2 == 0})

    def _people(self, places: Sequence[Place], relationships: dict[str, str]) -> list[Record]:
        roles, people = self._picklists.items["Person Role"], []
        for number, (company, where) in enumerate(places):
            first = words.FIRST_NAMES[number % len(words.FIRST_NAMES)]
            last = words.LAST_NAMES[number * 7 % len(words.LAST_NAMES)]
            person = self._add(
                PERSON,
                {},
                {"FirstName": first, "LastName": last, "Email": f"person{number}@customer.example"},
                {"FirstName": first, "Email": f"person{number}@customer.example"},
            )
            people.append(person)
            chosen = self._rng.sample(ROLES, k=1 + number % 2)
            fields = {"Company_ID": company, "Person_ID": person["Gsid"], "Title": "Head of " + chosen[0]}
            fields |= {"Role": [roles[each] for each in chosen], "Active": number % 5 != 0}
            fields["LastNpsScore"] = number % 11 if number % 3 else None
            self._add(COMPANY_PERSON, where, fields, {"Role": chosen, "Active": number % 5 != 0})
            if relationship := relationships.get(company or ""):
                fields = {"Relationship_ID": relationship, "Person_ID": person["Gsid"], "IsPrimaryCompany": True}
                self._add(RELATIONSHIP_PERSON, where, fields, {"IsPrimaryCompany": True})
        return people

    def _scores(self, places: Sequence[Place]) -> None:
        """The current score of each company, and its scores on the first days of three months."""
        labels, today = self._picklists.items["Score Label"], self._world.now.date()
        months = [(today.replace(day=1) - timedelta(days=31 * ago)).replace(day=1) for ago in range(3)]
        for number, (company, where) in enumerate(places):
            for name, days in ((SCORE, [today]), (SCORE_HISTORY, months)):
                for ago, day in enumerate(days):
                    score = (number * 13 + ago * 7) % 101
                    label = SCORES[min(score // 34, 2)]
                    fields = {"CompanyId": company, "Measure": "Overall", "Score": score, "LabelId": labels[label]}
                    shown = {"Score": score, "LabelId": label, "SnapshotDate": day.isoformat()}
                    self._add(name, where, fields | {"SnapshotDate": day}, shown)

    def _emails(self, places: Sequence[Place], people: Sequence[Record]) -> None:
        states = self._picklists.items["Email State"]
        for number, ((company, where), person) in enumerate(zip(places, people, strict=True)):
            state = EMAIL_STATES[number % 3]
            fields = {"GsCompanyId": company, "PersonId": person["Gsid"], "EmailAddress": person["Email"]}
            fields |= {"SentDate": self._world.now - timedelta(hours=number + 1), "StateId": states[state]}
            fields["OpenCount"] = number % 4 if state == "Opened" else 0
            shown = {"StateId": state, "OpenCount": fields["OpenCount"], "EmailAddress": person["Email"]}
            self._add(EMAIL, where, fields, shown)


NOBODY: dict[str, Any] = {
    "account": None,
    "method": {"salesforce": None, "hubspot": None},
    "reason": "no_company",
    "company": None,
}
