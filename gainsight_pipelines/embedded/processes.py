"""Starts child processes and ends all of them with their descendants, even if this process is killed.

A `ProcessGroup` recognises its processes by a mark in their environment. All descendants inherit the mark, even those
that start their own session and lose their parent (code servers of ``dagster dev``). When a group stops, it sends TERM
to its children and gives them time to end their own children; then it kills the rest. If this process is killed, its
watcher does that: a small process that waits at the other end of a pipe. The keeper of the embedded server has to
outlive commands, so it starts with a new environment and without a parent, and belongs to no group.

The caller decides what the processes do and what their end means. The watcher runs this file as a script, which needs
only the standard library and psutil.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, TracebackType

    import psutil

__all__ = ["ProcessGroup", "Terminated"]

GRACE_SECONDS = 10.0

_MARK = "GAINSIGHT_PIPELINES_PROCESS_GROUPS"
_ORPHANS_SECONDS = 2.0  # grace for processes that their parent didn't end, and for all if this process was killed
_KILL_SECONDS = 10.0  # a process that hangs in the kernel can't be ended
_POLL_SECONDS = 0.02
_DONE = b"."


class Terminated(SystemExit):
    """TERM or HUP was received. Raised in the main thread, so that context managers clean up."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class ProcessGroup:
    """Starts processes, and ends them with all their descendants. A context manager: leaving it calls `stop`.

    Inside the context, TERM and HUP raise `Terminated` in the main thread, as Ctrl-C raises KeyboardInterrupt. Another
    signal during the stop ends the grace period.

    Args:
        grace_seconds: how long a child may take to end after TERM before it is killed.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._token = uuid.uuid4().hex
        self._children: list[subprocess.Popen[bytes]] = []
        self._ended: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._watcher: subprocess.Popen[bytes] | None = None
        self._handlers: dict[int, Any] = {}
        self._is_grace_over = False

    def __enter__(self) -> Self:
        self._set_handlers(_raise_terminated)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._restore_handlers()

    def start(
        self,
        args: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Starts a child in its own session.

        Args:
            args: the program and its arguments.
            env: its environment; None for ours.
            stdin: as in `subprocess.Popen`; none by default.
            stdout: as in `subprocess.Popen`; None for ours.
            stderr: the same.
            cwd: its working directory; None for ours.

        Raises:
            OSError: there is no such program.
        """
        if self._watcher is None:
            self._watcher = _start_watcher(self._token)
        child = subprocess.Popen(
            args,
            env=self.marked(os.environ if env is None else env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            start_new_session=True,
        )
        self._children.append(child)
        threading.Thread(target=self._await_end, args=(child,), daemon=True).start()
        return child

    def marked(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment with the group's mark, beside the marks of enclosing groups."""
        return {**env, _MARK: f"{env.get(_MARK, os.environ.get(_MARK, ''))} {self._token}".strip()}

    def wait_any(self, timeout: float | None = None) -> subprocess.Popen[bytes] | None:
        """The next child that has ended, in the order in which they end; None after the timeout."""
        try:
            return self._ended.get(timeout=timeout)
        except queue.Empty:
            return None

    def stop(self, grace_seconds: float | None = None) -> None:
        """Ends all processes of the group, and returns when none is left. A second call does nothing."""
        if self._watcher is None:
            return
        self._set_handlers(self._end_grace)
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        grace = self._grace_seconds if grace_seconds is None else grace_seconds
        self._wait(grace, lambda: all(child.poll() is not None for child in self._children))
        _end_all(self._token, 0.0 if self._is_grace_over else _ORPHANS_SECONDS)
        _dismiss(self._watcher)
        self._watcher = None

    def _await_end(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self._ended.put(child)

    def _wait(self, seconds: float, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and not self._is_grace_over and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _end_grace(self, number: int, frame: FrameType | None) -> None:
        self._is_grace_over = True

    def _set_handlers(self, handler: Callable[[int, FrameType | None], None]) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        numbers = [signal.SIGTERM, signal.SIGHUP]
        if handler == self._end_grace:
            numbers.append(signal.SIGINT)
        for number in numbers:
            if signal.getsignal(number) in (signal.SIG_IGN, None):
                continue  # nohup or a background job ignores the signal, so we do too
            before = signal.signal(number, handler)
            self._handlers.setdefault(number, before)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()


def _raise_terminated(number: int, _frame: FrameType | None) -> None:
    raise Terminated(number)


def _start_watcher(token: str) -> subprocess.Popen[bytes]:
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH", _MARK)}
    return subprocess.Popen(
        [sys.executable, "-I", __file__, token],
        env=env,
        stdin=subprocess.PIPE,  # the kernel closes it when we end; no other process holds this end
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _dismiss(watcher: subprocess.Popen[bytes]) -> None:
    pipe = cast("IO[bytes]", watcher.stdin)
    with contextlib.suppress(BrokenPipeError):  # the watcher was killed
        pipe.write(_DONE)
        pipe.flush()
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
    watcher.wait()


def _watch(token: str) -> None:
    """The watcher: waits until the group has stopped, or until its process is dead; then it ends what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not os.read(0, 1):
        _end_all(token, _ORPHANS_SECONDS)


def _end_all(token: str, grace_seconds: float) -> None:
    """Sends TERM to all marked processes, then KILL until none is left, since they may start new ones."""
    members = list(_members(token))
    if grace_seconds:
        _signal(members, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while members and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            members = list(_members(token))
    deadline = time.monotonic() + _KILL_SECONDS
    while members and time.monotonic() < deadline:
        _signal(members, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
        members = list(_members(token))


def _members(token: str) -> Iterator[psutil.Process]:
    """Living processes with the mark, and their descendants, which may have cleared their environment."""
    import psutil

    seen = {os.getpid()}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if token not in process.environ().get(_MARK, "").split():
                continue
            for member in (process, *process.children(recursive=True)):
                if member.pid not in seen and _is_alive(member):
                    seen.add(member.pid)
                    yield member


def _is_alive(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


if __name__ == "__main__":
    _watch(sys.argv[1])
