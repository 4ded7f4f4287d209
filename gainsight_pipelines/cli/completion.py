"""Shell completion of pulls, tables, and the tenant's object and field names.

Names come from the pickers' cache if it is younger than a day, else from the tenant, with a short timeout. If that
fails, nothing is completed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

    from gainsight_pipelines.discovery import Catalog

NAMES_LAST = timedelta(days=1)
ANSWER_SECONDS = 3.0

Offers = Iterable[tuple[str, str]]
"""Pairs of name and description."""


def pull_names(context: CompletionContext) -> Offers:
    """The configured pulls."""
    from gainsight_pipelines.settings import load_settings

    return [(name, "") for name in load_settings(_settings(context)).object_names()]


def table_names(_context: CompletionContext) -> Offers:
    """The tables and views of the data contract."""
    from gainsight_pipelines.store.contract import RELATIONS

    return [(name, relation.meaning) for name, relation in RELATIONS.items()]


def object_names(context: CompletionContext) -> Offers:
    """The tenant's objects."""
    return [(one.name, one.label) for one in _catalog(context).objects().objects]


def pull_and_object_names(context: CompletionContext) -> Offers:
    """The pulls, then the objects."""
    return [*pull_names(context), *object_names(context)]


def account_field_names(context: CompletionContext) -> Offers:
    """The fields of the CRM's account object."""
    return [(one.name, one.label) for one in _catalog(context).crm_fields().fields]


def _catalog(context: CompletionContext) -> Catalog:
    from gainsight_pipelines.cli.pickers import open_catalog

    logging.disable()
    catalog = open_catalog(_settings(context))
    catalog.lasts = NAMES_LAST
    catalog.connections = replace(catalog.connections, answer_seconds=ANSWER_SECONDS)
    return catalog


def _settings(context: CompletionContext) -> Path | None:
    """The file that --settings names, if the line has it."""
    found = context.get("--settings")
    return Path(found.raw) if found is not None and found.raw else None
