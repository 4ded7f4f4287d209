"""The part of SOQL that an account sync uses: parser, schema checks and evaluator. No HTTP, no data.

Errors have Salesforce's codes and texts (MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE, ...), which clients depend on.
As in Salesforce, null fails every comparison except ``!=``, ``NOT IN`` and ``= null``; text comparisons ignore case;
ids compare by their 15 case-sensitive characters; mixing AND and OR requires parentheses; times have no fractions of a
second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

MAX_OFFSET = 2000
MAX_FIELDS_ROWS = 200
"""Most rows that a query with FIELDS(ALL) or FIELDS(CUSTOM) may ask for."""


class SoqlError(Exception):
    """Salesforce would refuse the query with this code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# --- schema ---------------------------------------------------------------------------------------------------------

ColumnType = Literal[
    "id",
    "reference",
    "string",
    "url",
    "textarea",
    "phone",
    "email",
    "picklist",
    "boolean",
    "int",
    "double",
    "currency",
    "date",
    "datetime",
]
_TEXT = {"string", "url", "textarea", "phone", "email", "picklist"}
_NUMBER = {"int", "double", "currency"}
_ID = {"id", "reference"}


@dataclass(frozen=True, slots=True)
class Column:
    """A field of an object, and how to read its value from a row."""

    name: str
    type: ColumnType
    value: Callable[[Any], Any]
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship to a parent row, such as Owner or Parent."""

    name: str
    entity: Callable[[], Entity]
    row: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Entity:
    """An object that can be queried. Names of columns and relationships ignore case."""

    name: str
    columns: Mapping[str, Column]
    relationships: Mapping[str, Relationship] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, columns: Sequence[Column], relationships: Sequence[Relationship] = ()) -> Entity:
        """An entity from lists."""
        return cls(name, {c.name.lower(): c for c in columns}, {r.name.lower(): r for r in relationships})


# --- tokens ---------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:\\.|[^'\\])*')
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)(?![\dT])
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w])
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<operator><=|>=|!=|<>|=|<|>)
    |(?P<mark>[(),:])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the query, and its position (0-based)."""

    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """The token in lower case if it is a name, else ""; for comparisons with keywords."""
        return self.text.lower() if self.kind == "name" else ""


def located(query: str, start: int, complaint: str) -> str:
    """An error message in Salesforce's layout: the surrounding text of the query, a caret, and the position."""
    row = query.count("\n", 0, start) + 1
    line_start = query.rfind("\n", 0, start) + 1
    line_end = query.find("\n", start)
    line = query[line_start : len(query) if line_end < 0 else line_end]
    column = start - line_start
    left = 0 if column <= 45 else line.find(" ", column - 45) + 1
    right = line.find(" ", min(column + 30, len(line)))
    shown = line[left : len(line) if right < 0 else right]
    return f"\n{shown}\n{' ' * (column - left)}^\nERROR at Row:{row}:Column:{column + 1}\n{complaint}"


def _tokens(query: str) -> list[Token]:
    tokens = []
    position = 0
    while position < len(query):
        match = _TOKEN.match(query, position)
        if match is None:
            complaint = f"unexpected token: '{query[position]}'"
            raise SoqlError("MALFORMED_QUERY", located(query, position, complaint))
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(Token(kind, match.group(), position))
        position = match.end()
    tokens.append(Token("end", "<EOF>", len(query)))
    return tokens


