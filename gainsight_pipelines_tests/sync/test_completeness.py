"""Whatever is edited, at whatever time, each record is stored in its newest version at the right account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import TransientError
from gainsight_pipelines_tests.gainsight.tenant import Tenant
from gainsight_pipelines_tests.pulling import Pulling, pulling_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.soak import COLUMNS
from gainsight_pipelines_tests.sync.odd_tenant import NOW, entry, field
from gainsight_pipelines_tests.sync.test_company import ask

pytestmark = pytest.mark.long


def subjects(pulling: Pulling) -> dict[str, str]:
    return dict(pulling.query("SELECT activity_id, subject FROM activity"))


def shown(tenant: Tenant) -> dict[str, str]:
    return {row["Gsid"]: row["Subject"] for row in tenant.rows}


def test_twelve_thousand_records_with_one_timestamp_are_read(odd: Pulling, tenant: Tenant) -> None:
    """A bulk job gives them all the same modification date: more than two pages within one second."""
    moment = NOW - timedelta(hours=1)
    tenant.rows = [entry(number, LastModifiedDate=moment, Notes=None) for number in range(12_000)]
    report = odd.pull("activity")
    assert (report.read, report.written) == (12_000, 12_000)
    assert subjects(odd) == shown(tenant)
    for number, row in enumerate(tenant.rows[:5000]):
        row |= {"Subject": f"again {number}", "LastModifiedDate": moment + timedelta(minutes=30)}
    assert odd.pull("activity").written == 5000
    assert subjects(odd) == shown(tenant)
    assert odd.pull("activity").read == 0


def test_records_edited_during_the_read_end_in_their_newest_version(odd: Pulling, tenant: Tenant) -> None:
    """Before each response, records already read, on the current page and still to be read are edited."""
    tenant.rows, tenant.cap = [entry(number) for number in range(450)], 150
    edits = count()

    def edit(tenant: Tenant, body: dict[str, Any]) -> None:
        number = next(edits)
        if number < 9:
            for row in (tenant.rows[number], tenant.rows[number * 40], tenant.rows[-1 - number]):
                row |= {"Subject": f"edit {number}", "LastModifiedDate": datetime.now(UTC).replace(microsecond=0)}

    tenant.before_answer = edit
    odd.pull("activity")
    odd.pull("activity")
    assert subjects(odd) == shown(tenant)
    assert "edit 8" in subjects(odd).values()


def test_an_interrupted_full_read_restarts(odd: Pulling, tenant: Tenant) -> None:
    """It doesn't resume where the abandoned incremental read stopped, since records before that place are unread."""
    tenant.rows, tenant.cap = [entry(number) for number in range(350)], 100
    kept = list(tenant.rows)

    def mix(tenant: Tenant, body: dict[str, Any]) -> None:
        """Stops honouring the order after two pages, and answers no more requests a page later."""
        if len(tenant.asked) > 5:
            tenant.ignores_order, tenant.rows = True, kept[::-1]
        if len(tenant.asked) > 8:
            tenant.fails_above = 0

    tenant.before_answer = mix
    with pytest.raises(TransientError):
        odd.pull("activity")
    assert 100 < len(subjects(odd)) < 350
    tenant.before_answer, tenant.fails_above = lambda tenant, body: None, None
    report = odd.pull("activity")
    assert report.status == "completed"
    assert subjects(odd) == shown(tenant)


