"""Checks a where-clause from the settings against the object's schema, before it is sent (requirement S6).

``query.parse_where`` checks its structure; this module checks fields, operators and types of values. What only the
tenant can know (fields behind lookups, unexplained types) passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import DATE_TYPES, NUMERIC_TYPES, Field, ObjectSchema
from gainsight_pipelines.gainsight.query import Operator, parse_where
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.text import name_key
from gainsight_pipelines.values import parse_boolean, parse_datetime, parse_number

_ANY = {Operator.IS_NULL, Operator.IS_NOT_NULL, Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN}
_ORDER = {Operator.LT, Operator.GT, Operator.LTE, Operator.GTE, Operator.BTW}
_SETS = {Operator.INCLUDES, Operator.EXCLUDES}
_TEXT = {Operator.CONTAINS, Operator.DOES_NOT_CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH}


def checked_filter(document: object, schema: ObjectSchema, place: str) -> dict[str, Any] | None:
    """The filter, ready to be sent; None if there is none.

    Args:
        document: the value from the settings.
        schema: the object to filter.
        place: its place in the settings, such as ``surveys.filter``.

    Raises:
        SettingsError: names the place (``surveys.filter.conditions[1].name``) and what is expected.
    """
    if document is None:
        return None
    where = parse_where(document, place)
    for index, condition in enumerate(where["conditions"]):
        _check(condition, schema, f"{place}.conditions[{index}]")
    return where


def _check(condition: Mapping[str, Any], schema: ObjectSchema, place: str) -> None:
    field = _field(condition["name"], schema, f"{place}.name")
    if field is None:
        return
    if not field.is_filterable:
        raise SettingsError(
            f"{place}.name: Gainsight can't filter by {field.name} ({field.data_type}).",
            "Choose another field.",
        )
    operator = Operator(condition["operator"])
    allowed = _operators(field)
    if operator not in allowed:
        raise SettingsError(
            f"{place}.operator {operator} doesn't apply to {field.name}, which holds {field.data_type}.",
            f"Use one of {', '.join(sorted(allowed))}.",
        )
    for index, value in enumerate(condition["value"]):
        if (expected := _misfit(field, operator, value)) is not None:
            raise SettingsError(
                f"{place}.value[{index}] {value!r} doesn't fit {field.name}, which holds {field.data_type}.",
                f"It takes {expected}.",
            )


def _field(name: str, schema: ObjectSchema, place: str) -> Field | None:
    """The field of a condition; None behind a lookup, whose object isn't described here."""
    first, dot, _ = name.partition(".")
    if dot:
        paths = {name_key(one.lookup_path): one.lookup_path for one in schema.fields.values() if one.lookup_path}
        if name_key(first) in paths:
            return None
        raise SettingsError(
            f"{place}: {first} is not a lookup of Gainsight object `{schema.name}`.",
            f"Its lookups are {', '.join(sorted(paths.values()))}." if paths else "It has none.",
        )
    found = schema.field(name)
    if found is None:
        raise SettingsError(
            f"{place}: Gainsight object `{schema.name}` has no field {name}.",
            did_you_mean(name, schema.fields.keys()) or "Choose one of the object's fields.",
        )
    return found


def _operators(field: Field) -> set[Operator]:
    if field.is_numeric or field.is_date:
        return _ANY | _ORDER
    if field.data_type in {"BOOLEAN", "JSONBOOLEAN"}:
        return _ANY
    if field.is_picklist:
        return _ANY | _SETS | _TEXT
    return _ANY | _ORDER | _TEXT | _SETS


def _misfit(field: Field, operator: Operator, value: Any) -> str | None:
    """What the field takes, if the value doesn't fit."""
    if field.data_type in NUMERIC_TYPES:
        return None if not isinstance(value, bool) and _reads(parse_number, value) else "a number"
    if field.data_type in {"BOOLEAN", "JSONBOOLEAN"}:
        return None if _reads(parse_boolean, value) else "true or false"
    if field.data_type in DATE_TYPES:
        return (
            None
            if not isinstance(value, bool) and _reads(parse_datetime, value)
            else ("a date like 2026-01-31 or a time like 2026-01-31T10:00:00Z, in quotes")
        )
    if field.is_picklist and field.options and operator not in _TEXT:
        known = {option.value for option in field.options} | {name_key(option.label) for option in field.options}
        if str(value) not in known and name_key(str(value)) not in known:
            return f"one of {', '.join(option.label for option in field.options)}"
    return None


def _reads(parse: Any, value: Any) -> bool:
    try:
        return parse(value) is not None
    except ValueError:
        return False
