"""Queries as sent, validation of filters, and evaluation of conditions on records."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.query import Condition, Operator, Query, parse_where

TEN = datetime(2026, 1, 31, 10, tzinfo=UTC)
ITEM = "1I00" + "A" * 32


def holds(operator: str, *values: Any, actual: Any) -> bool:
    return Condition("F", Operator(operator), values).holds({"F": actual})


def test_operators_are_spelled_as_documented():
    assert set(Operator) == {
        "EQ", "NE", "LT", "GT", "LTE", "GTE", "BTW", "IS_NULL", "IS_NOT_NULL", "CONTAINS", "DOES_NOT_CONTAINS",
        "STARTS_WITH", "ENDS_WITH", "INCLUDES", "IN", "EXCLUDES", "NOT_IN",
    }  # fmt: skip


def test_conditions_are_joined_by_and_only():
    where = tuple(Condition(name, Operator.IS_NULL) for name in ("One", "Two", "Three"))
    assert Query(("Name",), where).body()["where"] == {
        "conditions": [
            {"name": "One", "alias": "A", "value": [], "operator": "IS_NULL"},
            {"name": "Two", "alias": "B", "value": [], "operator": "IS_NULL"},
            {"name": "Three", "alias": "C", "value": [], "operator": "IS_NULL"},
        ],
        "expression": "A AND B AND C",
    }


def test_a_filter_from_the_settings_is_sent_unchanged():
    raw = parse_where({"conditions": [{"name": "Nps", "alias": "A", "value": 9, "operator": "GTE"}]})
    assert Query(("Name",), raw_where=raw).body()["where"] == {
        "conditions": [{"name": "Nps", "alias": "A", "value": [9], "operator": "GTE"}],
        "expression": "A",
    }
    with pytest.raises(SettingsError, match="not both"):
        Query(("Name",), (Condition("One", Operator.IS_NULL),), raw_where=raw)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (TEN, "2026-01-31T10:00:00Z"),
        (TEN + timedelta(microseconds=999_999), "2026-01-31T10:00:00Z"),
        (TEN.astimezone(timezone(timedelta(hours=-8))), "2026-01-31T10:00:00Z"),
        (datetime(1, 2, 3, tzinfo=UTC), "0001-02-03T00:00:00Z"),
        (date(2026, 1, 31), "2026-01-31"),
        (Decimal("1.50"), 1.5),
        (Decimal(3), 3),
        (True, True),
        ("text", "text"),
    ],
)
def test_values_are_sent_as_documented(value, sent):
    assert Condition("F", Operator.EQ, (value,)).body("A")["value"] == [sent]


def test_a_time_without_a_zone_is_rejected():
    with pytest.raises(ValueError, match="no time zone"):
        Condition("F", Operator.GTE, (datetime(2026, 1, 31),))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    ("operator", "values"), [("EQ", ()), ("EQ", (1, 2)), ("BTW", (1,)), ("IS_NULL", (1,)), ("IN", ()), ("GT", ())]
)
def test_the_number_of_values_is_checked(operator, values):
    with pytest.raises(SettingsError, match="takes"):
        Condition("F", Operator(operator), values)


@pytest.mark.parametrize("name", ["", "a b", "a'b", "a;b", "a..b", ".a", "a.b.c.d.e", 'x"', "ä", "a\n"])
def test_names_are_checked(name):
    for make in (
        lambda: Condition(name, Operator.IS_NULL),
        lambda: Query((name,)),
        lambda: Query(("Name",), order_by=((name, "asc"),)),
    ):
        with pytest.raises(SettingsError, match="not the name of a Gainsight field"):
            make()


@pytest.mark.parametrize("changes", [{"limit": 0}, {"limit": 5001}, {"offset": -1}, {"select": ()}])
def test_queries_out_of_range(changes):
    with pytest.raises(SettingsError, match="a query"):
        Query(**({"select": ("Name",)} | changes))


A = {"name": "Nps", "alias": "A", "value": [9], "operator": "GTE"}
B = {"name": "Type", "alias": "B", "value": ["NPS"], "operator": "IN"}


@pytest.mark.parametrize("expression", ["A AND B", "A OR B", "(A AND B)", "((A) OR (B))", " A  and B "])
def test_valid_expressions(expression):
    assert parse_where({"conditions": [A, B], "expression": expression})["expression"] == expression


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "filter is a list"),
        (None, "filter is a null"),
        ({"conditions": []}, "filter.conditions must be a list of at least one"),
        ({"conditions": "A"}, "filter.conditions must be a list"),
        ({"conditions": [A], "limit": 3}, "filter.'limit' is unknown"),
        ({"conditions": [A | {"field": "x"}]}, "filter.conditions[0].'field' is unknown"),
        ({"conditions": [A | {"name": "a b"}]}, "filter.conditions[0].name"),
        ({"conditions": [A | {"alias": "AA"}]}, "filter.conditions[0].alias"),
        ({"conditions": [A, B | {"alias": "A"}]}, "filter.conditions[1].alias A is used twice"),
        ({"conditions": [A | {"operator": "LIKE"}]}, "filter.conditions[0].operator 'LIKE' is unknown"),
        ({"conditions": [A | {"operator": "BTW"}]}, "filter.conditions[0].value: BTW takes 2 values, not 1"),
        ({"conditions": [A | {"value": [None]}]}, "filter.conditions[0].value[0] is a null"),
        ({"conditions": [A | {"value": [{}]}]}, "filter.conditions[0].value[0] is a dict"),
        ({"conditions": [A, B], "expression": "A AND"}, "filter.expression 'A AND' can't be read"),
        ({"conditions": [A, B], "expression": "A B"}, "can't be read"),
        ({"conditions": [A, B], "expression": "(A AND B"}, "can't be read"),
        ({"conditions": [A, B], "expression": "A) AND (B"}, "can't be read"),
        ({"conditions": [A, B], "expression": "A; DROP"}, "can't be read"),
        ({"conditions": [A, B], "expression": "A AND C"}, "filter.expression uses C"),
        ({"conditions": [A, B], "expression": "A"}, "filter.expression leaves out the condition B"),
        ({"conditions": [A, B], "expression": 5}, "filter.expression is a int"),
    ],
)
def test_invalid_filters_are_reported_with_their_place(document, said):
    with pytest.raises(SettingsError) as caught:
        parse_where(document)
    assert said in str(caught.value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["conditions", "expression", "name", "alias", "value", "operator"]), inner),
    max_leaves=20,
))  # fmt: skip
def test_any_document_is_a_filter_or_a_settings_error(document):
    with suppress(SettingsError):
        parse_where(document)


# Conditions on records

SECONDS = st.integers(-5, 5)


@given(SECONDS, SECONDS, st.integers(0, 999), st.sampled_from(["iso", "epoch", "spaced"]))
def test_times_compare_by_whole_seconds(actual, bound, milliseconds, form):
    instant = TEN + timedelta(seconds=actual, milliseconds=milliseconds)
    shown: Any = {
        "iso": instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "epoch": int(instant.timestamp()) * 1000 + milliseconds,
        "spaced": instant.strftime("%Y-%m-%d %H:%M:%S"),
    }[form]
    value = TEN + timedelta(seconds=bound)
    assert holds("GTE", value, actual=shown) == (actual >= bound)
    assert holds("LT", value, actual=shown) == (actual < bound)
    assert holds("LTE", value, actual=shown) == (actual <= bound)
    assert holds("EQ", value, actual=shown) == (actual == bound)
    # A time shown as the bound's second may be stored with a later fraction.
    assert holds("GT", value, actual=shown) == (actual >= bound)
    assert holds("BTW", value, value + timedelta(seconds=2), actual=shown) == (bound <= actual <= bound + 2)


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(-3, 3), st.booleans())
def test_days_compare_as_whole_days(day, distance, has_time):
    bound = day + timedelta(days=distance)
    shown = f"{day.isoformat()}T13:00:00Z" if has_time else day.isoformat()
    assert holds("GTE", bound, actual=shown) == (day >= bound)
    assert holds("LT", bound, actual=shown) == (day < bound)
    assert holds("LTE", bound, actual=shown) == (day <= bound)
    assert holds("EQ", bound, actual=shown) == (day == bound)


@pytest.mark.parametrize("operator", ["GTE", "GT", "LT", "LTE"])
def test_a_day_matches_a_time_within_it(operator):
    assert holds(operator, TEN, actual="2026-01-31")
    assert holds(operator, TEN, actual="2026-01-30") == (operator in ("LT", "LTE"))
    assert holds(operator, TEN, actual="2026-02-01") == (operator in ("GTE", "GT"))


@given(st.integers(-5, 5) | st.floats(-5, 5), st.integers(-5, 5))
def test_numbers_compare_as_numbers(actual, bound):
    assert holds("GT", bound, actual=actual) == (actual > bound)
    assert holds("LTE", bound, actual=actual) == (actual <= bound)
    assert holds("EQ", bound, actual=actual) == (actual == bound)
    assert holds("NE", bound, actual=actual) == (actual != bound)
    assert holds("EQ", str(bound), actual=actual) == (actual == bound)
    assert holds("EQ", bound, actual=str(actual)) == (actual == bound)


@given(st.text(max_size=4), st.text(min_size=1, max_size=2))
def test_text_compares_and_in_doubt_keeps_the_record(actual, part):
    for found, there in (
        (holds("CONTAINS", part, actual=actual), part in actual),
        (holds("STARTS_WITH", part, actual=actual), actual.startswith(part)),
        (holds("ENDS_WITH", part, actual=actual), actual.endswith(part)),
        (holds("EQ", part, actual=actual), part == actual),
        (holds("IN", part, "zz", actual=actual), actual in (part, "zz")),
    ):
        assert found or not there
    assert holds("DOES_NOT_CONTAINS", part, actual=actual) == (part not in actual)
    assert holds("NE", part, actual=actual) == (part != actual)
    assert holds("NOT_IN", part, actual=actual) == (part != actual)


@pytest.mark.parametrize("actual", [None, ""])
def test_null_matches_as_in_sql(actual):
    assert holds("IS_NULL", actual=actual)
    assert not holds("IS_NOT_NULL", actual=actual)
    for operator in ("EQ", "GT", "LT", "GTE", "LTE", "CONTAINS", "IN", "INCLUDES"):
        assert not holds(operator, "x", actual=actual)
    assert Condition("F", Operator.IS_NULL).holds({})


def test_multi_selects_and_booleans():
    assert holds("INCLUDES", "b", actual="a;b")
    assert holds("INCLUDES", "b", actual=["a", "b"])
    assert not holds("INCLUDES", "c", actual="a;b")
    assert holds("EXCLUDES", "c", actual="a;b")
    assert not holds("EXCLUDES", "b", actual="a;b")
    assert holds("EQ", True, actual="true")
    assert holds("EQ", "false", actual=False)
    assert not holds("EQ", True, actual=False)


def test_picklist_labels_cannot_be_compared_with_ids():
    assert not Condition("F", Operator.IN, ("New",)).is_decidable({"F": ITEM})
    assert Condition("F", Operator.IN, (ITEM,)).is_decidable({"F": ITEM})
    assert Condition("F", Operator.IN, ("New",)).is_decidable({"F": "New"})


VALUES = st.one_of(
    st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.just(TEN), st.just(TEN.date()), st.just(Decimal(1))
)


@given(
    st.sampled_from(list(Operator)),
    st.lists(VALUES, min_size=2, max_size=2),
    st.one_of(VALUES, st.none(), st.floats(), st.lists(st.text(max_size=2)), st.just({})),
)
def test_no_record_makes_a_condition_raise(operator, values, actual):
    count = {Operator.IS_NULL: 0, Operator.IS_NOT_NULL: 0, Operator.BTW: 2}.get(operator, 1)
    condition = Condition("F", operator, tuple(values[:count]))
    assert condition.holds({"F": actual}) in (True, False)
    assert condition.is_decidable({"F": actual}) in (True, False)
