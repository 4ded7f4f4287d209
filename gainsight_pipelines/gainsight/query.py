"""A query of Gainsight's Read API: fields, conditions, order. Validated before it is sent.

Conditions are joined by AND only: parentheses and OR are not documented to work in every tenant. The format is that of
the "Read API" sections in Gainsight's "Custom Object API" and "Company API" documentation. No HTTP here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.values import parse_boolean, parse_datetime, parse_number

Value = str | int | float | bool | Decimal | date | datetime
Direction = Literal["asc", "desc"]

MAX_LIMIT = 5000  # per call: "Company API" documentation
MAX_CONDITIONS = 26  # one alias each: a single capital letter in every documented sample

_OBJECT_NAME = re.compile(r"[A-Za-z0-9_]{1,128}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_]{1,128}(\.[A-Za-z0-9_]{1,128}){0,3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_PICKLIST_ITEM = re.compile(r"1I00[0-9A-Z]{32}(;1I00[0-9A-Z]{32})*")
_ALIAS = re.compile(r"[A-Z]")
_EXPRESSION_PART = re.compile(r"\s*(?:(\()|(\))|(AND|OR)\b|([A-Z])\b)\s*", re.IGNORECASE)


class Operator(StrEnum):
    """The operators of the Read API, spelled as in its documentation (DOES_NOT_CONTAINS included)."""

    EQ = "EQ"
    NE = "NE"
    LT = "LT"
    GT = "GT"
    LTE = "LTE"
    GTE = "GTE"
    BTW = "BTW"
    IS_NULL = "IS_NULL"
    IS_NOT_NULL = "IS_NOT_NULL"
    CONTAINS = "CONTAINS"
    DOES_NOT_CONTAINS = "DOES_NOT_CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    INCLUDES = "INCLUDES"
    IN = "IN"
    EXCLUDES = "EXCLUDES"
    NOT_IN = "NOT_IN"


_NO_VALUE = frozenset({Operator.IS_NULL, Operator.IS_NOT_NULL})
_MANY_VALUES = frozenset({Operator.INCLUDES, Operator.IN, Operator.EXCLUDES, Operator.NOT_IN})
_NEGATIVE = frozenset({Operator.NE, Operator.DOES_NOT_CONTAINS, Operator.EXCLUDES, Operator.NOT_IN})
_ORDERED = frozenset({Operator.LT, Operator.GT, Operator.LTE, Operator.GTE, Operator.BTW})


def check_object_name(name: str) -> str:
    """Returns the name if it may be used in a URL path.

    Raises:
        SettingsError: it has characters other than letters, digits and underscores.
    """
    if not _OBJECT_NAME.fullmatch(name):
        raise SettingsError(
            f"{_shortened(name)} is not the name of a Gainsight object", "Use letters, digits and underscores only."
        )
    return name


def check_field_name(name: str) -> str:
    """Returns the name if it may be used in a query; ``GsCompanyId__gr.Name`` reaches through a lookup.

    Raises:
        SettingsError: it has characters other than letters, digits, underscores and dots in between.
    """
    if not is_field_name(name):
        raise SettingsError(
            f"{_shortened(name)} is not the name of a Gainsight field",
            "Use letters, digits and underscores, with a dot after a lookup (GsCompanyId__gr.Name).",
        )
    return name


def is_field_name(name: str) -> bool:
    """Whether a name may be used in a query."""
    return _FIELD_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field with values.

    Args:
        field: the field's name; may reach through lookups.
        operator: one of the documented ones.
        values: none for IS_NULL and IS_NOT_NULL, two for BTW, any number for IN and the like, otherwise one. Date-times
            must be aware. They are sent in UTC, in whole seconds with an explicit Z: the zone of a literal without one
            is not documented.

    Raises:
        SettingsError: an invalid name or number of values.
        ValueError: a date-time without a time zone.
    """

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        check_field_name(self.field)
        expected = _expected_count(self.operator)
        if expected is not None and len(self.values) != expected:
            raise SettingsError(f"{self.field} {self.operator} takes {_values(expected)}, not {len(self.values)}")
        if expected is None and not self.values:
            raise SettingsError(f"{self.field} {self.operator} takes at least one value")
        for value in self.values:
            if isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError(f"the date-time for {self.field} has no time zone")

    def body(self, alias: str) -> dict[str, Any]:
        """The condition as JSON, as it is sent."""
        return {
            "name": self.field,
            "alias": alias,
            "value": [literal(value) for value in self.values],
            "operator": str(self.operator),
        }

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Evaluates the condition on a record, to check pages and for tenants that ignore ``where``.

        Where the documentation is silent, a record is kept rather than lost: text compares case-insensitively, except
        in negative operators; null matches negative operators; a time shown as second s may be stored as a later
        fraction, so ``GT s`` holds for it; an upper bound that is a day includes that day, and a day matches any bound
        within it; an unreadable value matches. Other comparisons with null don't match (SQL).
        """
        actual = record.get(self.field)
        if actual == "":
            # Some tenants send "" for a null date; for text the two can't be told apart either.
            actual = None
        match self.operator:
            case Operator.IS_NULL:
                return actual is None
            case Operator.IS_NOT_NULL:
                return actual is not None
        if actual is None:
            return self.operator in _NEGATIVE
        if self.operator in _ORDERED:
            return _holds_in_order(actual, self.operator, self.values)
        if self.operator in _NEGATIVE:
            return _holds_not(actual, self.operator, self.values)
        return _holds_for_any(actual, self.operator, self.values)

    def is_decidable(self, record: Mapping[str, Any]) -> bool:
        """Whether :meth:`holds` can decide: not if the record has picklist ids and the condition has labels."""
        actual = record.get(self.field)
        if not isinstance(actual, str) or not _PICKLIST_ITEM.fullmatch(actual):
            return self.field in record
        return all(isinstance(value, str) and _PICKLIST_ITEM.fullmatch(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Query:
    """One request of the Read API.

    Args:
        select: names of the fields; there is no "all".
        where: conditions, joined by AND.
        order_by: fields with their direction, the most significant first.
        limit: 1 to 5000 records.
        offset: index of the first record, from 0.
        raw_where: a filter from the settings (:func:`parse_where`), sent unchanged; ``where`` must then be empty.

    Raises:
        SettingsError: an invalid name, too many conditions, a limit or offset out of range.
    """

    select: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    order_by: tuple[tuple[str, Direction], ...] = ()
    limit: int = MAX_LIMIT
    offset: int = 0
    raw_where: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.select:
            raise SettingsError("a query selects at least one field")
        for name in self.select:
            check_field_name(name)
        for name, _ in self.order_by:
            check_field_name(name)
        if not 1 <= self.limit <= MAX_LIMIT:
            raise SettingsError(f"a query's limit is 1 to {MAX_LIMIT}, not {self.limit}")
        if self.offset < 0:
            raise SettingsError(f"a query's offset is 0 or more, not {self.offset}")
        if len(self.where) > MAX_CONDITIONS:
            raise SettingsError(f"a query takes {MAX_CONDITIONS} conditions, not {len(self.where)}")
        if self.raw_where is not None and self.where:
            raise SettingsError("a query takes either conditions or a filter, not both")

    def body(self) -> dict[str, Any]:
        """The JSON object to POST."""
        body: dict[str, Any] = {"select": list(self.select)}
        if self.raw_where is not None:
            body["where"] = dict(self.raw_where)
        elif self.where:
            aliases = [chr(ord("A") + index) for index in range(len(self.where))]
            body["where"] = {
                "conditions": [condition.body(alias) for condition, alias in zip(self.where, aliases, strict=True)],
                "expression": " AND ".join(aliases),
            }
        if self.order_by:
            body["orderBy"] = dict(self.order_by)
        body["limit"] = self.limit
        body["offset"] = self.offset
        return body

    def with_limit(self, limit: int) -> Query:
        """The same query with another limit."""
        return replace(self, limit=limit)


def literal(value: Value) -> str | int | float | bool:
    """A value as sent in a condition: date-times as ``2026-01-31T10:00:00Z``, days as ``2026-01-31``."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def parse_where(document: object, place: str = "filter") -> dict[str, Any]:
    """Validates the structure of a user's where-clause; it is sent unchanged.

    ``{"conditions": [{"name", "alias", "value", "operator"}, …], "expression": "A AND B"}``. A single value needs no
    list; without an expression, the conditions are joined by AND.

    Args:
        document: the value from the settings or the command line.
        place: its place, for error messages.

    Raises:
        SettingsError: names the place and what is expected.
    """
    if not isinstance(document, Mapping):
        raise SettingsError(f"{place} is a {_kind(document)}, not an object with conditions and expression")
    _refuse_unknown_keys(document, {"conditions", "expression"}, place)
    conditions = document.get("conditions")
    if not isinstance(conditions, Sequence) or isinstance(conditions, str) or not conditions:
        raise SettingsError(f"{place}.conditions must be a list of at least one condition")
    if len(conditions) > MAX_CONDITIONS:
        raise SettingsError(f"{place}.conditions has {len(conditions)} conditions; the maximum is {MAX_CONDITIONS}")
    checked = [_parse_condition(item, f"{place}.conditions[{index}]") for index, item in enumerate(conditions)]
    aliases = [condition["alias"] for condition in checked]
    for index, alias in enumerate(aliases):
        if alias in aliases[:index]:
            raise SettingsError(f"{place}.conditions[{index}].alias {alias} is used twice")
    expression = document.get("expression") or " AND ".join(aliases)
    _check_expression(expression, aliases, f"{place}.expression")
    return {"conditions": checked, "expression": expression}


