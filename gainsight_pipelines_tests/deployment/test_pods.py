"""Pulls in pods of deploy/helm/values.yaml: what a pod has, what it pulls, and how it ends on SIGTERM."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.instance import storage_url
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines_tests.databases import dagster_database, product_database
from gainsight_pipelines_tests.deployment.pods import Cluster, cluster
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.waiting import wait_until


@pytest.fixture(scope="module")
def pods(
    tmp_path_factory: pytest.TempPathFactory, small_sandbox: RunningSandbox, postgres_server: EmbeddedServer
) -> Iterator[Cluster]:
    with product_database(postgres_server) as data, dagster_database(postgres_server) as dagster:
        names = ("GAINSIGHT_API_KEY", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL", "REQUESTS_CA_BUNDLE")
        secrets = {name: small_sandbox.env[name] for name in names if name in small_sandbox.env} | {
            "GAINSIGHT_PIPELINES_DATABASE_URL": postgres_server.url(data),
            "DAGSTER_POSTGRES_URL": storage_url(postgres_server.url(dagster)),
        }
        settings = small_sandbox.settings_file("hubspot").read_text()
        with cluster(tmp_path_factory.mktemp("cluster"), settings, secrets) as found:
            yield found


def query(pods: Cluster, statement: str) -> list[tuple[Any, ...]]:
    url = pods.secrets["gainsight-pipelines"]["GAINSIGHT_PIPELINES_DATABASE_URL"]
    with Store(url).connect("test") as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]


def stored(pods: Cluster) -> int:
    return int(query(pods, "SELECT count(*) FROM activity")[0][0])


def test_a_pod_ends_at_its_page_on_sigterm_and_the_next_one_pulls_the_rest(
    pods: Cluster, small_sandbox: RunningSandbox
) -> None:
    small_sandbox.switch(page_cap=20, gainsight_delay=1.0)
    (run_id, job), (next_id, next_job) = pods.launch("activity", 2)
    first = pods.start(job)
    wait_until(lambda: stored(pods) or first.poll() is not None, 60)
    assert first.poll() is None
    began = time.monotonic()
    first.send_signal(signal.SIGTERM)  # as the kubelet does; it would send SIGKILL after terminationGracePeriodSeconds
    _, printed = first.communicate(timeout=30)
    assert time.monotonic() - began < 15
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert {(line["object"], line["run_id"], line["tenant"]) for line in lines} == {("activity", run_id, "127.0.0.1")}
    assert not [secret for secret in small_sandbox.secrets if secret in printed]
    (ended,) = query(pods, f"SELECT status, error FROM sync_run WHERE run_id = '{run_id}'")
    assert ended == ("failed", "The run was stopped. The next run goes on from its last page.")
    before = stored(pods)

    small_sandbox.reset()
    second = pods.start(next_job)
    _, printed = second.communicate(timeout=60)
    assert second.returncode == 0, printed
    (read,) = query(pods, f"SELECT records_read FROM sync_run WHERE run_id = '{next_id}'")[0]
    truth, ids = small_sandbox.truth(), {}
    for account_id, account in truth["accounts"]["hubspot"].items():
        ids[account["key"]] = account_id
    activities = truth["records"]["activity_timeline"]
    assert 0 < before < len(activities) and read <= len(activities) - before + 20
    found = query(pods, "SELECT activity_id, account_id, unmatched_reason FROM activity")
    assert {row[0]: row[1:] for row in found} == {
        each: (None if record["reason"] else ids[record["account"]], record["reason"])
        for each, record in activities.items()
    }


def test_a_run_s_pod_has_settings_secrets_and_time_to_finish_its_page(pods: Cluster) -> None:
    spec = pods.jobs[-1]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert {"name": "settings", "configMap": {"name": "gainsight-pipelines"}} in spec["volumes"]
    assert {"name": "settings", "mountPath": "/etc/gainsight-pipelines", "readOnly": True} in container["volumeMounts"]
    assert {"secretRef": {"name": "gainsight-pipelines"}} in container["envFrom"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["GAINSIGHT_PIPELINES_SETTINGS"] == "/etc/gainsight-pipelines/gainsight.yaml"
    assert env["GAINSIGHT_PIPELINES_MIGRATE"] == "never"
    assert env["GAINSIGHT_PIPELINES_LOG"] == "json"
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
