"""Values that a warehouse's types can't hold: what is sent in their place, and where their exact text goes.

A number beyond DECIMAL(38,9) is sent rounded or as NULL, a time outside the years 1 to 9999 as NULL. Each delivered
table has a JSON column more, `_exact_values`, with the exact text of such values by column. It is NULL in other rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

EXACT_VALUES = "_exact_values"
"""No column of ours has a name that begins with an underscore, nor has one of a typed view."""

PRECISION, SCALE = 38, 9
"""Of DECIMAL: what all of dlt's warehouses hold, and the type that typed views give to numbers."""

MOST_PAIRS = 50
"""Keys and values of one jsonb_build_object: PostgreSQL allows 100 arguments. A typed view has up to 1,500 columns."""

_NUMBER = f"CASE WHEN abs(round({{0}}, {SCALE})) < 1e{PRECISION - SCALE} THEN round({{0}}, {SCALE}) END"
_TIME = "CASE WHEN {0} BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00' THEN {0} END"
_SENT = {"numeric": _NUMBER, "timestamptz": _TIME, "timestamp": _TIME, "date": _TIME}
"""By PostgreSQL type: SQL for what is sent of the value {0}."""


def sent(column: str, kind: str | None) -> str | None:
    """SQL for the value that is sent of a column.

    Args:
        column: its name.
        kind: its PostgreSQL type, like `numeric`.

    Returns:
        None: warehouses hold all values of the type, so they are sent unchanged.
    """
    template = _SENT.get(kind or "")
    return None if template is None else template.format(_quoted(column))


def is_inexact(column: str, kind: str) -> str | None:
    """SQL for whether what is sent differs from the value; None: it never does. Arguments as in `sent`."""
    expression = sent(column, kind)
    return None if expression is None else f"{_quoted(column)} IS DISTINCT FROM {expression}"


def exact_values(kinds: Mapping[str, str]) -> str:
    """SQL for `_exact_values`: a JSON object as text; NULL in a row whose values are all sent exactly.

    Args:
        kinds: the PostgreSQL type of each column of the table.
    """
    tests = {column: test for column, kind in kinds.items() if (test := is_inexact(column, kind))}
    if not tests:
        return "NULL::text"
    texts = [
        f"{sql.quote(column)}, CASE WHEN {test} THEN {_quoted(column)}::text END" for column, test in tests.items()
    ]
    objects = [
        f"jsonb_strip_nulls(jsonb_build_object({', '.join(texts[start : start + MOST_PAIRS])}))"
        for start in range(0, len(texts), MOST_PAIRS)
    ]
    return f"CASE WHEN {' OR '.join(tests.values())} THEN ({' || '.join(objects)})::text END"


def _quoted(column: str) -> str:
    return sql.Identifier(column).as_string()
