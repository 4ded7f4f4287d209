"""The data behind pickers: the tenant's objects, an object's fields, the CRM's account fields, and fill rates.

Each takes at most one call, however many objects and fields there are, and is cached for minutes; concurrent callers
share one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gainsight_pipelines.crm.protocol import AccountField, CRMKind
from gainsight_pipelines.discovery.cache import CacheEntry, DiskCache
from gainsight_pipelines.discovery.interactive_clients import InteractiveClients
from gainsight_pipelines.gainsight.errors import UnknownField, UnknownObject
from gainsight_pipelines.gainsight.metadata import Field, ObjectInfo, ObjectSchema
from gainsight_pipelines.gainsight.query import Query
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.sync.clients import tenant_of
from gainsight_pipelines.text import name_key

CATALOG_LASTS = timedelta(minutes=10)
"""How long cached names are used."""

FILL_SAMPLE = 200
"""Records sampled for a fill rate: as many as Salesforce returns at once with all fields."""

Named = TypeVar("Named", ObjectInfo, Field, AccountField)


@dataclass(frozen=True, slots=True)
class ObjectList:
    """The tenant's objects, readable or not, by name; read from the tenant at `read_at`."""

    objects: tuple[ObjectInfo, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Described:
    """One object with its fields; read from the tenant at `read_at`."""

    schema: ObjectSchema
    read_at: datetime


@dataclass(frozen=True, slots=True)
class AccountFields:
    """The fields of the CRM's account object, by name; read from the CRM at `read_at`."""

    crm: CRMKind
    fields: tuple[AccountField, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """How many records of a sample have a value, by field. `sample`: the number of records."""

    filled: Mapping[str, int]
    sample: int
    read_at: datetime

    def share(self, name: str) -> float | None:
        """The share of the sample with a value in this field, 0 to 1; None if unknown."""
        count = self.filled.get(name)
        return None if count is None or not self.sample else count / self.sample


@dataclass(slots=True)
class Catalog:
    """The names that a tenant has. Thread-safe.

    Args:
        connections: creates the clients. May be replaced at any time; a running call keeps the former one.
        cache: stores the results.
        lasts: how long they are used.
    """

    connections: InteractiveClients
    cache: DiskCache
    lasts: timedelta = CATALOG_LASTS
    _locks: dict[str, Lock] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def objects(self, *, is_fresh: bool = False) -> ObjectList:
        """The tenant's objects, by one call.

        Args:
            is_fresh: bypass the cache.

        Raises:
            PipelineError: no tenant or key is set, or the tenant refuses or doesn't respond in time.
        """
        connections = self.connections

        def ask() -> Any:
            with closing(connections.gainsight()) as client:
                return [asdict(one) for one in client.list_objects()]

        kept = self._cached(_gainsight_key(connections, "objects"), ask, is_fresh)
        objects = sorted((ObjectInfo(**one) for one in kept.document), key=lambda one: one.name.casefold())
        return ObjectList(tuple(objects), kept.read_at)

    def fields(self, object_name: str, *, is_fresh: bool = False) -> Described:
        """An object with its fields, by one call.

        Args:
            object_name: its API name, in any case.
            is_fresh: bypass the cache.

        Raises:
            UnknownObject: the tenant has no object of that name.
            PipelineError: as for `objects`.
        """
        connections = self.connections

        def ask() -> Any:
            with closing(connections.gainsight()) as client:
                try:
                    return client.describe(object_name).to_json()
                except UnknownObject as error:
                    near = did_you_mean(object_name, [one.name for one in self.objects().objects])
                    todo = f"{near} `gainsight-pipelines objects` lists them.".strip()
                    raise UnknownObject(error.message, todo) from None

        kept = self._cached(_gainsight_key(connections, "fields", name_key(object_name)), ask, is_fresh)
        return Described(ObjectSchema.from_json(kept.document), kept.read_at)

    def crm_fields(self, *, is_fresh: bool = False) -> AccountFields:
        """The fields of the CRM's account object (Salesforce Account, HubSpot company), by one call after the login.

        Args:
            is_fresh: bypass the cache.

        Raises:
            GateClosed: no CRM is configured, or it doesn't respond.
            PipelineError: it refuses, or its credentials are missing.
        """
        connections = self.connections

        def ask() -> Any:
            with closing(connections.crm()) as crm:
                return [asdict(one) for one in crm.account_fields()]

        kept = self._cached(_crm_key(connections, "fields"), ask, is_fresh)
        fields = sorted((AccountField(**one) for one in kept.document), key=lambda one: one.name.casefold())
        return AccountFields(_crm_kind(connections), tuple(fields), kept.read_at)

    def fill(self, object_name: str, *, is_fresh: bool = False) -> Fill:
        """The fill rates of an object's fields in a sample of its records: one query, besides the describe.

        Raises:
            PipelineError: as for `fields`.
        """
        schema = self.fields(object_name).schema
        connections = self.connections

        def ask() -> Any:
            names = list(schema.fields)
            with closing(connections.gainsight()) as client:
                while True:
                    try:
                        query = Query(tuple(names), limit=FILL_SAMPLE)
                        return _counted(names, client.query(schema.name, query, kind="probe").records)
                    except UnknownField as refused:
                        # Described but refused: its fill rate is unknown.
                        names = [name for name in names if name not in refused.fields]
                        if not refused.fields or not names:
                            raise

        return _fill(self._cached(_gainsight_key(connections, "fill", name_key(object_name)), ask, is_fresh))

    def crm_fill(self, *, is_fresh: bool = False) -> Fill:
        """The fill rates of the account fields in a sample of the CRM's accounts: one call.

        Raises:
            PipelineError: as for `crm_fields`.
        """
        connections = self.connections

        def ask() -> Any:
            with closing(connections.crm()) as crm:
                accounts = crm.sample_accounts(FILL_SAMPLE)
            return _counted(list(dict.fromkeys(name for account in accounts for name in account)), accounts)

        return _fill(self._cached(_crm_key(connections, "fill"), ask, is_fresh))

    def forget(self) -> None:
        """Empties the cache, after a new key or for another tenant."""
        self.cache.forget()

    def _cached(self, key: str, ask: Callable[[], Any], is_fresh: bool) -> CacheEntry:
        with self._lock:
            lock = self._locks.setdefault(key, Lock())
        asked_at = self.connections.clock.now()
        with lock:
            kept = self.cache.find(key, self.lasts)
            # A caller that waited for another's call takes that result, even if it wants a fresh one.
            if kept is not None and (not is_fresh or kept.read_at > asked_at):
                return kept
            return self.cache.keep(key, ask())


def _gainsight_key(connections: InteractiveClients, *parts: str) -> str:
    return " ".join((urlsplit(tenant_of(connections.settings).base_url).netloc, *parts))


def _crm_key(connections: InteractiveClients, *parts: str) -> str:
    with closing(connections.crm()) as crm:
        return " ".join((repr(crm), *parts))


def _crm_kind(connections: InteractiveClients) -> CRMKind:
    primary = connections.settings.primary_crm
    assert primary is not None
    return primary.kind


def matching_names(named: Iterable[Named], pattern: str | None) -> list[Named]:
    """The entries whose name or label matches: a substring, or a pattern with * and ?; ignores case."""
    if not pattern:
        return list(named)
    wanted = pattern.casefold().replace("[", "[[]")  # brackets are literal
    if not any(mark in wanted for mark in "*?"):
        wanted = f"*{wanted}*"
    return [
        one for one in named if fnmatchcase(one.name.casefold(), wanted) or fnmatchcase(one.label.casefold(), wanted)
    ]


def _counted(names: Iterable[str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    filled = {name: sum(record.get(name) not in (None, "", []) for record in records) for name in names}
    return {"filled": filled, "sample": len(records)}


def _fill(kept: CacheEntry) -> Fill:
    return Fill(kept.document["filled"], kept.document["sample"], kept.read_at)
