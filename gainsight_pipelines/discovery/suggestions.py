"""Suggests which of a tenant's names a setting most likely means: default answers for `init` and the settings page.

Guesses by names, labels and types, most likely first; a person confirms them. Makes no calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gainsight_pipelines.crm.protocol import AccountField
from gainsight_pipelines.gainsight.metadata import Field, ObjectInfo, ObjectSchema
from gainsight_pipelines.objects.fields import first_named, normal_name
from gainsight_pipelines.objects.pull import COMPANY_OBJECT
from gainsight_pipelines.text import name_key

TEXT_TYPES = frozenset({"string", "text", "textarea", "id", "enumeration"})
NUMBER_TYPES = frozenset({"int", "double", "currency", "number"})
DATE_TYPES = frozenset({"date", "datetime"})

SURVEY_OBJECT, USAGE_OBJECT = "survey_response", "product_usage__gc"
_SURVEYS = re.compile(r"survey|nps|csat|\bces\b|feedback", re.IGNORECASE)
_NO_RESPONSES = re.compile(r"participant|question|translation|library|view|template|answer|email", re.IGNORECASE)
_USAGE = re.compile(r"usage|adoption|telemetry|metric", re.IGNORECASE)


def gsid_fields(fields: Iterable[AccountField]) -> list[str]:
    """Account fields that probably hold the GSID."""
    return _ranked(fields, TEXT_TYPES, (r"gsid", r"gainsight.*\bid\b|gainsight.?id", r"gainsight"))


def arr_fields(fields: Iterable[AccountField]) -> list[str]:
    """Account fields that probably hold annual recurring revenue; never the account's own revenue."""
    return _ranked(fields, NUMBER_TYPES, (r"(?<![a-z])arr(?![a-z])", r"annual.?recurring", r"recurring.?revenue"))


def renewal_date_fields(fields: Iterable[AccountField]) -> list[str]:
    """Account fields that probably hold the date of the next renewal."""
    return _ranked(fields, DATE_TYPES, (r"(?<!last.)(?<!last)renewal.?date", r"(?<!last.)(?<!last)renewal"))


def crm_id_fields(schema: ObjectSchema, crm: str) -> list[str]:
    """Company fields that probably hold the CRM's account id; empty if the usual one exists."""
    if crm == "salesforce":
        if first_named(schema, ["sfdcaccountid"]) is not None:
            return []
        return [one.name for one in schema.fields.values() if one.data_type == "SFDCID"]
    wanted = re.compile(r"hub.?spot", re.IGNORECASE)
    return [
        one.name
        for one in schema.fields.values()
        if wanted.search(f"{one.name} {one.label}") and "id" in normal_name(one.name) and not one.is_date
    ]


def survey_objects(objects: Iterable[ObjectInfo]) -> list[str]:
    """Objects that probably hold survey responses: Gainsight's own if the tenant has it, otherwise custom ones."""
    readable = {name_key(one.name): one for one in objects if one.is_readable}
    if SURVEY_OBJECT in readable:
        return [readable[SURVEY_OBJECT].name]
    return [
        one.name
        for one in readable.values()
        if _SURVEYS.search(f"{one.name} {one.label}") and not _NO_RESPONSES.search(f"{one.name} {one.label}")
    ]


def usage_objects(objects: Iterable[ObjectInfo]) -> list[str]:
    """Objects that probably hold product usage; there is no standard one."""
    found = [
        one.name
        for one in objects
        if one.is_readable and one.object_type == "CUSTOM" and _USAGE.search(f"{one.name} {one.label}")
    ]
    return sorted(found, key=lambda name: (name.casefold() != USAGE_OBJECT, len(name), name))


def aggregate(schema: ObjectSchema) -> dict[str, Any] | None:
    """Aggregate settings for an object of flat rows, as in the settings file; None for wide rows."""
    name = first_named(schema, ["metricname", "metric", "metrickey", "measurename", "eventname", "featurename"])
    value = _first(schema, ["metricvalue", "value", "measurevalue", "count", "quantity"], lambda one: one.is_numeric)
    key = first_named(schema, ["gscompanyid"]) or _lookup(schema) or first_named(schema, ["accountid", "sfdcaccountid"])
    if name is None or value is None or key is None or name.is_numeric:
        return None
    dimension = first_named(schema, ["dimension", "dimensionkey", "dimensionname"])
    return {
        "key": key.name,
        "key_kind": "gsid" if name_key(key.lookup_object or "") == COMPANY_OBJECT else "auto",
        "metric_name_field": name.name,
        "metric_value_field": value.name,
        "dimension_field": dimension.name if dimension is not None else None,
    }


def observed_at_fields(schema: ObjectSchema) -> list[str]:
    """An object's own dates, with those first whose names suggest an observation."""
    telling = re.compile(r"observ|usage|snapshot|week|day|period", re.IGNORECASE)
    own = [one.name for one in schema.fields.values() if one.is_date and one.group != "SYSTEM"]
    return sorted(own, key=lambda name: telling.search(name) is None)


def _ranked(fields: Iterable[AccountField], types: frozenset[str], patterns: Sequence[str]) -> list[str]:
    """The names of fields of these types that match a pattern, in the order of the patterns."""
    ranked: list[tuple[int, str]] = []
    for one in fields:
        words = f"{one.name} | {one.label}".replace("_", " ").casefold()
        rank = next((number for number, pattern in enumerate(patterns) if re.search(pattern, words)), None)
        if rank is not None and one.data_type.casefold() in types:
            ranked.append((rank, one.name))
    return [name for _, name in sorted(ranked, key=lambda pair: pair[0])]


def _lookup(schema: ObjectSchema) -> Field | None:
    lookups = [one for one in schema.fields.values() if name_key(one.lookup_object or "") == COMPANY_OBJECT]
    return lookups[0] if len(lookups) == 1 else None


def _first(schema: ObjectSchema, names: Sequence[str], fits: Callable[[Field], bool]) -> Field | None:
    by_name = {normal_name(one.name): one for one in reversed(list(schema.fields.values())) if fits(one)}
    return next((by_name[name] for name in names if name in by_name), None)
