"""Fields of an object as columns of its typed view: their PostgreSQL types, and values that never fail the cast.

Values are typed when they are written: one that doesn't fit its column is NULL there and kept in `unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from gainsight_pipelines.gainsight.metadata import Field
from gainsight_pipelines.objects.fields import (
    BOOLEAN_TYPES,
    MULTI_SELECT,
    NUMBER_TYPES,
    Reader,
    json_reader,
)
from gainsight_pipelines.store.views import BOOLEAN, DATE, JSONB, NUMBER, TEXT, TEXTS, TIME, Column
from gainsight_pipelines.text import name_key

NAME_SUFFIX = "__name"
"""Attribute `OwnerId` is the user's GSID, `OwnerId__name` is the name that the lookup shows."""

LARGEST = Decimal(10) ** 29
"""The limit of `numeric(38,9)`: up to 29 digits before the decimal point."""


def column_type(field: Field) -> str:
    """The PostgreSQL type of a field's column."""
    if field.data_type == MULTI_SELECT:
        return TEXTS
    if field.is_picklist or field.options:
        return TEXT
    if field.data_type in NUMBER_TYPES:
        return NUMBER
    if field.data_type in BOOLEAN_TYPES:
        return BOOLEAN
    return {"DATE": DATE, "DATETIME": TIME, "JSON": JSONB}.get(field.data_type, TEXT)


def column_reader(field: Field) -> Reader:
    """A reader whose results fit the field's column.

    The reader raises ValueError for a value that doesn't fit.
    """
    read, kind = json_reader(field), column_type(field)

    def checked(value: Any) -> Any:
        found = read(value)
        if kind == TEXT:
            return str(found) if isinstance(found, int | float | Decimal) and not isinstance(found, bool) else found
        if found is not None and not _TAKES[kind](found):
            raise ValueError(f"the value is not a {kind}")
        return found

    return checked


def columns_of(fields: Iterable[Field], shown: Iterable[str] = ()) -> tuple[Column, ...]:
    """The columns of some fields; lookups in `shown` are followed by a column for the name that they show.

    The record's GSID is already a column of every view.
    """
    names = set(shown)
    found = []
    for field in fields:
        if name_key(field.name) != "gsid":
            found.append(Column(field.name, column_type(field), field.label))
        if field.name in names:
            found.append(Column(f"{field.name}{NAME_SUFFIX}", TEXT, f"{field.label}: name"))
    return tuple(found)


def fits(kind: str, value: Any) -> bool:
    """Whether a stored JSON value can be cast to a column's type."""
    if value is None or kind in (TEXT, JSONB):
        return True
    try:
        return _FITS[kind](value)
    except (ValueError, ArithmeticError):
        return False


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float | str) and abs(Decimal(str(value))) < LARGEST


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and date.fromisoformat(value) is not None


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value) is not None


_FITS: dict[str, Callable[[Any], bool]] = {
    NUMBER: _is_number,
    BOOLEAN: lambda value: isinstance(value, bool),
    DATE: _is_date,
    TIME: _is_time,
    TEXTS: lambda value: isinstance(value, list),
}


_TAKES: dict[str, Callable[[Any], bool]] = {
    NUMBER: lambda value: isinstance(value, int | Decimal) and -LARGEST < value < LARGEST,
    BOOLEAN: lambda value: isinstance(value, bool),
    DATE: lambda value: isinstance(value, date) and not isinstance(value, datetime),
    TIME: lambda value: isinstance(value, datetime),
    TEXTS: lambda value: isinstance(value, list),
    JSONB: lambda _value: True,
}
"""Whether a parsed value fits a column, by the column's type."""
