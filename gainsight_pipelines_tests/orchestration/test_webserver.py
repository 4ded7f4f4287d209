"""Starting pulls and reloading settings in a host's Dagster setup, with other names and a separate code server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.orchestration.webserver import Webserver
from gainsight_pipelines.settings import Settings, load_settings
from gainsight_pipelines_tests.orchestration.test_definitions import SETTINGS
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.waiting import wait_until

pytestmark = pytest.mark.long

OTHERS = """
import dagster as dg

@dg.op
def read(): ...

@dg.job
def gainsight_pull_company():
    read()

defs = dg.Definitions(jobs=[gainsight_pull_company])
"""
"""Another team's code location, with a job of the same name as ours."""

RUN = """query ($id: ID!) { runOrError(runId: $id) { ... on Run {
    jobName repositoryOrigin { repositoryLocationName } tags { key value } } } }"""


@dataclass(frozen=True, slots=True)
class Host:
    """A webserver with a separate code server, which loads its code only once."""

    url: str
    path: Path

    @property
    def settings(self) -> Settings:
        return load_settings(self.path)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    path = folder / "gainsight.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    (folder / "others.py").write_text(OTHERS)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    code, web = free_port(), free_port()
    server = {"host": "127.0.0.1", "port": code, "location_name": "elsewhere"}
    workspace = {"load_from": [{"grpc_server": server}, {"python_file": str(folder / "others.py")}]}
    (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REAL_PREFIXES)}
    env = kept | {"DAGSTER_HOME": str(folder), "GAINSIGHT_PIPELINES_SETTINGS": str(path)}
    commands = (
        ["dagster", "api", "grpc", "-m", "gainsight_pipelines.definitions", "-h", "127.0.0.1", "-p", str(code)],
        ["dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(web)],
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        wait_until(lambda: has_loaded(f"http://127.0.0.1:{web}"), 90)
        yield Host(f"http://127.0.0.1:{web}", path)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def has_loaded(url: str) -> bool:
    """Whether the webserver has loaded both code locations; if not, it reloads them."""
    query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
    try:
        answer = requests.post(f"{url}/graphql", json={"query": query}, timeout=10).json()
    except requests.RequestException:
        return False
    if len(answer["data"]["repositoriesOrError"].get("nodes", ())) == 2:
        return True
    reload = "mutation { reloadWorkspace { __typename } }"  # the code server may have started after the webserver
    requests.post(f"{url}/graphql", json={"query": reload}, timeout=60)
    return False


def test_a_pull_is_started_in_its_own_location(host: Host) -> None:
    run_id = Webserver(host.url).start("company", host.settings)
    asked = {"query": RUN, "variables": {"id": run_id}}
    run = requests.post(f"{host.url}/graphql", json=asked, timeout=10).json()["data"]["runOrError"]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert run["jobName"] == "gainsight_pull_company"
    assert tags["gainsight_pipelines/pull"] == "company"
    assert run["repositoryOrigin"]["repositoryLocationName"] == "elsewhere"


def test_starting_an_unknown_pull_says_what_to_do(host: Host) -> None:
    with pytest.raises(PermanentError, match=r"elsewhere has no pull `activity`.*Save the settings"):
        Webserver(host.url).start("activity", host.settings)


def test_a_code_server_that_does_not_reload_is_reported(host: Host) -> None:
    Webserver(host.url).reload(host.settings)
    host.path.write_text(yaml.safe_dump(SETTINGS | {"activity": {}}))
    with pytest.raises(PermanentError, match=r"(?s)elsewhere still has the former ones.*Restart that code server"):
        Webserver(host.url).reload(host.settings)


def test_settings_without_a_location_are_reported(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "gainsight.yaml"
    other.write_text(yaml.safe_dump(SETTINGS))
    with pytest.raises(PermanentError, match="uses other settings"):
        Webserver(host.url).reload(load_settings(other))
