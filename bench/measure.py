"""Runs a program and measures its seconds, CPU time and peak memory, and the CPU time of the PostgreSQL server."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one run.

    `wall`: seconds from the start of the first process to the end of the last. `cpu`: CPU seconds of all processes.
    `peak_mb`: sum of their highest resident sizes (ru_maxrss). `database_cpu`: CPU seconds of PostgreSQL. `said`: the
    last line that the program printed, parsed as JSON.
    """

    wall: float
    cpu: float
    peak_mb: float
    database_cpu: float
    said: dict[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """A program failed. The text is the end of its stderr."""


def run(
    commands: Sequence[Sequence[str]],
    database_cpu: Callable[[], float],
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Cost:
    """Runs programs connected by pipes, and waits until they have ended."""
    before = database_cpu()
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        processes: list[subprocess.Popen[bytes]] = []
        source: Any = subprocess.DEVNULL
        for number, command in enumerate(commands):
            is_last = number == len(commands) - 1
            process = subprocess.Popen(
                command,
                stdin=source,
                stdout=out if is_last else subprocess.PIPE,
                stderr=err,
                env={**os.environ, **(env or {})},
                cwd=folder,
            )
            if source is not subprocess.DEVNULL:
                source.close()
            source = process.stdout
            processes.append(process)
        cpu = peak = 0.0
        for process in processes:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += used.ru_utime + used.ru_stime
            peak += used.ru_maxrss / 1024
        wall = time.perf_counter() - started
        out.seek(0)
        err.seek(0)
        if any(process.returncode for process in processes):
            raise Failed(err.read()[-3000:].decode(errors="replace"))
        lines = out.read().decode().strip().splitlines()
    return Cost(wall, cpu, peak, database_cpu() - before, _said(lines[-1] if lines else ""))


def _said(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class ServerCPU:
    """CPU seconds that a PostgreSQL server has used so far, including ended backends."""

    def __init__(self, data_folder: Path) -> None:
        pids = [int(path.read_text().split()[0]) for path in data_folder.rglob("postmaster.pid")]
        self._postmaster = psutil.Process(pids[0])

    def __call__(self) -> float:
        own = self._postmaster.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in self._postmaster.children():
            try:
                used = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system
        return total
