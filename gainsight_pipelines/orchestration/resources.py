"""The resource that all definitions of a tenant share: settings, secrets, and the connections made with them.

It holds no secrets: each run reads them when it starts, so a new key needs no restart, and no repr, UI page or event
can show one. Imports are local to the methods: all of Dagster's processes load the definitions, and few of them run
anything.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.settings import Settings, load_settings
from gainsight_pipelines.settings.database import open_store

if TYPE_CHECKING:
    from gainsight_pipelines.crm.protocol import PrimaryCRM
    from gainsight_pipelines.gainsight.client import GainsightClient
    from gainsight_pipelines.settings import Secrets
    from gainsight_pipelines.store.connection import Store


class GainsightResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One tenant: its Gainsight, its primary CRM and its store."""

    settings_path: str | None = Field(default=None, description="The settings file; null: as the environment says.")
    inline_settings: str | None = Field(default=None, description="The settings as JSON, instead of a file.")
    secrets_prefix: str = Field(
        default="", description="Prefix of the variables with secrets; variables without it are never read."
    )

    def settings(self) -> Settings:
        """The current settings."""
        if self.inline_settings is not None:
            from gainsight_pipelines.settings import settings_of

            return settings_of(json.loads(self.inline_settings))
        return load_settings(Path(self.settings_path) if self.settings_path else None)

    def secrets(self, settings: Settings) -> "Secrets":
        """The current secrets."""
        from gainsight_pipelines.sync import clients

        return clients.read_secrets(settings, self.secrets_prefix)

    def open_store(self, *, is_looking: bool = False) -> "Store":
        """The PostgreSQL database of the product's tables, migrated if necessary; `is_looking`: never migrated."""
        settings = self.settings()
        return open_store(settings, self.secrets(settings), is_looking=is_looking)

    def connect_crm(self) -> "PrimaryCRM":
        """A new connection to the Salesforce or HubSpot that owns the accounts; makes no call yet."""
        from gainsight_pipelines.sync import clients

        settings = self.settings()
        return clients.connect_crm(settings, self.secrets(settings), SystemClock())

    def connect_gainsight(self, store: "Store") -> "GainsightClient":
        """A new client that counts its calls in the store; makes no call yet."""
        from gainsight_pipelines.sync import clients

        settings = self.settings()
        return clients.connect_gainsight(settings, self.secrets(settings), SystemClock(), store)
