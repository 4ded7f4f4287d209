"""deploy/Dockerfile and deploy/compose.yaml: a container per run; parts are killed in turn and nothing is lost.

The image is built from the Dockerfile, and the services are started from the compose file. They pull from the sandbox,
which listens on the containers' network; the tests compare the tables with the sandbox's truth.
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import yaml

from gainsight_pipelines.orchestration.names import SYNC_ALL_TAG, Names
from gainsight_pipelines_tests.deployment.podman import Stack, build, stack_of
from gainsight_pipelines_tests.monitoring.inboxes import Hook, hook
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import wait_until

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1800), pytest.mark.budget(600)]

NAMES = Names()
PULLS = ("company", "activity", "survey_survey_response", "product_usage")
MISSING = "not_there__gc"
"""An object in the settings that the tenant doesn't have: its scheduled run fails, and an alert is sent."""

ACTIVITIES = 6000
PATIENCE = 600
"""Seconds to wait for what takes a few seconds on an idle machine."""

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
LAUNCH = """mutation ($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
TERMINATE = "mutation ($r: String!) { terminateRun(runId: $r) { __typename } }"
RUNS = "{ runsOrError(limit: 100) { ... on Runs { results { runId jobName status tags { key value } } } } }"
EVENTS = """query ($r: ID!) { logsForRun(runId: $r, limit: 1000) { ... on EventConnection { events {
    ... on MessageEvent { message } } } } }"""
CHECK = """{ assetCheckExecutions(assetKey: {path: ["crm", "account"]}, checkName: "alerts", limit: 1) {
    evaluation { success description } } }"""
STATE = """query ($s: ScheduleSelector!) { scheduleOrError(scheduleSelector: $s) { ... on Schedule {
    scheduleState { id } } } }"""
STOP = "mutation ($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
READY = """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }
    instance { daemonHealth { allDaemonStatuses { healthy } } } }"""


class NotAnsweredError(Exception):
    """The GraphQL API responded with errors, or didn't launch the run."""


