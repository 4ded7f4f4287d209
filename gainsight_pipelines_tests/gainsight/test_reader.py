"""The reader against a tenant over a socket: it loses no record and counts its calls, for each API behaviour."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.gainsight.errors import CannotReadCompletely
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.reader import (
    Position,
    ReadPage,
    ReadPlan,
    end_of_read,
    read_by_ids,
    read_changed,
    read_full,
    read_without_modified,
    start_of_pull,
)
from gainsight_pipelines_tests.gainsight.clocks import RecordingClock
from gainsight_pipelines_tests.gainsight.tenant import Row, Tenant, serving

MORNING = datetime(2026, 1, 31, 10, tzinfo=UTC)
OVERLAP = timedelta(minutes=15)


def make_rows(count: int, *, seed: int = 1, every: timedelta = timedelta(seconds=7)) -> list[Row]:
    """Rows with random GSIDs, some seconds apart, with fractions that are not shown."""
    chance = random.Random(seed)
    return [
        {
            "Gsid": f"1P02{chance.getrandbits(160):032X}"[:36],
            "ModifiedDate": MORNING + index * every + timedelta(milliseconds=chance.randrange(1000)),
            "Name": f"row {index}",
        }
        for index in range(count)
    ]


def plan_of(**changes: Any) -> ReadPlan:
    return ReadPlan(**({"object_name": "company", "select": ("Name",), "cursor_field": "ModifiedDate"} | changes))


class Read:
    """All pages of one read."""

    def __init__(self, pages: Iterator[ReadPage]) -> None:
        self.pages = list(pages)
        self.records = [record for page in self.pages for record in page.records]
        self.gsids = [record["Gsid"] for record in self.records]
        self.last = self.pages[-1]
        assert [page.is_last for page in self.pages] == [False] * (len(self.pages) - 1) + [True]


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    with serving(Tenant()) as tenant:
        yield tenant


@pytest.fixture
def client(tenant: Tenant) -> Iterator[GainsightClient]:
    with GainsightClient(tenant.url, AccessKey("key"), clock=RecordingClock()) as client:
        yield client


@pytest.fixture
def said() -> list[str]:
    return []


def all_gsids(tenant: Tenant) -> Counter[str]:
    return Counter(row["Gsid"] for row in tenant.rows)


@pytest.mark.parametrize("shows", ["iso", "iso_ms", "epoch"])
@pytest.mark.parametrize("shape", ["records", "list"])
def test_a_well_behaved_tenant_costs_pages_plus_one_calls(tenant, client, said, shows, shape):
    tenant.rows, tenant.shows, tenant.shape = make_rows(1_000), shows, shape
    random.Random(2).shuffle(tenant.rows)
    read = Read(read_changed(client, plan_of(), page_size=300, report=said.append))
    assert Counter(read.gsids) == all_gsids(tenant)
    assert client.calls == {"query": 5}  # new records: 300, 299, 299 and 102; the last call repeats one
    newest = max(row["ModifiedDate"] for row in tenant.rows).replace(microsecond=0)
    assert read.last.position == Position(newest)
    assert said == []
    assert not read.last.is_whole


def test_nothing_new_costs_one_call(tenant, client):
    tenant.rows = make_rows(500)
    read = Read(read_changed(client, plan_of(start=Position(datetime(2027, 1, 1, tzinfo=UTC)))))
    assert read.records == []
    assert read.last.position == Position(datetime(2027, 1, 1, tzinfo=UTC))
    assert client.calls.total() == 1


def test_an_empty_object(tenant, client):
    read = Read(read_changed(client, plan_of(is_first_read=True)))
    assert read.pages[0].records == []
    assert read.last.position is None
    assert client.calls.total() == 1


def test_dates_are_queried_in_utc_and_never_by_equality(tenant, client):
    tenant.rows = make_rows(350)
    Read(read_changed(client, plan_of(start=Position(MORNING)), page_size=100))
    for body in tenant.asked:
        for condition in body["where"]["conditions"]:
            if condition["name"] == "ModifiedDate":
                assert condition["operator"] != "EQ"
                assert all(value.endswith("Z") and len(value) == 20 for value in condition["value"])
        assert set(body["where"]["expression"]) <= set("ABCDEF AND")


def test_rows_without_a_date_are_read_separately(tenant, client):
    tenant.rows = make_rows(450)
    for row in tenant.rows[::2]:
        row["ModifiedDate"] = None
    dated = Read(read_changed(client, plan_of(), page_size=200))
    undated = Read(read_without_modified(client, plan_of(), page_size=100))
    assert len(dated.gsids) == 225
    assert len(undated.gsids) == 225
    assert Counter(dated.gsids + undated.gsids) == all_gsids(tenant)
    assert undated.last.position is None


@pytest.mark.parametrize("cap", [None, 150])
@pytest.mark.parametrize("ties", [100, 101, 299, 300, 301, 450, 1_200])
def test_a_second_with_more_rows_than_a_page_is_read_by_gsid(tenant, client, said, ties, cap):
    tenant.rows, tenant.cap = make_rows(1_500), cap
    for row in tenant.rows[140 : 140 + ties]:
        row["ModifiedDate"] = MORNING + timedelta(
            seconds=7 * 140, milliseconds=random.Random(row["Gsid"]).randrange(1000)
        )
    read = Read(read_changed(client, plan_of(), page_size=300, report=said.append))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert len(read.gsids) == len(set(read.gsids))
    assert said == []


@pytest.mark.parametrize("count", [99, 100, 150, 300, 301, 650])
@pytest.mark.parametrize("cap", [None, 150])
def test_all_rows_in_one_second(tenant, client, count, cap):
    tenant.rows, tenant.cap = make_rows(count, every=timedelta(0)), cap
    read = Read(read_changed(client, plan_of(), page_size=300))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert client.calls.total() <= 2 * (count // min(cap or 300, 300)) + 5


def test_a_read_resumes_within_a_second_that_is_read_by_gsid(tenant, client):
    tenant.rows = make_rows(900, every=timedelta(0)) + make_rows(50, seed=2)
    stored: dict[str, Any] = {}
    position: Position | None = None
    was_drained = False
    for _ in range(20):  # each run is killed after its first page
        pages = read_changed(client, plan_of(start=position), page_size=200)
        page = next(pages)
        pages.close()
        stored |= {record["Gsid"]: record for record in page.records}
        position = page.position
        was_drained = was_drained or (position is not None and position.gsid is not None)
        if page.is_last:
            break
    assert was_drained
    assert set(stored) == set(all_gsids(tenant))


@pytest.mark.parametrize("limit", [3, 50, 100, 101, 150, 500])
@pytest.mark.parametrize("ties", [1, 130, 400])
def test_successive_limited_reads_reach_the_end(tenant, client, limit, ties):
    tenant.rows = make_rows(500)
    for row in tenant.rows[20 : 20 + ties]:
        row["ModifiedDate"] = MORNING + timedelta(seconds=140, milliseconds=500)
    stored: set[str] = set()
    position: Position | None = None
    for _ in range(2_000):
        read = Read(read_changed(client, plan_of(limit=limit, start=position), page_size=300))
        assert len(read.records) <= limit
        stored |= set(read.gsids)
        assert read.last.position != position or not read.last.is_truncated
        position = read.last.position
        if not read.last.is_truncated:
            break
    assert stored == set(all_gsids(tenant))


def test_a_limit_equal_to_the_number_of_records_is_not_truncated(tenant, client):
    tenant.rows = make_rows(120)
    assert not Read(read_changed(client, plan_of(limit=120))).last.is_truncated
    assert Read(read_changed(client, plan_of(limit=119))).last.is_truncated


def test_filters_are_sent_and_checked(tenant, client, said):
    tenant.rows = make_rows(400)
    keep = Condition("Name", Operator.IN, tuple(f"row {index}" for index in range(0, 400, 3)))
    read = Read(read_changed(client, plan_of(select=("Gsid",), filters=(keep,)), page_size=100, report=said.append))
    assert {record["Name"] for record in read.records} == set(keep.values)
    assert said == []


def test_keys_in_another_case(tenant, client):
    tenant.rows, tenant.lower_keys = make_rows(250), True
    pages = read_changed(client, plan_of(select=("NAME", "gsid")), page_size=100)
    records = [record for page in pages for record in page.records]
    assert {record["NAME"] for record in records} == {row["Name"] for row in tenant.rows}
    assert {record["gsid"] for record in records} == set(all_gsids(tenant))


def test_page_size_shrinks_on_failure_and_is_reported(tenant, client, said):
    tenant.rows, tenant.fails_above = make_rows(2_000), 700
    read = Read(read_changed(client, plan_of(), page_size=5_000, report=said.append))
    assert Counter(read.gsids) == all_gsids(tenant)
    assert any("625 records at a time" in sentence for sentence in said)
    tenant.fails_above = None
    said.clear()
    tenant.rows = make_rows(9_000)

    def fail_once(tenant: Tenant, body: dict[str, Any]) -> None:
        tenant.fails_above = 700 if len(tenant.asked) < 15 else None

    tenant.asked.clear()
    tenant.before_answer = fail_once
    read = Read(read_changed(client, plan_of(), page_size=1_000, report=said.append))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert tenant.asked[-1]["limit"] == 1_000
    assert any("1000 records of company at a time again" in sentence for sentence in said)


@pytest.mark.parametrize("fails_above", [100, 200])
def test_the_page_shrinks_as_far_as_needed(tenant, client, said, fails_above):
    """Each smaller query has its own attempts."""
    tenant.rows, tenant.fails_above = make_rows(700), fails_above
    read = Read(read_changed(client, plan_of(), report=said.append))
    assert Counter(read.gsids) == all_gsids(tenant)
    assert sum(body["limit"] > fails_above for body in tenant.asked) <= 7  # halved six times, enlarged once in vain


def edits(tenant: Tenant, chance: random.Random, *, per_call: int = 5) -> Any:
    def edit(tenant: Tenant, body: dict[str, Any]) -> None:
        for row in chance.sample(tenant.rows, per_call):
            row["ModifiedDate"] = MORNING + timedelta(days=1, seconds=len(tenant.asked))
            row["Name"] = f"edited at call {len(tenant.asked)}"

    return edit


def test_rows_edited_during_the_read_arrive_in_their_newest_version(tenant, client):
    tenant.rows = make_rows(3_000)
    tenant.before_answer = edits(tenant, random.Random(3))
    stored = {}
    for page in read_changed(client, plan_of(), page_size=250):
        stored |= {record["Gsid"]: record["Name"] for record in page.records}
        if len(tenant.asked) > 12:
            tenant.before_answer = lambda tenant, body: None
    assert stored == {row["Gsid"]: row["Name"] for row in tenant.rows}


# Tenants that don't honour filters, order or offset


def test_order_not_honoured(tenant, client, said):
    tenant.rows, tenant.ignores_order = make_rows(900), True
    random.Random(5).shuffle(tenant.rows)
    read = Read(read_changed(client, plan_of(), page_size=250, report=said.append))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert read.last.is_whole
    assert any("order" in sentence for sentence in said)


def test_where_not_honoured(tenant, client, said):
    tenant.rows, tenant.ignores_where = make_rows(900), True
    start = Position(MORNING + timedelta(seconds=7 * 400))
    read = Read(read_changed(client, plan_of(start=start), page_size=250, report=said.append))
    assert set(read.gsids) == {row["Gsid"] for row in tenant.rows[400:]}
    assert read.last.is_whole
    assert read.last.position is not None
    assert read.last.position.modified == tenant.rows[-1]["ModifiedDate"].replace(microsecond=0)
    assert all(page.position == start for page in read.pages[:-1])
    assert any("conditions can't be trusted" in sentence for sentence in said)


@pytest.mark.parametrize("shuffles", [False, True])
def test_neither_where_nor_order_honoured(tenant, client, said, shuffles):
    tenant.rows, tenant.ignores_where, tenant.ignores_order = make_rows(900), True, True
    random.Random(5).shuffle(tenant.rows)
    tenant.shuffles = shuffles
    reading = read_changed(client, plan_of(), page_size=250, report=said.append)
    if shuffles:
        with pytest.raises(CannotReadCompletely, match="company can't be read completely: the order of records"):
            list(reading)
    else:
        assert set(Read(reading).gsids) == set(all_gsids(tenant))
    assert any("offset alone" in sentence for sentence in said)


def test_a_tenant_that_honours_nothing_fails_with_the_reason(tenant, client):
    tenant.rows = make_rows(900)
    tenant.ignores_where = tenant.ignores_order = tenant.ignores_offset = True
    with pytest.raises(CannotReadCompletely, match="different offsets return the same page"):
        list(read_changed(client, plan_of(), page_size=250))
    assert len(tenant.asked) < 10


def test_where_and_offset_not_honoured(tenant, client):
    tenant.rows, tenant.ignores_where, tenant.ignores_offset = make_rows(900), True, True
    with pytest.raises(CannotReadCompletely):
        list(read_changed(client, plan_of(), page_size=250))
    assert len(tenant.asked) < 10


@pytest.mark.parametrize("hours", [-8, 5])
@pytest.mark.parametrize("count", [1, 900])
def test_literals_read_in_another_zone_are_detected_with_a_known_record(tenant, client, said, hours, count):
    tenant.rows, tenant.shift = make_rows(count), timedelta(hours=hours)
    read = Read(read_changed(client, plan_of(is_first_read=True), page_size=250, report=said.append))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert read.last.is_whole
    assert any("time zones" in sentence for sentence in said)
    later = Position(tenant.rows[-1]["ModifiedDate"].replace(microsecond=0))
    again = Read(read_changed(client, plan_of(start=later, is_whole=True), page_size=250))
    assert again.gsids == [tenant.rows[-1]["Gsid"]]


def test_the_proof_costs_three_calls_or_one_for_a_single_page_and_tolerates_an_edit(tenant, client, said):
    tenant.rows = make_rows(90)
    Read(read_changed(client, plan_of(is_first_read=True), page_size=500, report=said.append))
    assert client.calls == {"query": 1, "probe": 1}
    client.calls.clear()
    tenant.rows = make_rows(900)
    Read(read_changed(client, plan_of(is_first_read=True), page_size=500, report=said.append))
    assert client.calls == {"query": 3, "probe": 3}
    client.calls.clear()

    def edit_the_first(tenant: Tenant, body: dict[str, Any]) -> None:
        if len(tenant.asked) == 2:
            first = min(tenant.rows, key=lambda row: row["ModifiedDate"])
            first["ModifiedDate"] = MORNING + timedelta(days=3)

    tenant.asked.clear()
    tenant.before_answer = edit_the_first
    Read(read_changed(client, plan_of(is_first_read=True), page_size=500, report=said.append))
    assert client.calls["probe"] == 5  # two for the edited record, one for another, two for the order
    assert said == []


PIECES = {
    "the first page is not the oldest": (slice(200, 300), slice(0, 200)),
    "a later page leaves some out": (slice(0, 100), slice(200, 300), slice(100, 200)),
}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("fault", ["ignores_order", "orders_pages_alone"])
@pytest.mark.parametrize("start", [None, Position(MORNING)])
def test_pages_in_order_by_chance_are_not_taken_as_complete(tenant, client, said, pieces, fault, start):
    """The tenant returns the rows in the order of its table, in which each page happens to ascend."""
    rows = make_rows(300)
    tenant.rows, tenant.cap = [row for piece in pieces for row in rows[piece]], 100
    setattr(tenant, fault, True)
    read = Read(read_changed(client, plan_of(start=start, is_first_read=True), report=said.append))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert read.last.is_whole
    assert any("the order of pages can't be trusted" in sentence for sentence in said)


def test_filters_are_applied_locally_if_the_tenant_ignores_them(tenant, client):
    tenant.rows, tenant.ignores_where = make_rows(600), True
    keep = Condition("Name", Operator.IN, ("row 3", "row 555"))
    read = Read(read_changed(client, plan_of(filters=(keep,)), page_size=250))
    assert {record["Name"] for record in read.records} == {"row 3", "row 555"}


def test_picklist_labels_cannot_be_filtered_locally(tenant, client):
    tenant.rows, tenant.ignores_where = make_rows(300), True
    for row in tenant.rows:
        row["Stage"] = "1I00" + "A" * 32
    keep = Condition("Stage", Operator.IN, ("New Customer",))
    with pytest.raises(PermanentError, match="picklist ids"):
        list(read_changed(client, plan_of(filters=(keep,), start=Position(MORNING + timedelta(hours=1)))))


@pytest.mark.parametrize("limit", [25, 250])
def test_a_limited_full_read_keeps_the_oldest(tenant, client, limit):
    tenant.rows, tenant.ignores_where = make_rows(600), True
    for row in tenant.rows[100:400]:
        row["ModifiedDate"] = MORNING + timedelta(seconds=700)
    stored: set[str] = set()
    position: Position | None = None
    for _ in range(100):
        read = Read(read_changed(client, plan_of(limit=limit, start=position, is_whole=True), page_size=250))
        assert len(read.records) <= limit
        stored |= set(read.gsids)
        position = read.last.position
        if not read.last.is_truncated:
            break
    assert stored == set(all_gsids(tenant))


@pytest.mark.parametrize("ignores", [False, True])
def test_a_limit_without_a_cursor_takes_the_first_by_gsid(tenant, client, ignores):
    tenant.rows, tenant.ignores_where = make_rows(600), ignores
    first = sorted(row["Gsid"] for row in tenant.rows)[:120]
    read = Read(read_full(client, plan_of(cursor_field=None, limit=120), page_size=250))
    assert (read.gsids, read.last.is_truncated) == (first, True)
    assert len(tenant.asked) == (4 if ignores else 3)  # two calls prove the order, or that conditions are ignored
    enough = Read(read_full(client, plan_of(cursor_field=None, limit=600), page_size=250))
    assert (len(set(enough.gsids)), enough.last.is_truncated) == (600, False)


def test_the_cursor_after_a_full_read_is_not_after_its_start(tenant, client):
    tenant.rows, tenant.ignores_where = make_rows(600), True
    tenant.now = MORNING + timedelta(minutes=5)
    read = Read(read_changed(client, plan_of(is_whole=True), page_size=250))
    assert read.last.position == Position(tenant.now)


# Full reads


def test_concurrent_deletions_lose_no_rows_in_an_offset_read(tenant, client):
    tenant.rows, tenant.ignores_where = make_rows(1_500), True
    kept = {row["Gsid"] for row in tenant.rows}

    def delete(tenant: Tenant, body: dict[str, Any]) -> None:
        if body["offset"]:
            gone = sorted(tenant.rows, key=lambda row: row["Gsid"])[:60]
            tenant.rows = [row for row in tenant.rows if row not in gone]
            kept.difference_update(row["Gsid"] for row in gone)

    tenant.before_answer = delete
    read = Read(read_changed(client, plan_of(is_whole=True), page_size=250))
    assert kept <= set(read.gsids)


def test_objects_without_ids_are_read_by_offset_and_keep_equal_rows(tenant, client):
    tenant.rows = [{"Metric": f"m{index % 40}"} for index in range(700)]
    plan = ReadPlan("usage__gc", ("Metric",), cursor_field=None, id_field=None)
    pages = list(read_full(client, plan, page_size=200))
    assert Counter(record["Metric"] for page in pages for record in page.records) == Counter(
        row["Metric"] for row in tenant.rows
    )
    assert not any(page.is_restart for page in pages)
    assert pages[-1].position is None


def test_a_restarted_full_read_is_marked(tenant, client):
    tenant.rows = make_rows(700)

    def ignore(tenant: Tenant, body: dict[str, Any]) -> None:
        tenant.ignores_where = len(tenant.asked) > 3

    tenant.before_answer = ignore
    pages = list(read_full(client, plan_of(cursor_field=None), page_size=250))
    restarts = [index for index, page in enumerate(pages) if page.is_restart]
    assert restarts == [1]  # the first page by GSID was right; the second showed that conditions are ignored
    assert {record["Gsid"] for page in pages[1:] for record in page.records} == set(all_gsids(tenant))


@pytest.mark.parametrize(("ignores_where", "cap"), [(False, None), (False, 150), (True, None)])
def test_reads_records_by_id(tenant, client, ignores_where, cap):
    tenant.rows, tenant.ignores_where, tenant.cap = make_rows(900), ignores_where, cap
    ids = [row["Gsid"] for row in tenant.rows[:450]] + ["1P02NOBODY"]
    lists = list(read_by_ids(client, "company", ("Name",), "Gsid", [*ids, ids[0]]))
    assert {record["Name"] for records in lists for record in records} == {f"row {index}" for index in range(450)}
    if not ignores_where and cap is None:
        assert client.calls == {"links": 3}


def test_a_cursor_that_is_never_returned_is_not_used(tenant, client):
    tenant.rows, tenant.drops_key = make_rows(400), "ModifiedDate"
    read = Read(read_changed(client, plan_of(), page_size=150))
    assert set(read.gsids) == set(all_gsids(tenant))
    assert read.last.is_whole


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.integers(0, 12), min_size=0, max_size=700),
    page_size=st.sampled_from([100, 130, 500]),
    cap=st.sampled_from([None, 101, 200]),
    limit=st.sampled_from([None, 7, 120, 400]),
    shows=st.sampled_from(["iso", "epoch"]),
    seed=st.integers(0, 5),
)
def test_ties_caps_and_edits_lose_nothing(tenant, seconds, page_size, cap, limit, shows, seed):
    chance = random.Random(seed)
    tenant.rows = make_rows(len(seconds), seed=seed)
    for row, second in zip(tenant.rows, seconds, strict=True):
        row["ModifiedDate"] = MORNING + timedelta(seconds=second // 3, milliseconds=chance.randrange(1000))
    tenant.cap, tenant.shows = cap, shows
    tenant.asked.clear()

    def edit(tenant: Tenant, body: dict[str, Any]) -> None:
        if tenant.rows and len(tenant.asked) < 20:
            row = chance.choice(tenant.rows)
            row["ModifiedDate"] = MORNING + timedelta(hours=1, seconds=len(tenant.asked), milliseconds=300)
            row["Name"] = f"edited at call {len(tenant.asked)}"

    tenant.before_answer = edit
    stored: dict[str, str] = {}
    position: Position | None = None
    with GainsightClient(tenant.url, AccessKey("key"), clock=RecordingClock()) as client:
        for _ in range(300):
            is_truncated = False
            for page in read_changed(client, plan_of(start=position, limit=limit), page_size=page_size):
                stored |= {record["Gsid"]: record["Name"] for record in page.records}
                position, is_truncated = page.position, page.is_truncated
            if not is_truncated and len(tenant.asked) > 20:
                break
    assert stored == {row["Gsid"]: row["Name"] for row in tenant.rows}


def test_the_start_of_a_pull_and_the_cursor_after_it():
    now = MORNING + timedelta(hours=3)
    early = Position(MORNING)
    late = Position(now - timedelta(minutes=1))
    assert start_of_pull(None, now, OVERLAP) is None
    assert start_of_pull(early, now, OVERLAP) == early
    assert start_of_pull(late, now, OVERLAP) == Position(now - OVERLAP)
    assert end_of_read(early, now, OVERLAP) == Position(MORNING + timedelta(seconds=1))
    assert end_of_read(late, now, OVERLAP) == late
    assert end_of_read(None, now, OVERLAP) is None


def test_a_position_is_a_whole_second_in_utc():
    with pytest.raises(ValueError, match="whole second in UTC"):
        Position(datetime(2026, 1, 31, 10))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="whole second in UTC"):
        Position(MORNING + timedelta(milliseconds=1))


def test_a_reader_runs_in_another_thread_and_holds_one_page(tenant, client):
    tenant.rows = make_rows(1_000)
    pages = read_changed(client, plan_of(), page_size=250)
    first = next(pages)
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(lambda: list(pages)).result(30)
    gsids = [record["Gsid"] for page in [first, *rest] for record in page.records]
    assert Counter(gsids) == all_gsids(tenant)


def test_a_reader_makes_no_call_before_its_first_page_is_requested(tenant, client):
    tenant.rows = make_rows(600)
    pages = read_changed(client, plan_of(), page_size=250)
    assert tenant.asked == []
    next(pages)
    assert len(tenant.asked) == 1
