"""Names that Dagster knows things by, and what can be told from them. No definitions."""

import os

import dagster as dg

ACCOUNT = dg.AssetKey(["crm", "account"])
GROUP, CRM_GROUP, BACKFILL_GROUP = "gainsight", "primary_crm", "survey_backfill"
BY_DAY = "_by_day"

DOCS_VARIABLE = "GAINSIGHT_PIPELINES_DOCS_URL"
"""Where a team publishes the folder docs/, if it does: what the UI shows of it then becomes a link."""

SYNC_ALL_TAG = "gainsight_pipelines/sync_all"
"""On a run that `sync_all` started: the id of that one."""

_PULL = "pull_"


def asset_key(name: str) -> dg.AssetKey:
    """The key of the asset of a pull."""
    return dg.AssetKey([GROUP, name])


def by_day(name: str) -> str:
    """The name of the backfills by day of a pull, in `sync_run` as well."""
    return f"{name}{BY_DAY}"


def backfill_key(name: str) -> dg.AssetKey:
    """The key of the by-day asset beside a survey pull."""
    return dg.AssetKey([GROUP, by_day(name)])


def job_name(name: str) -> str:
    """The name of the job that runs one pull."""
    return f"{_PULL}{name}"


def schedule_name(name: str) -> str:
    """The name of the schedule of a pull."""
    return f"{job_name(name)}_schedule"


def pool(name: str) -> str:
    """The pool in which a pull and its backfills wait for each other."""
    return f"gainsight_{name}"


def documentation(section: str) -> dg.MetadataValue[str]:
    """Where docs/troubleshooting.md says more: a link where the docs are published, else the place in the project."""
    page = f"troubleshooting.md#{section}"
    base = os.environ.get(DOCS_VARIABLE, "").strip().rstrip("/")
    return dg.MetadataValue.url(f"{base}/{page}") if base else dg.MetadataValue.path(f"docs/{page}")
