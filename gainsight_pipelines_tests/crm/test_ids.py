from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.crm.ids import hubspot_id, salesforce_id_18

SHORT = st.text(string.ascii_letters + string.digits, min_size=15, max_size=15)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # Published examples of converted ids.
        ("a0D30000001n7Pi", "a0D30000001n7PiEAI"),
        ("0019000000B98de", "0019000000B98deAAB"),
        ("001A0000006Vm9r", "001A0000006Vm9rIAC"),
        ("00530000003M1Jf", "00530000003M1JfAAK"),
        ("  001A0000006Vm9r\n", "001A0000006Vm9rIAC"),
        ("001A0000006Vm9rIAC", "001A0000006Vm9rIAC"),
        ("001a0000006vm9riac", "001A0000006Vm9rIAC"),
        ("001A0000006VM9RIAC", "001A0000006Vm9rIAC"),
        ("001A0000006Vm9riac", "001A0000006Vm9rIAC"),
        ("", None),
        ("001A0000006Vm9", None),
        ("001A0000006Vm9rIA", None),
        ("001A0000006Vm9rIA9", None),
        ("001A0000006Vm9!", None),
        ("001A0000006Vm9é", None),
        ("001A0000006Vm9rAAA", None),
        ("001A0000006VM9RI5C", None),
    ],
)
def test_canonical_salesforce_ids(value: str, expected: str | None) -> None:
    assert salesforce_id_18(value) == expected


@given(SHORT)
def test_every_form_of_an_id_is_the_same_account(short: str) -> None:
    full = salesforce_id_18(short)
    assert full is not None
    assert full.startswith(short)
    assert {salesforce_id_18(spelling) for spelling in (full, full.lower(), full.upper(), f" {full} ")} == {full}


@given(SHORT, SHORT)
def test_ids_that_differ_only_by_case_stay_different(one: str, other: str) -> None:
    assert (salesforce_id_18(one) == salesforce_id_18(other)) == (one == other)
    swapped = one.swapcase()
    assert (salesforce_id_18(swapped) == salesforce_id_18(one)) == (swapped == one)


@given(st.text(max_size=20))
def test_salesforce_id_never_fails_and_is_stable(value: str) -> None:
    found = salesforce_id_18(value)
    assert found is None or salesforce_id_18(found) == found


@pytest.mark.parametrize(
    ("value", "expected"),
    [(" 9100000037 ", "9100000037"), ("0042", "42"), ("9100000037.0", "9100000037"), ("9100000037.5", None)]
    + [(value, None) for value in ("", "0", "-1", "1e9", "abc", "12 34", "٣٤", "1" * 30)],
)
def test_canonical_hubspot_ids(value: str, expected: str | None) -> None:
    assert hubspot_id(value) == expected


@given(st.integers(1, 10**18))
def test_hubspot_ids_keep_their_number(number: int) -> None:
    assert hubspot_id(str(number)) == str(number)
