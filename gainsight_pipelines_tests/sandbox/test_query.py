"""The query engine alone: operators, literals, nulls, lookups, order, expressions and refused queries."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gainsight_pipelines.sandbox.generate import Size, generate
from gainsight_pipelines.sandbox.query import Engine, QueryError, UnknownObject
from gainsight_pipelines.sandbox.schema import describe_field
from gainsight_pipelines.sandbox.switches import Switches
from gainsight_pipelines.sandbox.world import GainsightTable, World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _world() -> World:
    fields = [
        describe_field("Gsid", "GSID"),
        describe_field("Name", "STRING"),
        describe_field("Score", "NUMBER"),
        describe_field("Active", "BOOLEAN"),
        describe_field("Day", "DATE"),
        describe_field("ModifiedDate", "DATETIME"),
        describe_field("Notes", "RICHTEXTAREA"),
        describe_field("Parent", "LOOKUP", lookup="thing"),
        describe_field("Stage", "PICKLIST") | {"options": [{"label": "New", "value": "1I00A"}]},
        describe_field("Tags", "MULTISELECTDROPDOWNLIST") | {"options": [{"label": "Beta", "value": "1I00B"}]},
    ]
    rows = [
        ("G1", "Alpha", 1, True, date(2026, 1, 1), NOON, None, "1I00A", ["1I00B", "1I00C"]),
        ("G2", "beta", 2.5, False, date(2026, 1, 2), NOON, "G1", "1I00X", ["1I00C"]),
        ("G3", None, None, None, None, None, "G2", None, None),
        ("G4", "Gamma alpha", -3, True, date(2026, 1, 3), NOON + timedelta(seconds=1), "gone", "1I00A", ["1I00B"]),
    ]
    names = ("Gsid", "Name", "Score", "Active", "Day", "ModifiedDate", "Parent", "Stage", "Tags")
    table = GainsightTable("thing", {"objectName": "thing", "fields": fields})
    table.records = [dict(zip(names, row, strict=True)) for row in rows]
    return World(now=NOON, tables={"thing": table})


@pytest.fixture
def engine() -> Engine:
    return Engine(_world(), Switches())


def _ask(engine: Engine, *conditions: tuple[str, str, list[Any]], expression: str | None = None, **more: Any) -> str:
    """The GSIDs of the records that meet conditions A, B, …, as one text in the order of the response."""
    where = {
        "conditions": [
            {"name": name, "alias": "ABCDEF"[number], "operator": operator, "value": value}
            for number, (name, operator, value) in enumerate(conditions)
        ],
        "expression": expression or " AND ".join("ABCDEF"[: len(conditions)]),
    }
    body: dict[str, Any] = {"select": ["Gsid"], "limit": 100} | more
    if conditions:
        body["where"] = where
    return "".join(record["Gsid"][1] for record in engine.query("Thing", body).records)


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("Name", "EQ", ["Alpha"], "1"),
        ("Name", "NE", ["Alpha"], "24"),
        ("name", "CONTAINS", ["ALPHA"], "14"),
        ("Name", "DOES_NOT_CONTAINS", ["alpha"], "2"),
        ("Name", "STARTS_WITH", ["al"], "1"),
        ("Name", "ENDS_WITH", ["alpha"], "14"),
        ("Name", "IS_NULL", [], "3"),
        ("Name", "IS_NOT_NULL", [], "124"),
        ("Name", "IN", ["Alpha", "beta"], "12"),
        ("Name", "NOT_IN", ["Alpha"], "24"),
        ("Score", "GT", [1], "2"),
        ("Score", "GTE", ["1"], "12"),
        ("Score", "LT", [1], "4"),
        ("Score", "LTE", [1], "14"),
        ("Score", "BTW", [-3, 1], "14"),
        ("Active", "EQ", [True], "14"),
        ("Active", "EQ", ["false"], "2"),
        ("Stage", "IN", ["New"], "14"),
        ("Stage", "EQ", ["1I00A"], "14"),
        ("Stage", "NE", ["New"], "2"),
        ("Tags", "INCLUDES", ["Beta"], "14"),
        ("Tags", "EXCLUDES", ["1I00B"], "2"),
        ("Day", "GTE", ["2026-01-02"], "24"),
        ("Day", "EQ", ["01-02-2026"], "2"),
        ("Day", "BTW", ["2026-01-01", "2026-01-02T10:00:00Z"], "12"),
        ("Parent", "EQ", ["G1"], "2"),
        ("Parent__gr.Name", "EQ", ["Alpha"], "2"),
        ("parent__GR.parent__gr.name", "EQ", ["Alpha"], "3"),
        ("Parent__gr.Name", "IS_NULL", [], "14"),
        ("Gsid", "GT", ["G2"], "34"),
    ],
)
def test_operators(engine: Engine, name: str, operator: str, value: list[Any], expected: str) -> None:
    assert _ask(engine, (name, operator, value)) == expected


@pytest.mark.parametrize(
    "literal",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00+00:00",
        "2026-03-01T12:00:00.000000+00:00",
        "2026-03-01T13:00:00+0100",
        "2026-03-01 12:00:00",
        "2026-03-01T12:00:00",
        1772366400000,
    ],
)
def test_time_literals(engine: Engine, literal: Any) -> None:
    assert _ask(engine, ("ModifiedDate", "EQ", [literal])) == "12"


def test_literals_without_offset_are_in_the_tenants_zone(engine: Engine) -> None:
    engine.switches.timezone = "America/New_York"
    assert _ask(engine, ("ModifiedDate", "EQ", ["2026-03-01 07:00:00"])) == "12"
    assert _ask(engine, ("ModifiedDate", "EQ", ["2026-03-01T12:00:00Z"])) == "12"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("A", "14"), ("A AND B", "4"), ("A OR B", "124"), ("A or B and C", "14"), ("(A OR B) AND C", "4"), ("(A)", "14")],
)
def test_expressions(engine: Engine, expression: str, expected: str) -> None:
    conditions: list[tuple[str, str, list[Any]]] = [
        ("Active", "EQ", [True]),
        ("Day", "GTE", ["2026-01-02"]),
        ("Score", "LT", [0]),
    ]
    assert _ask(engine, *conditions, expression=expression) == expected


@pytest.mark.parametrize("expression", ["A AND", "A B", "D", "(A", "A)", "NOT A", "A && B", "OR A", ""])
def test_broken_expressions_are_refused(engine: Engine, expression: str) -> None:
    where = {"conditions": [{"name": "Score", "alias": "A", "operator": "LT", "value": [0]}], "expression": expression}
    with pytest.raises(QueryError) as caught:
        engine.query("thing", {"select": ["Gsid"], "where": where})
    assert caught.value.code == "GSOBJ_1002"


def test_switches_refuse_parentheses_and_or(engine: Engine) -> None:
    conditions: list[tuple[str, str, list[Any]]] = [("Active", "EQ", [True]), ("Score", "LT", [0])]
    engine.switches.parentheses_refused = True
    assert _ask(engine, *conditions, expression="A OR B") == "14"
    with pytest.raises(QueryError):
        _ask(engine, *conditions, expression="(A) AND B")
    engine.switches.or_refused = True
    with pytest.raises(QueryError):
        _ask(engine, *conditions, expression="A OR B")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"Score": "asc"}, "4123"),
        ({"Score": "desc"}, "3214"),
        ({"ModifiedDate": "asc", "Gsid": "asc"}, "1243"),
        ({"modifieddate": "ASC", "Gsid": "desc"}, "2143"),
        ({"Parent__gr.Name": "asc", "Gsid": "desc"}, "2341"),
    ],
)
def test_order_has_nulls_last_ascending_and_first_descending(
    engine: Engine, order: dict[str, str], expected: str
) -> None:
    assert _ask(engine, orderBy=order) == expected


def test_ranges_over_the_order_field_equal_a_plain_filter(engine: Engine) -> None:
    order = {"ModifiedDate": "asc", "Gsid": "asc"}
    noon = NOON.isoformat()
    for operator, value in (("GTE", [noon]), ("GT", [noon]), ("LT", [noon]), ("LTE", [noon]), ("EQ", [noon])):
        narrowed = _ask(engine, ("ModifiedDate", operator, value), orderBy=order)
        assert sorted(narrowed) == sorted(_ask(engine, ("ModifiedDate", operator, value)))
    assert _ask(engine, ("ModifiedDate", "IS_NULL", []), orderBy=order) == "3"
    assert _ask(engine, ("ModifiedDate", "GTE", [noon]), ("Gsid", "GT", ["G1"]), orderBy=order) == "24"


def test_offset_and_limit(engine: Engine) -> None:
    order = {"Gsid": "asc"}
    assert _ask(engine, orderBy=order, limit=2, offset=1) == "23"
    assert _ask(engine, ("Active", "EQ", [True]), orderBy=order, limit=1, offset=1) == "4"
    assert _ask(engine, orderBy=order, offset=9) == ""
    engine.switches.page_cap = 3
    assert _ask(engine, orderBy=order) == "123"


def test_where_and_order_can_be_ignored(engine: Engine) -> None:
    engine.world.tables["thing"].records.reverse()
    engine.switches.where_ignored = True
    assert _ask(engine, ("Score", "GT", [100])) == "4321"
    engine.switches.order_by_ignored = True
    assert _ask(engine, orderBy={"Gsid": "asc"}) == "4321"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "GSOBJ_1002"),
        ({"select": []}, "GSOBJ_1002"),
        ({"select": ["Nothing"]}, "GSOBJ_1002"),
        ({"select": ["Parent__gr.Parent__gr.Parent__gr.Name"]}, "GSOBJ_1002"),
        ({"select": ["Gsid"], "limit": 5001}, "GSOBJ_1002"),
        ({"select": ["Gsid"], "limit": 0}, "GSOBJ_1002"),
        ({"select": ["Gsid"], "offset": -1}, "GSOBJ_1002"),
        ({"select": ["Gsid"], "orderBy": [{"field": "Gsid", "order": "asc"}]}, "GSOBJ_1002"),
        ({"select": ["Gsid"], "orderBy": {"Notes": "asc"}}, "GSOBJ_1002"),
        ({"select": ["Gsid"], "orderBy": {"Tags": "asc"}}, "GSOBJ_1002"),
        (
            {"select": ["Gsid"], "where": {"conditions": [{"name": "Gsid", "operator": "EQ", "value": ["x"]}]}},
            "GSOBJ_1002",
        ),
    ],
)
def test_refused_bodies(engine: Engine, body: dict[str, Any], code: str) -> None:
    with pytest.raises(QueryError) as caught:
        engine.query("thing", body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "operator", "value", "code"),
    [
        ("ModifiedDate", "GT", ["yesterday"], "GSOBJ_1006"),
        ("ModifiedDate", "GT", [210318], "GSOBJ_1006"),
        ("Day", "GT", ["31/12/2026"], "GSOBJ_1005"),
        ("Score", "GT", ["many"], "GSOBJ_1002"),
        ("Score", "CONTAINS", ["1"], "GSOBJ_1002"),
        ("Name", "LIKE", ["x"], "GSOBJ_1002"),
        ("Name", "EQ", "x", "GSOBJ_1002"),
        ("Name", "EQ", [], "GSOBJ_1002"),
        ("Day", "BTW", ["2026-01-01"], "GSOBJ_1002"),
        ("Notes", "CONTAINS", ["x"], "GSOBJ_1002"),
        ("Nothing", "EQ", ["x"], "GSOBJ_1002"),
    ],
)
def test_refused_conditions(engine: Engine, name: str, operator: str, value: Any, code: str) -> None:
    with pytest.raises(QueryError) as caught:
        _ask(engine, (name, operator, value))
    assert caught.value.code == code


def test_unknown_object(engine: Engine) -> None:
    with pytest.raises(UnknownObject):
        engine.query("no_such_object", {"select": ["Gsid"]})


def test_hidden_fractions_are_compared_and_not_equal(engine: Engine) -> None:
    for number, record in enumerate(engine.world.tables["thing"].records):
        record["Gsid"] = f"G{number + 1}00{7 - number}"
    engine.switches.date_fraction_hidden = True
    assert _ask(engine, ("ModifiedDate", "EQ", [NOON.isoformat()])) == ""
    assert len(_ask(engine, ("ModifiedDate", "GTE", [NOON.isoformat()]))) == 3
    engine.switches.date_fraction_hidden = False
    assert _ask(engine, ("ModifiedDate", "EQ", [NOON.isoformat()])) == "12"


def test_a_page_of_many_rows_is_quick() -> None:
    world = generate(3, NOON, Size.of(60, 60_000))
    engine = Engine(world, Switches())
    body = {
        "select": ["Gsid", "LastModifiedDate"],
        "orderBy": {"LastModifiedDate": "asc", "Gsid": "asc"},
        "limit": 5000,
    }
    engine.query("activity_timeline", body)
    where = {"name": "LastModifiedDate", "alias": "A", "operator": "GTE", "value": ["2025-12-01T00:00:00Z"]}
    started = time.process_time()
    for _ in range(10):
        page = engine.query("activity_timeline", body | {"where": {"conditions": [where], "expression": "A"}})
    assert len(page.records) == 5000
    assert time.process_time() - started < 1
