"""The three resources that every asset shares: Gainsight, the primary CRM and the store.

None of them holds a secret: each reads what it needs at the start of a run, so a new key needs no restart, and there is
nothing that a repr, the UI or an event could show. What they need is imported where it is used: each of Dagster's
processes loads the definitions, and few of them run anything.
"""

from typing import TYPE_CHECKING

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.settings import Settings, load_settings

if TYPE_CHECKING:
    from gainsight_pipelines.crm.protocol import PrimaryCRM
    from gainsight_pipelines.gainsight.client import GainsightClient
    from gainsight_pipelines.store.connection import Store


class SettingsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What the others have in common: where the settings file is."""

    settings_path: str | None = None

    def settings(self) -> Settings:
        """The settings file as it is now."""
        from pathlib import Path

        return load_settings(Path(self.settings_path) if self.settings_path else None)


class GainsightResource(SettingsResource):
    """The Gainsight tenant of the settings, with the key of the environment."""

    def connect(self, store: "Store") -> "GainsightClient":
        """A new client, which keeps its count of calls in the store; nothing is called yet."""
        from gainsight_pipelines.sync import connect

        settings = self.settings()
        return connect.connect_gainsight(settings, connect.read_secrets(settings), SystemClock(), store)


class PrimaryCRMResource(SettingsResource):
    """The Salesforce or HubSpot that owns the accounts."""

    def connect(self) -> "PrimaryCRM":
        """A new connection; nothing is called yet."""
        from gainsight_pipelines.sync import connect

        settings = self.settings()
        return connect.connect_crm(settings, connect.read_secrets(settings), SystemClock())


class StoreResource(SettingsResource):
    """The PostgreSQL database that everything lands in."""

    def open(self) -> "Store":
        """The database, migrated if need be."""
        from gainsight_pipelines.sync import connect

        settings = self.settings()
        return connect.open_store(settings, connect.read_secrets(settings))
