"""Names that Dagster knows things by. No definitions.

What several code locations and several tenants could clash over carries a prefix: jobs, schedules, sensors, pools, the
resource. Keys and groups of assets are the translator's.
"""

import os
from dataclasses import dataclass

import dagster as dg

DEFAULT_PREFIX = "gainsight"
BY_DAY = "_by_day"

DOCS_VARIABLE = "GAINSIGHT_PIPELINES_DOCS_URL"
"""Where a team publishes the folder docs/, if it does: what the UI shows of it then becomes a link."""

SYNC_ALL_TAG = "gainsight_pipelines/sync_all"
"""On a run that `sync_all` started: the id of that one."""


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
        """The key of the IO manager that hands tables to downstream assets as DataFrames."""
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
        """The job that deletes what is old."""
        return f"{self.prefix}_retention"

    def job(self, name: str) -> str:
        """The job that runs one pull."""
        return f"{self.prefix}_pull_{name}"

    def schedule(self, name: str) -> str:
        """The schedule of a pull."""
        return f"{self.job(name)}_schedule"

    def pool(self, name: str) -> str:
        """The pool in which a pull and its backfills wait for each other."""
        return f"{self.prefix}_{name}"


def by_day(name: str) -> str:
    """The name of the backfills by day of a pull, in `sync_run` as well."""
    return f"{name}{BY_DAY}"


def documentation(section: str) -> dg.MetadataValue[str]:
    """Where docs/troubleshooting.md says more: a link where the docs are published, else the place in the project."""
    page = f"troubleshooting.md#{section}"
    base = os.environ.get(DOCS_VARIABLE, "").strip().rstrip("/")
    return dg.MetadataValue.url(f"{base}/{page}") if base else dg.MetadataValue.path(f"docs/{page}")
