"""Lookups in the tenant and the CRM, called in worker threads. No browser code."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.discovery import Catalog, DiskCache, InteractiveClients
from gainsight_pipelines.discovery.cache import FOLDER
from gainsight_pipelines.discovery.categories import CategorySample, sample_categories
from gainsight_pipelines.discovery.interactive_clients import ANSWER_SECONDS
from gainsight_pipelines.discovery.preview import Preview, preview
from gainsight_pipelines.discovery.validation import Check, validate
from gainsight_pipelines.settings import Settings

Options = dict[str, str]
"""A picker's options: API name → label."""


EVERYTHING = ("settings", "gainsight", "primary_crm", "pulls", "matching")
"""The parts of the validation that the page runs; not the database, which the command opens."""


class Lookups:
    """The tenant and the CRM of one browser tab.

    Args:
        folder: the data folder, which caches names for some minutes.
        clock: the source of time.
        environ: the environment.
        answer_seconds: timeout of one call.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        environ: Mapping[str, str] = os.environ,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._cache = DiskCache(folder / FOLDER, clock)
        self._clock = clock
        self.environ = environ
        self._answer_seconds = answer_seconds
        self._catalog: Catalog | None = None

    def use(self, settings: Settings, typed: Mapping[str, str | None]) -> None:
        """Uses these settings and secrets from now on. A lookup in progress keeps its own."""
        connections = InteractiveClients(
            settings, self._clock, self.environ, answer_seconds=self._answer_seconds, typed=dict(typed)
        )
        if self._catalog is None:
            self._catalog = Catalog(connections, self._cache)
        else:  # one catalog, so that pickers that ask the same at the same time share a response
            self._catalog.connections = connections

    def validate(self, parts: Collection[str], found: Callable[[Check], None]) -> None:
        """Validates a connection, or everything that the settings name, with secrets that may not be saved yet.

        Args:
            parts: parts of `discovery.validation`; EVERYTHING for all that the page validates.
            found: called with each check when it is done.
        """
        for check in validate(Catalog(self._ask.connections, self._cache), None, parts=parts):
            found(check)

    def objects(self) -> Options:
        """The tenant's readable objects."""
        found = self._ask.objects().objects
        return {one.name: _option_label(one.name, one.label, one.object_type) for one in found if one.is_readable}

    def fields(self, object_name: str) -> Options:
        """An object's fields."""
        schema = self._ask.fields(object_name).schema
        every = sorted(schema.fields.values(), key=lambda one: one.name.casefold())
        return {one.name: _option_label(one.name, one.label, one.data_type) for one in every if not one.is_hidden}

    def crm_fields(self) -> Options:
        """The fields of the CRM's account object."""
        return {one.name: _option_label(one.name, one.label, one.data_type) for one in self._ask.crm_fields().fields}

    def categories(self, *, resample: bool, say: Callable[[str], None]) -> CategorySample:
        """The timeline's categories; `resample` reads fewer activities than last time."""
        return sample_categories(self._ask, resample=resample, answer_seconds=self._answer_seconds, say=say)

    def check_filter(self, object_name: str, document: Any) -> Preview:
        """The number of records that a filter matches, and some of them."""
        return preview(self._ask, object_name, document=document)

    def forget(self) -> None:
        """Clears the cache, after a new key."""
        self._cache.forget()

    @property
    def _ask(self) -> Catalog:
        assert self._catalog is not None
        return self._catalog


def _option_label(name: str, label: str, kind: str) -> str:
    return f"{name} — {label} ({kind})" if label and label != name else f"{name} ({kind})"
