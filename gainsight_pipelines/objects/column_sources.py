"""Which record fields fill which columns. If a record omits a field, the stored value of its column is kept.

Gainsight omits fields that were selected, and may refuse some for a day. Absent is not empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.columns import NAME_SUFFIX
from gainsight_pipelines.text import name_key


@dataclass(frozen=True, slots=True)
class OmittedFields:
    """What a record omits: columns, and fields whose values are stored by name in JSON columns."""

    columns: tuple[str, ...]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sources:
    """The fields of each column, and those of JSON columns.

    `columns`: in order of preference; the first field that is not blank gives the value. `keys`: the keys in JSON
    columns, with their fields. `parts`: if a record makes several rows, the fields that decide which; if one is
    omitted, a missing row means nothing.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    parts: frozenset[str] = frozenset()
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        columns = (name for names in self.columns.values() for name in names)
        object.__setattr__(self, "names", frozenset((*columns, *self.keys.values())))

    def omitted(self, record: Mapping[str, Any]) -> OmittedFields | None:
        """What this record omits; None: nothing."""
        if record.keys() >= self.names:
            return None
        missing = self.names - record.keys()
        columns = tuple(column for column, names in self.columns.items() if _is_omitted(record, names))
        keys = {key for key, name in self.keys.items() if name in missing}
        return OmittedFields(columns, frozenset(map(name_key, (*keys, *missing))))


def _is_omitted(record: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    for name in names:
        if name not in record:
            return True
        if record[name] not in (None, ""):
            return False
    return False


def sources_of(
    schema: ObjectSchema,
    columns: Mapping[str, Iterable[str | None]],
    keys: Mapping[str, str] | None = None,
    parts: Iterable[str] = (),
) -> Sources:
    """The sources of a mapper's columns, without fields that the object doesn't have. Refused fields are included."""
    refused = {key: name for name in schema.unreadable for key in (name, f"{name}{NAME_SUFFIX}")}
    found = {
        column: tuple(name for name in names if name is not None and _is_there(schema, name))
        for column, names in columns.items()
    }
    return Sources(found, refused | dict(keys or {}), frozenset((*parts, *refused)) if parts else frozenset())


def names_behind(fields: Iterable[Field]) -> dict[str, str]:
    """The keys of the names that lookups show, with their paths, whether or not the tenant lets them be read."""
    return {f"{one.name}{NAME_SUFFIX}": f"{one.lookup_path}.Name" for one in fields if one.lookup_path}


def _is_there(schema: ObjectSchema, name: str) -> bool:
    return "." in name or schema.field(name) is not None or name_key(name) in schema.unreadable