@pytest.mark.parametrize("hours", [-26, -3, 5])
def test_differing_clocks_lose_nothing(pulling: Pulling, hours: int) -> None:
    """The tenant's dates are compared with the tenant's clock, our cadence with ours."""
    pulling.sandbox.switch(now_offset_seconds=hours * 3600)
    pulling.pull("activity")
    for number in range(3):
        gsid = sorted(pulling.truth("activity_timeline"))[number]
        pulling.sandbox.edit(
            {"object": "activity_timeline", "gsid": gsid, "values": {"Subject": f"edited {hours} {number}"}}
        )
        assert pulling.pull("activity").written >= 1
        assert subjects(pulling)[gsid] == f"edited {hours} {number}"


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/Los_Angeles"])
@pytest.mark.parametrize("form", ["iso_ms", "epoch_ms"])
def test_time_zones_change_nothing(pulling: Pulling, zone: str, form: str) -> None:
    """Filters contain dates in UTC, and dates are stored as instants, whatever the tenant's time zone."""
    assert datetime.now(ZoneInfo(zone)).utcoffset()
    pulling.sandbox.switch(timezone=zone, date_format=form, date_fraction_hidden=True)
    pulling.pull("activity")
    gsid = min(pulling.truth("activity_timeline"))
    pulling.sandbox.edit({"object": "activity_timeline", "gsid": gsid, "values": {"Subject": zone}})
    pulling.pull("activity")
    assert subjects(pulling)[gsid] == zone
    occurred = pulling.query(
        """SELECT activity_id, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS+00:00')
           FROM activity"""
    )
    truth = pulling.truth("activity_timeline")
    assert dict(occurred) == {gsid: each["occurred_at"] for gsid, each in truth.items()}


def test_records_follow_an_account_that_is_deleted_and_comes_back(pulling: Pulling) -> None:
    """The rows stay in the store; the views leave them out while the account is deleted."""
    pulling.pull("company")
    pulling.pull("activity")
    ((account_id, before),) = pulling.query(
        """SELECT account_id, count(*) FROM activity WHERE match_method = 'direct'
           GROUP BY 1 ORDER BY 2 DESC LIMIT 1"""
    )
    key = next(number for number, each in pulling.account_ids().items() if each == account_id)
    seen = "SELECT activities FROM account_360 WHERE account_id = %s"
    assert pulling.query(seen, (account_id,)) == [(before,)]
    ((rows,),) = pulling.query("SELECT count(*) FROM activity")

    pulling.sandbox.edit({"account": key, "action": "delete"})
    pulling.pull("activity")
    assert pulling.query(seen, (account_id,)) == []
    assert pulling.query("SELECT count(*) FROM activity WHERE account_id = %s", (account_id,)) == [(0,)]
    assert pulling.query("SELECT count(*) FROM activity WHERE deleted_at IS NULL") == [(rows,)]

    pulling.sandbox.edit({"account": key, "values": {"deleted_at": None}})
    pulling.pull("activity")
    assert pulling.query(seen, (account_id,)) == [(before,)]


# Random histories

OBJECTS = ("company", "activity")
INDEX = st.integers(0, 400)
STEP = st.one_of(
    st.tuples(st.just("subject"), INDEX, INDEX),
    st.tuples(st.just("company of"), INDEX, INDEX),
    st.tuples(st.just("insert"), INDEX, INDEX),
    st.tuples(st.just("delete"), INDEX, INDEX),
    st.tuples(st.just("touch"), INDEX, st.integers(1, 250)),
    st.tuples(st.just("name"), INDEX, INDEX),
    st.tuples(st.just("crm id"), INDEX, INDEX),
    st.tuples(st.just("account"), INDEX, INDEX),
    st.tuples(st.just("gsid"), INDEX, INDEX),
    st.tuples(st.just("delete account"), INDEX, INDEX),
    st.tuples(st.just("merge account"), INDEX, INDEX),
    st.tuples(st.just("pull"), INDEX, INDEX),
    st.tuples(st.just("pull under edits"), INDEX, INDEX),
)


def edit_of(sandbox: RunningSandbox, kind: str, one: int, other: int) -> dict[str, Any] | None:
    """The sandbox edit for a step, given the sandbox's current data; None if the step isn't possible."""
    truth = sandbox.truth()
    companies, entries = (sorted(truth["records"][name]) for name in ("company", "activity_timeline"))
    live = {each["key"]: key for key, each in truth["accounts"]["salesforce"].items() if not each["deleted"]}
    keys = sorted(live)
    company, entry_, account = companies[one % len(companies)], entries[one % len(entries)], keys[one % len(keys)]
    another = keys[other % len(keys)]
    timeline = {"object": "activity_timeline"}
    edits = {
        "subject": timeline | {"gsid": entry_, "values": {"Subject": f"subject {other}"}},
        "company of": timeline | {"gsid": entry_, "values": {"GsCompanyId": companies[other % len(companies)]}},
        "insert": timeline | {"action": "insert", "values": {"Subject": f"new {other}", "GsCompanyId": company}},
        "touch": timeline | {"action": "touch", "count": other},
        "name": {"object": "company", "gsid": company, "values": {"Name": f"name {other}"}},
        "crm id": {"object": "company", "gsid": company, "values": {"SfdcAccountId": live[another]}},
        "account": {"account": account, "values": {"name": f"account {other}"}},
        "gsid": {"account": account, "values": {"gsid": company}},
    }
    if len(entries) > 200:
        edits["delete"] = timeline | {"action": "delete", "gsid": entry_}
    if len(keys) > 30 and account != another:
        edits["delete account"] = {"account": account, "action": "delete"}
        edits["merge account"] = {"account": account, "action": "merge", "into": another}
    return edits.get(kind)


