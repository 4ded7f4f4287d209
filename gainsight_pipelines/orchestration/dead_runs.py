"""Runs whose process is gone though Dagster, or `sync_run`, has them under way: found by their object's lock.

After a kill -9 of everything nobody tells Dagster, and such a run would hold its pool for good. Where Dagster lives on
and notices, nobody tells `sync_run`. The object's lock alone tells whether it is being pulled: a run takes it before it
does anything else, and without it can't write a page.

The gate sensor looks at each tick, `run` at each start; `python -m gainsight_pipelines.orchestration.dead_runs` is what
`status` calls when it sees one.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.orchestration.names import BY_DAY, pulls_of
from gainsight_pipelines.orchestration.resources import StoreResource

if TYPE_CHECKING:
    import psycopg

PATIENCE = timedelta(minutes=1)
"""Without a sign of life: longer than a run needs from its start to its lock, or waits between tries."""


def end_dead_runs(instance: dg.DagsterInstance, connection: "psycopg.Connection", clock: Clock) -> list[str]:
    """Reports each started run as failed whose objects nobody pulls, returns their ids, and ends records of such."""
    from gainsight_pipelines.store import runs
    from gainsight_pipelines.store.locks import is_locked

    ended = []
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    for record in instance.get_run_records(started):
        run = record.dagster_run
        names = pulls_of(run)
        if not names or any(is_locked(connection, name) for name in names):
            continue
        signs = [datetime.fromtimestamp(record.start_time or 0, UTC)]
        signs += runs.signs_of_life(connection, run.run_id)
        if clock.now() - max(signs) < PATIENCE:
            continue
        instance.report_run_failed(run, runs.DIED)
        runs.end_dead_run(connection, run.run_id)
        ended.append(run.run_id)
    for run_id, recorded in runs.unfinished_runs(connection, before=clock.now() - PATIENCE):
        if not is_locked(connection, recorded.removesuffix(BY_DAY)):
            runs.end_dead_run(connection, run_id)
    return ended


if __name__ == "__main__":
    with dg.DagsterInstance.get() as dagster, StoreResource().open().connect("dead runs") as store:
        end_dead_runs(dagster, store, SystemClock())
