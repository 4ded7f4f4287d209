"""Pulls as Dagster runs: `python -m gainsight_pipelines.orchestration.run_object`, with a request on standard input.

`run` and `demo` start it first and ask later, so that it imports Dagster while they open their databases. Needs no
daemon; the UI shows the runs like any other. Several pulls get a process each: this one imports Dagster once and forks,
which saves a second of CPU per pull.

The exit status says whether the runs succeeded; a run that found its object being pulled by another run counts as
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
from collections.abc import Iterator, Mapping
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
from gainsight_pipelines.orchestration.run_request import Request, exit_of, log_of
from gainsight_pipelines.settings.files import write_whole

NEEDED = (
    "dagster_postgres",
    "gainsight_pipelines.orchestration.build",
    "gainsight_pipelines.sync.clients",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "upath.implementations.local",
)
"""What every pull imports when it gets to it. None of it reads the environment."""

LIBRARIES = {"salesforce": "simple_salesforce", "hubspot": "hubspot"}


def main() -> int:
    """Runs the requested pulls; returns the exit status: that of the only pull, or 1 if one of several failed.

    There is no request if the command ends before it has one.
    """
    for module in NEEDED:
        import_module(module)
    text = sys.stdin.read()
    if not text:
        return 0
    request = Request.from_json(text)
    os.environ.clear()
    os.environ.update(request.environ)
    if len(request.runs) > 1:
        return fork_all(request)
    ((name, run_id),) = request.runs.items()
    return pull(name, run_id, request.config)


def pull(name: str, run_id: str, config: Mapping[str, bool]) -> int:
    """Runs one pull in this process; returns its exit status."""
    from gainsight_pipelines.definitions import defs

    job = defs.resolve_job_def(Names().job(name))
    run_config = {"ops": {f"gainsight__{name}": {"config": dict(config)}}} if config else None
    with dg.DagsterInstance.get() as instance, held_connection(instance):
        gc.freeze()  # exempts the imported objects from garbage collection, even at exit
        gc.enable()
        _end_dead_runs(instance)
        result = job.execute_in_process(
            run_config=run_config, instance=instance, run_id=run_id, raise_on_error=False, tags=REPOSITORY_TAG
        )
    return 0 if result.success else 1


def fork_all(request: Request) -> int:
    """Runs the pulls at the same time, in a process each; what ends one leaves the others alone.

    A TERM goes on to all of them; this process ends after the last. Returns 1 if one of them failed.
    """
    _import_all()
    if threading.active_count() > 1:
        raise RuntimeError("Pulls can't be forked from a process with threads: their locks would never be released.")
    folder = Path(request.folder)
    children: dict[int, str] = {}

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for pid in children:
            os.kill(pid, number)

    signal.signal(signal.SIGTERM, pass_on)
    gc.freeze()  # a collection would write to the memory that all of them share
    for name, run_id in request.runs.items():
        with _term_held():
            children[_forked(folder, name, run_id, request.config)] = name
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
    """Imports what the pulls of these settings need as well, before there is more than one process."""
    from gainsight_pipelines.definitions import defs
    from gainsight_pipelines.settings import load_settings

    defs.get_repository_def()
    crm = load_settings().primary_crm
    if crm is not None:
        import_module(LIBRARIES[crm.kind])


@contextmanager
def _term_held() -> Iterator[None]:
    """A TERM waits until a new process is among those that it is passed on to, and no longer passes it on itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _forked(folder: Path, name: str, run_id: str, config: Mapping[str, bool]) -> int:
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
        status = pull(name, run_id, config)
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
    sys.exit(main())
