"""Deletes old runs, since Dagster keeps all events of all runs. What the UI shows as the current state is kept.

Deletes only runs of this store's pulls: never other people's, nor runs shared with their steps. A run that failed
before its first step has no store tag yet; it is this tenant's if its code location is, and its job or all its assets
are.

The command `purge` starts `python -m gainsight_pipelines.orchestration.purge DAYS [--rejected DAYS] [--dry-run]`: a
separate process, because Dagster takes its configuration from the environment. Prints one JSON document.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_START_TAG, PARTITION_NAME_TAG

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.orchestration.identity import LOCATION_TAG, PULL_TAG, STORE_TAG, pulls_of, store_id
from gainsight_pipelines.orchestration.instance import REPOSITORY_TAG
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.store import rejected, runs
from gainsight_pipelines.store.connection import Store

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
WITHOUT_SUCCESS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """The age limits: what began, or was last seen, before them is deleted. None: nothing of that kind is."""

    runs: datetime
    rejected: datetime | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """How many of each were deleted, or would be."""

    dagster_runs: int
    sync_runs: int
    rejected_records: int

    def summary(self, *, is_dry: bool) -> str:
        """As a sentence."""
        return (
            f"{self.dagster_runs:,} Dagster runs, {self.sync_runs:,} rows of sync_run and {self.rejected_records:,} of"
            f" rejected_record {'would go' if is_dry else 'are gone'}. Pulled data stay."
        )


@dataclass(frozen=True)
class Origin:
    """Recognises a tenant's runs before any of their steps has begun.

    `location`: repository@location that launches them. `jobs`: of the tenant. `assets`: the keys of the tenant's
    assets.
    """

    location: str
    jobs: frozenset[str]
    assets: frozenset[dg.AssetKey]

    @classmethod
    def of(cls, tenant: Tenant, location: str | None) -> "Origin | None":
        """The origin of a tenant's runs in a location; None: the location is unknown."""
        if location is None:
            return None
        names = tenant.names
        specs = [tenant.account, *(spec for name in tenant.pulls for spec in (tenant.asset(name), tenant.days(name)))]
        return cls(
            location,
            frozenset({names.sync_all, names.retention, *map(names.job, tenant.pulls)}),
            frozenset(spec.key for spec in specs if spec is not None),
        )

    def is_of(self, run: dg.DagsterRun) -> bool:
        """Whether a run without a store tag is this tenant's alone."""
        if STORE_TAG in run.tags or run.tags.get(LOCATION_TAG) != self.location:
            return False
        if PULL_TAG in run.tags:
            return run.job_name in self.jobs
        return bool(run.asset_selection) and self.assets.issuperset(run.asset_selection or ())


def purge(
    instance: dg.DagsterInstance, store: Store, limits: Limits, *, is_dry: bool, origin: Origin | None = None
) -> Purged:
    """Deletes finished Dagster runs with their events, rows of `sync_run`, and rejected records.

    Args:
        instance: Dagster's; may be shared with others.
        store: the product's.
        limits: the age limits.
        is_dry: only count.
        origin: recognises runs that failed before their first step; None: such runs are kept.
    """
    with store.connect("purge") as connection:
        old = _old(instance, store_id(connection), limits.runs)
        if origin is not None:
            old += _without_a_step(instance, origin, limits.runs)
        if not is_dry:
            for run_id in old:
                instance.delete_run(run_id)
        return Purged(
            dagster_runs=len(old),
            sync_runs=runs.purge_runs(connection, limits.runs, is_dry=is_dry),
            rejected_records=(
                0 if limits.rejected is None else rejected.purge(connection, limits.rejected, is_dry=is_dry)
            ),
        )


def _old(instance: dg.DagsterInstance, store: str, before: datetime) -> list[str]:
    """This store's finished runs from before a time, except those that the UI still needs.

    These are the last successful run of each pull, and the runs whose events mark days as materialized: without them
    the days would count as missing, and the next backfill of missing days would read them again.
    """
    kept: set[str] = set()
    old: list[str] = []
    seen: set[str] = set()
    for record in _records(instance, dg.RunsFilter(statuses=FINISHED, tags={STORE_TAG: store})):
        run = record.dagster_run
        names = pulls_of(run)
        if not names:
            continue  # it contains other people's steps
        if record.create_timestamp < before:
            old.append(run.run_id)
        if _is_by_day(run):
            if instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                kept.add(run.run_id)
        elif run.is_success and names - seen:
            seen |= names
            kept.add(run.run_id)
    return [run_id for run_id in old if run_id not in kept]


def _without_a_step(instance: dg.DagsterInstance, origin: Origin, before: datetime) -> list[str]:
    """Old runs of the tenant that ended before any step had tagged them with its store."""
    found = _records(
        instance,
        dg.RunsFilter(statuses=WITHOUT_SUCCESS, tags={LOCATION_TAG: origin.location}, created_before=before),
    )
    return [
        record.dagster_run.run_id
        for record in found
        if origin.is_of(record.dagster_run)
        and not instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    ]


def _records(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> Iterator[dg.RunRecord]:
    """Newest first."""
    cursor = None
    while True:
        found = list(instance.get_run_records(wanted, AT_A_TIME, cursor=cursor))
        yield from found
        if len(found) < AT_A_TIME:
            return
        cursor = found[-1].dagster_run.run_id


def _is_by_day(run: dg.DagsterRun) -> bool:
    return not run.tags.keys().isdisjoint((PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG))


def main(days: int, rejected_days: int | None, *, is_dry: bool) -> None:
    """Purges, and prints the result."""
    now, resource = SystemClock().now(), GainsightResource()
    limits = Limits(
        runs=now - timedelta(days=days),
        rejected=None if rejected_days is None else now - timedelta(days=rejected_days),
    )
    tenant = Tenant(resource, resource.settings())
    origin = Origin.of(tenant, REPOSITORY_TAG[LOCATION_TAG])
    with dg.DagsterInstance.get() as instance:
        done = purge(instance, resource.open_store(is_looking=True), limits, is_dry=is_dry, origin=origin)
    sys.stdout.write(json.dumps(asdict(done)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("days", type=int)
    parser.add_argument("--rejected", type=int)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    main(given.days, given.rejected, is_dry=given.dry_run)
