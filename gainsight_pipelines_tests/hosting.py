"""The example project as its team runs it: code server, webserver and daemon in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.instance import create_storage, storage_url
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.dbt.environment import NO_LOG_FILE, dbt_program, of_postgres
from gainsight_pipelines_tests.dbt.generated import EXAMPLE as PROJECT
from gainsight_pipelines_tests.dbt.generated import PACKAGE
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.preloaded import python
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.waiting import wait_until

LOCATION, SECOND_LOCATION = "cs_analytics", "elsewhere"
NOT_THEIRS = ("__pycache__", "*.egg-info", "dbt_packages", "target", "logs")

INSTANCE = """
storage: {postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}}
telemetry: {enabled: false}
nux: {enabled: false}
"""
"""The team's own dagster.yaml: no pools, no limits, nothing of this project's."""

LONGEST_START = 240.0
"""In seconds. A process that imports Dagster takes ten to start on a quiet machine, and minutes on a busy one."""

LONG = """
import time
from pathlib import Path
import dagster as dg

@dg.op
def read_all_orders():
    while not Path({flag!r}).exists():
        time.sleep(0.2)

@dg.job
def pull_orders():
    read_all_orders()
"""
"""A job of the team's own, which runs until the test ends it and is named like one of ours."""

SECOND = """
import dagster as dg
from gainsight_pipelines import build_gainsight_definitions

SETTINGS = {{"gainsight": {{"base_url": {url!r}}}, "primary_crm": {{"kind": "salesforce"}}, "company": {{}}}}
defs = dg.Definitions.merge(
    build_gainsight_definitions(SETTINGS | {{"store": {{"schema": "beta"}}}}, prefix="beta", secrets_prefix="BETA_"),
    build_gainsight_definitions(SETTINGS, secrets_prefix="GAMMA_"),
    dg.Definitions(executor=dg.in_process_executor),
)
"""
"""Another code location: a third tenant in the same database, and a fourth with the same names as the first."""

LAUNCH = """mutation ($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""

RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"

UPSTREAM = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    dependencyKeys { path } } } }"""

LATEST = """query ($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(limit: 1) { metadataEntries { label ... on IntMetadataEntry { intValue }
        ... on JsonMetadataEntry { jsonString } ... on TextMetadataEntry { text } } } } } }"""


