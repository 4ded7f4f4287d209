"""What the parts of one pull share: whom it talks to, where it writes, what it reports."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from gainsight_pipelines.accounts import Refresh
from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import PrimaryCRM
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.store import schemas
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.locks import Lock
from gainsight_pipelines.sync.report import SyncReport

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class Services:
    """What a pull talks to."""

    store: Store
    gainsight: GainsightClient
    crm: PrimaryCRM
    clock: Clock

    def close(self) -> None:
        """Gives connections to Gainsight and the CRM back."""
        self.gainsight.close()
        self.crm.close()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pull with all that it needs, ready to begin.

    `refresh` brings the account table up to date first; `gsid_field`: the CRM field that matching falls back to;
    `crm_id_field`: the company's field with the CRM id, None where none is set; `overlap`: how far before its last
    read a read begins again.
    """

    pull: ObjectPull
    services: Services
    refresh: Refresh
    gsid_field: str | None
    crm_id_field: str | None
    overlap: timedelta


@dataclass(frozen=True, slots=True)
class PullContext:
    """One pull under way: it holds the object's lock."""

    prepared: Prepared
    connection: psycopg.Connection
    lock: Lock
    report: SyncReport
    started_at: datetime

    @property
    def pull(self) -> ObjectPull:
        """The object that is pulled."""
        return self.prepared.pull

    @property
    def services(self) -> Services:
        """Whom it talks to."""
        return self.prepared.services

    def note(self, text: str) -> None:
        """Something that people should know of this run: shown with its result."""
        logger.info("%s: %s", self.pull.name, text)
        self.report.notes.append(text)

    def count_calls(self) -> None:
        """Brings the report's counts of calls up to date."""
        self.report.calls = dict(self.services.gainsight.calls) | {"crm": self.services.crm.calls}
        self.report.bytes_received = self.services.gainsight.bytes_received

    def schema(self, object_name: str) -> ObjectSchema:
        """An object as the tenant describes it, asked for once a day."""
        now = self.services.clock.now()
        kept = schemas.find_schema(self.connection, object_name, now)
        if kept is not None:
            return ObjectSchema.from_json(kept)
        schema = self.services.gainsight.describe(object_name)
        schemas.keep_schema(self.connection, object_name, schema.to_json(), now)
        return schema
