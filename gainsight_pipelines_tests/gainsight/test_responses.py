"""Decoding bodies and records: damaged JSON, keys in any case, error messages."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.gainsight.errors import error_of
from gainsight_pipelines.gainsight.responses import NotJson, Renamer, decode, looks_like_a_web_page

TEXT = st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from('\0\ud800\udfff\n"\\'))
INTEGERS = st.integers(-(2**63), 2**64 - 1)
"""Beyond 64 bits orjson parses a JSON number as a float."""
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_decoded_strings_can_always_be_stored(document):
    decoded, cleaned = decode(json.dumps(document).encode())
    stored = json.dumps(decoded, ensure_ascii=False, allow_nan=False)
    stored.encode()
    assert "\\u0000" not in stored
    if cleaned == 0:
        assert decoded == document


@given(st.binary(max_size=60))
def test_any_bytes_give_a_document_or_not_json(body):
    with suppress(NotJson):
        decode(body)


def test_deep_nesting_is_rejected_without_a_crash():
    for depth in (2_000, 100_000):
        with pytest.raises(NotJson):
            decode(b'{"a":' * depth + b'"\\ud800"' + b"}" * depth)


def test_a_byte_order_mark_is_accepted():
    assert decode(b'\xef\xbb\xbf{"result": true}') == ({"result": True}, 0)


@pytest.mark.parametrize(("kind", "body"), [("text/html; charset=utf-8", b""), ("", b"\n <html>"), ("x", b"<?xml ?>")])
def test_recognises_web_pages(kind, body):
    assert looks_like_a_web_page(kind, body)
    assert not looks_like_a_web_page("application/json", b'{"a": "<html>"}')


def test_records_are_unchanged_if_no_key_differs():
    records = [{"Name": 1, "Gsid": 2}, {"Gsid": 3}]
    assert Renamer(("Name", "Gsid", "Other")).rename(records) is records


def test_keys_get_the_selected_spelling():
    rename = Renamer(("Name", "InternalAttendees", "csm__gr.email")).rename
    assert rename([{"name": 1, "internalAttendees": 2, "Csm__gr.Email": 3, "extra": 4}, {"NAME": 5}, {"Name": 6}]) == [
        {"Name": 1, "InternalAttendees": 2, "csm__gr.email": 3, "extra": 4},
        {"Name": 5},
        {"Name": 6},
    ]


def test_two_spellings_in_one_record_are_both_kept():
    rename = Renamer(("Name",)).rename
    assert rename([{"name": 1, "Name": 2}]) == [{"name": 1, "Name": 2}]
    assert rename([{"name": 1, "NAME": 2}]) == [{"Name": 1, "NAME": 2}]
    # A documented sample of the Timeline API selects both spellings and gets one.
    assert Renamer(("InternalAttendees", "internalAttendees")).rename([{"internalAttendees": 1}]) == [
        {"internalAttendees": 1}
    ]


@given(
    st.integers(200, 599),
    st.dictionaries(st.sampled_from(["errorCode", "errorDesc", "title", "message", "result"]), JSON, max_size=4),
)
def test_any_refusal_gives_an_error(status, envelope):
    error = error_of(status, envelope, what="query of company")
    assert str(error)
    assert len(str(error)) < 600
