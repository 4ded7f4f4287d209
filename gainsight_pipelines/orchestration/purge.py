"""Deletes old runs: Dagster keeps every event of every run for good. What the UI has its present state from stays.

`python -m gainsight_pipelines.orchestration.purge DAYS [--dry-run]` is what the command `purge` starts: a process
of its own, as Dagster takes its configuration from the environment. Prints one JSON document.
"""

import json
import sys
from datetime import datetime, timedelta

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.orchestration.names import BY_DAY, pulls_of
from gainsight_pipelines.orchestration.resources import StoreResource
from gainsight_pipelines.store import runs
from gainsight_pipelines.store.connection import Store

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
AT_A_TIME = 500


def purge(instance: dg.DagsterInstance, store: Store, before: datetime, *, is_dry: bool) -> dict[str, int]:
    """Deletes finished Dagster runs with their events, and rows of `sync_run`, from before that time.

    Args:
        instance: Dagster's.
        store: the product's.
        before: what began later stays.
        is_dry: count only.

    Returns:
        How many of each: `dagster_runs`, `sync_runs`.
    """
    finished = dg.RunsFilter(statuses=FINISHED, created_before=before)
    old = set(instance.get_run_ids(finished)) - _needed(instance)
    if not is_dry:
        for run_id in old:
            instance.delete_run(run_id)
    with store.connect("purge") as connection:
        return {"dagster_runs": len(old), "sync_runs": runs.purge_runs(connection, before, is_dry=is_dry)}


def _needed(instance: dg.DagsterInstance) -> set[str]:
    """What the UI goes on showing: the last successful run of each pull, and the runs whose events mark days as read.

    Without those the days would count as missing, and the next backfill of what is missing would read them again.
    """
    last: dict[str, str] = {}
    by_day: set[str] = set()
    cursor = None
    while True:
        found = list(instance.get_runs(dg.RunsFilter(statuses=FINISHED), cursor, AT_A_TIME))
        for run in found:
            if any(key.path[-1].endswith(BY_DAY) for key in run.asset_selection or ()):
                if instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                    by_day.add(run.run_id)
            elif run.is_success:
                for name in pulls_of(run):
                    last.setdefault(name, run.run_id)
        if len(found) < AT_A_TIME:
            return by_day | set(last.values())
        cursor = found[-1].run_id


def main(days: int, *, is_dry: bool) -> None:
    """Purges and prints what went."""
    before = SystemClock().now() - timedelta(days=days)
    with dg.DagsterInstance.get() as instance:
        done = purge(instance, StoreResource().open(), before, is_dry=is_dry)
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main(int(sys.argv[1]), is_dry="--dry-run" in sys.argv[2:])
