"""Runs whose process is gone though Dagster, or `sync_run`, has them under way: found by their object's lease.

After a kill -9 of everything nobody tells Dagster, and such a run would hold its pool for good. Where Dagster lives on
and notices, nobody tells `sync_run`. The object's lease alone tells whether it is being pulled: a run takes it before
it does anything else, and without it can't write a page. It is taken away from a run before that is said to be dead.

Only runs are looked at of which our store says that they are pulling. So nobody else's run is touched, and none of ours
that has done its pull and goes on with somebody's assets after it. Where Dagster's run monitoring asks the launcher
whether a run is alive (Kubernetes, Docker, ECS), reporting deaths is left to it.

The gate sensor looks at each tick, `run` at each start; `python -m gainsight_pipelines.orchestration.dead_runs` is what
`status` calls when it sees one.
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
"""An executor sees within a second or two that the process of a step has ended."""

PATIENCE = timedelta(minutes=1)
"""Longer than a run needs from the beginning of its record to its lease."""


def end_dead_runs(instance: dg.DagsterInstance, connection: "psycopg.Connection", clock: Clock) -> list[str]:
    """Ends the records of pulls that nobody pulls any more, and reports their runs as failed where nobody else does.

    Returns:
        The ids of the runs that were reported.
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
    """Whether the run lives on without the step: its executor has seen the step's process end."""
    steps = sorted(steps_of(instance, run, (recorded,)))
    if not steps:
        return False
    if PULL_TAG in run.tags:
        return _have_ended(instance, run, steps)
    # Other people's steps are in it: the executor gets the time to see what has only just happened.
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
