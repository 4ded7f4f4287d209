"""Fixtures that all tests may use; each kind has its own module."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile

import psutil
import pytest

from gainsight_pipelines_tests.preloaded import DBT_PYTHON, share

pytest_plugins = [
    "pytester",
    "gainsight_pipelines_tests.budget",
    "gainsight_pipelines_tests.databases",
    "gainsight_pipelines_tests.pulling",
    "gainsight_pipelines_tests.sync.odd_tenant",
]

# A shell that starts pytest in the background makes it ignore SIGINT, and every process that it starts inherits that.
# The tests of Ctrl-C need the signal handled as in a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

MEMORY = "/dev/shm"
ROOM = 2 * 2**30
"""In bytes: several times what all tests need at once."""

# The tests' files, whole PostgreSQL servers among them, are temporary. In memory, where there is enough of it, they
# take half the time. A TMPDIR that the user set is left alone.
if (
    "TMPDIR" not in os.environ
    and os.access(MEMORY, os.W_OK)
    and min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > ROOM
):
    os.environ["TMPDIR"] = tempfile.tempdir = MEMORY

# The tests start hundreds of processes: without .pyc files each process would compile the product again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_setupnodes() -> None:
    """Prepares the interpreters once, for all workers, before these start."""
    share(sys.executable, str(DBT_PYTHON))


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than there are processors, because many tests wait for other processes."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the long modules first: only short ones are left at the end, so that no worker waits for another."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