@dataclass(slots=True)
class Deployed:
    """The running services, the sandbox that they pull from, and the inbox of their alerts."""

    stack: Stack
    sandbox: RunningSandbox
    inbox: Hook

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The response of the Dagster UI's GraphQL API to a query, which is repeated until it succeeds.

        After the database was killed, one query fails for each lost connection in the webserver's pool.
        """
        answers: list[dict[str, Any]] = []

        def is_answered() -> bool:
            try:
                answers.append(self.ask_once(query, **variables))
            except (OSError, NotAnsweredError):
                return False
            return True

        wait_until(is_answered, PATIENCE)
        return answers[0]

    def ask_once(self, query: str, **variables: Any) -> dict[str, Any]:
        """The response of the Dagster UI's GraphQL API.

        Raises:
            OSError: the webserver can't be reached, or responds with an HTTP error.
            NotAnsweredError: the response has GraphQL errors.
        """
        url = f"http://127.0.0.1:{self.stack.variables['UI_PORT']}/graphql"
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            document: dict[str, Any] = json.load(answer)
        if "errors" in document:
            raise NotAnsweredError(document)
        return document["data"]

    def is_ready(self) -> bool:
        """Whether the UI responds, has loaded the code location and shows a healthy daemon."""
        try:
            found = self.ask_once(READY)
        except (OSError, NotAnsweredError):  # not up yet
            return False
        (entry,) = found["workspaceOrError"]["locationEntries"]
        is_loaded = entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
        return is_loaded and all(each["healthy"] for each in found["instance"]["daemonHealth"]["allDaemonStatuses"])

    def launch(self, job: str) -> str:
        """Launches a job as its button in the UI does, once the webserver has loaded the code location.

        Raises:
            OSError, NotAnsweredError: as `ask_once`; also if Dagster doesn't launch the job.
        """
        selector = {
            "repositoryLocationName": "gainsight_pipelines",
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        params = {"selector": selector, "runConfigData": {}, "mode": "default"}
        answer: dict[str, Any] = {}

        def is_loaded() -> bool:
            """False for a moment after the code server was killed: the webserver then finds no job."""
            answer.update(self.ask_once(LAUNCH, p=params)["launchPipelineExecution"])
            return answer["__typename"] != "PipelineNotFoundError"

        wait_until(is_loaded, PATIENCE)
        if "run" not in answer:
            raise NotAnsweredError(answer)
        return str(answer["run"]["runId"])

    def runs(self) -> dict[str, dict[str, Any]]:
        """The last 100 runs by id."""
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}

    def runs_of(self, job: str, status: str) -> list[str]:
        """The ids of a job's runs with this status."""
        return [each["runId"] for each in self.runs().values() if (each["jobName"], each["status"]) == (job, status)]

    def events(self, run_id: str) -> list[str]:
        """The messages of a run's events, as the UI shows them."""
        return [each.get("message", "") for each in self.ask(EVENTS, r=run_id)["logsForRun"]["events"]]

    def stop_schedule(self, name: str) -> None:
        """Stops the schedule of a pull, as the switch in the UI does."""
        selector = {
            "repositoryLocationName": "gainsight_pipelines",
            "repositoryName": "__repository__",
            "scheduleName": NAMES.schedule(name),
        }
        found = self.ask(STATE, s=selector)["scheduleOrError"]["scheduleState"]["id"]
        assert self.ask(STOP, id=found)["stopRunningSchedule"]["__typename"] == "ScheduleStateResult"

    def status(self, run_id: str) -> str:
        """The status of a run."""
        return str(self.runs()[run_id]["status"])

    def wait_for(self, run_id: str, seconds: float = PATIENCE) -> str:
        """Waits until a run has ended, and returns its status."""
        wait_until(lambda: self.status(run_id) in ENDED, seconds)
        return self.status(run_id)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows that a statement returns from the store."""
        password, host = self.stack.variables["POSTGRES_PASSWORD"], self.stack.address("postgres")
        url = f"postgresql://gainsight:{password}@{host}/gainsight?options=-csearch_path%3Dgainsight"
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def records(self) -> int:
        """The number of stored activities."""
        return int(self.query("SELECT count(*) FROM activity WHERE source = 'timeline'")[0][0])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    with stack_of(folder, free_port(), free_port()) as stack:
        stack.up("postgres")  # brings up the network's own address, which the sandbox listens on
        gateway = stack.podman("network", "inspect", "--format", "{{range .Subnets}}{{.Gateway}}{{end}}", stack.network)
        with (
            start_sandbox(folder / "sandbox", host=gateway, accounts=60, activities=ACTIVITIES) as sandbox,
            hook(gateway) as inbox,
        ):
            write_settings(stack, sandbox)
            stack.variables |= {name: sandbox.env[name] for name in ("HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL")}
            stack.variables |= sandbox.env_of("m2m") | {"CA_BUNDLE": "/etc/gainsight-pipelines/ca-bundle.pem"}
            stack.variables |= {
                "GAINSIGHT_PIPELINES_ALERTS_URLS": inbox.url,
                "GAINSIGHT_PIPELINES_LOG": "json",
                "DAGSTER_WEBSERVER_URL": "https://dagster.example.com",
            }
            build(stack)
            stack.wait_healthy("postgres")
            stack.up("migrate")
            stack.finish("migrate")
            stack.up("code", "metrics")
            stack.wait_healthy("code")
            stack.up("webserver", "daemon")
            found = Deployed(stack, sandbox, inbox)
            wait_until(found.is_ready, PATIENCE)
            yield found


def write_settings(stack: Stack, sandbox: RunningSandbox) -> None:
    """Writes what the image includes: the sandbox's settings, with alerts and `MISSING`, and its certificates."""
    etc = stack.context / "deploy/etc"
    etc.mkdir()
    content = yaml.safe_load((sandbox.folder / "gainsight.hubspot.yaml").read_text())
    schedules = content.get("schedules", {})
    content |= {
        "alerts": {},
        "objects": [{"object": MISSING}],
        "schedules": schedules | {"objects": {MISSING: "* * * * *"}},
    }
    (etc / "gainsight.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(sandbox.folder / "ca-bundle.pem", etc)
    for file in etc.iterdir():
        file.chmod(0o600)  # as a strict umask leaves files


def test_the_image_is_slim_and_runs_as_an_unprivileged_user(deployed: Deployed) -> None:
    stack = deployed.stack
    code = stack.container("code")
    assert stack.podman("exec", code, "id", "-u") == "10001"
    for program in ("gcc", "pip", "initdb"):
        done = stack.podman("exec", code, "sh", "-c", f"command -v {program} || echo none")
        assert done == "none", program
    listed = stack.podman("exec", code, "python", "-c", "import importlib.metadata as m; print(m.version('dagster'))")
    lock = (stack.context / "requirements-dev.lock").read_text()
    assert f"dagster=={listed}\n" in lock
    assert stack.podman("exec", code, "sh", "-c", "touch /opt/dagster/x 2>/dev/null || echo read-only") == "read-only"


def test_nothing_but_postgresql_keeps_anything(deployed: Deployed) -> None:
    template = "{{range .Mounts}}{{.Type}} {{.Destination}}\n{{end}}"
    kept = {
        service: set(
            deployed.stack.podman("inspect", "--format", template, deployed.stack.container(service)).split("\n")
        )
        for service in ("code", "webserver", "daemon", "metrics", "postgres")
    }
    socket = {"bind /var/run/docker.sock"}
    assert {service: mounts - {""} for service, mounts in kept.items()} == {
        "code": set(), "webserver": socket, "daemon": socket, "metrics": set(),
        "postgres": {"volume /var/lib/postgresql/data"},
    }  # fmt: skip


def test_no_secret_is_in_the_image_or_in_a_process_s_arguments(deployed: Deployed) -> None:
    stack = deployed.stack
    secret = stack.variables["GAINSIGHT_CLIENT_SECRET"]
    history = stack.podman("history", "--no-trunc", stack.variables["IMAGE"])
    shown = stack.podman("inspect", stack.variables["IMAGE"]) + history
    for service in ("code", "webserver", "daemon"):
        script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
        shown += stack.podman("exec", stack.container(service), "sh", "-c", script)
    assert secret not in shown and stack.variables["POSTGRES_PASSWORD"] not in shown


def test_run_all_gives_each_pull_a_container_of_its_own(deployed: Deployed) -> None:
    run_id = deployed.launch(NAMES.sync_all)
    assert deployed.wait_for(run_id) == "SUCCESS"

    def of_run_all() -> list[dict[str, Any]]:
        tagged = {"key": SYNC_ALL_TAG, "value": run_id}
        return [run for run in deployed.runs().values() if tagged in run["tags"]]

    wait_until(
        lambda: len(of_run_all()) == len(PULLS) + 1 and all(run["status"] in ENDED for run in of_run_all()), PATIENCE
    )
    ended = {run["jobName"]: run["status"] for run in of_run_all()}
    assert ended == {NAMES.job(name): "SUCCESS" for name in PULLS} | {NAMES.job(MISSING): "FAILURE"}
    containers = {tag["value"] for run in of_run_all() for tag in run["tags"] if tag["key"] == "docker/container_id"}
    assert len(containers) == len(PULLS) + 1
    assert_equal_to_the_truth(deployed)
    port = deployed.stack.variables["METRICS_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
        metrics = answer.read().decode()
    assert 'gainsight_pipelines_last_run_status{object="activity",status="completed"' in metrics


def test_a_scheduled_run_fails_and_an_alert_arrives(deployed: Deployed) -> None:
    def by_schedule() -> list[str]:
        tagged = {"key": "dagster/schedule_name", "value": NAMES.schedule(MISSING)}
        return [run["status"] for run in deployed.runs().values() if tagged in run["tags"]]

    wait_until(lambda: "FAILURE" in by_schedule(), PATIENCE)
    deployed.stop_schedule(MISSING)  # one failed run is enough
    wait_until(lambda: all(run["status"] in ENDED for run in deployed.runs().values()), PATIENCE)
    wait_until(lambda: deployed.inbox.received, PATIENCE)  # the alert sensor ticks every minute
    (message,) = (each for each in deployed.inbox.received if f"{MISSING}: " in each["title"])
    assert "https://dagster.example.com/runs/" in message["message"]

    def shown() -> dict[str, Any]:
        return deployed.ask(CHECK)["assetCheckExecutions"][0]["evaluation"]

    # The alert sensor sends the message first; the evaluation is in the UI once its tick has ended.
    wait_until(lambda: shown() == {"success": False, "description": f"Firing: {MISSING} (failing)."}, PATIENCE)


def assert_equal_to_the_truth(deployed: Deployed) -> None:
    """The stored companies and activities, with their accounts, are those of the sandbox."""
    truth = deployed.sandbox.truth()
    ids = {account["key"]: account_id for account_id, account in truth["accounts"]["hubspot"].items()}
    for table, key, of in (("company", "gsid", "company"), ("activity", "activity_id", "activity_timeline")):
        where = "WHERE deleted_at IS NULL" + (" AND source = 'timeline'" if table == "activity" else "")
        stored = deployed.query(f"SELECT {key}, account_id, unmatched_reason FROM {table} {where}")
        assert {row[0]: row[1:] for row in stored} == {
            gsid: (None if record["reason"] else ids[record["account"]], record["reason"])
            for gsid, record in truth["records"][of].items()
        }


@pytest.fixture
def slow(deployed: Deployed) -> Iterator[Deployed]:
    """The next pull reads all activities again, in pages of a hundred records that take a second each."""
    deployed.sandbox.reset()
    deployed.sandbox.switch(page_cap=100, gainsight_delay=1.0)
    deployed.query(
        """WITH gone AS (DELETE FROM activity WHERE source = 'timeline' RETURNING 1),
                forgotten AS (DELETE FROM sync_cursor WHERE object = 'activity' RETURNING 1)
           SELECT count(*) FROM gone"""
    )
    yield deployed
    deployed.sandbox.reset()


def launched_and_reading(deployed: Deployed) -> str:
    """Launches a pull of the activities, and returns its run id once the first page is stored."""
    before = deployed.records()
    run_id = deployed.launch(NAMES.job("activity"))
    wait_until(lambda: deployed.records() > before, PATIENCE)
    return run_id


def ends_complete(deployed: Deployed, run_id: str) -> None:
    """With quick pages again, the run succeeds, and the tables equal the sandbox's truth."""
    deployed.sandbox.switch(gainsight_delay=0.0)
    assert deployed.wait_for(run_id) == "SUCCESS"
    assert_equal_to_the_truth(deployed)


def test_a_run_that_is_terminated_ends_at_its_page_and_the_next_goes_on_there(slow: Deployed) -> None:
    run_id = launched_and_reading(slow)
    slow.ask(TERMINATE, r=run_id)
    assert slow.wait_for(run_id) == "CANCELED"
    # The run ended within the grace period: it couldn't have stored this if its container had been killed.
    ((error,),) = slow.query(f"SELECT error FROM sync_run WHERE run_id = '{run_id}'")
    assert error == "The run was stopped. The next run goes on from its last page."
    wait_until(lambda: not slow.stack.run_containers(), PATIENCE)  # because of `auto_remove`
    stored = slow.records()
    assert 0 < stored < ACTIVITIES
    next_id = slow.launch(NAMES.job("activity"))
    ends_complete(slow, next_id)
    (read,) = slow.query(f"SELECT records_read FROM sync_run WHERE run_id = '{next_id}'")[0]
    assert read < ACTIVITIES - stored + 500  # only the pages after those that the first run stored, and the overlap


def test_a_run_s_container_that_is_killed_is_started_again_by_dagster(slow: Deployed) -> None:
    run_id = launched_and_reading(slow)
    (container,) = slow.stack.run_containers()
    lines = [json.loads(line) for line in slow.stack.printed(container).splitlines() if line.startswith("{")]
    assert {(line["object"], line["run_id"]) for line in lines} == {("activity", run_id)}
    slow.stack.podman("kill", "--signal", "KILL", container)
    slow.sandbox.switch(gainsight_delay=0.0)
    assert slow.wait_for(run_id) == "FAILURE"

    def retried() -> bool:
        tagged = {"key": "dagster/parent_run_id", "value": run_id}
        return any(tagged in run["tags"] and run["status"] == "SUCCESS" for run in slow.runs().values())

    wait_until(retried, PATIENCE)
    assert_equal_to_the_truth(slow)


def test_services_that_are_killed_leave_a_run_alone(slow: Deployed) -> None:
    run_id = launched_and_reading(slow)
    slow.sandbox.switch(gainsight_delay=3.0)  # the run mustn't end during the loop, however busy the machine is
    for service in ("daemon", "code"):
        slow.stack.kill(service)
        before = slow.records()
        wait_until(lambda before=before: slow.records() > before, 60)  # type: ignore[misc]
    ends_complete(slow, run_id)
    assert any(re.search(r"activity: [\d,]+ read", event) for event in slow.events(run_id)), "progress, for the UI"
    wait_until(slow.is_ready, PATIENCE)
    for service in ("code", "webserver", "daemon", "metrics"):
        slow.stack.wait_healthy(service)


def test_a_database_that_is_killed_loses_nothing(slow: Deployed) -> None:
    """The run may survive, or Dagster may retry it, or the next pull reads the rest: no case loses a record."""
    launched_and_reading(slow)
    slow.stack.kill("postgres")
    slow.stack.wait_healthy("postgres")
    slow.sandbox.switch(gainsight_delay=0.0)
    wait_until(slow.is_ready, PATIENCE)

    def completes() -> bool:
        try:
            run_id = slow.launch(NAMES.job("activity"))
        except (urllib.error.HTTPError, NotAnsweredError):  # a lost connection in the webserver's pool
            return False
        ended = slow.wait_for(run_id), slow.query(f"SELECT status FROM sync_run WHERE run_id = '{run_id}'")
        return ended == ("SUCCESS", [("completed",)])  # a run that skips because another one is pulling isn't enough

    wait_until(completes, PATIENCE)
    assert_equal_to_the_truth(slow)
