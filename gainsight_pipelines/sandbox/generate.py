"""Generates the sandbox's data from a seed: accounts, Gainsight records, and the expected matches (`truth`).

Each record is generated for a purpose ("this company matches by its CRM id"), and its truth is written with it. The
truth is never computed from the data, because matching code here could repeat a mistake of the code that it checks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from gainsight_pipelines.sandbox import words
from gainsight_pipelines.sandbox.schema import WIDE_METRICS, gainsight_objects
from gainsight_pipelines.sandbox.success import SuccessMaker
from gainsight_pipelines.sandbox.surveys import SurveyMaker
from gainsight_pipelines.sandbox.world import (
    CrmAccount,
    GainsightTable,
    Owner,
    World,
    hubspot_id,
    salesforce_id,
)

OWNERS = 12
FIRST_UNKNOWN_KEY = 50_000
"""Account numbers from here on exist in no CRM: the ids that unknown companies carry."""
SURVEY_BOUNDARY_DAYS = 30
NULL_MODIFIED = {"activity_timeline": 4, "product_usage__gc": 6}
"""Records without a modification date, as old imports leave them."""

Link = Literal["direct", "gsid_field"]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much to generate."""

    accounts: int = 300
    activities: int = 20_000
    surveys: int = 1_200
    usage: int = 6_000
    wide_usage: int = 2_000
    other_surveys: int = 80
    """Responses of each survey object beside survey_response."""

    @classmethod
    def of(cls, accounts: int, activities: int) -> Size:
        """A size in which surveys and usage are proportional to the activities, up to their defaults."""
        share = min(1.0, activities / 20_000)
        return cls(
            accounts=accounts,
            activities=activities,
            surveys=max(60, int(1_200 * share)),
            usage=max(120, int(6_000 * share)),
            wide_usage=max(60, int(2_000 * share)),
            other_surveys=max(30, int(80 * share)),
        )


@dataclass(slots=True)
class _Company:
    """A Gainsight company, and the account that its records should be matched to."""

    gsid: str
    name: str
    account: int | None
    salesforce: Link | None
    hubspot: Link | None
    reason: str | None
    sfdc_id: str | None = None
    hubspot_id: str | None = None

    def truth(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "method": {"salesforce": self.salesforce, "hubspot": self.hubspot},
            "reason": self.reason,
            "company": self.gsid,
        }


NO_COMPANY: dict[str, Any] = {
    "account": None,
    "method": {"salesforce": None, "hubspot": None},
    "reason": "no_company",
    "company": None,
}


def generate(seed: int, now: datetime, size: Size) -> World:
    """Generates a world. The same seed, `now` and size give the same world."""
    return _Generator(seed, now.replace(microsecond=0), size).world()