def _parse_condition(item: object, place: str) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise SettingsError(f"{place} is a {_kind(item)}, not an object with name, alias, value and operator")
    _refuse_unknown_keys(item, {"name", "alias", "value", "operator"}, place)
    name, alias, operator = item.get("name"), item.get("alias"), item.get("operator")
    if not isinstance(name, str) or not is_field_name(name):
        raise SettingsError(f"{place}.name must be the API name of a field")
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise SettingsError(f"{place}.alias must be one capital letter")
    if operator not in list(Operator):
        raise SettingsError(f"{place}.operator {_shortened(operator)} is unknown", f"Use one of {', '.join(Operator)}.")
    value = item.get("value", [])
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for index, one in enumerate(values):
        if not isinstance(one, str | int | float | bool):
            raise SettingsError(f"{place}.value[{index}] is a {_kind(one)}, not a text, number or boolean")
    expected = _expected_count(Operator(operator))
    if (expected is None and not values) or (expected is not None and len(values) != expected):
        raise SettingsError(f"{place}.value: {operator} takes {_values(expected)}, not {len(values)}")
    return {"name": name, "alias": alias, "value": values, "operator": str(operator)}


def _check_expression(expression: object, aliases: Sequence[str], place: str) -> None:
    if not isinstance(expression, str):
        raise SettingsError(f"{place} is a {_kind(expression)}, not a text like {' AND '.join(aliases)}")
    wrong = SettingsError(f"{place} {_shortened(expression)} can't be read", f"Write it like {' AND '.join(aliases)}.")
    used = _aliases_in(expression)
    if used is None:
        raise wrong
    for alias in sorted(used - set(aliases)):
        raise SettingsError(f"{place} uses {alias}, which is no condition's alias")
    for alias in aliases:
        if alias not in used:
            raise SettingsError(f"{place} leaves out the condition {alias}")


