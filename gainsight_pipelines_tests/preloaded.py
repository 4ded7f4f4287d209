"""A Python with its imports already made: `python()` returns a program to call like `python -m MODULE …`.

Imports take half the time of a short command, and the tests run hundreds of commands. The program (preloaded_python.py)
runs the module in a fork of a process that has already imported what such a module needs. The fork gets the caller's
working directory, environment, arguments and open files, and ends no later than the caller. It has a session of its own
and another parent. Python starts as usual for modules that no process is prepared for, for a module whose PYTHONPATH
holds another version of what is already imported, and for `-c`, unless the code is Dagster's or begins by importing it.
Tests that look at the start itself or at Python's own variables call `sys.executable` instead. `forks()` shows which
process runs for which caller.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import marshal
import multiprocessing
import os
import runpy
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

COMMANDS = "gainsight_pipelines.cli"

_COMMANDS = (
    "gainsight_pipelines.cli.app",
    "gainsight_pipelines.cli.commands",
    "gainsight_pipelines.cli.status",
    "gainsight_pipelines.cli.validate",
    "gainsight_pipelines.cli.settings_file",
    "gainsight_pipelines.cli.export",
    "gainsight_pipelines.cli.init",
    "gainsight_pipelines.crm.salesforce",
    "alembic",
    "hubspot",
    "pandas",
    "psutil",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
)

IMPORTED = {
    "commands": _COMMANDS,
    "page": (
        *_COMMANDS,
        "gainsight_pipelines.cli.settings_page",
        "gainsight_pipelines.page.server",
        "gainsight_pipelines.page.status",
    ),
    "sandbox": (
        "gainsight_pipelines.sandbox.server",
        "gainsight_pipelines.sandbox.tenant_report",
        "anyio._backends._asyncio",
        "uvicorn.loops.asyncio",
        "uvicorn.protocols.http.auto",
        "uvicorn.protocols.websockets.auto",
    ),
    "dagster": (
        "dagster_dbt",
        "dagster_dg_cli.cli.labs",
        "dagster_postgres",
        "dagster_webserver.cli",
        "dagster._cli.api",
        "dagster._core.execution.execute_in_process",
        "dagster._core.instance.factory",
        "dagster._core.instance.runs.run_domain",
        "dagster._daemon.cli",
        "gainsight_pipelines.crm.salesforce",
        "gainsight_pipelines.orchestration.build",
        "gainsight_pipelines.orchestration.component",
        "gainsight_pipelines.orchestration.run_object",
        "gainsight_pipelines.sync.clients",
        "gainsight_pipelines_tests.pulling",
        "hubspot",
        "pandas",
        "psycopg2.extras",
        "sqlalchemy.dialects.postgresql.psycopg2",
        "upath.implementations.local",
    ),
    "delivery": (
        *_COMMANDS,
        "dlt.common.libs.pyarrow",
        "dlt.destinations",
        "dlt.sources.sql_database",
        "duckdb",
        "gainsight_pipelines.cli.deliver",
        "gainsight_pipelines.delivery.run",
        "gainsight_pipelines.delivery.warehouse",
    ),
    "dbt": ("agate", "dbt.adapters.duckdb", "dbt.adapters.postgres", "dbt.cli.main", "dbt.task.build"),
}
"""What each kind of process imports.

None of these modules opens a file, starts a thread or reads an environment variable that a test sets.
"""

DBT_PYTHON = Path(__file__).parents[1] / ".venv-dbt" / "bin" / "python"
LAUNCHER = Path(__file__).with_name("preloaded_python.py")
USED, FORKS = "used", "forks"
SHARED = "PREPARED_PYTHONS"
"""The variable that tells pytest's workers where the processes listen that `share` has started, by interpreter.

Not one with the prefix of ours, which tests remove."""

HIGH = 512
"""Higher than any file descriptor of a command."""


def run_command(
    arguments: Sequence[str], folder: Path, env: Mapping[str, str], stdin: str = "", seconds: float = 90
) -> subprocess.CompletedProcess[str]:
    """Runs `gainsight-pipelines` with these arguments and waits for its end.

    Raises:
        subprocess.TimeoutExpired: the command took longer than `seconds` and was killed.
    """
    return subprocess.run(
        [python(), "-m", COMMANDS, *arguments], cwd=folder, env=dict(env), input=stdin, capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip


def python(interpreter: str = sys.executable) -> str:
    """The path of the program that stands for this interpreter. The first call prepares it, unless it is shared."""
    with _lock:
        if interpreter not in _started:
            _started[interpreter] = _Started(interpreter)
        return str(_started[interpreter].program)


def cpu_seconds() -> float:
    """CPU time of the forks that have ended, in seconds. They aren't children of this process."""
    return sum(each.used() for each in _started.values())


def forks() -> dict[int, int]:
    """The fork that runs for each caller, by process id. Both may have ended."""
    return {caller: fork for each in _started.values() for caller, fork in each.forks().items()}


def share(*interpreters: str) -> None:
    """Prepares the interpreters once for all processes that this one starts: for pytest's workers."""
    shared = {each: str(_listening(each)) for each in interpreters if Path(each).exists()}
    os.environ[SHARED] = json.dumps(shared)


