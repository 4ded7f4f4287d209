"""Waiting for a condition of the real world, with a deadline: what tests with real processes do instead of sleeping."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """Returns how long it took.

    Raises:
        AssertionError: it didn't come true in time.
    """
    start = time.monotonic()
    while not condition():
        waited = time.monotonic() - start
        assert waited < seconds, f"not within {seconds} s: {condition}"
        time.sleep(min(0.25, max(0.01, waited / 20)))  # looking is work too: the longer it takes, the more seldom
    return time.monotonic() - start


def quick_seconds(call: Callable[[], object]) -> float:
    """What a call takes when nothing else is in its way: the fifth-quickest of twenty, in seconds."""
    taken = []
    for _ in range(20):
        start = time.monotonic()
        call()
        taken.append(time.monotonic() - start)
    return sorted(taken)[4]


def is_alive(pid: int) -> bool:
    """A zombie isn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def process_below(pid: int, command: str) -> psutil.Process:
    """The one process, of those that this one and its children started, whose command line holds that text.

    Raises:
        AssertionError: there is none, or more than one.
    """
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or a zombie
            if command in " ".join(process.cmdline()):
                found.append(process)
    assert len(found) == 1, f"below process {pid}, {command} is {found}"
    return found[0]
