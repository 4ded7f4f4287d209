"""The root dagster.yaml: `dagster` and `dg` commands work in the repository, or say what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.instance import (
    STORAGE_VARIABLE,
    create_storage,
    held_connection,
    prepare_home,
    storage_url,
)
from gainsight_pipelines_tests.databases import dagster_database
from gainsight_pipelines_tests.hosting import LONGEST_START, Hosted
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.preloaded import python
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.waiting import wait_until

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
DG = Path(sys.executable).with_name("dg")
LOAD = """import dagster as dg
import sys
from dagster._core.instance.ref import InstanceRef
with dg.DagsterInstance.from_ref(InstanceRef.from_dir(sys.argv[1])) as instance:
    print(instance.get_runs_count(), type(instance.run_storage).__name__)
    print(instance.get_ref().to_dict())
"""


def test_the_root_dagster_yaml_is_the_projects_except_for_the_storage() -> None:
    root = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    ours = yaml.safe_load((ROOT / "gainsight_pipelines/orchestration/dagster.yaml").read_text("utf-8"))
    assert {**root, "storage": None} == {**ours, "storage": None}


def without_addresses(folder: Path, **env: str) -> dict[str, str]:
    """An environment without our variables, except the path of the settings file in this folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REAL_PREFIXES)}
    return {**kept, **env, "GAINSIGHT_PIPELINES_SETTINGS": str(folder / "gainsight.yaml")}


def run_dg(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python(), str(DG), *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_without_a_database_the_error_is_one_sentence(tmp_path: Path) -> None:
    taken = tmp_path / ".gainsight_pipelines" / "postgres"
    taken.mkdir(parents=True)
    (taken / "somebody's").touch()
    done = run_dg(without_addresses(tmp_path), "check", "defs")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "it is not a data folder of this program" in " ".join(said.split()) and "Traceback" not in said


@contextmanager
def dg_dev(folder: Path, env: dict[str, str]) -> Iterator[Hosted]:
    """Runs `dg dev` in the repository until the block ends."""
    port = free_port()
    command = [python(), str(DG), "dev", "--port", str(port)]
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            found = Hosted(url, folder, "", env, location="gainsight_pipelines.definitions")
            wait_until(lambda: process.poll() is not None or found.has_loaded(), LONGEST_START)
            assert process.poll() is None, (folder / "dev.log").read_text("utf-8")
            yield found
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(LONGEST_START)


@pytest.mark.timeout(600)
def test_dg_works_with_nothing_set_on_the_embedded_server(
    tmp_path: Path, postgres_server: EmbeddedServer, small_sandbox: RunningSandbox
) -> None:
    """On the tests' PostgreSQL server, where no other test uses the databases `gainsight` and `dagster`."""
    (tmp_path / "gainsight.yaml").write_text(small_sandbox.settings_file().read_text())
    (tmp_path / ".gainsight_pipelines").mkdir()
    (tmp_path / ".gainsight_pipelines" / "postgres").symlink_to(postgres_server.folder)
    env = without_addresses(tmp_path, **small_sandbox.env)
    with dg_dev(tmp_path, env) as dev:
        assert dev.finish(dev.launch("gainsight_pull_company")) == ["SUCCESS"]
        listed, checked = run_dg(env, "list", "defs", "--json"), run_dg(env, "check", "defs")
    assert checked.returncode == 0 and "All definitions loaded successfully" in checked.stdout + checked.stderr
    assert "gainsight_pull_company" in {job["name"] for job in json.loads(listed.stdout)["jobs"]}
    with psycopg.connect(postgres_server.url("gainsight")) as connection:
        found = {gsid for (gsid,) in connection.execute("SELECT gsid FROM gainsight.company")}
    assert found == set(small_sandbox.truth("company"))


def test_with_a_url_the_storage_uses_it_without_showing_it(postgres_server: EmbeddedServer, tmp_path: Path) -> None:
    with dagster_database(postgres_server) as database:
        (tmp_path / "url").write_text(f"{postgres_server.url(database)}\n")  # a mounted secret may end so
        environ = os.environ | {"DAGSTER_POSTGRES_URL_FILE": str(tmp_path / "url")}
        done = subprocess.run(
            [python(), "-c", LOAD, str(ROOT)], env=environ, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 ")
    assert database not in done.stdout


SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_a_run_holds_one_connection_and_replaces_a_lost_one(
    postgres_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        dagster_database(postgres_server) as database,
        psycopg.connect(postgres_server.url(database), autocommit=True) as another,
    ):
        monkeypatch.setenv(STORAGE_VARIABLE, storage_url(postgres_server.url(database)))
        create_storage(os.environ)

        def sessions() -> list[int]:
            return [pid for (pid,) in another.execute(SESSIONS)]

        home = InstanceRef.from_dir(str(prepare_home(tmp_path / "dagster")))
        with dg.DagsterInstance.from_ref(home) as instance, held_connection(instance):
            wait_until(lambda: not sessions())  # the sessions that loading the instance opened
            before = []
            for _ in range(3):
                assert instance.get_runs_count() == 0 and not instance.all_asset_keys()
                instance.all_instigator_state()
                before.append(sessions())
            assert before == [before[0]] * 3 and len(before[0]) == 1
            another.execute("SELECT pg_terminate_backend(%s)", before[0])
            wait_until(lambda: not sessions())
            assert instance.get_runs_count() == 0 and not instance.all_asset_keys()
            assert len(sessions()) == 1
        wait_until(lambda: not sessions())
