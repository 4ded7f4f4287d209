"""HubSpot's search for companies: parses and checks a request, and applies filters, order and paging. No HTTP.

From https://developers.hubspot.com/docs/api-reference/search/guide: groups of filters (AND within a
group, OR between groups), one sort, 200 results a page, 10,000 results in all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from gainsight_pipelines.sandbox.hubspot_companies import PROPERTIES, Companies, Property
from gainsight_pipelines.sandbox.world import CrmAccount

WINDOW = 10_000
"""No result beyond this position can be read."""
MAX_PAGE = 200
MAX_GROUPS = 5
MAX_FILTERS_IN_GROUP = 6
MAX_FILTERS = 18
MAX_QUERY = 3_000
_SEARCHED = ("website", "phone", "name", "domain")
"""The properties that `query` looks into."""
_FILTER = "com.hubspot.inbounddb.publicobject.core.v3.search.Filter"


class BadSearch(Exception):
    """A request to which HubSpot responds with 400."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search."""

    total: int
    companies: list[CrmAccount]
    after: int | None
    properties: list[str]


Predicate = Callable[[CrmAccount], bool]


def search(companies: Companies, pool: list[CrmAccount], request: dict[str, Any]) -> Found:
    """Searches the companies of `pool`.

    Raises:
        BadSearch: with HubSpot's message, if it is known.
    """
    limit = _integer(request.get("limit") or 10, "limit")
    after = _integer(request.get("after") or 0, "after")
    if not 1 <= limit <= MAX_PAGE:
        raise BadSearch(f"limit must be between 1 and {MAX_PAGE}, was {limit}")
    if after + limit > WINDOW:
        raise BadSearch("There was a problem with the request.")
    holds = _filters(companies, request.get("filterGroups") or [])
    matching = [company for company in pool if holds(company)]
    query = str(request.get("query") or "")
    if len(query) > MAX_QUERY:
        raise BadSearch(f"query must not be longer than {MAX_QUERY} characters")
    for word in query.lower().split():
        matching = [company for company in matching if _mentions(companies, company, word)]
    _sort(companies, matching, request.get("sorts") or [])
    end = after + limit
    properties = [str(name) for name in request.get("properties") or []]
    return Found(len(matching), matching[after:end], end if end < len(matching) else None, properties)