class _Started:
    """The program that stands for an interpreter, and its ledgers."""

    def __init__(self, interpreter: str) -> None:
        sockets = json.loads(os.environ.get(SHARED, "{}")).get(interpreter) or _listening(interpreter)
        folder = _new_folder()
        self._ledger, self._forks = folder / USED, folder / FORKS
        self._ledger.touch()
        self._forks.touch()
        self.program = folder / "python"
        start = shlex.join([interpreter, "-I", "-S", str(LAUNCHER), str(sockets), str(self.program)])
        self.program.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        self.program.chmod(0o700)
        (folder / "gainsight-pipelines").symlink_to(Path(sys.executable).with_name("gainsight-pipelines"))

    def used(self) -> float:
        return sum(map(float, self._ledger.read_text().split()))

    def forks(self) -> dict[int, int]:
        pairs = (line.split() for line in self._forks.read_text().splitlines())
        return {int(caller): int(fork) for caller, fork in pairs}


_started: dict[str, _Started] = {}
_lock = threading.Lock()


def _new_folder() -> Path:
    """A folder that is removed at the end of this process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _listening(interpreter: str) -> Path:
    """Starts the process that others are forked from, which ends with this one. Returns the folder of its sockets."""
    folder = _new_folder()
    process = subprocess.Popen(
        [interpreter, "-m", __name__, str(folder)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()  # waits until it listens
    atexit.register(process.communicate)
    return folder


def oversee(folder: Path) -> None:
    """Listens for each kind of process; the first request for a kind forks the process that makes its imports."""
    listening = {kind: socket.socket(socket.AF_UNIX) for kind in IMPORTED}
    for kind, listener in listening.items():
        listener.bind(str(folder / kind))
        listener.listen(64)
    print(flush=True)  # noqa: T201 - the answer
    while (asked := _next_of([0, *listening.values()])) != 0:
        kind = next(each for each, listener in listening.items() if listener is asked)
        listener = listening.pop(kind)
        if os.fork() == 0:
            for other in listening.values():
                other.close()
            serve(kind, listener)
            return
        listener.close()


def serve(kind: str, listener: socket.socket) -> None:
    """Makes the imports and forks a process for each request, until the tests are over."""
    for name in IMPORTED[kind]:
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise RuntimeError(f"A fork has no threads, and the imports of {kind} started some.")
    gc.freeze()  # a collection would write to the memory that all forks share
    while _next_of([0, listener]) != 0:
        _reap()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(connection)
        connection.close()


def _next_of(sources: Sequence[int | socket.socket]) -> int | socket.socket:
    """The first source with something to read. Standard input (0) comes first and is readable once it is closed."""
    found: int | socket.socket = select.select(sources, [], [])[0][0]
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer(connection: socket.socket) -> NoReturn:
    """Runs the requested command, passes on the caller's signals, and sends back the exit status."""
    request, files = _received(connection)
    ledgers = Path(os.fsdecode(request["program"])).parent
    child = os.fork()
    if child == 0:
        connection.close()
        become(request, files)
    caller, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with (ledgers / FORKS).open("a") as ledger:
        ledger.write(f"{caller} {child}\n")
    for file in files:
        os.close(file)
    ended = os.pidfd_open(child)
    while (asked := _next_of([0, ended, connection])) != ended:
        number = b"" if asked == 0 else connection.recv(1)
        os.kill(child, number[0] if number else signal.SIGKILL)
        if not number:  # the caller is gone, or the tests are over
            break
    _, status, usage = os.wait4(child, 0)
    with (ledgers / USED).open("a") as ledger:
        ledger.write(f"{usage.ru_utime + usage.ru_stime:.3f}\n")
    with contextlib.suppress(BrokenPipeError):  # the caller was killed
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request, and the file descriptors sent with it."""
    start, files, *_ = socket.recv_fds(connection, 4, 250)
    size = int.from_bytes(start, "little")
    with connection.makefile("rb") as stream:
        return marshal.loads(stream.read(size)), files


def become(request: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
    """Turns this process into the requested one."""
    os.setsid()
    program, words = os.fsdecode(request["program"]), [os.fsdecode(each) for each in request["arguments"]]
    os.environb.clear()
    os.environb.update(request["env"])
    os.chdir(request["folder"])
    _open(dict(zip(request["files"], files, strict=True)))
    multiprocessing.set_executable(program)
    python, sys.executable = sys.executable, program
    search = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    if any(_is_another(file) for each in search for file in Path(each).absolute().glob("*")):
        os.execv(python, [python, *words])
    if words[0] == "-m":
        sys.path[:1], sys.argv = [os.getcwd(), *search], words[1:]  # noqa: PTH109 - as Python does
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.path[:1], sys.argv = ["", *search], ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), sys.modules["__main__"].__dict__)
    else:
        sys.path[:1], sys.argv = [str(Path(words[0]).parent), *search], words
        runpy.run_path(words[0], run_name="__main__")
    sys.exit(0)


def _is_another(file: Path) -> bool:
    """Whether this file or package has the name of an imported module, but isn't that module."""
    imported = getattr(sys.modules.get(file.stem), "__file__", None)
    return imported is not None and file.parent not in Path(imported).parents


def _open(files: Mapping[int, int]) -> None:
    """Gives the files their descriptors in the caller, and opens the standard streams."""
    apart = {number: _moved(file) for number, file in files.items()}
    for number, file in apart.items():
        os.dup2(file, number)
        os.close(file)
    for at, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(  # noqa: SIM115 - open as long as the process is
            at, "r" if at == 0 else "w", -1 if at < 2 else 1, "utf-8", "backslashreplace" if at == 2 else None,
            closefd=False,
        )  # fmt: skip
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _moved(file: int) -> int:
    moved = fcntl.fcntl(file, fcntl.F_DUPFD, HIGH)
    os.close(file)
    return moved


if __name__ == "__main__":
    oversee(Path(sys.argv[1]))
