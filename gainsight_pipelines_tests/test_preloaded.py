"""The preloaded Python behaves like a freshly started one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from gainsight_pipelines_tests.preloaded import python
from gainsight_pipelines_tests.waiting import wait_until

SHOW = "import os, sys; print([sys.argv, os.getcwd(), os.environ['COLOUR'], sys.stdin.read()]); sys.exit(7)"


def both(*arguments: str) -> list[list[str]]:
    return [[program, *arguments] for program in (sys.executable, python())]


def test_folder_environment_streams_and_status_are_the_callers(tmp_path: Path) -> None:
    (tmp_path / "dg").write_text(SHOW)
    real, ours = (
        subprocess.run(
            command, cwd=tmp_path, env={"COLOUR": "grün"}, input="given", capture_output=True, text=True, check=False
        )
        for command in both(str(tmp_path / "dg"), "--flag", "two words")
    )
    assert (ours.returncode, ours.stdout, ours.stderr) == (real.returncode, real.stdout, real.stderr)
    assert real.returncode == 7 and "grün" in real.stdout


def test_files_are_passed_on_under_their_numbers(tmp_path: Path) -> None:
    """As when one Dagster process starts another."""
    code = "from multiprocessing.spawn import spawn_main; import os; os.write({0}, b'said')"
    for program in (sys.executable, python()):
        with (tmp_path / "file").open("w+b") as file:
            command = [program, "-c", code.format(file.fileno())]
            subprocess.run(command, pass_fds=[file.fileno()], check=True)
            assert file.read() == b"" and (tmp_path / "file").read_bytes() == b"said"


def test_a_library_that_precedes_the_imported_one_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "cyclopts.py").write_text("raise SystemExit('another version')")
    for command in both("-m", "gainsight_pipelines.cli", "--help"):
        ended = subprocess.run(
            command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stderr) == (1, "another version\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    statuses = []
    for program in (sys.executable, python()):
        command = [program, "-m", "gainsight_pipelines.sandbox", "--folder", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["urls"]["control"]
            process.send_signal(number)
            statuses.append(process.wait(20))
        wait_until(lambda address=address: is_gone(address))
    assert statuses[0] == statuses[1]


def is_gone(address: str) -> bool:
    try:
        requests.get(address, timeout=5)
    except requests.ConnectionError:
        return True
    return False
