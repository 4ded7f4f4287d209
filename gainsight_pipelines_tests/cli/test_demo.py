"""`demo` as a new user runs it: it has its own database and services, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.waiting import wait_until

pytestmark = pytest.mark.long

NAMES = {"company", "activity", "survey_survey_response", "product_usage"}


def demo(folder: Path) -> dict[str, dict[str, object]]:
    done = subprocess.run(
        [python(), "-m", COMMANDS, "demo", "--json"],
        cwd=folder,
        env={
            **os.environ,
            "GAINSIGHT_API_KEY": "of-a-real-tenant",
            "GAINSIGHT_PIPELINES_DATABASE_URL": "postgresql://real/data",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["gate"] == "open"
    return {each["object"]: each for each in document["objects"]}


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that have the folder as working directory or as part of an argument."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (
                str(folder) in " ".join(process.cmdline()) or str(folder) in process.cwd()
            ):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_two_demos(tmp_path: Path) -> None:
    first = demo(tmp_path)
    assert set(first) == NAMES
    assert all(each["status"] == "completed" and each["written"] for each in first.values())
    wait_until(lambda: not processes_of(tmp_path), 15)
    second = demo(tmp_path)
    assert [(name, each["status"], each["written"], each["relinked"]) for name, each in sorted(second.items())] == [
        (name, "completed", 0, 0) for name in sorted(NAMES)
    ]
    wait_until(lambda: not processes_of(tmp_path), 15)
