"""A tenant's metadata: object list, describe, picklist options, lookups.

Frozen dataclasses with a JSON form (schemas are cached for a day), and tolerant parsing of the "Data Management APIs".
No HTTP here, and no knowledge of what an object is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gainsight_pipelines.gainsight.query import is_field_name
from gainsight_pipelines.text import name_key

PICKLIST_TYPES = frozenset({"PICKLIST", "MULTISELECTDROPDOWNLIST"})
NUMERIC_TYPES = frozenset({"NUMBER", "PERCENTAGE", "CURRENCY", "JSONNUMBER"})
DATE_TYPES = frozenset({"DATE", "DATETIME"})


@dataclass(frozen=True, slots=True)
class PicklistOption:
    """One option of a picklist: records hold ``value`` (a GSID), people know ``label``; records keep inactive ones."""

    value: str
    label: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object.

    ``data_type``: Gainsight's (STRING, NUMBER, DATETIME, LOOKUP, PICKLIST, …; others occur). ``lookup_path``: leads
    through a lookup (``GsCompanyId__gr``), so that ``GsCompanyId__gr.Name`` can be selected. ``picklist_category``: the
    category id to request options that describe left out.
    """

    name: str
    label: str
    data_type: str
    is_filterable: bool = True
    is_sortable: bool = True
    is_hidden: bool = False
    is_formula: bool = False
    is_rich_text: bool = False
    group: str = ""
    is_lookup: bool = False
    lookup_object: str | None = None
    lookup_path: str | None = None
    picklist_category: str | None = None
    options: tuple[PicklistOption, ...] = ()

    @property
    def is_picklist(self) -> bool:
        """Whether records hold picklist ids in this field."""
        return self.data_type in PICKLIST_TYPES

    @property
    def is_numeric(self) -> bool:
        """Whether records hold numbers in this field."""
        return self.data_type in NUMERIC_TYPES

    @property
    def is_date(self) -> bool:
        """Whether records hold dates or date-times in this field."""
        return self.data_type in DATE_TYPES


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """One object with its fields, keyed by name in the tenant's spelling.

    ``unreadable``: fields, or paths through lookups, that the tenant describes but refuses; they are not in ``fields``.
    """

    name: str
    label: str
    fields: Mapping[str, Field]
    object_type: str = ""
    key_prefix: str | None = None
    unreadable: frozenset[str] = frozenset()
    _by_name: dict[str, Field] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.fields.values():
            self._by_name.setdefault(name_key(one.name), one)

    def field(self, name: str) -> Field | None:
        """The field of that name, in any case."""
        return self.fields.get(name) or self._by_name.get(name_key(name))

    def without(self, refused: Iterable[str]) -> ObjectSchema:
        """The schema without the refused fields, which are recorded as unreadable."""
        unreadable = self.unreadable | {name_key(name) for name in refused}
        fields = {name: one for name, one in self.fields.items() if name_key(name) not in unreadable}
        return replace(self, fields=fields, unreadable=unreadable)

    def to_json(self) -> dict[str, Any]:
        """The schema as a JSON object, for :meth:`from_json`."""
        return {
            "name": self.name,
            "label": self.label,
            "object_type": self.object_type,
            "key_prefix": self.key_prefix,
            "fields": [asdict(one) for one in self.fields.values()],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ObjectSchema:
        """Restores a schema from :meth:`to_json`.

        Raises:
            ValueError: another version of the package wrote it; describe the object again.
        """
        try:
            fields = [
                Field(**{**one, "options": tuple(PicklistOption(**option) for option in one["options"])})
                for one in document["fields"]
            ]
            return cls(
                name=document["name"],
                label=document["label"],
                fields={one.name: one for one in fields},
                object_type=document["object_type"],
                key_prefix=document["key_prefix"],
            )
        except (KeyError, TypeError):
            raise ValueError("the cached schema has another format") from None


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An entry of the object list. ``object_type``: STANDARD, CUSTOM or SYSTEM."""

    name: str
    label: str
    object_type: str
    is_readable: bool = True


def object_infos(data: object) -> list[ObjectInfo]:
    """Parses the object list from a response's ``data``. Entries without a usable name are dropped."""
    infos = []
    for node in _nodes(data, "objects"):
        name = node.get("objectName")
        if isinstance(name, str) and is_field_name(name):
            infos.append(
                ObjectInfo(
                    name, _text(node, "label") or name, _text(node, "objectType"), node.get("readable") is not False
                )
            )
    return infos


def object_schema(data: object, name: str) -> ObjectSchema | None:
    """Parses the described object of that name (any case) from a response's ``data``; None if it isn't there.

    Other described objects are ignored. Deleted fields are dropped; hidden ones are kept and marked.
    """
    nodes = [node for node in _nodes(data, "objects") if isinstance(node.get("fields"), list)]
    node = next((node for node in nodes if name_key(_text(node, "objectName")) == name_key(name)), None)
    if node is None:
        return None
    fields = [one for one in map(_field_of, node["fields"]) if one is not None]
    return ObjectSchema(
        name=_text(node, "objectName"),
        label=_text(node, "label") or name,
        fields={one.name: one for one in fields},
        object_type=_text(node, "objectType"),
        key_prefix=_text(node, "keyPrefix") or None,
    )


def picklist_options(data: object) -> tuple[PicklistOption, ...]:
    """Parses a category's options from the ``data`` of a dropdown call; deleted ones are kept as inactive."""
    items = data.get("childItems") if isinstance(data, Mapping) else None
    return tuple(
        PicklistOption(item["gsid"], _text(item, "name"), item.get("active") is not False and not item.get("deleted"))
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, Mapping) and isinstance(item.get("gsid"), str)
    )


