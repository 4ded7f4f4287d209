"""The rows that each mart should have, computed in Python from the sandbox's truth, without the dbt package's SQL.

The truth has no notes, segments, people or durations. Those come from the stored rows, which other tests compare with
the sandbox; this module counts them independently too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from gainsight_pipelines_tests.pulling import Pulling

SILENT, NPS_DAYS, USAGE_DAYS, PERCENT = 60, 365, 60, 10
"""Defaults of the dbt package's variables."""

Record = dict[str, Any]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]
"""The compared values by key."""


@dataclass(frozen=True)
class Truth:
    """The live accounts and records, with CRM ids instead of the truth's account numbers."""

    accounts: dict[str, Record]
    companies: dict[str, Record]
    timeline: dict[str, Record]
    surveys: dict[str, Record]
    usage: dict[str, Record]
    ctas: dict[str, Record]
    segments: dict[str, str]
    stored: dict[str, tuple[str | None, float]]
    """Author and minutes of each activity, by GSID."""


def truth_of(pulling: Pulling) -> Truth:
    truth = pulling.sandbox.truth()
    accounts = truth["accounts"]["salesforce"]
    by_key = {each["key"]: account for account, each in accounts.items()}
    live = {account: each for account, each in accounts.items() if not each["deleted"] and not each["merged_into"]}

    def records(name: str) -> dict[str, Record]:
        """The records of an object, with the CRM id of the live account as `account`, or None."""
        found = truth["records"][name].items()
        return {
            gsid: each | {"account": by_key.get(each["account"]) if each["reason"] is None else None}
            for gsid, each in found
        }

    companies = records("company")
    segments: dict[str, str] = {}
    attributes = dict(pulling.query("SELECT gsid, attributes FROM company WHERE deleted_at IS NULL"))
    for gsid in sorted(companies):
        account, value = companies[gsid]["account"], attributes[gsid].get("Industry")
        if account is not None and value is not None:
            segments.setdefault(account, value)
    stored = pulling.query("SELECT activity_id, author, coalesce(duration_minutes, 0)::float FROM activity")
    return Truth(
        live,
        companies,
        records("activity_timeline"),
        {gsid: each for gsid, each in records("survey_response").items() if each["is_in_lookback"]},
        records("product_usage__gc"),
        records("call_to_action"),
        segments,
        {gsid: (author, minutes) for gsid, author, minutes in stored},
    )


def day(text: str) -> date:
    return datetime.fromisoformat(text).date()


def month(text: str) -> date:
    return day(text).replace(day=1)


def week(text: str) -> date:
    found = day(text)
    return found - timedelta(days=found.weekday())


def nps(scores: Iterable[float]) -> float | None:
    """The net promoter score of scores from 0 to 10."""
    groups = Counter(group(score) for score in scores)
    responses = groups.total()
    if not responses:
        return None
    return round(100 * (groups["promoter"] - groups["detractor"]) / responses, 1)


def group(score: float) -> str:
    return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"


def is_nps(survey: Record) -> bool:
    return survey["account"] is not None and survey["survey_type"] == "NPS" and survey["score"] is not None


def nps_by_month(truth: Truth) -> Rows:
    """(month, segment) → responses, accounts, promoters, passives, detractors, nps."""
    found: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for each in truth.surveys.values():
        if is_nps(each):
            segment = truth.segments.get(each["account"], "unknown")
            found[month(each["dated_at"]), segment].append(each)
    rows: Rows = {}
    for key, responses in found.items():
        groups = Counter(group(each["score"]) for each in responses)
        rows[key] = (
            len(responses),
            len({each["account"] for each in responses}),
            groups["promoter"],
            groups["passive"],
            groups["detractor"],
            nps(each["score"] for each in responses),
        )
    return rows


def engagement_by_month(truth: Truth) -> Rows:
    """(account, month) → timeline entries, meetings, emails, others, surveys, minutes, days, authors."""
    found: dict[tuple[Any, ...], list[tuple[str, str, str]]] = defaultdict(list)
    for gsid, each in truth.timeline.items():
        if each["account"] is not None:
            found[each["account"], month(each["occurred_at"])].append(
                (gsid, each["activity_type"], each["occurred_at"])
            )
    for gsid, each in truth.surveys.items():
        if each["account"] is not None:
            found[each["account"], month(each["dated_at"])].append((gsid, "SURVEY", each["dated_at"]))
    rows: Rows = {}
    for key, events in found.items():
        kinds = Counter(kind for _, kind, _ in events)
        entries = kinds.total() - kinds["SURVEY"]
        authors = {truth.stored[gsid][0] for gsid, kind, _ in events if kind != "SURVEY"} - {None}
        rows[key] = (
            entries,
            kinds["MEETING"],
            kinds["EMAIL"],
            entries - kinds["MEETING"] - kinds["EMAIL"],
            kinds["SURVEY"],
            sum(truth.stored[gsid][1] for gsid, _, _ in events),
            len({day(at) for _, _, at in events}),
            len(authors),
        )
    return rows


