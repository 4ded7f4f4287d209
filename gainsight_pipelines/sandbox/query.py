"""The query engine behind `POST /v1/data/objects/query/{Object}`: select, where, orderBy, limit and offset.

Rows are Python values; the server serialises them. The semantics are SQL's (null matches no comparison), with
PostgreSQL's order of nulls. Where Gainsight's documentation is unclear, the engine is strict, so that a client with
wrong assumptions fails here and not at a customer.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gainsight_pipelines.sandbox.switches import Switches
from gainsight_pipelines.sandbox.world import GainsightTable, World

MAX_LIMIT = 5000
DEFAULT_LIMIT = 100
MAX_LOOKUPS = 2
DELETE_LOG = "record_delete_log"
DELETE_LOG_DAYS = 15
NUMERIC_TYPES = {"NUMBER", "PERCENTAGE", "CURRENCY", "JSONNUMBER"}
BOOLEAN_TYPES = {"BOOLEAN", "JSONBOOLEAN"}
PICKLIST_TYPES = {"PICKLIST", "MULTISELECTDROPDOWNLIST"}
VALUE_COUNTS = {
    "BTW": 2,
    "IS_NULL": 0,
    "IS_NOT_NULL": 0,
    "IN": None,
    "NOT_IN": None,
    "INCLUDES": None,
    "EXCLUDES": None,
}
OPERATORS = {"EQ", "NE", "LT", "GT", "LTE", "GTE", "CONTAINS", "DOES_NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH"} | set(
    VALUE_COUNTS
)
TEXT_OPERATORS = {"CONTAINS", "DOES_NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH"}
RANGE_OPERATORS = {"EQ", "GT", "GTE", "LT", "LTE", "BTW"}
DATE_FORMATS = ("%m-%d-%Y", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")
EXPRESSION_TOKEN = re.compile(r"\s*(?:(\()|(\))|((?i:AND|OR)\b)|([A-Z]\b))")

Record = dict[str, Any]
Predicate = Callable[[Record], bool]
Getter = Callable[[Record], Any]


class QueryError(Exception):
    """The service refuses the query, with HTTP 400, this code and this text."""

    def __init__(self, code: str | None, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class UnknownObject(QueryError):
    """The object does not exist, or is not readable."""

    def __init__(self) -> None:
        super().__init__(None, "Requested object not found.")


@dataclass(frozen=True, slots=True)
class Path:
    """A field of a query, resolved: its description, and how to read it from a record."""

    sent: str
    name: str
    """Canonical field name; for a path over lookups the last one's."""
    field: dict[str, Any]
    get: Getter
    is_plain: bool

    @property
    def data_type(self) -> str:
        """The field's data type."""
        return str(self.field["dataType"])


@dataclass(frozen=True, slots=True)
class Result:
    """A page: the selected paths, and the complete records."""

    table: GainsightTable
    paths: list[Path]
    records: list[Record]


@dataclass(slots=True)
class _Condition:
    path: Path
    operator: str
    values: list[Any]
    test: Predicate


