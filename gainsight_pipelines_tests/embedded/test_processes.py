"""Process groups with real processes: whichever process ends first, none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines_tests.waiting import is_alive, wait_until

# Starts a grandchild in a session of its own. Its `manners` may be to ignore TERM, or to empty the grandchild's
# environment.
CHILD = """
import os, pathlib, signal, subprocess, sys, time
folder, manners = pathlib.Path(sys.argv[1]), sys.argv[2]
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
env = {} if manners == "stripped" else None
grandchild = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, env=env)
(folder / "grandchild.new").write_text(str(grandchild.pid))
(folder / "grandchild.new").rename(folder / "grandchild")
def term(number, frame):
    (folder / "term").touch()
    if manners != "rude":
        sys.exit(0)
signal.signal(signal.SIGTERM, term)
(folder / "child.new").write_text(str(os.getpid()))
(folder / "child.new").rename(folder / "child")
if manners == "orphaning":
    os._exit(0)
while True:
    time.sleep(600)
"""

# A process that runs CHILD in a group, as our commands run theirs.
PARENT = """
import sys
from pathlib import Path
from gainsight_pipelines.embedded.processes import ProcessGroup
with ProcessGroup(grace_seconds=float(sys.argv[3])) as group:
    group.start([sys.executable, "-c", sys.argv[1], sys.argv[2], sys.argv[4]])
    group.wait_any()
"""


@pytest.fixture
def parents() -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that a test starts, killed in case the test fails."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for parent in started:
        parent.kill()
        parent.wait()


def start_parent(
    folder: Path, *, grace: float = 5.0, manners: str = "polite"
) -> tuple[subprocess.Popen[bytes], list[int]]:
    root = Path(__file__).parent.parent.parent
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(folder), str(grace), manners],
        cwd=root,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    return parent, read_pids(folder)


def read_pids(folder: Path) -> list[int]:
    wait_until((folder / "child").exists)
    return [int((folder / name).read_text()) for name in ("child", "grandchild")]


def all_gone(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("manners", ["polite", "orphaning", "stripped"])
def test_stop_ends_children_and_their_descendants(tmp_path: Path, manners: str) -> None:
    with ProcessGroup() as group:
        child = group.start([sys.executable, "-c", CHILD, str(tmp_path), manners])
        pids = read_pids(tmp_path)
        assert is_alive(pids[1])
        if manners == "stripped":  # a process without environment and parent can't be found
            os.kill(child.pid, signal.SIGSTOP)
            group.stop(grace_seconds=0.1)
    assert all_gone(pids)
    assert child.returncode is not None


def test_a_child_gets_time_to_end(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        child = group.start([sys.executable, "-c", CHILD, str(tmp_path), "polite"])
        read_pids(tmp_path)
    assert (tmp_path / "term").exists()
    assert child.returncode == 0


def test_a_child_that_ignores_term_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    with ProcessGroup(grace_seconds=0.3) as group:
        child = group.start([sys.executable, "-c", CHILD, str(tmp_path), "rude"])
        pids = read_pids(tmp_path)
    assert child.returncode == -signal.SIGKILL
    assert all_gone(pids)


def test_children_are_reported_in_the_order_of_their_ends() -> None:
    with ProcessGroup() as group:
        slow = group.start(["sleep", "600"])
        quick = group.start([sys.executable, "-c", "raise SystemExit(3)"])
        assert group.wait_any(timeout=10) is quick
        assert quick.returncode == 3
        assert group.wait_any(timeout=0.01) is None
        slow.kill()
        assert group.wait_any(timeout=10) is slow


def test_a_stopped_group_can_start_again() -> None:
    group = ProcessGroup()
    first = group.start(["sleep", "600"])
    group.stop()
    second = group.start(["sleep", "600"])
    group.stop()
    group.stop()
    assert not is_alive(first.pid)
    assert not is_alive(second.pid)


def test_a_missing_program_is_an_error_and_leaves_nothing() -> None:
    with ProcessGroup() as group, pytest.raises(FileNotFoundError):
        group.start(["no-such-program"])


def test_output_and_environment_come_from_the_caller(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        code = "import os; print(os.environ['COLOUR'], os.getcwd(), 'HOME' in os.environ)"
        child = group.start([sys.executable, "-c", code], {"COLOUR": "green"}, stdout=subprocess.PIPE, cwd=tmp_path)
        output, _ = child.communicate(timeout=10)
    assert output.decode().split() == ["green", str(tmp_path), "False"]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_parent_and_all_of_the_group(
    tmp_path: Path, parents: list[subprocess.Popen[bytes]], number: signal.Signals, status: int
) -> None:
    parent, pids = start_parent(tmp_path)
    parents.append(parent)
    parent.send_signal(number)
    assert parent.wait(timeout=15) == status
    assert all_gone(pids)
    assert (tmp_path / "term").exists()


def test_a_second_signal_ends_the_grace_period(tmp_path: Path, parents: list[subprocess.Popen[bytes]]) -> None:
    parent, pids = start_parent(tmp_path, grace=600, manners="rude")
    parents.append(parent)
    parent.send_signal(signal.SIGINT)
    wait_until((tmp_path / "term").exists)
    start = time.monotonic()
    parent.send_signal(signal.SIGINT)
    parent.wait(timeout=60)
    assert time.monotonic() - start < 60  # not the grace period of 600 s
    assert all_gone(pids)


@pytest.mark.parametrize("manners", ["polite", "rude", "hanging"])
def test_a_killed_parent_leaves_no_process(
    tmp_path: Path, parents: list[subprocess.Popen[bytes]], manners: str
) -> None:
    parent, pids = start_parent(tmp_path, manners="polite" if manners == "hanging" else manners)
    parents.append(parent)
    if manners == "hanging":
        os.kill(pids[0], signal.SIGSTOP)
    parent.kill()
    parent.wait()
    wait_until(lambda: all_gone(pids), seconds=6)


def test_nested_groups_end_together(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    with ProcessGroup() as group:
        inner = group.start([sys.executable, "-c", PARENT, CHILD, str(tmp_path), "5", "polite"], cwd=root)
        pids = read_pids(tmp_path)
        inner.kill()  # now its watcher and our group end the same processes
    assert all_gone([*pids, inner.pid])