def usage_trend(truth: Truth) -> Rows:
    """(account, metric, dimension, week) → observations, total, average, average before, trend, is latest."""
    values: dict[tuple[Any, ...], dict[date, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in truth.usage.values():
        if each["account"] is not None and each["value"] is not None:
            series = each["account"], each["metric"], each["dimension"]
            values[series][week(each["observed_at"])].append(each["value"])
    rows: Rows = {}
    for series, weeks in values.items():
        averages: list[float] = []
        for monday in sorted(weeks):
            found = weeks[monday]
            average = sum(found) / len(found)
            last = averages[-4:]
            before = sum(last) / len(last) if last else None
            averages.append(average)
            rows[*series, monday] = (
                len(found), sum(found), average, before, trend(average, before), monday == max(weeks)
            )  # fmt: skip
    return rows


def trend(average: float, before: float | None) -> str:
    if before is None:
        return "new"
    if abs(average - before) <= PERCENT / 100 * abs(before):
        return "steady"
    return "rising" if average > before else "falling"


def unmatched(truth: Truth) -> Rows:
    """(object, record) → reason, company, number of unmatched records of the company."""
    objects: Mapping[str, Mapping[str, Record]] = {
        "company": truth.companies,
        "activity_timeline": truth.timeline,
        "survey_response": truth.surveys,
        "product_usage__gc": truth.usage,
        "call_to_action": truth.ctas,
    }
    waiting = [
        (name, gsid, each["reason"], each["company"])
        for name, records in objects.items()
        for gsid, each in records.items()
        if each["reason"] is not None
    ]
    companies = Counter(company for _, _, _, company in waiting if company is not None)
    return {(name, gsid): (reason, company, companies.get(company, 1)) for name, gsid, reason, company in waiting}


def account_health(truth: Truth, as_of: date) -> Rows:
    """(account) → the values of the columns in `HEALTH`."""
    rising: Counter[str] = Counter()
    falling: Counter[str] = Counter()
    for (account, _, _, monday), (*_, trended, is_latest) in usage_trend(truth).items():
        if is_latest and 0 <= (as_of - monday).days < USAGE_DAYS:
            rising[account] += trended == "rising"
            falling[account] += trended == "falling"
    rows: Rows = {}
    for account, each in truth.accounts.items():
        companies = sum(company["account"] == account for company in truth.companies.values())
        ages = sorted(
            (as_of - day(entry["occurred_at"])).days for entry in truth.timeline.values() if entry["account"] == account
        )
        surveys = [survey for survey in truth.surveys.values() if survey["account"] == account]
        answers = sorted((answer for answer in surveys if is_nps(answer)), key=lambda answer: answer["dated_at"])
        last = group(answers[-1]["score"]) if answers else None
        renewal = each["renewal_date"]
        signs = (not ages or ages[0] >= SILENT, last == "detractor", falling[account] > rising[account])
        rows[account,] = (
            each["name"],
            each["owner_name"],
            truth.segments.get(account, "unknown"),
            float(each["arr"]) if each["arr"] is not None else None,
            (date.fromisoformat(renewal) - as_of).days if renewal else None,
            companies,
            len(ages),
            sum(age < 30 for age in ages),
            sum(age < 90 for age in ages),
            ages[0] if ages else None,
            len(surveys),
            len(answers),
            nps(answer["score"] for answer in answers),
            last,
            rising[account],
            falling[account],
            *signs,
            "unknown" if not companies else ("green", "yellow", "red", "red")[sum(signs)],
        )
    return rows


HEALTH = (
    "name, owner_name, segment, arr, days_to_renewal, companies, activities, activities_30_days, activities_90_days,"
    " days_since_activity, survey_responses, nps_responses, nps, last_nps_group, metrics_rising, metrics_falling,"
    " is_silent, is_detractor, is_usage_falling, health"
)