# Without shrinking: it would take minutes.
@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(steps=st.lists(STEP, min_size=5, max_size=25))
def test_any_history_of_edits_ends_like_a_single_first_pull(
    small_sandbox: RunningSandbox, postgres_server: EmbeddedServer, steps: list[tuple[str, int, int]]
) -> None:
    """The tables equal those of a first pull of the tenant's final data, and the tenant's own responses."""
    small_sandbox.reset()
    small_sandbox.switch(page_cap=100)
    with pulling_on(postgres_server, small_sandbox) as pulling:
        for name in OBJECTS:
            pulling.pull(name)
        for kind, one, other in steps:
            if kind.startswith("pull"):
                small_sandbox.switch(edit_while_reading=3 if kind == "pull under edits" else 0)
                pulling.pull(OBJECTS[one % 2])
            elif (edit := edit_of(small_sandbox, kind, one, other)) is not None:
                small_sandbox.edit(edit)
        # No more edits; the daily check for deletions is due.
        pulling.clock.ahead += timedelta(days=1, minutes=1)
        small_sandbox.switch(edit_while_reading=0, now_offset_seconds=pulling.clock.ahead.total_seconds())
        for name in OBJECTS:
            pulling.pull(name)
        stored = live(pulling)
        small_sandbox.switch(page_cap=None)
        right = {gsid: each["Subject"] for gsid, each in ask(pulling, "activity_timeline", "Subject").items()}
        assert {key: row[8] for key, row in stored["activity"].items()} == right
    with pulling_on(postgres_server, small_sandbox) as undisturbed:
        undisturbed.clock.ahead = pulling.clock.ahead
        for name in OBJECTS:
            undisturbed.pull(name)
        assert stored == live(undisturbed)


def live(pulling: Pulling) -> dict[str, dict[str, tuple[Any, ...]]]:
    """The live rows, by table and key."""
    return {
        table: {row[0]: row[1:] for row in pulling.query(f"SELECT {columns} FROM {table} WHERE deleted_at IS NULL")}
        for table, columns in COLUMNS.items()
        if table != "usage_metric"
    }


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_first_load_during_which_a_company_gets_another_crm_id(
    odd: Pulling, tenant: Tenant, is_changed: bool
) -> None:
    """A first pull rematches its rows only if a company's CRM id changed while it ran."""
    accounts = odd.sandbox.truth()["accounts"]["salesforce"]
    first, second = sorted(key for key, each in accounts.items() if not each["deleted"] and not each["gsid"])[:2]
    nodes = [each for each in tenant.describes["activity_timeline"] if each["fieldName"] != "GsCompanyId"]
    lookup = {"lookupName": "GsCompanyId__gr", "lookupObjects": [{"objectName": "company"}]}
    nodes.append(field("GsCompanyId", "LOOKUP", meta={"hasLookup": True, "lookupDetail": lookup}))
    tenant.describes = {"activity_timeline": nodes, "company": [field("SfdcAccountId", "SFDCID")]}
    path = "GsCompanyId__gr.SfdcAccountId"
    tenant.rows, tenant.cap = [entry(number) | {path: first} for number in range(300)], 150
    if is_changed:
        for row in tenant.rows[200:]:
            row[path] = second
    report = odd.pull("activity")
    assert odd.query("SELECT DISTINCT account_id FROM activity") == [(second if is_changed else first,)]
    assert report.relinked == (150 if is_changed else 0)  # the first page
    assert odd.pull("activity").relinked == 0