# --- syntax tree ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Name:
    """A field path as written, and its position."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: its kind (string, number, date, datetime, boolean, null) and its source text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``, or ``field IN (values)``."""

    name: Name
    operator: str
    values: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions joined by ``and`` or ``or``, or one condition under ``not``."""

    word: str
    parts: tuple[Condition, ...]


Condition = Comparison | Logic


@dataclass(frozen=True, slots=True)
class Order:
    """One field of ORDER BY."""

    name: Name
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. ``count`` is COUNT(); ``count_of`` COUNT(field); ``groups`` are the words inside FIELDS()."""

    text: str
    names: tuple[Name, ...]
    groups: tuple[str, ...]
    count: bool
    count_of: tuple[Name, str] | None
    source: Name
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.position = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def unexpected(self) -> SoqlError:
        return SoqlError(
            "MALFORMED_QUERY", located(self.text, self.token.start, f"unexpected token: '{self.token.text}'")
        )

    def next(self) -> Token:
        token = self.token
        self.position += 1
        return token

    def accept(self, *words: str) -> bool:
        """Consumes the words if they come next, in this order."""
        ahead = self.tokens[self.position : self.position + len(words)]
        if [t.word or t.text for t in ahead] != list(words):
            return False
        self.position += len(words)
        return True

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                raise self.unexpected()

    def name(self) -> Name:
        if self.token.kind != "name":
            raise self.unexpected()
        token = self.next()
        return Name(token.text, token.start)

    def query(self) -> Query:
        self.expect("select")
        names, groups, count, count_of = self.selection()
        self.expect("from")
        source = self.name()
        where = self.condition() if self.accept("where") else None
        order = self.order() if self.accept("order", "by") else ()
        limit = self.integer() if self.accept("limit") else None
        offset = self.integer() if self.accept("offset") else 0
        if self.token.kind != "end":
            raise self.unexpected()
        return Query(self.text, names, groups, count, count_of, source, where, order, limit, offset)

    def selection(self) -> tuple[tuple[Name, ...], tuple[str, ...], bool, tuple[Name, str] | None]:
        if self.accept("count", "("):
            if self.accept(")"):
                return (), (), True, None
            counted = self.name()
            self.expect(")")
            alias = self.next().text if self.token.kind == "name" and self.token.word != "from" else "expr0"
            return (), (), False, (counted, alias)
        names: list[Name] = []
        groups: list[str] = []
        while True:
            if self.token.word == "from":  # a reserved word can't be a field: "SELECT FROM", "SELECT Id, FROM"
                raise self.unexpected()
            if self.accept("fields", "("):
                groups.append(self.name().text.lower())
                self.expect(")")
            else:
                names.append(self.name())
            if not self.accept(","):
                return tuple(names), tuple(groups), False, None

    def condition(self) -> Condition:
        parts = [self.term()]
        word = ""
        while self.token.word in ("and", "or"):
            if word and self.token.word != word:
                raise self.unexpected()  # Salesforce requires parentheses to mix AND and OR
            word = self.next().word
            parts.append(self.term())
        return Logic(word, tuple(parts)) if word else parts[0]

    def term(self) -> Condition:
        if self.accept("not"):
            return Logic("not", (self.term(),))
        if self.accept("("):
            inner = self.condition()
            self.expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Comparison:
        name = self.name()
        if self.accept("not", "in"):
            return Comparison(name, "not in", self.values())
        if self.accept("in"):
            return Comparison(name, "in", self.values())
        if self.accept("like"):
            return Comparison(name, "like", (self.literal(),))
        if self.token.kind != "operator":
            raise self.unexpected()
        operator = self.next().text.replace("<>", "!=")
        return Comparison(name, operator, (self.literal(),))

    def values(self) -> tuple[Constant, ...]:
        self.expect("(")
        values = [self.literal()]
        while self.accept(","):
            values.append(self.literal())
        self.expect(")")
        return tuple(values)

    def literal(self) -> Constant:
        token = self.token
        if token.kind in ("string", "number", "date", "datetime"):
            kind = token.kind
        elif token.word in ("true", "false"):
            kind = "boolean"
        elif token.word == "null":
            kind = "null"
        else:
            raise self.unexpected()
        self.next()
        return Constant(kind, token.text)

    def order(self) -> tuple[Order, ...]:
        orders = []
        while True:
            name = self.name()
            descending = self.accept("desc")
            if not descending:
                self.accept("asc")
            nulls_first = not self.accept("nulls", "last")  # the default is first, also if descending
            if nulls_first:
                self.accept("nulls", "first")
            orders.append(Order(name, descending, nulls_first))
            if not self.accept(","):
                return tuple(orders)

    def integer(self) -> int:
        if self.token.kind != "number" or not self.token.text.isdigit():
            raise self.unexpected()
        return int(self.next().text)