def _aliases_in(expression: str) -> set[str] | None:
    """The aliases in an expression of AND, OR and parentheses; None if it isn't one."""
    position, depth, wants_operand = 0, 0, True
    used = set()
    while position < len(expression):
        part = _EXPRESSION_PART.match(expression, position)
        if part is None:
            return None
        opening, closing, joint, alias = part.groups()
        depth += bool(opening) - bool(closing)
        if depth < 0 or wants_operand != bool(opening or alias):
            return None
        if alias:
            used.add(alias)
        wants_operand = bool(opening or joint)
        position = part.end()
    return None if wants_operand or depth else used


def _refuse_unknown_keys(document: Mapping[Any, Any], known: set[str], place: str) -> None:
    for key in document:
        if key not in known:
            raise SettingsError(f"{place}.{_shortened(key)} is unknown", f"Known are {', '.join(sorted(known))}.")


def _expected_count(operator: Operator) -> int | None:
    if operator in _NO_VALUE:
        return 0
    if operator is Operator.BTW:
        return 2
    return None if operator in _MANY_VALUES else 1


def _values(count: int | None) -> str:
    if count is None:
        return "at least one value"
    return {0: "no value", 1: "one value"}.get(count, f"{count} values")


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _holds_for_any(actual: Any, operator: Operator, values: tuple[Value, ...]) -> bool:
    match operator:
        case Operator.CONTAINS:
            return str(values[0]).casefold() in str(actual).casefold()
        case Operator.STARTS_WITH:
            return str(actual).casefold().startswith(str(values[0]).casefold())
        case Operator.ENDS_WITH:
            return str(actual).casefold().endswith(str(values[0]).casefold())
        case Operator.INCLUDES:
            return any(_is_equal(one, value) for one in _parts(actual) for value in values)
    return any(_is_equal(actual, value) for value in values)