def _integer(value: object, name: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise BadSearch(
            f"Invalid input JSON on line 1, column 1: Cannot deserialize value of `{name}` from {value!r}"
        ) from None


def _mentions(companies: Companies, company: CrmAccount, word: str) -> bool:
    return any(word in (companies.value(company, name) or "").lower() for name in _SEARCHED)


def _sort(companies: Companies, matching: list[CrmAccount], sorts: list[Any]) -> None:
    if len(sorts) > 1:
        raise BadSearch("sorts must not have more than one entry")
    order = sorts[0] if sorts else "createdate"
    if isinstance(order, dict):
        name, descending = str(order.get("propertyName")), order.get("direction") == "DESCENDING"
    else:
        name, descending = str(order).removeprefix("-"), str(order).startswith("-")
    sorted_by = _property(name)

    def key(company: CrmAccount) -> tuple[bool, Any]:
        value = _comparable(sorted_by, companies.value(company, name))
        return (False, 0) if value is None else (True, value)

    matching.sort(key=key, reverse=descending)


def _property(name: str) -> Property:
    try:
        return PROPERTIES[name]
    except KeyError:
        raise BadSearch("There was a problem with the request.") from None


def _filters(companies: Companies, groups: Any) -> Predicate:
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise BadSearch("Invalid input JSON on line 1, column 1: Cannot deserialize instance of `java.util.HashSet`")
    listed = [group.get("filters") or [] for group in groups]
    if (
        len(listed) > MAX_GROUPS
        or sum(map(len, listed)) > MAX_FILTERS
        or any(len(filters) > MAX_FILTERS_IN_GROUP for filters in listed)
    ):
        raise BadSearch(
            f"There are too many filters: at most {MAX_GROUPS} groups, {MAX_FILTERS_IN_GROUP} filters in a group and "
            f"{MAX_FILTERS} filters in total"
        )
    parts = [[_filter(companies, each) for each in filters] for filters in listed]
    return lambda company: not parts or any(all(part(company) for part in group) for group in parts)


def _filter(companies: Companies, node: dict[str, Any]) -> Predicate:
    missing = [name for name in ("propertyName", "operator") if not node.get(name)]
    if missing:
        raise BadSearch(
            "Invalid input JSON on line 1, column 1: Cannot build Filter, some of required attributes are not set "
            f"[{', '.join(missing)}]"
        )
    operator = node["operator"]
    if operator not in _TESTS:
        raise BadSearch(
            f'Invalid input JSON on line 1, column 1: Cannot deserialize value of type `{_FILTER}$Operator` from "'
            f'{operator}"'
        )
    filtered = _property(str(node["propertyName"]))
    wanted = _wanted(filtered, operator, node)
    test = _TESTS[operator]
    text = filtered.type in ("string", "enumeration", "bool")

    def holds(company: CrmAccount) -> bool:
        value = companies.value(company, filtered.name)
        if value is None:
            return str(operator).startswith("N")  # NEQ, NOT_IN, NOT_HAS_PROPERTY, NOT_CONTAINS_TOKEN
        return test(value.lower() if text else _comparable(filtered, value), wanted)

    return holds


def _wanted(filtered: Property, operator: str, node: dict[str, Any]) -> Any:
    """The operand of a filter: a value, a list of values, or the ends of a range."""
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return None
    if operator in ("IN", "NOT_IN"):
        # According to the documentation, text values must be lower case: they are compared unchanged.
        return [
            value if filtered.type == "string" else _operand(filtered, value)
            for value in map(str, _required(node, operator, "values"))
        ]
    value = _operand(filtered, str(_required(node, operator, "value")))
    if operator == "BETWEEN":
        return value, _operand(filtered, str(_required(node, operator, "highValue")))
    return value


def _required(node: dict[str, Any], operator: str, name: str) -> Any:
    if node.get(name) is None:
        raise BadSearch(
            f"Invalid input JSON on line 1, column 1: Cannot construct instance of `{_FILTER}`, problem: operator "
            f"{operator} requires a {name}"
        )
    return node[name]


def _operand(filtered: Property, text: str) -> Any:
    try:
        return _comparable(filtered, text)
    except (ValueError, InvalidOperation):
        raise BadSearch("There was a problem with the request.") from None


def _comparable(of: Property, text: str | None) -> Any:
    """A value for comparisons: numbers, milliseconds since 1970, lower-case text."""
    if text is None:
        return None
    if of.type == "number":
        return Decimal(text)
    if of.type in ("date", "datetime"):
        return int(text) if re.fullmatch(r"-?\d+", text) else _milliseconds(text)
    return text.lower()


def _milliseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _contains(value: Any, wanted: Any) -> bool:
    tokens = re.findall(r"[^\s,;:/@.\-]+", str(value))
    return any(fnmatchcase(candidate, str(wanted)) for candidate in (str(value), *tokens))


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda value, wanted: bool(value == wanted),
    "NEQ": lambda value, wanted: bool(value != wanted),
    "LT": lambda value, wanted: bool(value < wanted),
    "LTE": lambda value, wanted: bool(value <= wanted),
    "GT": lambda value, wanted: bool(value > wanted),
    "GTE": lambda value, wanted: bool(value >= wanted),
    "BETWEEN": lambda value, wanted: bool(wanted[0] <= value <= wanted[1]),
    "IN": lambda value, wanted: value in wanted,
    "NOT_IN": lambda value, wanted: value not in wanted,
    "HAS_PROPERTY": lambda value, wanted: True,
    "NOT_HAS_PROPERTY": lambda value, wanted: False,
    "CONTAINS_TOKEN": _contains,
    "NOT_CONTAINS_TOKEN": lambda value, wanted: not _contains(value, wanted),
}
