"""Values are read according to their field's type in the schema; no value is lost and none raises an error."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.objects.fields import (
    Values,
    configured_field,
    json_reader,
    leading_number,
    normal_name,
    texts,
    typed_reader,
)
from gainsight_pipelines.objects.pull import selected
from gainsight_pipelines.store.rejected import to_json
from gainsight_pipelines_tests.objects.schemas import lookup, picklist, plain, schema_of

TYPES = ["STRING", "NUMBER", "CURRENCY", "PERCENTAGE", "BOOLEAN", "DATE", "DATETIME", "LOOKUP", "JSON", "WHATEVER"]
TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.floats(allow_nan=False)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(TYPES), JSON_VALUES)
def test_any_value_of_any_type_is_json_or_kept_as_unreadable(data_type: str, value: Any) -> None:
    values = Values({"X": value})
    to_json(values.read("X", typed_reader(plain("X", data_type))))
    assert values.unreadable in ({}, {"X": value})
    assert (values.unreadable_json() is None) == (not values.unreadable) == values.is_readable("X")


@given(JSON_VALUES)
def test_any_picklist_value_is_json(value: Any) -> None:
    to_json(typed_reader(picklist("X", a="A"))(value))
    to_json(typed_reader(picklist("X", multiple=True, a="A"))(value))


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("NUMBER", "1.50", Decimal("1.50")),
        ("BOOLEAN", "false", False),
        ("DATE", "2026-01-31", date(2026, 1, 31)),
        ("DATETIME", "2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("STRING", "", None),
        ("DATE", "", None),
        ("PICKLIST", "", None),
        ("MULTISELECTDROPDOWNLIST", " ", None),
    ],
)
def test_values_have_the_type_of_their_field(data_type: str, value: Any, expected: Any) -> None:
    assert typed_reader(plain("X", data_type))(value) == expected


@given(st.integers() | st.floats() | st.booleans() | st.text("0123456789.,e+-"))
def test_a_number_has_one_json_form_whether_or_not_it_was_parsed(value: Any) -> None:
    read = {reader: Values({"X": value}) for reader in (typed_reader, json_reader)}
    made = [to_json(values.read("X", reader(plain("X", "NUMBER")))) for reader, values in read.items()]
    assert made[0] == made[1]
    assert len({str(values.unreadable) for values in read.values()}) == 1


def test_picklists_give_labels_and_keep_unknown_ids() -> None:
    assert typed_reader(picklist("X", i1="One"))("i1") == "One"
    assert typed_reader(picklist("X", i1="One"))("i9") == "i9"
    several = typed_reader(picklist("X", multiple=True, i1="One", i2="Two"))
    assert several("i1;i2") == several(["i1", "i2"]) == ["One", "Two"]
    assert several("i9;i2") == ["i9", "Two"]
    assert several("") is None


def test_a_picklist_with_a_list_gives_labels() -> None:
    one = typed_reader(picklist("X", i1="One", i2="Two"))
    assert (one(["i1"]), one(["i1", "i2", None]), one([]), one("")) == ("One", "One; Two", None, None)
    assert one("\u200bi1") == "One"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Doe, Jane; Roe, Richard", ["Doe, Jane", "Roe, Richard"]),
        ("Ann, Bob", ["Ann", "Bob"]),
        ("Banking, Insurance", ["Banking, Insurance"]),
        ("Banking, Insurance;Retail", ["Banking, Insurance", "Retail"]),
        ("Retail, Banking, Insurance, Other", ["Retail", "Banking, Insurance", "Other"]),
        ("b;r", ["Banking, Insurance", "Retail"]),
        (["b", "Retail", " "], ["Banking, Insurance", "Retail"]),
        ("A;B", ["A;B"]),
        (";,;", [","]),
        ("", None),
        ([], None),
    ],
)
def test_a_separator_inside_a_label_does_not_split(value: Any, expected: list[str] | None) -> None:
    read = typed_reader(picklist("X", multiple=True, b="Banking, Insurance", r="Retail", ab="A;B"))
    assert read(value) == expected


@pytest.mark.parametrize(
    ("value", "number"),
    [("9 - very likely", 9), ("10 – Extremely", 10), ("7", 7), (8, 8), ("3. Neutral", 3), ("4 (good)", 4),
     ("5 ★★★★★", 5), ("2: bad", 2), ("0 stars", 0), ("4.5 of five", Decimal("4.5")), ("", None), (None, None)],
)  # fmt: skip
def test_a_label_that_begins_with_a_number_is_that_number(value: Any, number: Decimal | None) -> None:
    assert leading_number(value) == number


@pytest.mark.parametrize(
    "value", ["N/A", "very likely", "9/10", "2026-01-31", "20%", "1st choice", "3-4", "9,5 good", [9]]
)
def test_other_labels_are_not_numbers(value: Any) -> None:
    with pytest.raises(ValueError, match="number"):
        leading_number(value)


def test_only_a_value_nested_too_deeply_is_left_out() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    values = Values({"Deep": deep, "Odd": deep})
    assert values.json({"Deep": deep, "Flat": 1}) == '{"Deep":null,"Flat":1}'
    assert values.number("Odd") is None
    assert values.unreadable_json() == '{"Deep":"(nested too deeply)","Odd":"(nested too deeply)"}'


@given(st.lists(st.text(st.characters(exclude_characters=";,", codec="utf-8"))))
def test_texts_are_split_however_they_are_joined(parts: list[str]) -> None:
    expected = [part.strip() for part in parts if part.strip()] or None
    assert texts(parts) == texts(";".join(parts)) == texts(",".join(parts)) == expected


def test_field_names_are_compared_without_suffixes() -> None:
    names = ("MetricName__gc", "metric_name", "Metric Name")
    assert {normal_name(name) for name in names} == {"metricname"}
    assert normal_name("Ant__Next_Step__c") == normal_name("ANT__NEXT_STEP__C") == "nextstep"


def test_refused_fields_are_left_out() -> None:
    schema = schema_of("company", plain("Gsid", "GSID"), plain("Arr"), lookup("Csm", "gsuser"))
    assert selected(schema, "gsid", "Arr", "Nope", "Csm__gr.Name", None) == ("Gsid", "Arr", "Csm__gr.Name")
    without = schema.without(["arr", "Csm__gr.Name"])
    assert selected(without, "Gsid", "Arr", "Csm", "Csm__gr.Name") == ("Gsid", "Csm")
    with pytest.raises(SettingsError, match="may not read"):
        configured_field(without, "Arr", "company.attributes")
    with pytest.raises(SettingsError, match="Did you mean Arr"):
        configured_field(schema, "Arrr", "company.attributes")