class _Generator:
    def __init__(self, seed: int, now: datetime, size: Size) -> None:
        self._rng = random.Random(seed)
        self._now = now
        self._size = size
        nodes, self._picklists = gainsight_objects(self._rng, now)
        self._gsids = self._picklists.gsids
        self._survey_maker = SurveyMaker(seed, self._picklists)
        nodes |= self._survey_maker.nodes
        self._success_maker = SuccessMaker(seed, self._picklists)
        nodes |= self._success_maker.nodes
        self._world = World(now=now, picklists=self._picklists.categories)
        self._world.tables = {name: GainsightTable(name, node) for name, node in nodes.items()}
        self._truth: dict[str, dict[str, Any]] = {name: {} for name in nodes}
        self._companies: list[_Company] = []
        self._users: list[Record] = []
        self._relationships: dict[str, str] = {}

    def world(self) -> World:
        self._make_users()
        self._make_accounts()
        self._make_companies()
        self._make_relationships()
        self._make_activities()
        self._make_surveys()
        self._make_other_surveys()
        self._make_usage()
        self._make_wide_usage()
        self._make_delete_log()
        self._make_health_facts()
        places = [(company.gsid, company.truth()) for company in self._companies]
        self._success_maker.fill(self._world, self._truth, [*places, (None, NO_COMPANY)], self._relationships)
        self._world.truth = {
            "now": self._now.isoformat(),
            "accounts": account_truth(self._world),
            "records": {name: records for name, records in self._truth.items() if records},
        }
        return self._world

    # -- people ---------------------------------------------------------------------------------------------------

    def _make_users(self) -> None:
        rng = self._rng
        names = rng.sample([(first, last) for first in words.FIRST_NAMES for last in words.LAST_NAMES], OWNERS + 14)
        for key, (first, last) in enumerate(names, start=1):
            email = f"{_ascii(first)}.{_ascii(last)}@sandbox.example"
            if key <= OWNERS:
                self._world.owners[key] = Owner(key, first, last, email)
            created = self._now - timedelta(days=rng.randint(400, 900))
            user = self._system("gsuser", created, created + timedelta(days=rng.randint(0, 380)))
            user |= {
                "Name": f"{first} {last}",
                "FirstName": first,
                "LastName": last,
                "Email": email,
                "Active": key != 7,
            }
            user |= {"SFDCUserName": email, "LicenseType": "Full", "Manager": None}
            if self._users:
                user["Manager"] = self._users[rng.randrange(min(3, len(self._users)))]["Gsid"]
            self._users.append(user)
        self._world.tables["gsuser"].records = self._users
        self._truth["gsuser"] = {user["Gsid"]: {} for user in self._users}

    def _system(
        self, object_name: str, created: datetime, modified: datetime | None, modified_name: str = "ModifiedDate"
    ) -> Record:
        """The fields that every record has. Authors are users, if there are any yet."""
        user = self._rng.choice(self._users)["Gsid"] if self._users else None
        record: Record = {"Gsid": self._gsids.new(object_name), "CreatedDate": created, modified_name: modified}
        return record | {"CreatedBy": user, "ModifiedBy": user}

    # -- accounts -------------------------------------------------------------------------------------------------

    def _make_accounts(self) -> None:
        rng = self._rng
        names = _company_names(rng, self._size.accounts)
        for key, own_name in enumerate(names, start=1):
            name = own_name
            parent = rng.randrange(1, key) if key > 5 and rng.random() < 0.18 else None
            if parent is not None:
                base = self._world.accounts[parent].name
                name = f"{base} {rng.choice(words.CHILD_ENDINGS)}"[:80]
            created = self._now - timedelta(days=rng.randint(400, 1500), seconds=rng.randrange(86400))
            self._world.accounts[key] = CrmAccount(
                key=key,
                name=name,
                website=_website(rng, _ascii(name), key),
                parent=parent,
                arr=None
                if rng.random() < 0.06
                else Decimal(rng.randint(500, 40_000) * 10) + Decimal("0.50") * (key % 2),
                renewal_date=None
                if rng.random() < 0.05
                else (self._now + timedelta(days=rng.randint(-40, 500))).date(),
                owner=None if rng.random() < 0.03 else rng.randint(1, OWNERS),
                gsid=None,
                created_at=created,
                modified_at=created + timedelta(days=rng.randint(0, 390), seconds=rng.randrange(80_000)),
            )

    def _retire(self, keys: Iterable[int], merged_into: int | None = None) -> None:
        """Deletes accounts, or merges them into others. As in Salesforce, a merged account is deleted too."""
        for key in keys:
            account = self._world.accounts[key]
            account.deleted_at = self._now - timedelta(days=self._rng.randint(2, 9), seconds=self._rng.randrange(9000))
            account.modified_at = account.deleted_at
            account.merged_into = merged_into
            for other in self._world.accounts.values():
                if other.parent == key:
                    other.parent = None

    # -- companies ------------------------------------------------------------------------------------------------

    def _make_companies(self) -> None:
        """Creates a company for most accounts, in groups by how their records are matched."""
        keys = list(self._world.accounts)
        self._rng.shuffle(keys)
        few = max(2, len(keys) // 75)
        deleted_unreachable, deleted_moved, deleted_shadow = _take(keys, few), _take(keys, few), _take(keys, few)
        merged, ambiguous = _take(keys, few), _take(keys, 2)
        _take(keys, max(2, len(keys) // 25))  # accounts without a company
        moved_to, shadowed = _take(keys, len(deleted_moved)), _take(keys, len(deleted_shadow))
        masters = keys[: len(merged)]
        self._retire([*deleted_unreachable, *deleted_moved, *deleted_shadow])
        for key in deleted_unreachable:
            self._add_company(None, None, None, "no_account", crm_key=key)
        for key, live in zip(deleted_moved, moved_to, strict=True):
            company = self._add_company(live, "gsid_field", "gsid_field", None, crm_key=key)
            self._world.accounts[live].gsid = company.gsid
        for key, live in zip(deleted_shadow, shadowed, strict=True):
            company = self._add_company(live, "gsid_field", "gsid_field", None)
            self._world.accounts[key].gsid = self._world.accounts[live].gsid = company.gsid
        for key, master in zip(merged, masters, strict=True):
            self._retire([key], merged_into=master)
            self._add_company(master, "direct", "direct", None, crm_key=key)
        company = self._add_company(None, None, None, "ambiguous", name=self._world.accounts[ambiguous[0]].name)
        for key in ambiguous:
            self._world.accounts[key].gsid = company.gsid
        for position, key in enumerate(keys):
            self._add_linked_company(position, key)
        self._cross_link(keys)
        for number in range(max(4, len(self._world.accounts) // 10)):
            self._add_company(
                None, None, None, "no_account", crm_key=FIRST_UNKNOWN_KEY + number if number % 2 else None
            )
        self._fill_companies()

    def _add_linked_company(self, position: int, key: int) -> None:
        """Creates a company of a live account. Its position decides which ids it has, in which form."""
        account = self._world.accounts[key]
        form = position % 10
        if form in {0, 1}:
            company = self._add_company(key, "gsid_field", "gsid_field", None)
            account.gsid = f"  {company.gsid} " if form == 1 and position % 20 == 1 else company.gsid
            return
        if form == 2:
            company = self._add_company(key, "direct", "gsid_field", None, crm_key=key)
            company.hubspot_id = None
            account.gsid = company.gsid
            return
        company = self._add_company(key, "direct", "direct", None, crm_key=key)
        if form in {3, 4, 5} and company.sfdc_id:
            company.sfdc_id = company.sfdc_id[:15]
        if form in {5, 6} and company.sfdc_id:
            company.sfdc_id, company.hubspot_id = f" {company.sfdc_id}  ", f" {company.hubspot_id} "
        if form in {4, 7, 8}:
            account.gsid = company.gsid
        if position % 50 == 9:
            self._add_company(key, "direct", "direct", None, crm_key=key)

    def _cross_link(self, keys: list[int]) -> None:
        """Lets an account's GSID field name a company that names another account: the company's id wins."""
        direct = [each for each in self._companies if each.hubspot == "direct" and each.account in keys]
        holders = [key for key in keys if self._world.accounts[key].gsid is None]
        named = {account.gsid for account in self._world.accounts.values()}
        for holder in holders[:2]:
            company = next(each for each in direct if each.account != holder and each.gsid not in named)
            self._world.accounts[holder].gsid = company.gsid
            named.add(company.gsid)

    def _add_company(
        self,
        account: int | None,
        salesforce: Link | None,
        hubspot: Link | None,
        reason: str | None,
        crm_key: int | None = None,
        name: str | None = None,
    ) -> _Company:
        if name is None:
            known = self._world.accounts.get(account or crm_key or 0)
            name = known.name if known else _company_names(self._rng, 1)[0]
        company = _Company(self._gsids.new("company"), name, account, salesforce, hubspot, reason)
        if crm_key is not None:
            company.sfdc_id, company.hubspot_id = salesforce_id(crm_key), hubspot_id(crm_key)
        self._companies.append(company)
        return company

    def _fill_companies(self) -> None:
        rng, items = self._rng, self._picklists.items
        records = []
        for number, company in enumerate(self._companies):
            account = self._world.accounts.get(company.account or 0)
            created = self._now - timedelta(days=rng.randint(30, 1400), seconds=rng.randrange(86400))
            modified = created + (self._now - created) * rng.random()
            record = self._system("company", created, modified.replace(microsecond=0))
            record["Gsid"] = company.gsid
            arr = float(account.arr) if account and account.arr is not None else None
            renewal = account.renewal_date if account else None
            record |= {
                "Name": company.name,
                "Industry": rng.choice(list(items["Industry"].values())),
                "Status": items["Status"][rng.choice(("Active", "Active", "Inactive", "Trial"))],
                "Stage": None if number % 17 == 0 else rng.choice(list(items["Stage"].values())),
                "Tags": rng.sample(list(items["Tags"].values()), k=rng.randint(1, 3)) if number % 3 else None,
                "Csm": rng.choice(self._users)["Gsid"],
                "ParentCompany": rng.choice(self._companies[:number]).gsid if number > 5 and number % 6 == 0 else None,
                "Arr": arr,
                "Mrr": round(arr / 12, 2) if arr is not None else None,
                "Employees": rng.choice((None, 40, 250, 1200, 18_000)),
                "Customer_Lifetime_in_Months": rng.randint(1, 60),
                "CurrentScore": rng.randint(10, 100),
                "OriginalContractDate": created.date(),
                "RenewalDate": renewal,
                "Renewal_Date": renewal,
                "SfdcAccountId": company.sfdc_id,
                "HubSpot_Company_ID__gc": company.hubspot_id,
                "Region__gc": rng.choice(words.REGIONS),
                "Seats__gc": rng.randint(5, 900),
                "Is_Reference__gc": rng.choice((True, False, None)),
                "Adoption__gc": round(rng.random() * 100, 2),
                "Last_QBR__gc": self._now - timedelta(hours=rng.randint(30, 3000)) if number % 4 else None,
                "Goals__gc": "<p>Grow <b>adoption</b> &amp; renew early</p>",
                "Internal_Code__gc": f"C-{number:05d}",
            }
            records.append(record)
            self._truth["company"][company.gsid] = company.truth()
        rng.shuffle(records)
        self._world.tables["company"].records = records

    def _make_relationships(self) -> None:
        rng = self._rng
        for company in rng.sample(self._companies, len(self._companies) // 4):
            created = self._now - timedelta(days=rng.randint(50, 800))
            record = self._system("relationship", created, created + timedelta(days=rng.randint(0, 49)))
            record |= {"Name": f"{company.name} · {rng.choice(words.DIMENSIONS)}", "CompanyId": company.gsid}
            record |= {"Csm": rng.choice(self._users)["Gsid"], "Mrr": float(rng.randint(10, 900))}
            self._relationships[company.gsid] = record["Gsid"]
            self._world.tables["relationship"].records.append(record)
            self._truth["relationship"][record["Gsid"]] = company.truth()

    # -- activities -----------------------------------------------------------------------------------------------

    def _weighted_companies(self, count: int) -> list[tuple[str | None, dict[str, Any]]]:
        """`count` companies for records: busy ones more often, some None, some that no longer exist."""
        rng = self._rng
        gone: list[tuple[str | None, dict[str, Any]]] = []
        for _ in range(3):
            company = _Company(self._gsids.new("company"), "", None, None, None, "no_account")
            gone.append((company.gsid, company.truth()))
        choices = [(company.gsid, company.truth()) for company in self._companies]
        weights = [rng.paretovariate(1.6) for _ in choices]
        mean = sum(weights) / len(weights)
        special: list[tuple[str | None, dict[str, Any]]] = [(None, NO_COMPANY), *gone]
        choices_all = [*choices, *special]
        total = mean * len(choices)
        weights += [total * 0.02, *(total * 0.001 for _ in gone)]
        picked = rng.choices(choices_all, weights, k=count)
        # Each kind of company occurs at least once in any size.
        rare = [choice for choice in choices_all if choice[1]["account"] is None]
        for position, choice in enumerate(rare[: count // 3]):
            picked[position] = choice
        return picked

    def _make_activities(self) -> None:
        rng, table = self._rng, self._world.tables["activity_timeline"]
        count = self._size.activities
        bodies = _note_bodies(rng, 600)
        categories = rng.choices(
            [each for each, _ in words.CATEGORIES], [weight for _, weight in words.CATEGORIES], k=count
        )
        sentiments = [*self._picklists.items["Sentiment"].values(), None, None]
        people = [(user["Gsid"], user["Name"], user["Email"]) for user in self._users]
        guests = [f"{first} {last}" for first in words.FIRST_NAMES for last in words.LAST_NAMES[:6]]
        seconds = 364 * 86400
        bulk_at = self._now - timedelta(days=41, hours=3)
        truth = self._truth["activity_timeline"]
        new_gsid, now, random_number = self._gsids.new, self._now, rng.random
        for number, (company, where) in enumerate(self._weighted_companies(count)):
            occurred = now - timedelta(seconds=3600 + int(random_number() * seconds))
            created = min(
                occurred + timedelta(seconds=int(random_number() ** 3 * 172_800)), now - timedelta(minutes=40)
            )
            modified: datetime | None = created
            if random_number() < 0.3:
                modified = created + timedelta(seconds=int((now - created).total_seconds() * random_number() * 0.9))
            if number % 200 == 11 and created < bulk_at:
                modified = bulk_at
            if number < NULL_MODIFIED["activity_timeline"]:
                modified = None
            gsid, category, body = new_gsid("activity_timeline"), categories[number], bodies[int(random_number() * 600)]
            author, name, email = people[int(random_number() * len(people))]
            relationship = self._relationships.get(company) if company and number % 5 == 0 else None
            table.records.append(
                {
                    "Gsid": gsid,
                    "CreatedDate": created,
                    "LastModifiedDate": modified,
                    "CreatedBy": author,
                    "ModifiedBy": author,
                    "Subject": words.SUBJECTS[int(random_number() * len(words.SUBJECTS))],
                    "Notes": body[0],
                    "NotesPlainText": body[1],
                    "ActivityDate": occurred,
                    "ReportingCategory": category,
                    "TypeName": category.strip().title() if category else "Update",
                    "ContextName": "Relationship" if relationship else "Company",
                    "ContextId": relationship or company,
                    "AuthorId": author if number % 90 else None,
                    "GsCompanyId": company,
                    "GsRelationshipId": relationship,
                    "InternalAttendees": f"{name} <{email}>" if number % 3 else None,
                    "ExternalAttendees": guests[int(random_number() * len(guests))] if number % 4 else "",
                    "Duration": (15, 30, 45, 60, None)[number % 5],
                    "Source": "C360",
                    "ExternalId": f"ext-{number}" if number % 7 == 0 else None,
                    "Ant__Sentiment__c": sentiments[number % len(sentiments)],
                    "Ant__Next_Step__c": "Send the quote" if number % 6 == 0 else None,
                    "Ant__Competitor_Mentioned__c": number % 25 == 0,
                    "Ant__CustomNumber__c": number % 9,
                }
            )
            truth[gsid] = where | {
                "activity_type": words.EXPECTED_TYPES.get(category or "", "TYPE_MANUAL"),
                "category": category,
                "occurred_at": occurred.isoformat(),
            }
        rng.shuffle(table.records)

    # -- surveys --------------------------------------------------------------------------------------------------

    def _make_surveys(self) -> None:
        rng, table = self._rng, self._world.tables["survey_response"]
        channels = list(self._picklists.items["Survey Channel"].values())
        for number, (company, where) in enumerate(self._weighted_companies(self._size.surveys)):
            recent = number % 2 == 0 or number % 10 == 1
            # No date is near the edge of the lookback window, and modifications stay on the same side, so response date
            # and modification date select the same responses.
            low, high = (0.02, 29.4) if recent else (30.6, 89.0)
            responded = self._now - timedelta(seconds=int(rng.uniform(low, high) * 86400))
            latest = self._now - timedelta(seconds=int(low * 86400) - 60)
            modified = responded
            if number % 4 == 0:
                modified = responded + timedelta(seconds=int((latest - responded).total_seconds() * rng.random() * 0.9))
            kind = rng.choices(("NPS", "CSAT", "Onboarding Feedback"), (60, 35, 5))[0]
            score = {"NPS": rng.randint(0, 10), "CSAT": rng.randint(1, 5)}.get(kind)
            person = f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
            is_dated = number % 120 != 7
            record = self._system("survey_response", responded, modified)
            record |= {
                "Name": f"SR-{number:06d}",
                "SurveyName": f"{kind} {responded.year}",
                "SurveyType": kind,
                "NPSScore": score if kind == "NPS" else None,
                "CSATScore": score if kind == "CSAT" else None,
                "Comment": rng.choice(words.COMMENTS),
                "RespondentName": person,
                "RespondentEmail": f"{_ascii(person).replace(' ', '.')}@customer{number % 97}.example",
                "RespondedDate": responded if is_dated else None,
                "GsCompanyId": company,
                "Channel__gc": rng.choice(channels),
                "Region__gc": rng.choice(words.REGIONS),
                "Wants_Call__gc": rng.choice((True, False, None)),
                "Answered_Questions__gc": rng.randint(1, 12),
                "Follow_Up__gc": (responded + timedelta(days=14)).date() if number % 9 == 0 else None,
            }
            table.records.append(record)
            self._truth["survey_response"][record["Gsid"]] = where | {
                "survey_type": kind,
                "score": score,
                "responded_at": responded.isoformat() if is_dated else None,
                "dated_at": responded.isoformat(),
                "is_in_lookback": recent,
            }
        rng.shuffle(table.records)

    def _make_other_surveys(self) -> None:
        places = [(company.gsid, company.truth()) for company in self._companies]
        self._survey_maker.fill(self._world, self._truth, [*places, (None, NO_COMPANY)], self._size.other_surveys)

    # -- usage ----------------------------------------------------------------------------------------------------

    def _usage_record(self, object_name: str, number: int, company: _Company, observed: datetime) -> Record:
        modified: datetime | None = observed + timedelta(hours=5, seconds=number % 3000)
        if number < NULL_MODIFIED.get(object_name, 0):
            modified = None
        record = self._system(object_name, observed + timedelta(hours=5), modified)
        return record | {
            "Name": f"U-{number:06d}",
            "GsCompanyId": company.gsid,
            "AccountId": company.sfdc_id,
            "HubSpot_Company_ID__gc": company.hubspot_id,
            "ObservedDate__gc": observed,
        }

    def _usage_companies(self) -> list[_Company]:
        """Half of the companies with an account, and companies of every other kind."""
        return [each for position, each in enumerate(self._companies) if each.account is None or position % 2]

    def _monday(self, weeks_ago: int) -> datetime:
        day = self._now.date() - timedelta(days=self._now.weekday() + 7 * (weeks_ago + 1))
        return datetime(day.year, day.month, day.day, tzinfo=UTC)

    def _make_usage(self) -> None:
        rng, table = self._rng, self._world.tables["product_usage__gc"]
        companies = self._usage_companies()[: max(8, self._size.usage // 40)]
        series = [(company, metric) for company in companies for metric in rng.sample(words.METRICS, 2)]
        for number in range(self._size.usage):
            company, metric = series[number % len(series)]
            record = self._usage_record("product_usage__gc", number, company, self._monday(number // len(series)))
            value = None if number % 97 == 5 else round(rng.lognormvariate(4, 1), 2)
            secondary = ("12", "3.5", "", " ", None, "n/a")[number % 6]
            dimension = None if number % 50 == 3 else rng.choice(words.DIMENSIONS)
            record |= {"MetricName__gc": metric, "MetricValue__gc": value}
            record |= {"SecondaryValue__gc": secondary, "Dimension__gc": dimension}
            where, by_crm_id = company.truth(), _by_crm_id(company)
            if number % 211 == 9:
                record["GsCompanyId"], where = None, NO_COMPANY
            table.records.append(record)
            self._truth["product_usage__gc"][record["Gsid"]] = where | {
                "by_crm_id": by_crm_id,
                "metric": metric,
                "value": value,
                "secondary": secondary,
                "dimension": dimension,
                "observed_at": record["ObservedDate__gc"].isoformat(),
            }
        rng.shuffle(table.records)

    def _make_wide_usage(self) -> None:
        rng, table = self._rng, self._world.tables["product_usage_wide__gc"]
        companies = self._usage_companies()[: max(8, self._size.wide_usage // 16)]
        for number in range(self._size.wide_usage):
            company = companies[number % len(companies)]
            weeks_ago = number // len(companies)
            record = self._usage_record("product_usage_wide__gc", number, company, self._monday(weeks_ago))
            metrics = {name: None if rng.random() < 0.04 else round(rng.uniform(0, 900), 2) for name in WIDE_METRICS}
            table.records.append(record | metrics)
            self._truth["product_usage_wide__gc"][record["Gsid"]] = company.truth() | {
                "metrics": metrics,
                "observed_at": record["ObservedDate__gc"].isoformat(),
            }
        rng.shuffle(table.records)

    # -- the rest -------------------------------------------------------------------------------------------------

    def _make_delete_log(self) -> None:
        """The log of deleted records. One entry is older than the log's retention."""
        table = self._world.tables["record_delete_log"]
        for number in range(14):
            name, shown = (("company", "Company"), ("activity_timeline", "activity_timeline"))[number % 2]
            table.records.append(self.tombstone(name, shown, self._now - timedelta(days=number, hours=30)))

    def tombstone(self, object_name: str, shown: str, deleted_on: datetime) -> Record:
        gsid, record_id = self._gsids.new("record_delete_log"), self._gsids.new(object_name)
        return {"Gsid": gsid, "RecordId": record_id, "ObjectName": shown, "DeletedOn": deleted_on}

    def _make_health_facts(self) -> None:
        for number, company in enumerate(self._companies[:40]):
            day: date = (self._now - timedelta(days=number % 7)).date()
            record = {"Id": 1000 + number, "GsCompanyId": company.gsid, "Score": number * 2 % 100, "SnapshotDate": day}
            self._world.tables["health_scorecard_fact"].records.append(record)
            self._truth["health_scorecard_fact"][str(record["Id"])] = company.truth()


def account_truth(world: World) -> dict[str, dict[str, dict[str, Any]]]:
    """The expected account table: CRM kind → account id → columns."""
    makers: dict[str, tuple[Callable[[int], str], Callable[[int], str]]] = {
        "salesforce": (salesforce_id, lambda key: salesforce_id(key, "005")),
        "hubspot": (hubspot_id, hubspot_id),
    }
    truth: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, (account_id, owner_id) in makers.items():
        rows = truth.setdefault(kind, {})
        for account in world.accounts.values():
            owner = world.owners.get(account.owner or 0)
            rows[account_id(account.key)] = {
                "key": account.key,
                "name": account.name,
                "domain": _domain(account.website),
                "parent_account_id": account_id(account.parent) if account.parent else None,
                "arr": str(account.arr) if account.arr is not None else None,
                "renewal_date": account.renewal_date.isoformat() if account.renewal_date else None,
                "owner_id": owner_id(owner.key) if owner else None,
                "owner_name": f"{owner.first_name} {owner.last_name}" if owner else None,
                "gsid": account.gsid.strip() if account.gsid else None,
                "deleted": account.deleted_at is not None,
                "merged_into": account_id(account.merged_into) if account.merged_into else None,
            }
    return truth


def _by_crm_id(company: _Company) -> dict[str, Any]:
    """The truth of a row whose key is a Salesforce id, so that no GSID field is used."""
    if company.salesforce == "direct":
        return {"account": company.account, "reason": None}
    return {"account": None, "reason": "no_account" if company.sfdc_id else "no_company"}


def _take(keys: list[int], count: int) -> list[int]:
    taken, keys[:] = keys[:count], keys[count:]
    return taken


def _ascii(text: str) -> str:
    table = str.maketrans({"ø": "o", "á": "a", "ü": "u", "é": "e", "Ø": "O"})
    return "".join(
        each for each in text.translate(table).lower() if each.isascii() and (each.isalnum() or each in " -")
    )


def _company_names(rng: random.Random, count: int) -> list[str]:
    bases = [f"{first} {second}" for first in words.COMPANY_FIRST for second in words.COMPANY_SECOND]
    rng.shuffle(bases)
    names = []
    for number in range(count):
        base = bases[number % len(bases)]
        series = f" {number // len(bases) + 1}" if number >= len(bases) else ""
        names.append(f"{base}{series} {rng.choice(words.COMPANY_ENDINGS)}".strip())
    return names


def _host(name: str, key: int) -> str:
    return f"{'-'.join(name.split())[:40].strip('-')}-{key}.example"


def _website(rng: random.Random, name: str, key: int) -> str | None:
    host = _host(name, key)
    forms = (
        f"https://www.{host}/about",
        host,
        f"WWW.{host.upper()}",
        f"http://{host}",
        f"https://{host}:8443/",
        f" {host} ",
    )
    return rng.choice((None, "")) if key % 29 == 0 else forms[key % len(forms)]


def _domain(website: str | None) -> str | None:
    """The host of a generated website: without scheme, www, port and path, in lower case."""
    if not website or not website.strip():
        return None
    host = website.strip().lower().removeprefix("https://").removeprefix("http://")
    return host.split("/")[0].split(":")[0].removeprefix("www.")


def _note_bodies(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """HTML notes with their plain text."""
    bodies = []
    for _ in range(count):
        sentences = rng.sample(words.SENTENCES, rng.randint(3, 9))
        paragraphs = "".join(f"<p>{sentence.replace('&', '&amp;').replace('<', '&lt;')}</p>" for sentence in sentences)
        items = "".join(f"<li><b>{rng.choice(words.FIRST_NAMES)}</b>: follow up</li>" for _ in range(rng.randint(0, 5)))
        html = f'<div style="font-family: Arial; font-size: 14px">{paragraphs}<ul>{items}</ul></div>'
        bodies.append((html, "\n".join(sentences)))
    return bodies
