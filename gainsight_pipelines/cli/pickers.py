"""`objects`, `fields` and `crm-fields`: print what `discovery` finds in the tenant and the CRM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import data_folder, export_library_variables, say_mistakes
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.protocol import ACCOUNT_OBJECTS, AccountField
from gainsight_pipelines.discovery import Catalog, DiskCache, Fill, InteractiveClients, matching_names
from gainsight_pipelines.discovery.cache import FOLDER
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectInfo
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.settings import Settings, load_settings

FILL_TITLE = "filled"


def open_catalog(path: Path | None) -> Catalog:
    """The catalog for a settings file. Opens no database.

    Raises:
        SettingsError: the file can't be read or parsed.
    """
    settings = load_settings(path)
    if settings.file_error is not None:
        raise settings.file_error
    say_mistakes(settings)
    return catalog_for(settings, path)


def catalog_for(settings: Settings, path: Path | None) -> Catalog:
    """The catalog for loaded settings, valid or not."""
    clock = SystemClock()
    connections = InteractiveClients(settings, clock)
    export_library_variables(connections.secrets(), os.environ)
    return Catalog(connections, DiskCache(data_folder(path) / FOLDER, clock))


def objects_command(pattern: str | None, *, is_fresh: bool, path: Path | None, as_json: bool) -> int:
    """Prints the tenant's objects."""
    found = open_catalog(path).objects(is_fresh=is_fresh)
    shown = matching_names(found.objects, pattern)
    if as_json:
        listed = [
            {"name": one.name, "label": one.label, "type": one.object_type, "readable": one.is_readable}
            for one in shown
        ]
        output.print_json({"read_at": found.read_at, "total": len(found.objects), "objects": listed})
        return 0
    _check_found(pattern, shown, "object", found.objects)
    rows = [(one.name, one.label, one.object_type, "" if one.is_readable else "not readable") for one in shown]
    _print(f"{len(shown):,} of {len(found.objects):,} objects", ("object", "label", "type", ""), rows)
    return 0


def fields_command(
    object_name: str, pattern: str | None, *, with_fill: bool, is_fresh: bool, path: Path | None, as_json: bool
) -> int:
    """Prints an object's fields."""
    catalog = open_catalog(path)
    found = catalog.fields(object_name, is_fresh=is_fresh)
    fill = catalog.fill(object_name, is_fresh=is_fresh) if with_fill else None
    every = sorted(found.schema.fields.values(), key=lambda one: one.name.casefold())
    shown = matching_names(every, pattern)
    if as_json:
        listed = [_field_document(one) | _fill_document(one.name, fill) for one in shown]
        document = {"read_at": found.read_at, "object": found.schema.name, "label": found.schema.label}
        output.print_json(document | _sample_document(fill) | {"total": len(every), "fields": listed})
        return 0
    _check_found(pattern, shown, "field", every)
    rows = [(one.name, one.label, one.data_type, *_filled(one.name, fill), _remarks(one)) for one in shown]
    columns = ("field", "label", "type", *([FILL_TITLE] if fill else []), "")
    title = f"{len(shown):,} of {len(every):,} fields of {found.schema.name} ({found.schema.label})"
    _print(title + _of_sample(fill, "records"), columns, rows)
    return 0


def crm_fields_command(
    pattern: str | None, *, with_fill: bool, is_fresh: bool, path: Path | None, as_json: bool
) -> int:
    """Prints the fields of the CRM's account object."""
    catalog = open_catalog(path)
    found = catalog.crm_fields(is_fresh=is_fresh)
    fill = catalog.crm_fill(is_fresh=is_fresh) if with_fill else None
    shown = matching_names(found.fields, pattern)
    if as_json:
        listed = [
            {"name": one.name, "label": one.label, "type": one.data_type} | _fill_document(one.name, fill)
            for one in shown
        ]
        document = {"read_at": found.read_at, "crm": found.crm, "total": len(found.fields)}
        output.print_json(document | _sample_document(fill) | {"fields": listed})
        return 0
    _check_found(pattern, shown, "field", found.fields)
    rows = [(one.name, one.label, one.data_type, *_filled(one.name, fill)) for one in shown]
    columns = ("field", "label", "type", *([FILL_TITLE] if fill else []))
    title = f"{len(shown):,} of {len(found.fields):,} fields of {ACCOUNT_OBJECTS[found.crm]}"
    _print(title + _of_sample(fill, "accounts"), columns, rows)
    return 0


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    output.print_table(output.table_of(title, columns, rows, right=(FILL_TITLE,), whole=("object", "field")))


def _check_found(
    pattern: str | None, shown: Sequence[object], what: str, named: Sequence[ObjectInfo | Field | AccountField]
) -> None:
    """Raises an error with near matches if a pattern matched nothing.

    Raises:
        SettingsError: nothing matches.
    """
    if shown or pattern is None:
        return
    near = did_you_mean(pattern, [one.name for one in named], {one.label: one.name for one in named})
    todo = f"{near} Try a shorter part of it, or *.".strip()
    raise SettingsError(f"No {what} has {pattern!r} in its name or label.", todo)


def _remarks(one: Field) -> str:
    """Remarks on a field besides its type: lookup, options, formula, hidden, not filterable."""
    remarks = []
    if one.is_lookup:
        remarks.append(f"looks up {one.lookup_object or 'another object'} ({one.lookup_path}.…)")
    if one.options:
        remarks.append(f"{len(one.options)} options")
    if one.is_formula:
        remarks.append("formula")
    if one.is_hidden:
        remarks.append("hidden")
    if not one.is_filterable:
        remarks.append("no filter")
    return ", ".join(remarks)


def _field_document(one: Field) -> dict[str, Any]:
    return {
        "name": one.name,
        "label": one.label,
        "type": one.data_type,
        "group": one.group,
        "lookup": one.lookup_object,
        "lookup_path": one.lookup_path,
        "filterable": one.is_filterable,
        "sortable": one.is_sortable,
        "hidden": one.is_hidden,
        "formula": one.is_formula,
        "options": [option.label for option in one.options if option.active],
    }


def _fill_document(name: str, fill: Fill | None) -> dict[str, Any]:
    return {} if fill is None else {"filled": fill.share(name)}


def _sample_document(fill: Fill | None) -> dict[str, Any]:
    return {} if fill is None else {"sample": fill.sample}


def _filled(name: str, fill: Fill | None) -> tuple[str, ...]:
    if fill is None:
        return ()
    share = fill.share(name)
    return ("?" if share is None else f"{share:.0%}",)


def _of_sample(fill: Fill | None, what: str) -> str:
    return "" if fill is None else f", filled in a sample of {fill.sample:,} {what}"
