"""Finds the fields of a tenant's objects, and reads their values by the type that the schema gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import DATE_TYPES, NUMERIC_TYPES, Field, ObjectSchema
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.store.rejected import NestedTooDeeply, to_json
from gainsight_pipelines.store.tables import Json
from gainsight_pipelines.text import name_key, visible
from gainsight_pipelines.values import USUAL, parse_boolean, parse_date, parse_datetime, parse_number

NUMBER_TYPES = NUMERIC_TYPES
TIME_TYPES = DATE_TYPES
BOOLEAN_TYPES = frozenset({"BOOLEAN", "JSONBOOLEAN"})
MULTI_SELECT = "MULTISELECTDROPDOWNLIST"
SYSTEM_FIELDS = frozenset({"gsid", "createddate", "modifieddate", "createdby", "modifiedby", "lastmodifieddate"})

MODIFIED_NAMES = ("lastmodifieddate", "modifieddate")
"""Fields that change with each edit, best first."""

OWN_NAMES = ("id", "recordid", "rowid", "externalid")
"""Fields that identify a row of an object without a GSID."""

UNREADABLE = "unreadable"
"""The topic under which a run counts unreadable values, by field."""

TOO_DEEP = "(nested too deeply)"
"""The placeholder in `unreadable` for a value that can't be written as JSON."""

_LABEL_OF_NUMBER = re.compile(
    r"""([+-]?[0-9]+(?:\.[0-9]+)?)
        (?:\s*[-\u2013\u2014:=.)\]]\s*|\s+)["'\u201c\u201e\u00ab(\[]?[^\W\d_].*  # 9 - very likely, 5 (good)
        |([+-]?[0-9]+)\s*[^\w\s.,:/%-]+  # 5 ★★★★★
    """,
    re.DOTALL | re.VERBOSE,
)

MAX_ID = 500
"""Characters. Gainsight gives 220 for a GSID; PostgreSQL limits index entries to some 2,700 bytes."""

Record = Mapping[str, Any]


class CompanyNaming(Protocol):
    """Finds the company that a record belongs to."""

    @property
    def gsid(self) -> str | None:
        """The field with the company's GSID."""
        ...

    def gsid_of(self, record: Record) -> str | None:
        """The GSID of a record's company; None: it has none."""
        ...


class BadRecord(ValueError):
    """A record that can't become rows. The message is the stored reason; it contains no values."""


def normal_name(name: str) -> str:
    """A field name for comparison: letters and digits in lower case, without Gainsight's suffixes."""
    bare = name_key(name).removesuffix("__gc").removesuffix("__c").removeprefix("ant__")
    return "".join(character for character in bare if character.isalnum())


def configured_field(schema: ObjectSchema, name: str, place: str) -> Field:
    """The field that a setting names.

    Raises:
        SettingsError: the object has no such field.
    """
    found = schema.field(name)
    if found is None and name_key(name) in schema.unreadable:
        raise SettingsError(
            f"`{place}` names the field {name!r} of Gainsight object `{schema.name}`, which the API key may not read.",
            "Give the key's user the right to read it, or choose another field.",
        )
    if found is None:
        raise SettingsError(
            f"`{place}` names the field {name!r}, which Gainsight object `{schema.name}` doesn't have.",
            did_you_mean(name, schema.fields.keys()) or "Choose one of the object's fields.",
        )
    return found


def first_named(schema: ObjectSchema, names: Iterable[str], types: frozenset[str] | None = None) -> Field | None:
    """The first field, in the order of `names`, whose normal name matches and whose type is one of `types`."""
    by_name: dict[str, Field] = {}
    for field in schema.fields.values():
        if types is None or field.data_type in types:
            by_name.setdefault(normal_name(field.name), field)
    return next((by_name[name] for name in names if name in by_name), None)


def spelled(schema: ObjectSchema, name: str) -> str:
    """A standard field's name in the tenant's spelling, as its records have it; `name` itself if it has none."""
    found = schema.field(name)
    return found.name if found is not None else name


def text(value: Any) -> str | None:
    """A value as text, stripped; None if blank. Several values are joined by semicolons."""
    if type(value) is str:
        return value.strip() or None
    if value is None:
        return None
    if isinstance(value, list):
        return "; ".join(each for each in map(text, value) if each) or None
    return str(value).strip() or None


def texts(value: Any, known: Collection[str] = ()) -> list[str] | None:
    """Several texts: a list, or joined by semicolons, or by commas if there is no semicolon.

    Args:
        value: the record's value.
        known: texts that may contain separators and must stay whole ("Banking, Insurance").
    """
    if value is None:
        return None
    if isinstance(value, str):
        alone = value.strip()
        if alone in known or (";" not in alone and "," not in alone):
            return [alone] if alone else None
        parts = alone.split(";" if ";" in alone else ",")
        if known and ";" not in alone:
            parts = _joined_again(parts, known)
        return [part for part in map(str.strip, parts) if part] or None
    return [part for part in map(text, value if isinstance(value, list) else [value]) if part] or None


def _joined_again(parts: list[str], known: Collection[str]) -> list[str]:
    """Comma-separated parts, with those joined again that form one known text."""
    longest = 1 + max((each.count(",") for each in known), default=0)
    joined = []
    while parts:
        together = next(
            (size for size in range(min(longest, len(parts)), 1, -1) if ",".join(parts[:size]).strip() in known), 1
        )
        joined.append(",".join(parts[:together]))
        parts = parts[together:]
    return joined


Reader = Callable[[Any], Any]
"""Converts a field's value to its type; raises ValueError if it can't."""


