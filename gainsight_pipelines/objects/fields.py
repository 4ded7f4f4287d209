"""Fields of a tenant's objects: finding the right one, and reading values as the type that describe gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.near import did_you_mean
from gainsight_pipelines.text import name_key, visible
from gainsight_pipelines.values import parse_boolean, parse_date, parse_datetime, parse_number

NUMBER_TYPES = frozenset({"NUMBER", "PERCENTAGE", "CURRENCY", "JSONNUMBER"})
TIME_TYPES = frozenset({"DATE", "DATETIME"})
BOOLEAN_TYPES = frozenset({"BOOLEAN", "JSONBOOLEAN"})
MULTI_SELECT = "MULTISELECTDROPDOWNLIST"
SYSTEM_FIELDS = frozenset({"gsid", "createddate", "modifieddate", "createdby", "modifiedby", "lastmodifieddate"})

MODIFIED_NAMES = ("lastmodifieddate", "modifieddate")
"""Fields that move with each change, the better one first."""

MAX_ID = 500
"""Characters: describe says 220 of a Gsid, and PostgreSQL's indexes take no more than some 2,700 bytes."""

Record = Mapping[str, Any]


class BadRecord(ValueError):
    """A record that can't become rows. The text is the reason it is kept aside with: no values in it."""


def normal_name(name: str) -> str:
    """A field name as detection compares it: letters and digits in lower case, without Gainsight's suffixes."""
    bare = name.removesuffix("__gc").removesuffix("__c")
    if bare.lower().startswith("ant__"):
        bare = bare[5:]
    return "".join(character for character in bare.lower() if character.isalnum())


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
    """The first field whose normal name is in `names`, in their order, and whose type is one of `types`."""
    by_name: dict[str, Field] = {}
    for field in schema.fields.values():
        if types is None or field.data_type in types:
            by_name.setdefault(normal_name(field.name), field)
    return next((by_name[name] for name in names if name in by_name), None)


def text(value: Any) -> str | None:
    """A value as text, without blanks around; None for a blank one."""
    if value is None:
        return None
    return str(value).strip() or None


def identifier(record: Record, name: str = "Gsid") -> str:
    """The record's Gsid, without what can't be seen.

    Raises:
        BadRecord: it has none.
    """
    found = visible(text(record.get(name)) or "")
    if not found:
        raise BadRecord(f"no {name}")
    if len(found) > MAX_ID:
        raise BadRecord(f"{name} is longer than an id can be")
    return found


def instant(record: Record, name: str | None) -> datetime | None:
    """A date or time of the record in UTC, None where it is empty.

    Raises:
        BadRecord: it is neither.
    """
    if name is None:
        return None
    try:
        return parse_datetime(record.get(name))
    except ValueError:
        raise BadRecord(f"{name} is not a date") from None


def number(record: Record, name: str | None) -> Decimal | None:
    """A number of the record, None where it is empty.

    Raises:
        BadRecord: it is not a number.
    """
    if name is None:
        return None
    try:
        return parse_number(record.get(name))
    except ValueError:
        raise BadRecord(f"{name} is not a number") from None


def texts(value: Any) -> list[str] | None:
    """Several texts, given as a list or joined by semicolons or commas."""
    if value is None:
        return None
    if isinstance(value, str) and ";" not in value and "," not in value:
        alone = value.strip()
        return [alone] if alone else None
    parts = value if isinstance(value, list) else str(value).replace(",", ";").split(";")
    return [part for part in (str(item).strip() for item in parts) if part] or None


def typed_reader(field: Field) -> Callable[[Any], Any]:
    """Reads values of a field as its type: numbers, booleans, dates as ISO text, labels in place of picklist ids.

    A value that does not fit its field's type is kept as it is: an odd value of one attribute loses no record.
    """
    if field.options:
        labels = {option.value: option.label for option in field.options}
        if field.data_type == MULTI_SELECT:
            return lambda value: [labels.get(part, part) for part in texts(value) or ()] or None
        return lambda value: labels.get(value, value) if isinstance(value, str) else value
    if field.data_type == MULTI_SELECT:
        return texts
    if field.data_type in NUMBER_TYPES:
        return lambda value: _lenient(parse_number, value)
    if field.data_type in BOOLEAN_TYPES:
        return lambda value: _lenient(parse_boolean, value)
    if field.data_type == "DATE":
        return lambda value: _lenient(parse_date, value)
    if field.data_type == "DATETIME":
        return lambda value: _lenient(parse_datetime, value)
    return lambda value: None if value == "" else value


def _lenient(parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except ValueError:
        return value
