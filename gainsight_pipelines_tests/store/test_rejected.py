"""JSON for jsonb columns, with numbers of any size."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gainsight_pipelines.store.rejected import to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal(12), "12"),
        (Decimal("12.5"), "12.5"),
        (Decimal("1e20"), "1e+20"),
        (Decimal("1e400"), '"1E+400"'),
        (-Decimal(2**64), "-1.8446744073709552e+19"),
    ],
)
def test_numbers_of_any_size_are_json(value: Decimal, text: str) -> None:
    assert to_json(value) == text