class Values:
    """The values of one record. An unreadable value is None; the original is kept in `unreadable`, by field.

    Only an unusable identifier rejects the record: see :meth:`identifier`.
    """

    __slots__ = ("_record", "unreadable")

    def __init__(self, record: Record) -> None:
        self._record = record
        self.unreadable: dict[str, Any] = {}

    def identifier(self, name: str) -> str:
        """The record's identifier, without invisible characters.

        Raises:
            BadRecord: it is blank, or longer than an id can be.
        """
        found = visible(text(self._record.get(name)) or "")
        if not found:
            raise BadRecord(f"no {name}")
        if len(found) > MAX_ID:
            raise BadRecord(f"{name} is longer than an id can be")
        return found

    def text(self, name: str | None) -> str | None:
        """A field as text; None: no such field, or blank."""
        return text(self._record.get(name)) if name is not None else None

    def number(self, name: str | None) -> Decimal | None:
        """A field as a number."""
        found: Decimal | None = self.read(name, parse_number)
        return found

    def instant(self, name: str | None) -> datetime | None:
        """A field as a datetime in UTC."""
        found: datetime | None = self.read(name, parse_datetime)
        return found

    def read(self, name: str | None, read: Reader) -> Any:
        """A field, converted by `read`."""
        if name is None or (value := self._record.get(name)) is None:
            return None
        try:
            return read(value)
        except ValueError:
            self.unreadable[name] = value
            return None

    def read_all(self, fields: Iterable[tuple[str, str, Reader]]) -> dict[str, Any]:
        """Fields as (our name, record's name, reader): values by our name; blank ones are None."""
        record, found = self._record, {}
        for ours, name, read in fields:
            value = record.get(name)
            if value is not None:
                try:
                    value = read(value)
                except ValueError:
                    self.unreadable[name] = value
                    value = None
            found[ours] = value
        return found

    def is_readable(self, name: str | None) -> bool:
        """Whether a field was read without an unreadable value."""
        return name not in self.unreadable

    def company_gsid(self, company: CompanyNaming) -> str | None:
        """The GSID of the record's company."""
        found = company.gsid_of(self._record)
        if found is None and company.gsid is not None and text(self._record.get(company.gsid)):
            self.unreadable[company.gsid] = self._record[company.gsid]
        return found

    def json(self, values: dict[str, Any]) -> Json:
        """Values by field as JSON. A value that is nested too deeply is left out as unreadable."""
        try:
            return to_json(values)
        except NestedTooDeeply:
            return to_json(self._shallow(values))

    def unreadable_json(self, *, but: Collection[str] = ()) -> Json | None:
        """The unreadable values by field, except some fields; None: there are none. Call it last."""
        if not self.unreadable:
            return None
        found = {name: value for name, value in self.unreadable.items() if name not in but}
        try:
            return to_json(found) if found else None
        except NestedTooDeeply:
            return to_json({name: _encodable(value) for name, value in found.items()})

    def counts(self) -> tuple[tuple[str, str], ...]:
        """The unreadable fields, for the run to count."""
        return tuple((UNREADABLE, name) for name in self.unreadable)

    def _shallow(self, values: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in values.items():
            kept[name] = value if _encodable(value) is value else None
            if kept[name] is None and value is not None:
                self.unreadable[name] = TOO_DEEP
        return kept


def _encodable(value: Any) -> Any:
    """The value, or a text instead if it can't be part of a JSON document."""
    try:
        to_json([[value]])
    except NestedTooDeeply:
        return TOO_DEEP
    return value


def typed_reader(field: Field) -> Reader:
    """A reader for a field's type: numbers, booleans, dates, labels for picklist ids; "" becomes None.

    The reader raises ValueError for a value that doesn't fit.
    """
    if field.data_type == MULTI_SELECT:
        return _labels_reader(field)
    if field.is_picklist or field.options:
        return _label_reader(field)
    if field.data_type in NUMBER_TYPES:
        return parse_number
    if field.data_type in BOOLEAN_TYPES:
        return parse_boolean
    if field.data_type == "DATE":
        return parse_date
    if field.data_type == "DATETIME":
        return parse_datetime
    return _as_it_is


def json_reader(field: Field) -> Reader:
    """As :func:`typed_reader`, for values that become JSON, where most whole numbers stay as they are."""
    read = typed_reader(field)
    return _json_number if read is parse_number else read


def _json_number(value: Any) -> int | Decimal | None:
    return value if type(value) is int and -USUAL < value < USUAL else parse_number(value)


def _as_it_is(value: Any) -> Any:
    return None if value == "" else value


def _label_reader(field: Field) -> Reader:
    """The label of an id; several labels are joined if a record has a list; unknown ids are kept."""
    labels = {option.value: option.label for option in field.options}

    def read(value: Any) -> str | None:
        if isinstance(value, list):
            return text([_label(part, labels) for part in map(text, value) if part])
        found = text(value)
        return None if found is None else _label(found, labels)

    return read


def _labels_reader(field: Field) -> Reader:
    """The labels of ids, as a list; unknown ids are kept."""
    labels = {option.value: option.label for option in field.options}
    known = {*labels, *labels.values()}
    return lambda value: [_label(part, labels) for part in texts(value, known) or ()] or None


def _label(part: str, labels: Mapping[str, str]) -> str:
    found = labels.get(part)
    return found if found is not None else labels.get(visible(part), part)


def leading_number(value: Any) -> Decimal | None:
    """A number, or the number at the start of a label: 9 from `9 - very likely`.

    Raises:
        ValueError: neither a number nor such a label (`9/10`, `2026-01-31`).
    """
    try:
        return parse_number(value)
    except ValueError:
        found = _LABEL_OF_NUMBER.fullmatch(visible(value)) if isinstance(value, str) else None
        if found is None:
            raise
        return parse_number(found[1] or found[2])