def parse(text: str) -> Query:
    """Parses a query.

    Raises:
        SoqlError: MALFORMED_QUERY, with the position.
    """
    return _Parser(text).query()


# --- semantics ------------------------------------------------------------------------------------------------------

Row = Any
Predicate = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class _Path:
    """A field path, resolved with the schema."""

    relationships: tuple[Relationship, ...]
    column: Column

    def value(self, row: Row) -> Any:
        for relationship in self.relationships:
            row = relationship.row(row)
            if row is None:
                return None
        return self.column.value(row)


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that was checked with the schema and can run on rows."""

    entity: Entity
    query: Query
    paths: tuple[_Path, ...]
    where: Predicate
    order: tuple[tuple[_Path, Order], ...]
    counted: _Path | None

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that the query selects, in its order."""
        found = [row for row in rows if self.where(row)]
        for path, order in reversed(self.order):  # a stable sort per field, starting with the last
            found.sort(key=_sort_key(path, order), reverse=order.descending)
        stop = None if self.query.limit is None else self.query.offset + self.query.limit
        return found[self.query.offset : stop]

    def record(self, row: Row, base: str) -> dict[str, Any]:
        """A row as JSON with `attributes`. `base` is the path of the API version, /services/data/v59.0."""
        record = _empty_record(self.entity, row, base)
        for path in self.paths:
            self._put(record, row, path, base)
        return record

    @staticmethod
    def _put(record: dict[str, Any], row: Row, path: _Path, base: str) -> None:
        for relationship in path.relationships:
            row = relationship.row(row)
            if row is None:  # a missing parent is null, not an object of nulls
                record[relationship.name] = None
                return
            if relationship.name not in record:
                record[relationship.name] = _empty_record(relationship.entity(), row, base)
            record = record[relationship.name]
        record[path.column.name] = to_json(path.column.value(row))


def plan(query: Query, entities: Mapping[str, Entity]) -> Plan:
    """Checks a query with the schema. `entities`: by lower-case name.

    Raises:
        SoqlError: with Salesforce's code.
    """
    entity = entities.get(query.source.text.lower())
    if entity is None:
        raise SoqlError("INVALID_TYPE", located(query.text, query.source.start, _no_type(query.source.text)))
    if query.offset > MAX_OFFSET:
        raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
    paths = [_resolve(query, entity, name) for name in query.names] + _grouped(query, entity)
    _check_duplicates(paths)
    counted = _resolve(query, entity, query.count_of[0]) if query.count_of else None
    where = _predicate(query, entity, query.where) if query.where else lambda row: True
    order = tuple((_resolve(query, entity, order.name), order) for order in query.order)
    for path, each in order:
        _check_usable(query, path.column, each.name, "sorted")
    return Plan(entity, query, tuple(paths), where, order, counted)


def _check_usable(query: Query, column: Column, name: Name, use: str) -> None:
    if column.type == "textarea":
        complaint = f"field '{column.name}' can not be {use} in a query call"
        raise SoqlError("INVALID_FIELD", located(query.text, name.start, complaint))


