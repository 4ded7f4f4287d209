"""Helpers that build small object schemas for tests of the mappers."""

from __future__ import annotations

from typing import Any

from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema, PicklistOption


def schema_of(name: str, *fields: Field) -> ObjectSchema:
    """A schema with the given fields."""
    return ObjectSchema(name, name, {field.name: field for field in fields})


def plain(name: str, data_type: str = "STRING", **more: Any) -> Field:
    """A field of the given data type."""
    return Field(name, name, data_type, **more)


def lookup(name: str, to: str) -> Field:
    """A lookup field that refers to the object `to`."""
    return Field(name, name, "LOOKUP", is_lookup=True, lookup_object=to, lookup_path=f"{name}__gr")


def picklist(name: str, *, multiple: bool = False, **labels: str) -> Field:
    """A picklist field; `labels` maps option ids to labels."""
    options = tuple(PicklistOption(value, label) for value, label in labels.items())
    return Field(name, name, "MULTISELECTDROPDOWNLIST" if multiple else "PICKLIST", options=options)
