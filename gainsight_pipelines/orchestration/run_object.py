"""Pulls as Dagster runs: `python -m gainsight_pipelines.orchestration.run_object NAME RUN_ID`.

`run` and `demo` start it. Needs no daemon; the UI shows the runs like any other. Several pulls get a process each:
`run_object FOLDER NAME RUN_ID NAME RUN_ID …` imports Dagster once and forks, which saves a second of CPU per pull.
FOLDER receives their output and exit statuses (run_files.py).

The exit status says whether the run succeeded; a run that found its object being pulled by another run counts as
success.
"""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # imports create no garbage; collecting would take a third of the start-up time


import logging
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.dead_runs import end_dead_runs
from gainsight_pipelines.orchestration.instance import REPOSITORY_TAG, held_connection
from gainsight_pipelines.orchestration.names import Names
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.run_files import exit_of, log_of
from gainsight_pipelines.settings.files import write_whole

NEEDED = ("dagster_postgres", "sqlalchemy.dialects.postgresql.psycopg2", "gainsight_pipelines.sync.clients")
LIBRARIES = {"salesforce": "simple_salesforce", "hubspot": "hubspot"}
"""What pulls import when they get to it; the CRM's own library."""

FLAGS = {"--accept-deletions": "accept_deletions", "--full": "full_refresh"}
"""The arguments after the run's id, and the run config that they set."""


def main(arguments: Sequence[str]) -> int:
    """Runs the pulls; returns the process's exit status: that of the only pull, or 1 if one of several failed."""
    flags = [each for each in arguments if each in FLAGS]
    words = arguments[: len(arguments) - len(flags)]
    if len(words) == 2:
        return pull(words[0], words[1], flags)
    return fork_all(Path(words[0]), dict(zip(words[1::2], words[2::2], strict=True)), flags)


def pull(name: str, run_id: str, flags: Sequence[str] = ()) -> int:
    """Runs one pull in this process; returns its exit status."""
    from gainsight_pipelines.definitions import defs

    job = defs.resolve_job_def(Names().job(name))
    said = {FLAGS[flag]: True for flag in flags}
    config = {"ops": {f"gainsight__{name}": {"config": said}}} if said else None
    with dg.DagsterInstance.get() as instance, held_connection(instance):
        gc.freeze()  # exempts the imported objects from garbage collection, even at exit
        gc.enable()
        _end_dead_runs(instance)
        result = job.execute_in_process(
            run_config=config, instance=instance, run_id=run_id, raise_on_error=False, tags=REPOSITORY_TAG
        )
    return 0 if result.success else 1


def fork_all(folder: Path, runs: Mapping[str, str], flags: Sequence[str] = ()) -> int:
    """Runs pulls (name: run id) at the same time, in a process each; what ends one leaves the others alone.

    A TERM goes on to all of them; this process ends after the last. Returns 1 if one of them failed.
    """
    _import_all()
    if threading.active_count() > 1:
        raise RuntimeError("Pulls can't be forked from a process with threads: their locks would never be released.")
    children: dict[int, str] = {}

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for pid in children:
            os.kill(pid, number)

    signal.signal(signal.SIGTERM, pass_on)
    gc.freeze()  # a collection would write to the memory that all of them share
    for name, run_id in runs.items():
        with _term_held():
            children[_forked(folder, name, run_id, flags)] = name
    failed = 0
    while children:
        # A process that has ended keeps its number until it is reaped, so that `pass_on` never meets another one's.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        name = children.pop(ended.si_pid)
        status = os.waitstatus_to_exitcode(os.waitpid(ended.si_pid, 0)[1])
        write_whole(exit_of(folder, name), str(status))
        failed |= status != 0
    return failed


def _import_all() -> None:
    """Imports what every pull needs, before there is more than one process."""
    from gainsight_pipelines.definitions import defs
    from gainsight_pipelines.settings import load_settings

    defs.get_repository_def()
    crm = load_settings().primary_crm
    for module in (*NEEDED, *([LIBRARIES[crm.kind]] if crm is not None else [])):
        import_module(module)


@contextmanager
def _term_held() -> Iterator[None]:
    """A TERM waits until a new process is among those that it is passed on to, and no longer passes it on itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _forked(folder: Path, name: str, run_id: str, flags: Sequence[str]) -> int:
    """Starts a pull in a fork of this process; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        log = os.open(log_of(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        status = pull(name, run_id, flags)
    except BaseException:  # noqa: BLE001 - the process ends here, whatever came
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    try:
        with GainsightResource().open_store().connect("dead runs") as connection:
            end_dead_runs(instance, connection, SystemClock())
    except PipelineError as error:
        # The run itself reports it in a moment, where people will see it.
        logging.getLogger("gainsight_pipelines").warning("The search for dead runs failed: %s", error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
