"""Dagster's storage for the `dagster.yaml` at the root: PostgreSQL, its address from the environment alone.

Dagster reads that file where DAGSTER_HOME is not set and the repository is the working directory. Its own `env:` entry
would end in a stack trace where the variable is missing.
"""

import os

import click
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from gainsight_pipelines.orchestration.instance import STORAGE_VARIABLE, storage_url


class EnvironmentStorage(DagsterPostgresStorage):
    """PostgreSQL at the address that DAGSTER_POSTGRES_URL holds. The address is in no configuration and no argument."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """Nothing is configured."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: object,  # noqa: ARG003 - Dagster's own signature
    ) -> "EnvironmentStorage":
        """The storage.

        Raises:
            ClickException: the variable is not set. Dagster's commands print it as one sentence.
        """
        url = os.environ.get(STORAGE_VARIABLE)
        if not url:
            raise click.ClickException(
                f"{STORAGE_VARIABLE} is not set, so Dagster has no storage. Set it, or start with"
                " `gainsight-pipelines dev`, which brings a PostgreSQL of its own."
            )
        return cls(postgres_url=storage_url(url), inst_data=inst_data)
