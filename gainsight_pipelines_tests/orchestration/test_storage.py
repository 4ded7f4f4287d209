"""The dagster.yaml at the root: a plain `dagster` or `dg` in this folder works, or says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.databases import dagster_database

ROOT = Path(__file__).parents[2]
LOAD = """
import sys
import dagster as dg
from dagster._core.instance.ref import InstanceRef
with dg.DagsterInstance.from_ref(InstanceRef.from_dir(sys.argv[1])) as instance:
    print(instance.get_runs_count(), type(instance.run_storage).__name__)
    print(instance.get_ref().to_dict())
"""


def test_it_is_the_project_s_but_for_the_storage() -> None:
    root = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    ours = yaml.safe_load((ROOT / "gainsight_pipelines/orchestration/dagster.yaml").read_text("utf-8"))
    assert {**root, "storage": None} == {**ours, "storage": None}


def test_without_an_address_it_says_so_in_a_sentence() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    command = [str(Path(sys.executable).with_name("dg")), "check", "defs"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "DAGSTER_POSTGRES_URL is not set" in said
    assert "gainsight-pipelines dev" in said and "Traceback" not in said


def test_with_an_address_it_is_dagster_s_storage_and_keeps_the_address_to_itself(
    postgres_server: EmbeddedServer,
) -> None:
    with dagster_database(postgres_server) as database:
        url = postgres_server.url(database)
        environ = os.environ | {"DAGSTER_POSTGRES_URL": url}
        done = subprocess.run(
            [sys.executable, "-c", LOAD, str(ROOT)], env=environ, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 ")
    assert database not in done.stdout
