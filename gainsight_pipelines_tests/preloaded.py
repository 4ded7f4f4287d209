"""`gainsight-pipelines` in processes of their own that are forked from one that has made its imports.

Half of what a short command costs is its imports, and the tests run hundreds of commands. The child has the folder,
environment, arguments and streams of a command that somebody types, runs `python -m gainsight_pipelines.cli` and ends
as that does. What looks at start-up itself, at the command line of the process or at Python's own variables starts
Python instead.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

COMMANDS = "gainsight_pipelines.cli"
IMPORTED = (
    "gainsight_pipelines.cli.app",
    "gainsight_pipelines.cli.commands",
    "gainsight_pipelines.cli.status",
    "gainsight_pipelines.cli.validate",
    "gainsight_pipelines.cli.settings_file",
    "rich.table",
)
"""Nothing here reads the environment, opens a file or starts a thread."""

ROOT = Path(__file__).parents[1]
STREAMS = ("stdin", "stdout", "stderr")


def run_command(
    arguments: Sequence[str], folder: Path, env: Mapping[str, str], stdin: str = "", seconds: float = 90
) -> subprocess.CompletedProcess[str]:
    """Runs `gainsight-pipelines` with these arguments and waits for its end.

    Raises:
        subprocess.TimeoutExpired: it took longer than `seconds`; it has been killed.
    """
    with tempfile.TemporaryDirectory() as streams:
        paths = {name: Path(streams) / name for name in STREAMS}
        paths["stdin"].write_text(stdin, "utf-8")
        request = {"arguments": list(arguments), "folder": str(folder), "env": dict(env)}
        status = _server.run(request | {name: str(path) for name, path in paths.items()}, seconds)
        out, err = (paths[name].read_text("utf-8") for name in STREAMS[1:])
        return subprocess.CompletedProcess([COMMANDS, *arguments], status, out, err)


class _Server:
    """The process with the imports, begun with the first command and over with this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self.used = 0.0

    def run(self, request: Mapping[str, object], seconds: float) -> int:
        """Exit status of the command."""
        with self._lock:
            process = self._process = self._process or self._started()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            overdue = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
            overdue.start()
            answer = process.stdout.readline()
            overdue.cancel()
            if not answer:
                process.wait()
                self._process = None
                raise subprocess.TimeoutExpired([COMMANDS, str(request["arguments"])], seconds)
            status, used = answer.split()
            self.used += float(used)
            return int(status)

    def end(self) -> None:
        """Waits for the end of the process."""
        if self._process is not None:
            self._process.communicate()

    @staticmethod
    def _started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


_server = _Server()
atexit.register(_server.end)


def cpu_seconds() -> float:
    """What the commands of this process have used; they are no children of it."""
    return _server.used


def serve() -> None:
    """Forks a command for each request on stdin, one after the other."""
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
        _, status, usage = os.wait4(child, 0)
        used = usage.ru_utime + usage.ru_stime
        print(os.waitstatus_to_exitcode(status), used, flush=True)  # noqa: T201 - the answer


def become(request: Mapping[str, object]) -> NoReturn:
    """Is that command from here on."""
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    for at, name in enumerate(STREAMS):
        opened = os.open(str(request[name]), os.O_RDONLY if at == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, at)
        os.close(opened)
        setattr(sys, name, open(at, "r" if at == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.argv = [COMMANDS, *request["arguments"]]  # type: ignore[misc]
    runpy.run_module(COMMANDS, run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve()
