"""Small schemas for the mappers' tests."""

from __future__ import annotations

from typing import Any

from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema, PicklistOption


def schema_of(name: str, *fields: Field) -> ObjectSchema:
    """An object with these fields."""
    return ObjectSchema(name, name, {field.name: field for field in fields})


def plain(name: str, data_type: str = "STRING", **more: Any) -> Field:
    """A field of a type."""
    return Field(name, name, data_type, **more)


def lookup(name: str, to: str) -> Field:
    """A lookup."""
    return Field(name, name, "LOOKUP", is_lookup=True, lookup_object=to, lookup_path=f"{name}__gr")


def picklist(name: str, *, multiple: bool = False, **labels: str) -> Field:
    """A picklist: id → label."""
    options = tuple(PicklistOption(value, label) for value, label in labels.items())
    return Field(name, name, "MULTISELECTDROPDOWNLIST" if multiple else "PICKLIST", options=options)
