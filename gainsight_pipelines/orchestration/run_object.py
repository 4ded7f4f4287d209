"""One pull as a Dagster run in this process: `python -m gainsight_pipelines.orchestration.run_object NAME RUN_ID`.

What `run` and `demo` start, a process per object. The exit status tells whether the run succeeded; a run that found its
object being pulled by another one counts as such. No daemon is needed, and the UI shows the run like any other.
"""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # nothing that is imported can be collected: looking for it takes a third of the start


import logging
from collections.abc import Sequence

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.dead_runs import end_dead_runs
from gainsight_pipelines.orchestration.instance import REPOSITORY_TAG
from gainsight_pipelines.orchestration.names import Names
from gainsight_pipelines.orchestration.resources import GainsightResource

FLAGS = {"--accept-deletions": "accept_deletions", "--full": "full_refresh"}
"""What follows the run's id, and the run config that it stands for."""


def main(name: str, run_id: str, flags: Sequence[str] = ()) -> int:
    """Runs the pull; returns the process's exit status."""
    from gainsight_pipelines.definitions import defs

    job = defs.resolve_job_def(Names().job(name))
    said = {FLAGS[flag]: True for flag in flags}
    config = {"ops": {f"gainsight__{name}": {"config": said}}} if said else None
    with dg.DagsterInstance.get() as instance:
        gc.freeze()  # nor is it looked through again, not even at the end
        gc.enable()
        _end_dead_runs(instance)
        result = job.execute_in_process(
            run_config=config, instance=instance, run_id=run_id, raise_on_error=False, tags=REPOSITORY_TAG
        )
    return 0 if result.success else 1


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    try:
        with GainsightResource().open_store().connect("dead runs") as connection:
            end_dead_runs(instance, connection, SystemClock())
    except PipelineError as error:
        # The run itself says so in a moment, where people look for it.
        logging.getLogger("gainsight_pipelines").warning("Dead runs can't be looked for: %s", error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
