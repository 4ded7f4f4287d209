"""Comparison keys ignore invisible characters; PostgreSQL accepts cleaned text."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.text import canonical_gsid, clean_text, clean_value, label_key, name_key, visible

ANY_TEXT = st.text(
    alphabet=st.characters(exclude_categories=()) | st.sampled_from("\0\u200b\u0301\uff21\u3000 \t\ufe0f")
)


@pytest.mark.parametrize(
    "pasted",
    [
        "\u200b1P02A", "1P02A\ufeff", "1P\u00ad02A", "\u200e1P02A\u200f", "1P02\u2060A", " 1P02A\u00a0", "1P02A\0",
        "\u2066 1P02A\u2069 ", "1P02A\ufe0f", "\u200b \u200b1P02A \u200b", "\uff11\uff3002A", "\u30001P02A",
        "1P02\U000e0041A",
    ],
)  # fmt: skip
def test_invisible_characters_are_ignored(pasted: str) -> None:
    assert visible(pasted) == "1P02A"
    assert name_key(pasted) == "1p02a"
    assert canonical_gsid(pasted.swapcase()) == "1P02A"


@pytest.mark.parametrize("text", ["1P02A", "1P02 A", "Réunion client", "日本語の名前", "عميل", "Straße", "x²", "👍🏽"])
def test_visible_text_is_unchanged(text: str) -> None:
    assert visible(text) == text


def test_only_name_keys_ignore_case() -> None:
    assert visible("001A0000006Vm9r") != visible("001a0000006vm9r")
    assert name_key("Survey_Response") == name_key("survey_response")
    assert name_key("STRASSE") == name_key("straße")


@pytest.mark.parametrize(
    "label",
    [
        "Réunion client",
        unicodedata.normalize("NFD", "Réunion client"),
        "réunionclient",
        "RÉUNION\u00a0CLIENT\u200b",
        "\uff32éunion client",
    ],
)
def test_labels_compare_without_case_and_whitespace(label: str) -> None:
    assert label_key(label) == "réunionclient"


@given(ANY_TEXT)
def test_a_key_of_a_key_is_itself(text: str) -> None:
    for key in (visible, name_key, label_key):
        assert key(key(text)) == key(text)
    assert visible(unicodedata.normalize("NFD", text)) == visible(unicodedata.normalize("NFC", text))
    assert not any(unicodedata.category(each) == "Cf" for each in visible(text))


def test_a_blank_text_is_no_gsid() -> None:
    assert [canonical_gsid(value) for value in (None, "", " ", "\u200b", "\0\ufeff ")] == [None] * 5


@given(st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\udfff")))
def test_cleaned_text_is_accepted_by_postgresql(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean_text(cleaned) is cleaned
    if cleaned == text:
        assert cleaned is text


def test_values_are_cleaned_at_any_depth_and_counted() -> None:
    value = {"a\0": ["x\ud800", {"b": math.inf, "c": 1.5}], "d": None, "e": True}
    assert clean_value(value) == ({"a": ["x\ufffd", {"b": None, "c": 1.5}], "d": None, "e": True}, 3)
    right = {"a": ["x", {"b": 1}]}
    assert clean_value(right)[0] is right
