"""Generates the survey objects besides survey_response, with different field names, and their truth.

A separate random generator keeps the other data unchanged when something is added here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
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

NPS_SURVEY, CSAT_SURVEY, CES_SURVEY = "nps_survey__gc", "csat_survey__gc", "ces_survey__gc"
OLD_EFFORT = "Customer Effort (old)"
REACH_DAYS = 60


class SurveyMaker:
    """Describes the objects and creates their responses."""

    def __init__(self, seed: int, picklists: PicklistMaker) -> None:
        self._rng = random.Random(f"{seed}/survey objects")
        self._gsids = picklists.gsids.beside(self._rng)
        self._picklists = PicklistMaker(self._gsids, picklists.created_at, picklists.categories, picklists.items)
        self.nodes: dict[str, dict[str, Any]] = {
            node["objectName"]: node for node in (self._nps(), self._csat(), self._ces())
        }

    def fill(self, world: World, truth: dict[str, dict[str, Any]], companies: Sequence[Place], count: int) -> None:
        """Creates `count` responses of each object. `companies`: all companies, and the truth without a company."""
        users = [user["Gsid"] for user in world.tables["gsuser"].records]
        makers: dict[str, Callable[[int, datetime, str | None], tuple[Record, Record]]] = {
            NPS_SURVEY: _nps_answer,
            CSAT_SURVEY: _csat_answer,
            CES_SURVEY: self._ces_answer,
        }
        for name, answer in makers.items():
            for number, (company, where) in enumerate(self._places(companies, count)):
                is_recent = number % 2 == 0
                # A day from the edge of the lookback window, so that dates without times are on the right side too.
                low, high = (0.02, 28.9) if is_recent else (31.1, REACH_DAYS - 0.5)
                responded = world.now - timedelta(seconds=int(self._rng.uniform(low, high) * 86400))
                later = (world.now - timedelta(seconds=int(low * 86400) - 60) - responded).total_seconds()
                changed = timedelta(seconds=int(later * self._rng.random() * 0.9)) if number % 4 == 0 else timedelta(0)
                user = self._rng.choice(users)
                record = {
                    "Gsid": self._gsids.new(name),
                    "CreatedDate": responded,
                    "ModifiedDate": responded + changed,
                    "CreatedBy": user,
                    "ModifiedBy": user,
                    "Name": f"{name[:3].upper()}-{number:05d}",
                }
                own, known = answer(self._rng.randint(0, 10_000), responded, company)
                world.tables[name].records.append(record | own)
                truth[name][record["Gsid"]] = (
                    where | {"dated_at": known["responded_at"] or responded.isoformat()} | known
                ) | {"is_in_lookback": is_recent}

    def _places(self, companies: Sequence[Place], count: int) -> list[Place]:
        """Companies for responses: each kind occurs, and so do companies that no longer exist."""
        no_company = next(place for place in companies if place[0] is None)
        gone = self._gsids.new("company")
        kinds: dict[tuple[Any, ...], Place] = {}
        for place in self._rng.sample(companies, len(companies)):
            kinds.setdefault((place[1]["reason"], *place[1]["method"].values()), place)
        first = [*kinds.values(), (gone, no_company[1] | {"reason": "no_account", "company": gone})]
        return [*first, *self._rng.choices(companies, k=count)][:count]

    def _nps(self) -> dict[str, Any]:
        fields = [
            *system_fields(),
            describe_field("Name", "STRING"),
            describe_field("NPS__gc", "NUMBER", "NPS", "CUSTOM"),
            describe_field("Verbatim__gc", "STRING", "Verbatim", "CUSTOM", length=4000),
            describe_field("Contact_Email__gc", "EMAIL", "Contact Email", "CUSTOM"),
            describe_field("Sent_On__gc", "DATETIME", "Sent On", "CUSTOM"),
            describe_field("Submitted_On__gc", "DATETIME", "Submitted On", "CUSTOM"),
            describe_field("Reminders__gc", "NUMBER", "Reminders", "CUSTOM"),
            describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
        ]
        return describe_object(NPS_SURVEY, "NPS Survey", fields, self._picklists, object_type="CUSTOM")

    def _csat(self) -> dict[str, Any]:
        fields = [
            *system_fields(),
            describe_field("Name", "STRING"),
            describe_field("Rating__gc", "NUMBER", "Rating", "CUSTOM"),
            describe_field("Response_Date__gc", "DATE", "Response Date", "CUSTOM"),
            describe_field("Feedback__gc", "STRING", "Feedback", "CUSTOM", length=4000),
            describe_field("Ticket__gc", "STRING", "Ticket", "CUSTOM"),
            describe_field("Account__gc", "LOOKUP", "Account", "CUSTOM", lookup="company"),
        ]
        return describe_object(CSAT_SURVEY, "CSAT Survey", fields, self._picklists, object_type="CUSTOM")

    def _ces(self) -> dict[str, Any]:
        kinds = self._picklists.make("Effort Survey Type", ["Customer Effort"], inactive=(OLD_EFFORT,))
        fields = [
            *system_fields(),
            describe_field("Name", "STRING"),
            describe_field("CES_Score__gc", "NUMBER", "CES Score", "CUSTOM"),
            picklist_field("Survey_Type__gc", kinds, "Survey Type", group="CUSTOM"),
            describe_field("RespondedDate", "DATETIME", "Responded Date"),
            describe_field("What_Was_Hard__gc", "STRING", "What Was Hard", "CUSTOM", length=4000),
            describe_field("GsCompanyId", "LOOKUP", "Company", lookup="company"),
        ]
        return describe_object(CES_SURVEY, "CES Survey", fields, self._picklists, object_type="CUSTOM")

    def _ces_answer(self, number: int, responded: datetime, company: str | None) -> tuple[Record, Record]:
        items = self._picklists.items["Effort Survey Type"]
        score = 1 + number % 7
        record = {
            "CES_Score__gc": score,
            # If the type is empty, the name of the score field shows it.
            "Survey_Type__gc": (items["Customer Effort"], items["Customer Effort"], items[OLD_EFFORT], None)[
                number % 4
            ],
            "RespondedDate": responded,
            "What_Was_Hard__gc": _comment(number),
            "GsCompanyId": company,
        }
        return record, {"survey_type": "CES", "score": score, "responded_at": responded.isoformat()}


def _nps_answer(number: int, responded: datetime, company: str | None) -> tuple[Record, Record]:
    score = number % 11 if number % 20 != 3 else None
    is_dated = number % 25 != 7
    record = {
        "NPS__gc": score,
        "Verbatim__gc": _comment(number),
        "Contact_Email__gc": f"contact{number}@customer.example" if number % 6 else None,
        "Sent_On__gc": responded - timedelta(days=3),
        "Submitted_On__gc": responded if is_dated else None,
        "Reminders__gc": number % 3,
        "GsCompanyId": company,
    }
    known = {"survey_type": "NPS", "score": score, "responded_at": responded.isoformat() if is_dated else None}
    return record, known


def _csat_answer(number: int, responded: datetime, company: str | None) -> tuple[Record, Record]:
    score, day = 1 + number % 5, responded.date()
    record = {
        "Rating__gc": score,
        "Response_Date__gc": day,
        "Feedback__gc": _comment(number),
        "Ticket__gc": f"T-{number:05d}",
        "Account__gc": company,
    }
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return record, {"survey_type": "CSAT", "score": score, "responded_at": midnight.isoformat()}


def _comment(number: int) -> str:
    return words.COMMENTS[number % len(words.COMMENTS)]
