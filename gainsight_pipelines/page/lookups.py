"""What the page asks the tenant and the CRM. All of it is called in worker threads; no browser here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import CRM_NAMES
from gainsight_pipelines.discovery import Catalog, Connections, DiskCache
from gainsight_pipelines.discovery.cache import FOLDER
from gainsight_pipelines.discovery.categories import CategorySample, sample_categories
from gainsight_pipelines.discovery.preview import Preview, preview
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.settings import Settings

Options = dict[str, str]
"""What a picker offers: API name → as it is shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whom, whether it is as it should be, what was found and what to do."""

    subject: str
    is_good: bool
    text: str


class Lookups:
    """The tenant and the CRM of one browser tab.

    Args:
        folder: the data folder, where names are kept for minutes.
        clock: the source of time.
        environ: the environment.
    """

    def __init__(self, folder: Path, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._cache = DiskCache(folder / FOLDER, clock)
        self._clock = clock
        self._environ = environ
        self._catalog: Catalog | None = None
        self._settings: Settings | None = None

    def use(self, settings: Settings) -> None:
        """Asks with these settings from now on; a look-up that is under way goes on with its own."""
        self._settings = settings
        if self._catalog is None:
            self._catalog = Catalog(Connections(settings, self._clock, self._environ), self._cache)
        else:  # one catalog, so that pickers that ask the same at once share an answer
            self._catalog.connections = Connections(settings, self._clock, self._environ)

    def validate(self, entered: Mapping[str, str], found: Callable[[Finding], None]) -> bool:
        """Tries the connection to Gainsight and to the CRM, with keys that need not be written anywhere yet.

        Args:
            entered: keys by the name of their variable; they win over those that are set.
            found: takes each finding as it is made.

        Returns:
            Whether all is as it should be.
        """
        assert self._settings is not None
        environ = {**self._environ, **entered}
        catalog = Catalog(Connections(self._settings, self._clock, environ), self._cache)

        def gainsight() -> str:
            objects = catalog.objects(is_fresh=True).objects
            readable = sum(one.is_readable for one in objects)
            return f"{len(objects):,} objects discovered, {readable:,} of them readable."

        def crm() -> str:
            fields = catalog.crm_fields(is_fresh=True)
            return f"{CRM_NAMES[fields.crm]} answers: {len(fields.fields):,} account fields discovered."

        findings = [_tried("Gainsight", gainsight), _tried("Primary CRM", crm)]
        for finding in findings:
            found(finding)
        return all(finding.is_good for finding in findings)

    def objects(self) -> Options:
        """The tenant's objects that can be read."""
        found = self._ask.objects().objects
        return {one.name: _shown(one.name, one.label, one.object_type) for one in found if one.is_readable}

    def fields(self, object_name: str) -> Options:
        """An object's fields."""
        schema = self._ask.fields(object_name).schema
        every = sorted(schema.fields.values(), key=lambda one: one.name.casefold())
        return {one.name: _shown(one.name, one.label, one.data_type) for one in every if not one.is_hidden}

    def crm_fields(self) -> Options:
        """The fields of the CRM's account object."""
        return {one.name: _shown(one.name, one.label, one.data_type) for one in self._ask.crm_fields().fields}

    def categories(self, *, resample: bool, say: Callable[[str], None]) -> CategorySample:
        """The timeline's categories; `resample` asks for fewer activities than last time."""
        return sample_categories(self._ask, resample=resample, say=say)

    def check_filter(self, object_name: str, document: Any) -> Preview:
        """How many records of an object a filter matches, with some of them."""
        return preview(self._ask, object_name, document=document)

    def forget(self) -> None:
        """Drops what is kept, after a new key."""
        self._cache.forget()

    @property
    def _ask(self) -> Catalog:
        assert self._catalog is not None
        return self._catalog


def _tried(subject: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, is_good=True, text=ask())
    except PipelineError as error:
        return Finding(subject, is_good=False, text=str(error))


def _shown(name: str, label: str, kind: str) -> str:
    return f"{name} — {label} ({kind})" if label and label != name else f"{name} ({kind})"
