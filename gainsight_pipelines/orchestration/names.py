"""The names of our Dagster definitions. No definitions here.

Names that could clash between code locations or tenants have a prefix: jobs, schedules, sensors, pools, the resource.
The translator decides keys and groups of assets.
"""

import os
from dataclasses import dataclass

import dagster as dg

DEFAULT_PREFIX = "gainsight"
BY_DAY = "_by_day"

DOCS_VARIABLE = "GAINSIGHT_PIPELINES_DOCS_URL"
"""The URL at which a team publishes docs/, if it does: links in the UI then lead there."""

SYNC_ALL_TAG = "gainsight_pipelines/sync_all"
"""On a run started by `sync_all`: the id of that run."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one tenant's definitions. `prefix`: letters, digits and _."""

    prefix: str = DEFAULT_PREFIX

    @property
    def resource(self) -> str:
        """The key of the resource that all definitions share."""
        return self.prefix

    @property
    def frames(self) -> str:
        """The key of the IO manager that loads tables as DataFrames for downstream assets."""
        return f"{self.prefix}_frames"

    @property
    def gate(self) -> str:
        """The sensor that watches the primary CRM."""
        return f"{self.prefix}_gate"

    @property
    def alerts(self) -> str:
        """The sensor that sends alerts."""
        return f"{self.prefix}_alerts"

    @property
    def deliver(self) -> str:
        """The job that delivers all tables to the warehouse."""
        return f"{self.prefix}_deliver"

    @property
    def sync_all(self) -> str:
        """The job that starts all pulls."""
        return f"{self.prefix}_sync_all"

    @property
    def retention(self) -> str:
        """The job that purges old data."""
        return f"{self.prefix}_retention"

    def job(self, name: str) -> str:
        """The job of one pull."""
        return f"{self.prefix}_pull_{name}"

    def schedule(self, name: str) -> str:
        """The schedule of a pull."""
        return f"{self.job(name)}_schedule"

    def pool(self, name: str) -> str:
        """The pool that a pull and its backfills share."""
        return f"{self.prefix}_{name}"


def by_day(name: str) -> str:
    """The name of a pull's backfills by day, also in `sync_run`."""
    return f"{name}{BY_DAY}"


def documentation(section: str) -> dg.MetadataValue[str]:
    """Where docs/troubleshooting.md says more: a link if the docs are published, otherwise the path in the project."""
    page = f"troubleshooting.md#{section}"
    base = os.environ.get(DOCS_VARIABLE, "").strip().rstrip("/")
    return dg.MetadataValue.url(f"{base}/{page}") if base else dg.MetadataValue.path(f"docs/{page}")