class Engine:
    """Runs queries on a world. It caches sorted records, so call `touched` after each change."""

    def __init__(self, world: World, switches: Switches) -> None:
        self.world = world
        self.switches = switches
        self._orders: dict[tuple[str, tuple[tuple[str, bool], ...]], tuple[list[Record], list[Any]]] = {}
        self._by_gsid: dict[str, dict[str, Record]] = {}
        self._fields: dict[str, dict[str, dict[str, Any]]] = {}
        self._lookups: dict[str, dict[str, tuple[str, str]]] = {}
        self._fractions = False

    def touched(self, table_name: str, *, membership: bool = True) -> None:
        """Clears caches after a table's records changed. `membership`: records were added or removed."""
        self._orders = {
            key: value
            for key, value in self._orders.items()
            if key[0] != table_name and not any("." in name for name, _ in key[1])
        }
        if membership:
            self._by_gsid.pop(table_name, None)

    def table(self, name: str) -> GainsightTable:
        """The readable table with that name, in any case."""
        table = self.world.tables.get(name.lower())
        hidden = table is None or not table.describe.get("readable", True)
        if table is None or hidden or (table.name == DELETE_LOG and not self.switches.delete_log):
            raise UnknownObject
        return table

    def record(self, table_name: str, gsid: str) -> Record | None:
        """The record with that GSID."""
        index = self._by_gsid.get(table_name)
        if index is None:
            table = self.world.tables[table_name]
            index = {record["Gsid"]: record for record in table.records if "Gsid" in record}
            self._by_gsid[table_name] = index
        return index.get(gsid)

    def described(self, table_name: str) -> None:
        """Clears caches after a table's fields changed."""
        self._fields.pop(table_name, None)
        self._lookups.pop(table_name, None)
        self._orders.clear()

    def field(self, table: GainsightTable, name: str) -> dict[str, Any] | None:
        """The description of a field, by its name in any case."""
        known = self._fields.get(table.name)
        if known is None:
            known = {each["fieldName"].lower(): each for each in table.describe["fields"]}
            self._fields[table.name] = known
        return known.get(name.lower())

    def query(self, object_name: str, body: Any) -> Result:
        """Runs a query.

        Raises:
            QueryError: the service would refuse it.
        """
        table = self.table(object_name)
        if not isinstance(body, dict):
            raise QueryError("GSOBJ_1002", "Request body is not a JSON object")
        self._apply_fractions()
        if table.name == DELETE_LOG:
            self._expire_delete_log(table)
        paths = self._select(table, body.get("select"))
        limit, offset = self._page(body)
        conditions, predicate = self._where(table, body.get("where"))
        order = self._order_by(table, body.get("orderBy"))
        if self.switches.where_ignored:
            conditions, predicate = [], None
        if self.switches.order_by_ignored:
            order = []
        candidates = self._candidates(table, order, conditions)
        if predicate is not None:
            candidates = filter(predicate, candidates)
        return Result(table, paths, _slice(candidates, offset, limit))

    # -- select ---------------------------------------------------------------------------------------------------

    def _select(self, table: GainsightTable, select: Any) -> list[Path]:
        if not isinstance(select, list) or not select or not all(isinstance(name, str) for name in select):
            raise QueryError("GSOBJ_1002", "Invalid select clause: a list of field names is expected")
        paths = []
        for name in select:
            path = self.path(table, name, "select")
            if path.field["meta"].get("deleted"):
                raise QueryError("GSOBJ_1002", f"Invalid fields in select clause - {name}")
            names = {f"{table.name}.{name}".lower() for name in (path.name, path.sent)}
            if not names.isdisjoint(each.lower() for each in self.switches.unreadable_fields):
                raise QueryError("P_5005", f"Field {name} is not accessible")
            paths.append(path)
        return paths

    def path(self, table: GainsightTable, sent: str, clause: str) -> Path:
        """Resolves `Field`, `Lookup__gr.Field` or `Lookup__gr.Lookup__gr.Field`, names in any case."""
        *lookups, last = sent.split(".")
        refused = QueryError("GSOBJ_1002", f"Invalid fields in {clause} clause - {sent}")
        if len(lookups) > MAX_LOOKUPS:
            raise refused
        hops: list[tuple[str, str]] = []
        here = table
        for lookup in lookups:
            hop = self._lookup(here, lookup)
            if hop is None:
                raise refused
            hops.append(hop)
            here = self.world.tables[hop[1]]
        found = self.field(here, last)
        if found is None:
            raise refused
        name = found["fieldName"]
        return Path(sent, name, found, self._getter(hops, name), is_plain=not hops)

    def _lookup(self, table: GainsightTable, name: str) -> tuple[str, str] | None:
        """The field and the target table of a lookup in a path."""
        known = self._lookups.get(table.name)
        if known is None:
            known = {}
            for each in table.describe["fields"]:
                detail = each["meta"].get("lookupDetail")
                if detail:
                    known[detail["lookupName"].lower()] = (each["fieldName"], detail["lookupObjects"][0]["objectName"])
            self._lookups[table.name] = known
        return known.get(name.lower())

    def _getter(self, hops: list[tuple[str, str]], name: str) -> Getter:
        if not hops:
            return lambda record: record.get(name)

        def get(record: Record) -> Any:
            here: Record | None = record
            for field_name, target in hops:
                gsid = here.get(field_name) if here else None
                here = self.record(target, gsid) if gsid else None
            return here.get(name) if here else None

        return get

    # -- limit, offset --------------------------------------------------------------------------------------------

    def _page(self, body: dict[str, Any]) -> tuple[int, int]:
        limit, offset = body.get("limit", DEFAULT_LIMIT), body.get("offset", 0)
        for name, value, lowest in (("limit", limit, 1), ("offset", offset, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise QueryError("GSOBJ_1002", f"Invalid {name}: {value}")
        if limit > MAX_LIMIT:
            raise QueryError("GSOBJ_1002", f"Invalid limit: {limit} exceeds the maximum of {MAX_LIMIT}")
        if self.switches.page_cap is not None:
            limit = min(limit, self.switches.page_cap)
        return limit, 0 if self.switches.offset_ignored else offset

    # -- orderBy --------------------------------------------------------------------------------------------------

    def _order_by(self, table: GainsightTable, order_by: Any) -> list[tuple[Path, bool]]:
        if order_by is None:
            return []
        if not isinstance(order_by, dict):
            raise QueryError("GSOBJ_1002", "Invalid orderBy clause: an object of field and asc or desc is expected")
        order = []
        for name, direction in order_by.items():
            path = self.path(table, name, "orderBy")
            if str(direction).lower() not in {"asc", "desc"} or not path.field["meta"]["sortable"]:
                raise QueryError("GSOBJ_1002", f"Invalid fields in orderBy clause - {name}")
            order.append((path, str(direction).lower() == "desc"))
        return order

    def _candidates(
        self, table: GainsightTable, order: list[tuple[Path, bool]], conditions: list[_Condition]
    ) -> Iterable[Record]:
        """The records in order; if the first order field ascends, only those in the range of its conditions."""
        if not order:
            return table.records
        records, keys = self._sorted(table, order)
        first, descending = order[0]
        if descending:
            return records
        ranges = [
            condition
            for condition in conditions
            if first.is_plain
            and condition.path.sent.lower() == first.sent.lower()
            and condition.operator in RANGE_OPERATORS
        ]
        if not ranges:
            return records
        low, high = 0, len(keys)
        for condition in ranges:
            low, high = _narrow(condition, keys, low, high)
        return _between(records, low, high)

    def _sorted(self, table: GainsightTable, order: list[tuple[Path, bool]]) -> tuple[list[Record], list[Any]]:
        """All records of a table in order, and the non-null values of the first order field."""
        cache_key = (table.name, tuple((path.sent.lower(), descending) for path, descending in order))
        cached = self._orders.get(cache_key)
        if cached is not None:
            return cached
        records = list(table.records)
        for path, descending in reversed(order):
            _sort_by(records, path.get, descending)
        get = order[0][0].get
        keys = [key for key in map(get, records) if key is not None]
        self._orders[cache_key] = (records, keys)
        return records, keys

    # -- where ----------------------------------------------------------------------------------------------------

    def _where(self, table: GainsightTable, where: Any) -> tuple[list[_Condition], Predicate | None]:
        """The conditions that must all be true (empty if there is an OR), and the complete predicate."""
        if where is None or where == {}:
            return [], None
        if not isinstance(where, dict) or not isinstance(where.get("conditions"), list):
            raise QueryError("GSOBJ_1002", "Invalid where clause: conditions and expression are expected")
        conditions: dict[str, _Condition] = {}
        for each in where["conditions"]:
            alias = each.get("alias") if isinstance(each, dict) else None
            if not isinstance(alias, str) or not re.fullmatch("[A-Z]", alias) or alias in conditions:
                raise QueryError("GSOBJ_1002", "Invalid where clause: each condition needs an alias A-Z of its own")
            conditions[alias] = self._condition(table, each)
        if not conditions:
            return [], None
        expression = where.get("expression")
        if expression is None and len(conditions) == 1:
            expression = next(iter(conditions))
        if not isinstance(expression, str):
            raise QueryError("GSOBJ_1002", "Invalid where clause: an expression is expected")
        return self._expression(expression, conditions)

    def _expression(
        self, expression: str, conditions: dict[str, _Condition]
    ) -> tuple[list[_Condition], Predicate | None]:
        tokens = _tokens(expression)
        if self.switches.parentheses_refused and "(" in tokens:
            raise QueryError("GSOBJ_1002", f"Invalid expression: {expression}")
        if self.switches.or_refused and "OR" in tokens:
            raise QueryError("GSOBJ_1002", f"Invalid expression: {expression}")
        for token in tokens:
            if len(token) == 1 and token.isalpha() and token not in conditions:
                raise QueryError("GSOBJ_1002", f"Invalid expression: no condition has the alias {token}")
        parser = _ExpressionParser(tokens, {alias: condition.test for alias, condition in conditions.items()})
        predicate = parser.parse()
        if "OR" in tokens:
            return [], predicate
        return [conditions[token] for token in tokens if token in conditions], predicate

    def _condition(self, table: GainsightTable, raw: dict[str, Any]) -> _Condition:
        name, operator, values = raw.get("name"), raw.get("operator"), raw.get("value")
        if not isinstance(name, str):
            raise QueryError("GSOBJ_1002", "Invalid where clause: a condition has no name")
        path = self.path(table, name, "where")
        if not path.field["meta"]["filterable"] or path.field["meta"].get("deleted"):
            raise QueryError("GSOBJ_1002", f"Invalid fields in where clause - {name}")
        if operator not in OPERATORS:
            raise QueryError("GSOBJ_1002", f"Invalid operator - {operator}")
        if values is None and operator in {"IS_NULL", "IS_NOT_NULL"}:
            values = []
        if not isinstance(values, list):
            raise QueryError("GSOBJ_1002", f"Invalid value for {name}: an array is expected")
        expected = VALUE_COUNTS.get(operator, 1)
        if (expected is not None and len(values) != expected) or (expected is None and not values):
            raise QueryError("GSOBJ_1002", f"Invalid value for {name}: {operator} takes {expected or 'one or more'}")
        parsed = [self._literal(path, operator, value) for value in values]
        return _Condition(path, operator, parsed, _test(path, operator, parsed))

    def _literal(self, path: Path, operator: str, value: Any) -> Any:
        kind = path.data_type
        if operator in TEXT_OPERATORS:
            if kind in NUMERIC_TYPES | BOOLEAN_TYPES | {"DATE", "DATETIME"}:
                raise QueryError("GSOBJ_1002", f"Operator {operator} is not supported for {path.sent}")
            return str(value)
        if kind in {"DATE", "DATETIME"}:
            return self._date_literal(path, value)
        if kind in NUMERIC_TYPES:
            try:
                return float(value)
            except (TypeError, ValueError):
                raise QueryError("GSOBJ_1002", f"Invalid data mapping ({path.sent} = {value})") from None
        if kind in BOOLEAN_TYPES:
            if isinstance(value, bool):
                return value
            if str(value).lower() in {"true", "false"}:
                return str(value).lower() == "true"
            raise QueryError("GSOBJ_1002", f"Invalid data mapping ({path.sent} = {value})")
        if kind in PICKLIST_TYPES:
            options = path.field.get("options", [])
            return next((each["value"] for each in options if value in (each["label"], each["value"])), str(value))
        return str(value)

    def _date_literal(self, path: Path, value: Any) -> date | datetime:
        try:
            moment = parse_moment(value, ZoneInfo(self.switches.timezone))
        except ValueError:
            code, kind = ("GSOBJ_1005", "date") if path.data_type == "DATE" else ("GSOBJ_1006", "dateTime")
            raise QueryError(code, f"Invalid {kind}s format ({path.sent} = {value}).") from None
        if path.data_type == "DATETIME":
            return moment.astimezone(UTC)
        return moment.date()

    # -- state of the tables --------------------------------------------------------------------------------------

    def _expire_delete_log(self, table: GainsightTable) -> None:
        oldest = self.switches.now() - timedelta(days=DELETE_LOG_DAYS)
        kept = [record for record in table.records if record["DeletedOn"] >= oldest]
        if len(kept) != len(table.records):
            table.records = kept
            self.touched(table.name)

    def _apply_fractions(self) -> None:
        """Adds milliseconds, derived from the GSID, to all times, or removes them, after the switch was changed."""
        if self._fractions == self.switches.date_fraction_hidden:
            return
        self._fractions = self.switches.date_fraction_hidden
        for table in self.world.tables.values():
            names = [each["fieldName"] for each in table.describe["fields"] if each["dataType"] == "DATETIME"]
            for record in table.records:
                millisecond = millisecond_of(record.get("Gsid", "")) if self._fractions else 0
                for name in names:
                    if record.get(name) is not None:
                        record[name] = record[name].replace(microsecond=1000 * millisecond)
            self.touched(table.name, membership=False)


def millisecond_of(gsid: str) -> int:
    """The milliseconds of a record's times while the switch for fractions is on."""
    return int(gsid[-6:] or "0", 36) % 1000


def parse_moment(value: Any, zone: ZoneInfo) -> datetime:
    """Parses a date or time literal in any documented or observed format; without an offset, it is in `zone`.

    Raises:
        ValueError: no such format.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10**11:
        return datetime.fromtimestamp(value / 1000, UTC)
    value = str(value)
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(value, form).replace(tzinfo=zone)
        except ValueError:
            continue
    if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", value):
        raise ValueError(f"not a date: {value!r}")
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _slice(records: Iterable[Record], offset: int, limit: int) -> list[Record]:
    if isinstance(records, list):
        return records[offset : offset + limit]
    page: list[Record] = []
    skipped = 0
    for record in records:
        if skipped < offset:
            skipped += 1
            continue
        page.append(record)
        if len(page) == limit:
            break
    return page


def _between(records: list[Record], low: int, high: int) -> Iterator[Record]:
    for position in range(low, high):
        yield records[position]


def _sort_by(records: list[Record], get: Getter, descending: bool) -> None:
    """Sorts in place (stable): nulls last if ascending, first if descending."""
    nulls = [record for record in records if get(record) is None]
    if nulls:
        filled = [record for record in records if get(record) is not None]
        filled.sort(key=get, reverse=descending)
        records[:] = nulls + filled if descending else filled + nulls
    else:
        records.sort(key=get, reverse=descending)


def _narrow(condition: _Condition, keys: list[Any], low: int, high: int) -> tuple[int, int]:
    """The range of ascending keys that can fulfil a condition."""
    first, last = condition.values[0], condition.values[-1]
    if condition.operator in {"EQ", "GTE", "BTW"}:
        low = max(low, bisect_left(keys, first))
    if condition.operator == "GT":
        low = max(low, bisect_right(keys, first))
    if condition.operator in {"EQ", "LTE", "BTW"}:
        high = min(high, bisect_right(keys, last))
    if condition.operator == "LT":
        high = min(high, bisect_left(keys, first))
    return low, high


COMPARISONS: dict[str, Callable[[Any, list[Any]], bool]] = {
    "EQ": lambda value, values: value == values[0],
    "NE": lambda value, values: value != values[0],
    "LT": lambda value, values: value < values[0],
    "GT": lambda value, values: value > values[0],
    "LTE": lambda value, values: value <= values[0],
    "GTE": lambda value, values: value >= values[0],
    "BTW": lambda value, values: values[0] <= value <= values[1],
    "IN": lambda value, values: value in values,
    "NOT_IN": lambda value, values: value not in values,
    "INCLUDES": lambda value, values: value in values,
    "EXCLUDES": lambda value, values: value not in values,
    "CONTAINS": lambda value, values: values[0].casefold() in value.casefold(),
    "DOES_NOT_CONTAINS": lambda value, values: values[0].casefold() not in value.casefold(),
    "STARTS_WITH": lambda value, values: value.casefold().startswith(values[0].casefold()),
    "ENDS_WITH": lambda value, values: value.casefold().endswith(values[0].casefold()),
}
MULTIPLE: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "EQ": lambda held, values: held == values,
    "NE": lambda held, values: held != values,
    "IN": lambda held, values: any(each in values for each in held),
    "INCLUDES": lambda held, values: any(each in values for each in held),
    "NOT_IN": lambda held, values: not any(each in values for each in held),
    "EXCLUDES": lambda held, values: not any(each in values for each in held),
    "CONTAINS": lambda held, values: values[0] in held,
    "DOES_NOT_CONTAINS": lambda held, values: values[0] not in held,
}


def _test(path: Path, operator: str, values: list[Any]) -> Predicate:
    get = path.get
    if operator == "IS_NULL":
        return lambda record: get(record) is None
    if operator == "IS_NOT_NULL":
        return lambda record: get(record) is not None
    comparisons = MULTIPLE if path.data_type == "MULTISELECTDROPDOWNLIST" else COMPARISONS
    compare = comparisons.get(operator)
    if compare is None:
        raise QueryError("GSOBJ_1002", f"Operator {operator} is not supported for {path.sent}")
    wanted: Any = set(values) if comparisons is COMPARISONS and VALUE_COUNTS.get(operator, 1) is None else values

    def test(record: Record) -> bool:
        value = get(record)
        return value is not None and compare(value, wanted)

    return test


def _tokens(expression: str) -> list[str]:
    tokens, position = [], 0
    text = expression.rstrip()
    while position < len(text):
        match = EXPRESSION_TOKEN.match(text, position)
        if match is None:
            raise QueryError("GSOBJ_1002", f"Invalid expression: {expression}")
        word = match.group(3)
        tokens.append(word.upper() if word else match.group().strip())
        position = match.end()
    return tokens


class _ExpressionParser:
    """Recursive descent over `A AND (B OR C)`; AND binds tighter than OR."""

    def __init__(self, tokens: list[str], tests: dict[str, Predicate]) -> None:
        self._tokens = tokens
        self._tests = tests
        self._position = 0

    def parse(self) -> Predicate:
        predicate = self._any_of()
        if self._position != len(self._tokens):
            raise self._refused()
        return predicate

    def _any_of(self) -> Predicate:
        tests = [self._all_of()]
        while self._take("OR"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda record: any(test(record) for test in tests)

    def _all_of(self) -> Predicate:
        tests = [self._single()]
        while self._take("AND"):
            tests.append(self._single())
        if len(tests) == 1:
            return tests[0]
        if len(tests) == 2:
            first, second = tests
            return lambda record: first(record) and second(record)
        return lambda record: all(test(record) for test in tests)

    def _single(self) -> Predicate:
        if self._take("("):
            inner = self._any_of()
            if not self._take(")"):
                raise self._refused()
            return inner
        token = self._tokens[self._position] if self._position < len(self._tokens) else ""
        if token not in self._tests:
            raise self._refused()
        self._position += 1
        return self._tests[token]

    def _take(self, token: str) -> bool:
        if self._position < len(self._tokens) and self._tokens[self._position] == token:
            self._position += 1
            return True
        return False

    def _refused(self) -> QueryError:
        return QueryError("GSOBJ_1002", f"Invalid expression: {' '.join(self._tokens)}")
