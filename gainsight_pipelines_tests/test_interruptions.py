"""Pulls that are killed or stopped in the middle: the next run continues from the last page, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import is_alive, process_below, wait_until

pytestmark = pytest.mark.long

ACTIVITIES = 2400
PAGE = 200


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=ACTIVITIES, accounts=60) as running:
        yield running


@pytest.fixture
def product(tmp_path: Path, postgres_server: EmbeddedServer, sandbox: RunningSandbox) -> Iterator[Product]:
    sandbox.reset()
    with product_on(tmp_path, postgres_server, sandbox) as product:
        yield product


def started(
    product: Product, sandbox: RunningSandbox, *others: str, program: str = sys.executable
) -> subprocess.Popen[str]:
    """A command that pulls activities and `others`, has stored some pages of activities and is far from its end.

    `program`: a Python. What ends with what is tested with a real one, the rest with the quicker one of `preloaded`.
    """
    migrate(Store(product.database_url))  # so that the table can be queried before the pull creates it
    sandbox.switch(page_cap=PAGE, gainsight_delay=0.2)
    process = subprocess.Popen(
        [program, "-m", COMMANDS, "run", "activity", *others, "--json"],
        cwd=product.folder,
        env=product.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: stored(product) >= 2 * PAGE or process.poll() is not None, 40)
    assert process.poll() is None, process.communicate()
    sandbox.switch(gainsight_delay=1.5)  # keeps the end far away, however busy the machine is
    return process


def stored(product: Product) -> int:
    ((count,),) = product.query("SELECT count(*) FROM activity")
    return int(count)


def goes_on_to_the_end(product: Product, sandbox: RunningSandbox, before: int) -> None:
    sandbox.reset()
    result = product.run("activity")
    assert result.status == 0, result.err
    # The run began at the last page, not at the first.
    assert result.object("activity")["read"] <= ACTIVITIES - before + PAGE
    truth = sandbox.truth("activity_timeline")
    assert {row[0] for row in product.query("SELECT activity_id FROM activity")} == set(truth)


def process_with_log(parent: int, name: str) -> psutil.Process:
    """The child process that has this log file open."""
    found = []
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            found += [child for file in child.open_files() if file.path.endswith(name)]
    (process,) = set(found)
    return process


def test_kill_9_of_the_pull(product: Product, sandbox: RunningSandbox) -> None:
    process = started(product, sandbox)
    process_below(process.pid, "run_object").kill()
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 1
    assert "The run ended without a result" in out
    before = stored(product)
    assert 0 < before < ACTIVITIES
    goes_on_to_the_end(product, sandbox, before)
    errors = product.query("SELECT error FROM sync_run WHERE status = 'failed'")
    assert len(errors) == 1
    assert "killed" in errors[0][0]


def test_kill_9_of_one_of_several_pulls_leaves_the_others_alone(product: Product, sandbox: RunningSandbox) -> None:
    process = started(product, sandbox, "company")
    first = process_with_log(process.pid, "/.log")
    process_with_log(first.pid, "/activity.log").kill()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    found = {one["object"]: one for one in json.loads(out)["objects"]}
    assert found["company"]["status"] == "completed"
    assert "The run ended without a result (exit status -9)" in found["activity"]["error"]
    assert 0 < stored(product) < ACTIVITIES


def test_kill_9_of_the_command_ends_the_pull_too(product: Product, sandbox: RunningSandbox) -> None:
    process = started(product, sandbox, "product_usage")
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(is_alive(child.pid) for child in children), 20)
    before = stored(product)
    assert before < ACTIVITIES
    goes_on_to_the_end(product, sandbox, before)


@pytest.mark.parametrize("others", [(), ("product_usage",)], ids=["one", "several"])
def test_ctrl_c(product: Product, sandbox: RunningSandbox, others: tuple[str, ...]) -> None:
    process = started(product, sandbox, *others)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Traceback" not in err
    ((status, error),) = product.query("SELECT status, error FROM sync_run WHERE object = 'activity'")
    assert (status, error) == ("failed", "The run was stopped. The next run goes on from its last page.")
    goes_on_to_the_end(product, sandbox, stored(product))


def test_two_runs_of_one_object_never_overlap(product: Product, sandbox: RunningSandbox) -> None:
    process = started(product, sandbox, program=python())
    second = product.run("activity")
    assert second.object("activity")["status"] == "skipped", second
    ((holder,),) = product.query("SELECT run_id FROM sync_run WHERE object = 'activity' AND status <> 'skipped'")
    assert f"is being pulled by run {holder}" in second.object("activity")["error"]
    assert second.status == 0
    sandbox.reset()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_rotated_key_goes_on_where_it_was(product: Product, sandbox: RunningSandbox) -> None:
    """Requirement C3: nothing is lost, nothing is retried, and the next run continues."""
    process = started(product, sandbox, program=python())
    sandbox.switch(reject_key=True)
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 1
    assert "the API key was rejected (expired or rotated)" in out
    before = stored(product)
    assert 0 < before < ACTIVITIES
    goes_on_to_the_end(product, sandbox, before)
