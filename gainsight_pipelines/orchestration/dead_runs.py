"""Ends runs whose process is gone although Dagster, or `sync_run`, says they are running; found by the object's lease.

After a kill -9 of everything nothing tells Dagster, and such a run would occupy its pool forever. If Dagster survives
and notices, nothing tells `sync_run`. Only the object's lease shows whether it is being pulled: a run takes it first of
all, and can't write a page without it. The lease is revoked before a run is declared dead.

Only runs that our store says are pulling are considered: never other people's runs, nor ours that have completed the
pull and go on with downstream assets. Where Dagster's run monitoring can ask the launcher whether a run is alive
(Kubernetes, Docker, ECS), reporting dead runs is left to it.

The gate sensor does this at each tick and `run` at each start; `status` calls
`python -m gainsight_pipelines.orchestration.dead_runs` when it sees such a run.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.orchestration.identity import PULL_TAG, steps_of
from gainsight_pipelines.orchestration.names import BY_DAY
from gainsight_pipelines.orchestration.resources import GainsightResource

if TYPE_CHECKING:
    import psycopg

NOTICED_WITHIN = timedelta(seconds=10)
"""An executor notices within a second or two that a step's process has ended."""

PATIENCE = timedelta(minutes=1)
"""Longer than a run needs from the start of its record to its lease."""


def end_dead_runs(instance: dg.DagsterInstance, connection: "psycopg.Connection", clock: Clock) -> list[str]:
    """Ends the records of pulls that no longer run, and reports their runs as failed unless somebody else does.

    Returns:
        The ids of the reported runs.
    """
    from gainsight_pipelines.store import runs
    from gainsight_pipelines.store.leases import take_away

    reported = []
    for run_id, recorded in runs.unfinished_runs(connection, before=clock.now() - PATIENCE):
        if not take_away(connection, recorded.removesuffix(BY_DAY)):
            continue
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished and not _is_noticed(instance, run, recorded, clock):
            if _is_monitored(instance):
                continue
            instance.report_run_failed(run, runs.DIED)
            reported.append(run_id)
        runs.end_dead_run(connection, run_id, recorded)
    return reported


def _is_noticed(instance: dg.DagsterInstance, run: dg.DagsterRun, recorded: str, clock: Clock) -> bool:
    """Whether the run goes on without the step, because its executor has noticed that the step's process ended."""
    steps = sorted(steps_of(instance, run, (recorded,)))
    if not steps:
        return False
    if PULL_TAG in run.tags:
        return _have_ended(instance, run, steps)
    # The run has other people's steps: give the executor time to notice what has just happened.
    give_up_at = clock.monotonic() + NOTICED_WITHIN.total_seconds()
    while not (have_ended := _have_ended(instance, run, steps)) and clock.monotonic() < give_up_at:
        clock.sleep(1.0)
    return have_ended


def _have_ended(instance: dg.DagsterInstance, run: dg.DagsterRun, steps: Sequence[str]) -> bool:
    ended = {each.step_key for each in instance.get_run_step_stats(run.run_id, steps) if each.end_time is not None}
    return ended.issuperset(steps)


def _is_monitored(instance: dg.DagsterInstance) -> bool:
    """Whether Dagster itself finds out that a run's process is gone."""
    return instance.run_monitoring_enabled and instance.run_launcher.supports_check_run_worker_health


if __name__ == "__main__":
    with dg.DagsterInstance.get() as dagster, GainsightResource().open_store().connect("dead runs") as store:
        end_dead_runs(dagster, store, SystemClock())
