"""Waiting for a condition, with a deadline: tests with real processes do it instead of sleeping."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

from gainsight_pipelines_tests import preloaded


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """Waits until the condition holds; returns the seconds it took.

    Raises:
        AssertionError: the condition didn't hold in time.
    """
    start = time.monotonic()
    while not condition():
        waited = time.monotonic() - start
        assert waited < seconds, f"not within {seconds} s: {condition}"
        time.sleep(min(0.5, max(0.01, waited / 10)))  # checks cost time too: the longer the wait, the fewer
    return time.monotonic() - start


def quick_seconds(call: Callable[[], object]) -> float:
    """How long a call takes when nothing disturbs it: the fifth-quickest of twenty, in seconds."""
    taken = []
    for _ in range(20):
        start = time.monotonic()
        call()
        taken.append(time.monotonic() - start)
    return sorted(taken)[4]


def is_alive(pid: int) -> bool:
    """Whether the process exists and isn't a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(process: subprocess.Popen[Any]) -> int:
    """Kills a process, with the fork that runs for it. Returns its exit status once both have ended."""
    process.kill()
    status = process.wait()
    fork = preloaded.forks().get(process.pid)
    wait_until(lambda: fork is None or not is_alive(fork))
    return status


def processes_below(pid: int) -> list[psutil.Process]:
    """All descendants of a process, with those that run in a fork of the preloaded Python."""
    forks, found, parents = preloaded.forks(), [], [psutil.Process(pid)]
    while parents:
        parent = parents.pop()
        children = []
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            children += parent.children()
        with contextlib.suppress(psutil.NoSuchProcess, KeyError):
            children.append(psutil.Process(forks[parent.pid]))
        found += children
        parents += children
    return found


def process_below(pid: int, command: str) -> psutil.Process:
    """The only descendant of a process whose command line contains that text.

    Raises:
        AssertionError: there is no such process, or more than one.
    """
    found = []
    for process in processes_below(pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or a zombie
            if command in " ".join(process.cmdline()):
                found.append(process)
    assert len(found) == 1, f"below process {pid}, {command} is {found}"
    return found[0]
