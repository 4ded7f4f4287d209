"""Starting pulls and reloading settings in a host's Dagster setup, with other names and a separate code server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.orchestration.instance import STORAGE_VARIABLE, create_storage, storage_url
from gainsight_pipelines.orchestration.webserver import Webserver
from gainsight_pipelines.settings import Settings, load_settings
from gainsight_pipelines_tests.databases import dagster_database
from gainsight_pipelines_tests.hosting import INSTANCE, LONGEST_START, Hosted, running
from gainsight_pipelines_tests.orchestration.test_definitions import SETTINGS
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

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
def host(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    path = folder / "gainsight.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    (folder / "others.py").write_text(OTHERS)
    (folder / "dagster.yaml").write_text(INSTANCE)
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
    with dagster_database(postgres_server) as dagster:
        env[STORAGE_VARIABLE] = storage_url(postgres_server.url(dagster))
        create_storage(env)
        with running(commands, folder, env):
            hosted = Hosted(f"http://127.0.0.1:{web}", folder, "", env, locations=2)
            wait_until(hosted.has_loaded, LONGEST_START)
            yield Host(hosted.url, path)


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