def _holds_not(actual: Any, operator: Operator, values: tuple[Value, ...]) -> bool:
    match operator:
        case Operator.DOES_NOT_CONTAINS:
            return str(values[0]) not in str(actual)
        case Operator.EXCLUDES:
            return not any(_is_equal(one, value, exactly=True) for one in _parts(actual) for value in values)
    return not any(_is_equal(actual, value, exactly=True) for value in values)


def _parts(actual: Any) -> list[Any]:
    """The values of a multi-select: joined by ``;`` or a list (no public record shows which, so both are accepted)."""
    if isinstance(actual, str):
        return [part.strip() for part in actual.split(";")]
    return actual if isinstance(actual, list) else [actual]


def _is_equal(actual: Any, value: Value, *, exactly: bool = False) -> bool:
    try:
        if isinstance(value, bool):
            return parse_boolean(actual) is value
        if isinstance(value, datetime):
            instant = parse_datetime(actual)
            return instant is not None and _second(instant) == _second(value)
        if isinstance(value, date):
            instant = parse_datetime(actual)
            return instant is not None and instant.date() == value
        if isinstance(value, int | float | Decimal):
            return parse_number(actual) == parse_number(value)
    except ValueError:
        return not exactly
    if isinstance(actual, bool):
        return str(actual).casefold() == value.casefold()
    if isinstance(actual, int | float):
        return str(actual) == value or _same_number(actual, value)
    text = str(actual)
    return text == value if exactly else text.casefold() == value.casefold()


def _same_number(actual: float, value: str) -> bool:
    try:
        return parse_number(actual) == parse_number(value)
    except ValueError:
        return False


def _holds_in_order(actual: Any, operator: Operator, values: tuple[Value, ...]) -> bool:
    if operator is Operator.BTW:
        low, high = values
        return _holds_in_order(actual, Operator.GTE, (low,)) and _holds_in_order(actual, Operator.LTE, (high,))
    value = values[0]
    try:
        if isinstance(value, date):
            return _holds_in_time(actual, operator, value)
        if isinstance(value, int | float | Decimal) and not isinstance(actual, str | bool):
            number, bound = parse_number(actual), parse_number(value)
            return number is None or bound is None or _in_order(number, operator, bound)
        if isinstance(value, str) and isinstance(actual, str | int | float):
            return _holds_for_text(actual, operator, value)
    except ValueError:
        pass
    return True


def _holds_for_text(actual: Any, operator: Operator, value: str) -> bool:
    """Compares with a bound given as text (settings): as a date, or a number beside numbers; otherwise undecidable."""
    if re.match(r"\d{4}-\d{2}-\d{2}", value):
        bound = parse_datetime(value)
        day = bound.date() if bound is not None and len(value) == len("2026-01-31") else None
        return bound is None or _holds_in_time(actual, operator, day or bound)
    number, limit = parse_number(actual), parse_number(value)
    # The order of text depends on the server's collation, so the record is kept.
    return number is None or limit is None or isinstance(actual, str) or _in_order(number, operator, limit)


def _holds_in_time(actual: Any, operator: Operator, value: date) -> bool:
    instant = parse_datetime(actual)
    if instant is None:
        return False
    if isinstance(value, datetime) and isinstance(actual, str) and _DAY.fullmatch(actual):
        # Whether the server reads a day beside a time as its start or as the whole day is not documented.
        day = value.astimezone(UTC).date()
        return instant.date() <= day if operator in (Operator.LT, Operator.LTE) else instant.date() >= day
    if isinstance(value, datetime):
        second, bound = _second(instant), _second(value)
        return second >= bound if operator is Operator.GT else _in_order(second, operator, bound)
    start = datetime(value.year, value.month, value.day, tzinfo=UTC)
    match operator:
        case Operator.LT:
            return instant < start
        case Operator.LTE:
            return instant - start < timedelta(days=1)
    return instant >= start


def _in_order(actual: Any, operator: Operator, bound: Any) -> bool:
    match operator:
        case Operator.LT:
            return bool(actual < bound)
        case Operator.LTE:
            return bool(actual <= bound)
        case Operator.GT:
            return bool(actual > bound)
    return bool(actual >= bound)


def _second(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)
