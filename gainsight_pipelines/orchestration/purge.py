"""Deletes old runs: Dagster keeps every event of every run for good. What the UI has its present state from stays.

Only runs of this store's pulls go: never those of others, nor one that other people's steps shared.

`python -m gainsight_pipelines.orchestration.purge DAYS [--dry-run]` is what the command `purge` starts: a process
of its own, as Dagster takes its configuration from the environment. Prints one JSON document.
"""

import json
import sys
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_START_TAG, PARTITION_NAME_TAG

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.orchestration.identity import STORE_TAG, pulls_of, store_id
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.store import runs
from gainsight_pipelines.store.connection import Store

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
AT_A_TIME = 500


def purge(instance: dg.DagsterInstance, store: Store, before: datetime, *, is_dry: bool) -> dict[str, int]:
    """Deletes finished Dagster runs with their events, and rows of `sync_run`, from before that time.

    Args:
        instance: Dagster's; others may use it too.
        store: the product's.
        before: what began later stays.
        is_dry: count only.

    Returns:
        How many of each: `dagster_runs`, `sync_runs`.
    """
    with store.connect("purge") as connection:
        old = _old(instance, store_id(connection), before)
        if not is_dry:
            for run_id in old:
                instance.delete_run(run_id)
        return {"dagster_runs": len(old), "sync_runs": runs.purge_runs(connection, before, is_dry=is_dry)}


def _old(instance: dg.DagsterInstance, store: str, before: datetime) -> list[str]:
    """This store's finished runs from before then, without those that the UI goes on showing.

    These are the last successful run of each pull, and the runs whose events mark days as read: without those the days
    would count as missing, and the next backfill of what is missing would read them again.
    """
    kept: set[str] = set()
    old: list[str] = []
    seen: set[str] = set()
    cursor = None
    while True:
        found = list(instance.get_run_records(_finished(store), AT_A_TIME, cursor=cursor))
        for record in found:
            run = record.dagster_run
            names = pulls_of(run)
            if not names:
                continue  # somebody else's steps ran in it as well
            if record.create_timestamp < before:
                old.append(run.run_id)
            if _is_by_day(run):
                if instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                    kept.add(run.run_id)
            elif run.is_success and names - seen:
                seen |= names
                kept.add(run.run_id)
        if len(found) < AT_A_TIME:
            return [run_id for run_id in old if run_id not in kept]
        cursor = found[-1].dagster_run.run_id


def _finished(store: str) -> dg.RunsFilter:
    return dg.RunsFilter(statuses=FINISHED, tags={STORE_TAG: store})


def _is_by_day(run: dg.DagsterRun) -> bool:
    return not run.tags.keys().isdisjoint((PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG))


def main(days: int, *, is_dry: bool) -> None:
    """Purges and prints what went."""
    before = SystemClock().now() - timedelta(days=days)
    with dg.DagsterInstance.get() as instance:
        done = purge(instance, GainsightResource().open_store(is_looking=True), before, is_dry=is_dry)
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main(int(sys.argv[1]), is_dry="--dry-run" in sys.argv[2:])
