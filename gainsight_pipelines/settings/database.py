"""Opens the store that settings and secrets name. A module of its own, so that `status` imports no API client."""

from __future__ import annotations

import os

from gainsight_pipelines.errors import SettingsError, variables_named
from gainsight_pipelines.settings.loading import Settings
from gainsight_pipelines.settings.secrets import Secrets
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines.store.migrate import check_version, is_current, migrate
from gainsight_pipelines.store.pooling import check_pooling
from gainsight_pipelines.store.waits import LONGEST, OF_LOOKING

MIGRATE_VARIABLE = "GAINSIGHT_PIPELINES_MIGRATE"
"""`never`: only `gainsight-pipelines migrate` changes the tables."""


def open_store(settings: Settings, secrets: Secrets, *, is_looking: bool = False) -> Store:
    """Opens the store, and migrates it if necessary.

    Args:
        settings: name the schema.
        secrets: name the database, and may forbid migrations.
        is_looking: change nothing; a store of another version is an error.

    Raises:
        SettingsError: no database is named, or the settings can't be read.
        PipelineError: it can't be reached or migrated.
    """
    url = secrets.get(DATABASE_VARIABLE)
    variable = secrets.variable(DATABASE_VARIABLE)
    if url is None:
        raise SettingsError(
            f"{variable} is not set, so there is no database to write to.",
            "Set it, or start with `gainsight-pipelines dev`, which brings its own database.",
        )

    def renewed_url() -> str | None:
        return Secrets.read(settings.path, os.environ, secrets.prefix).get(DATABASE_VARIABLE)

    longest_wait = OF_LOOKING if is_looking else LONGEST
    store = Store(url, variable, settings.store.schema, longest_wait=longest_wait, renewed_url=renewed_url)
    with variables_named(secrets.prefix):
        with store.connect("opening") as connection:
            check_pooling(store, connection)
            if is_current(connection, store.schema):
                return store
        if is_looking or secrets.get(MIGRATE_VARIABLE) == "never":
            check_version(store)
        else:
            migrate(store)
    return store