def _no_type(name: str) -> str:
    return (
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the "
        "'__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    )


def _check_duplicates(paths: Sequence[_Path]) -> None:
    seen: set[tuple[str, ...]] = set()
    for path in paths:
        key = (*(r.name for r in path.relationships), path.column.name)
        if key in seen:
            raise SoqlError("INVALID_FIELD", f"duplicate field selected: {'.'.join(key)}")
        seen.add(key)


def _grouped(query: Query, entity: Entity) -> list[_Path]:
    """The fields of FIELDS(ALL), FIELDS(STANDARD), FIELDS(CUSTOM)."""
    paths: list[_Path] = []
    for group in query.groups:
        if group not in ("all", "standard", "custom"):
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{group}'")
        if group != "standard" and (query.limit is None or query.limit > MAX_FIELDS_ROWS):
            raise SoqlError(
                "MALFORMED_QUERY", f"The SOQL FIELDS function must have a LIMIT of at most {MAX_FIELDS_ROWS}"
            )
        columns = [c for c in entity.columns.values() if group == "all" or c.custom == (group == "custom")]
        paths += [_Path((), column) for column in columns]
    return paths


def _resolve(query: Query, entity: Entity, name: Name) -> _Path:
    *steps, last = name.text.split(".")
    if steps and steps[0].lower() == entity.name.lower():
        steps = steps[1:]  # Account.Name FROM Account
    relationships = []
    for step in steps:
        relationship = entity.relationships.get(step.lower())
        if relationship is None:
            raise SoqlError("INVALID_FIELD", located(query.text, name.start, _no_relationship(step)))
        relationships.append(relationship)
        entity = relationship.entity()
    column = entity.columns.get(last.lower())
    if column is None:
        raise SoqlError("INVALID_FIELD", located(query.text, name.start, _no_column(last, entity.name)))
    return _Path(tuple(relationships), column)


def _no_relationship(step: str) -> str:
    return (
        f"Didn't understand relationship '{step}' in field path. If you are attempting to use a custom relationship, "
        "be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe "
        "call for the appropriate names."
    )


def _no_column(column: str, entity: str) -> str:
    return (
        f"No such column '{column}' on entity '{entity}'. If you are attempting to use a custom field, be sure to "
        "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
        "appropriate names."
    )


def _predicate(query: Query, entity: Entity, condition: Condition) -> Predicate:
    if isinstance(condition, Comparison):
        return _comparison(query, entity, condition)
    parts = [_predicate(query, entity, part) for part in condition.parts]
    if condition.word == "not":
        return lambda row: not parts[0](row)
    if condition.word == "and":
        return lambda row: all(part(row) for part in parts)
    return lambda row: any(part(row) for part in parts)


def _comparison(query: Query, entity: Entity, comparison: Comparison) -> Predicate:
    path = _resolve(query, entity, comparison.name)
    column = path.column
    operator = comparison.operator
    _check_usable(query, column, comparison.name, "filtered")
    if operator == "like":
        return _like(query, path, comparison)
    if column.type == "boolean" and operator not in ("=", "!=", "in", "not in"):
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", located(query.text, comparison.name.start, "invalid operator"))
    values = [_operand(query, column, comparison.name, value) for value in comparison.values]

    def actual(row: Row) -> Any:
        return comparable(column.type, path.value(row))

    wanted = values[0]
    if operator in ("in", "not in"):
        return lambda row: (actual(row) in values) == (operator == "in")
    if operator in ("=", "!="):
        return lambda row: (actual(row) == wanted) == (operator == "=")
    if wanted is None:
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", located(query.text, comparison.name.start, "invalid operator"))
    ordered = _ORDERED[operator]

    def holds(row: Row) -> bool:
        value = actual(row)
        return value is not None and ordered(value, wanted)

    return holds


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _like(query: Query, path: _Path, comparison: Comparison) -> Predicate:
    if path.column.type not in _TEXT:
        word = "id" if path.column.type in _ID else path.column.type
        complaint = f"invalid operator on {word} field"
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", located(query.text, comparison.name.start, complaint))
    literal = comparison.values[0]
    if literal.kind != "string":
        raise _wrong_type(query, path.column, comparison.name)
    pattern = re.compile(_like_pattern(literal.text[1:-1]), re.IGNORECASE | re.DOTALL)

    def holds(row: Row) -> bool:
        value = path.value(row)
        return value is not None and pattern.fullmatch(str(value)) is not None

    return holds


def _like_pattern(text: str) -> str:
    pattern = ""
    for piece in re.findall(r"\\.|.", text, re.DOTALL):
        if piece == "%":
            pattern += ".*"
        elif piece == "_":
            pattern += "."
        else:
            pattern += re.escape(unescape(piece))
    return pattern


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "%": "%", "_": "_"}


