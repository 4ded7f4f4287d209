"""Dagster's storage for the `dagster.yaml` at the root and in deploy/: PostgreSQL, by environment or `.env`.

Dagster reads that file if DAGSTER_HOME is not set and the repository is the working directory (`dg dev`, `dg check
defs`). Without a URL, the embedded server is used, as in `gainsight-pipelines dev`.
"""

import os
from typing import TYPE_CHECKING

import click
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.instance import STORAGE_VARIABLE, creating_storage, storage_url
from gainsight_pipelines.settings import DATA_FOLDER, Secrets, settings_path
from gainsight_pipelines.store.connection import DATABASE_VARIABLE

if TYPE_CHECKING:
    from gainsight_pipelines.embedded.server import EmbeddedServer

_servers: "list[EmbeddedServer]" = []
"""Held until the process ends: the last of Dagster's processes stops the server."""


class EnvironmentStorage(DagsterPostgresStorage):
    """PostgreSQL at the URL in DAGSTER_POSTGRES_URL, so that it is in no configuration file and no process argument."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """No configuration."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: object,  # noqa: ARG003 - Dagster's own signature
    ) -> "EnvironmentStorage":
        """The storage.

        Raises:
            ClickException: no database is available. Dagster's commands print it as one sentence.
        """
        try:
            url = _address()
            with creating_storage(url):
                return cls(postgres_url=storage_url(url), inst_data=inst_data)
        except PipelineError as error:
            raise click.ClickException(str(error)) from None


def _address() -> str:
    """The URL of Dagster's database.

    On the embedded server, this process and its children also use the product's database there, unless one is named.
    """
    file = settings_path()
    secrets = Secrets.read(file)
    url = secrets.get(STORAGE_VARIABLE)
    if url is not None:
        return url
    if not _servers:
        from gainsight_pipelines.embedded.server import EmbeddedServer

        server = EmbeddedServer(file.parent / DATA_FOLDER / "postgres")
        server.open()
        _servers.append(server)
    if secrets.get(DATABASE_VARIABLE) is None:
        os.environ[DATABASE_VARIABLE] = _servers[0].url("gainsight")
    return _servers[0].url("dagster")