def _nodes(data: object, key: str) -> list[Mapping[str, Any]]:
    """The objects of a metadata response: documented as a list; a single object or a keyed list is accepted too."""
    if isinstance(data, Mapping):
        inner = data.get(key)
        data = inner if isinstance(inner, list) else [data]
    return [node for node in data if isinstance(node, Mapping)] if isinstance(data, list) else []


def _field_of(node: object) -> Field | None:
    if not isinstance(node, Mapping):
        return None
    name = node.get("fieldName")
    meta = _mapping(node, "meta")
    if not isinstance(name, str) or not is_field_name(name) or node.get("deleted") or meta.get("deleted"):
        return None
    properties = _mapping(meta, "properties")
    data_type = _text(node, "dataType").upper()
    is_lookup = meta.get("hasLookup") is True or data_type == "LOOKUP"
    lookup = _mapping(meta, "lookupDetail") or _mapping(properties, "lookupDetail") or _mapping(node, "lookupDetail")
    return Field(
        name=name,
        label=_text(node, "label") or name,
        data_type=data_type,
        is_filterable=meta.get("filterable") is not False,
        is_sortable=meta.get("sortable") is not False,
        is_hidden=meta.get("hidden") is True,
        is_formula=meta.get("formulaField") is True,
        is_rich_text=meta.get("richText") is True,
        group=_text(meta, "fieldGroupType"),
        is_lookup=is_lookup,
        lookup_object=_lookup_object(lookup, properties) if is_lookup else None,
        lookup_path=_lookup_path(lookup, name) if is_lookup else None,
        picklist_category=_text(properties, "PICKLIST_CATEGORY_ID") or None,
        options=_options(node.get("options")),
    )


def _lookup_object(lookup: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    objects = lookup.get("lookupObjects")
    for one in objects if isinstance(objects, list) else []:
        if isinstance(one, Mapping) and isinstance(one.get("objectName"), str):
            return str(one["objectName"])
    return _text(_mapping(properties, "autoSuggestDetails"), "object") or None


def _lookup_path(lookup: Mapping[str, Any], name: str) -> str:
    path = _text(lookup, "lookupName")
    return path if is_field_name(path) else f"{name}__gr"


def _options(items: object) -> tuple[PicklistOption, ...]:
    return tuple(
        PicklistOption(str(item["value"]), _text(item, "label"), item.get("active") is not False)
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, Mapping) and item.get("value") is not None
    )


def _mapping(node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = node.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(node: Mapping[str, Any], key: str) -> str:
    value = node.get(key)
    return value if isinstance(value, str) else ""