def unescape(text: str) -> str:
    """The content of a string literal, with resolved escapes.

    Raises:
        SoqlError: an escape that SOQL doesn't know.
    """

    def replace(match: re.Match[str]) -> str:
        character = match.group(1)
        try:
            return _ESCAPES[character.lower()]
        except KeyError:
            raise SoqlError(
                "MALFORMED_QUERY",
                f"Invalid string literal '{text}'. Illegal character sequence '\\{character}' in string literal.",
            ) from None

    return re.sub(r"\\(.)", replace, text, flags=re.DOTALL)


_WANTED_KIND = (
    (_TEXT | _ID, "string", "string and should be enclosed in quotes"),
    (_NUMBER, "number", "double and should not be enclosed in quotes"),
    ({"boolean"}, "boolean", "boolean and should not be enclosed in quotes"),
    ({"date"}, "date", "date and should not be enclosed in quotes"),
    ({"datetime"}, "datetime", "dateTime and should not be enclosed in quotes"),
)


def _wrong_type(query: Query, column: Column, name: Name) -> SoqlError:
    wanted = next(words for types, _, words in _WANTED_KIND if column.type in types)
    complaint = f"value of filter criterion for field '{column.name}' must be of type {wanted}"
    return SoqlError("INVALID_FIELD", located(query.text, name.start, complaint))


def _operand(query: Query, column: Column, name: Name, literal: Constant) -> Any:
    """A literal, converted for comparisons with the column's values."""
    if literal.kind == "null":
        return None
    wanted = next(kind for types, kind, _ in _WANTED_KIND if column.type in types)
    if literal.kind != wanted:
        raise _wrong_type(query, column, name)
    if wanted == "string":
        text = unescape(literal.text[1:-1])
        if column.type in _ID and text and not re.fullmatch(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", text):
            complaint = f"invalid ID field: {text}"
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", located(query.text, name.start, complaint))
        return comparable(column.type, text or None)  # Salesforce treats '' as null
    return comparable(column.type, _value(query, name, literal))


def _value(query: Query, name: Name, literal: Constant) -> Any:
    if literal.kind == "number":
        return Decimal(literal.text)
    if literal.kind == "boolean":
        return literal.text.lower() == "true"
    try:
        if literal.kind == "date":
            return date.fromisoformat(literal.text)
        return datetime.fromisoformat(literal.text)
    except ValueError:
        complaint = f"invalid date: {literal.text}"
        raise SoqlError("MALFORMED_QUERY", located(query.text, name.start, complaint)) from None


def comparable(column_type: ColumnType, value: Any) -> Any:
    """A value, converted as Salesforce compares it."""
    if value is None:
        return None
    if column_type in _ID:
        return str(value)[:15]
    if column_type in _TEXT:
        return str(value).casefold()
    if column_type in _NUMBER:
        return Decimal(str(value))
    if column_type == "datetime":
        return value.astimezone(UTC).replace(microsecond=0)
    return value


def _sort_key(path: _Path, order: Order) -> Callable[[Row], tuple[bool, Any]]:
    none_is_low = order.nulls_first != order.descending

    def key(row: Row) -> tuple[bool, Any]:
        value = comparable(path.column.type, path.value(row))
        # The flag orders nulls and values; two nulls have equal flags and equal zeros.
        return (not none_is_low, 0) if value is None else (none_is_low, value)

    return key


def _empty_record(entity: Entity, row: Row, base: str) -> dict[str, Any]:
    key = entity.columns["id"].value(row)
    return {"attributes": {"type": entity.name, "url": f"{base}/sobjects/{entity.name}/{key}"}}


def to_json(value: Any) -> Any:
    """A value in Salesforce's JSON: 2026-01-31T10:00:00.000+0000 for times, floats for amounts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value