@dataclass(frozen=True, slots=True)
class Hosted:
    """The running project."""

    url: str
    folder: Path
    database_url: str
    """The database of the example project's two tenants and of the second location's tenant `beta`."""
    env: dict[str, str] = field(repr=False)
    location: str = LOCATION
    locations: int = 1

    def ask(self, query: str, **variables: Any) -> Any:
        """Sends a query to Dagster's GraphQL API; returns the data of the response."""
        body = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def has_loaded(self) -> bool:
        """Whether the webserver responds and has loaded every code location."""
        try:
            answer = self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except (requests.RequestException, ValueError):
            return False
        if len(answer["repositoriesOrError"].get("nodes", ())) == self.locations:
            return True
        self.ask("mutation { reloadWorkspace { __typename } }")  # the code server may have come up after the webserver
        return False

    def launch(self, job: str, assets: Sequence[Sequence[str]] = (), *, location: str | None = None) -> str:
        """Launches a run of a job, for these assets only if any are given; returns the run's id."""
        selector = {
            "repositoryLocationName": location or self.location,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": list(key)} for key in assets]  # type: ignore[assignment]
        made = self.ask(LAUNCH, parameters={"selector": selector, "runConfigData": {}})["launchRun"]
        assert made["__typename"] == "LaunchRunSuccess", made
        return str(made["run"]["runId"])

    def status(self, run_id: str) -> str:
        """The status of a run."""
        return str(self.ask(RUN, id=run_id)["runOrError"]["status"])

    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run."""
        return {tag["key"]: tag["value"] for tag in self.ask(RUN, id=run_id)["runOrError"]["tags"]}

    def finish(self, *run_ids: str, seconds: float = LONGEST_START) -> list[str]:
        """Waits until these runs have ended; returns their statuses."""
        over = {"SUCCESS", "FAILURE", "CANCELED"}
        wait_until(lambda: all(self.status(run_id) in over for run_id in run_ids), seconds)
        return [self.status(run_id) for run_id in run_ids]

    def latest(self, *key: str) -> dict[str, Any]:
        """The metadata of an asset's latest materialization: numbers and texts."""
        (event,) = self.ask(LATEST, key={"path": list(key)})["assetOrError"]["assetMaterializations"]
        return {
            entry["label"]: entry.get("intValue", entry.get("text", entry.get("jsonString")))
            for entry in event["metadataEntries"]
        }

    def upstream(self, *key: str) -> set[str]:
        """The keys of an asset's upstream assets, with slashes."""
        found = self.ask(UPSTREAM, key={"path": list(key)})["assetNodeOrError"]["dependencyKeys"]
        return {"/".join(each["path"]) for each in found}

    def assets(self, group: str) -> list[list[str]]:
        """The keys of a group's assets."""
        nodes = self.ask("{ assetNodes { assetKey { path } groupName } }")["assetNodes"]
        return [node["assetKey"]["path"] for node in nodes if node["groupName"] == group]

    def materialized(self, *key: str) -> bool:
        """Whether an asset was ever materialized."""
        return bool(self.ask(LATEST, key={"path": list(key)})["assetOrError"]["assetMaterializations"])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Queries the database that three tenants share."""
        return self._query(self.database_url, statement)

    def query_other(self, statement: str) -> list[tuple[Any, ...]]:
        """Queries the fourth tenant's database."""
        return self._query(self.env["GAMMA_GAINSIGHT_PIPELINES_DATABASE_URL"], statement)

    def _query(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def dg(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `dg` in the project's folder."""
        command = [python(), str(Path(sys.executable).with_name("dg")), *arguments]
        env = {name: value for name, value in self.env.items() if name != "DAGSTER_HOME"}
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )


@contextmanager
def hosted(
    folder: Path, server: EmbeddedServer, sandbox: RunningSandbox, *, is_alone: bool = False
) -> Iterator[Hosted]:
    """A copy of the example project on the sandbox: its own tenant with Salesforce, Acme's with HubSpot.

    Another code location with two more tenants runs beside it, unless `is_alone`.
    """
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*NOT_THEIRS))
    defs = folder / "src" / LOCATION / "defs"
    settings = defs / "gainsight" / "gainsight.yaml"
    content = yaml.safe_load(settings.read_text())
    content["gainsight"]["base_url"] = sandbox.urls["gainsight"]
    content["activity"]["initial_lookback_days"] = None
    settings.write_text(yaml.safe_dump(content))
    (defs / "orders.py").write_text(LONG.format(flag=str(folder / "release")))
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE)
    (folder / "src" / f"{SECOND_LOCATION}.py").write_text(SECOND.format(url=sandbox.urls["gainsight"]))
    modules = {LOCATION: f"{LOCATION}.definitions"} | ({} if is_alone else {SECOND_LOCATION: SECOND_LOCATION})
    ports, web = {name: free_port() for name in modules}, free_port()
    locations = [
        {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": name}} for name, port in ports.items()
    ]
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": locations}))
    with fresh_database(server) as data, fresh_database(server) as other, dagster_database(server) as dagster:
        env = _environment(sandbox, server.url(data), server.url(other)) | {
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": storage_url(server.url(dagster)),
        }
        create_storage(env)
        _prepare_models(folder / "analytics", env)
        commands = (
            *(
                ["dagster", "api", "grpc", "-m", module, "-h", "127.0.0.1", "-p", str(ports[name])]
                for name, module in modules.items()
            ),
            ["dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(web)],
            ["dagster._daemon", "run", "-w", "workspace.yaml"],
        )
        with running(commands, folder, env):
            found = Hosted(f"http://127.0.0.1:{web}", folder, server.url(data), env, locations=len(modules))
            wait_until(found.has_loaded, LONGEST_START)
            try:
                yield found
            finally:
                (folder / "release").touch()  # ends the long run: a code server waits for its runs


def _prepare_models(project: Path, env: Mapping[str, str]) -> None:
    """What a deployment does for its dbt assets: the package from this checkout, and the manifest."""
    (project / "packages.yml").write_text(yaml.safe_dump({"packages": [{"local": str(PACKAGE)}]}))
    for command in ("deps", "parse"):
        done = subprocess.run(
            [dbt_program(), command], cwd=project, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _environment(sandbox: RunningSandbox, url: str, other_url: str) -> dict[str, str]:
    """Each tenant's secrets under its own variables, and none that another tenant could read as its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REAL_PREFIXES)}
    own = {name: value for name, value in sandbox.env.items() if not name.startswith("HUBSPOT_")}
    acme = {f"ACME_{name}": value for name, value in sandbox.env.items() if name.startswith(("HUBSPOT_", "GAINSIGHT_"))}
    others = {f"{prefix}_{name}": value for prefix in ("BETA", "GAMMA") for name, value in own.items()}
    return {
        **kept,
        **own,
        **acme,
        **others,
        "BETA_GAINSIGHT_PIPELINES_DATABASE_URL": url,
        "GAMMA_GAINSIGHT_PIPELINES_DATABASE_URL": other_url,
        "GAMMA_SALESFORCE_CLIENT_SECRET": "not-the-one-of-the-others",
        "GAINSIGHT_PIPELINES_DATABASE_URL": url,
        "ACME_GAINSIGHT_PIPELINES_DATABASE_URL": url,
        "ACME_GAINSIGHT_URL": sandbox.urls["gainsight"],
        "PYTHONPATH": "src",
        "PATH": os.pathsep.join((os.environ["PATH"], str(dbt_program().parent))),
        **NO_LOG_FILE,
        **of_postgres(url),
    }


@contextmanager
def running(commands: Sequence[Sequence[str]], folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Runs these modules, each a command's first word, until the block ends."""
    with (folder / "processes.log").open("wb") as log:
        processes = [
            subprocess.Popen(
                [python(), "-m", *command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            for command in commands
        ]
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
