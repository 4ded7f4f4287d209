"""The files of deploy/ agree with the project and with the tools that read them. No test here needs containers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

CHART_KEYS = {
    "dagster-user-deployments": {
        "enabled": None,
        "enableSubchart": None,
        "deployments": {
            "name": None,
            "image": {"repository": None, "tag": None, "pullPolicy": None},
            "codeServerArgs": None,
            "port": None,
            "includeConfigInLaunchedRuns": {"enabled": None},
            "env": None,
            "envSecrets": None,
            "volumes": None,
            "volumeMounts": None,
            "initContainers": None,
            "securityContext": None,
            "resources": None,
        },
    },
    "runLauncher": {
        "type": None,
        "config": {
            "k8sRunLauncher": {
                "imagePullPolicy": None,
                "loadInclusterConfig": None,
                "envConfigMaps": None,
                "envSecrets": None,
                "envVars": None,
                "volumeMounts": None,
                "volumes": None,
                "runK8sConfig": {"containerConfig": None, "podSpecConfig": None},
            }
        },
    },
    "dagsterDaemon": {
        "runMonitoring": {
            "enabled": None,
            "startTimeoutSeconds": None,
            "pollIntervalSeconds": None,
            "maxRuntimeSeconds": None,
            "freeSlotsAfterRunEndSeconds": None,
        },
        "runRetries": {"enabled": None, "maxRetries": None, "retryOnAssetOrOpFailure": None},
    },
    "concurrency": {"enabled": None, "pools": {"defaultLimit": None, "granularity": None}},
    "retention": {"enabled": None, "schedule": {"purgeAfterDays": None}, "sensor": {"purgeAfterDays": None}},
    "computeLogManager": {"type": None},
    "telemetry": {"enabled": None},
    "global": {"postgresqlSecretName": None},
    "generatePostgresqlPasswordSecret": None,
    "postgresql": {
        "enabled": None,
        "postgresqlHost": None,
        "postgresqlUsername": None,
        "postgresqlDatabase": None,
        "postgresqlParams": None,
        "service": {"port": None},
    },
}
"""The keys that we use, checked by hand against the chart's schema (helm/dagster/schema of dagster-io/dagster): the
chart ignores unknown keys silently. None: a value, or something that Kubernetes defines."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def unknown(values: Any, known: dict[str, Any], place: str = "") -> list[str]:
    """The paths of the keys that aren't among the known ones."""
    found = []
    for entry in values if isinstance(values, list) else [values]:
        for key, value in entry.items():
            if key not in known:
                found.append(f"{place}{key}")
            elif known[key] is not None:
                found += unknown(value, known[key], f"{place}{key}.")
    return found


def test_the_values_use_keys_of_the_chart() -> None:
    assert unknown(read(DEPLOY / "helm/values.yaml"), CHART_KEYS) == []


def test_every_instance_is_the_project_s() -> None:
    """The instances of compose.yaml and of the chart have the options that this project relies on."""
    ours = read(ROOT / "gainsight_pipelines/orchestration/dagster.yaml")
    compose = read(DEPLOY / "dagster.yaml")
    del compose["run_monitoring"]["poll_interval_seconds"]  # only launchers that support run monitoring use it
    assert {name: compose[name] for name in ours} | {"storage": None} == ours | {"storage": None}
    assert compose["storage"] == read(ROOT / "dagster.yaml")["storage"]
    chart = read(DEPLOY / "helm/values.yaml")
    pools, retries = chart["concurrency"]["pools"], chart["dagsterDaemon"]["runRetries"]
    monitoring = chart["dagsterDaemon"]["runMonitoring"]
    assert pools == {
        "defaultLimit": ours["concurrency"]["pools"]["default_limit"],
        "granularity": ours["concurrency"]["pools"]["granularity"],
    }
    assert (retries["maxRetries"], retries["retryOnAssetOrOpFailure"]) == (
        ours["run_retries"]["max_retries"],
        ours["run_retries"]["retry_on_asset_or_op_failure"],
    )
    assert (monitoring["maxRuntimeSeconds"], monitoring["freeSlotsAfterRunEndSeconds"]) == (
        ours["run_monitoring"]["max_runtime_seconds"],
        ours["run_monitoring"]["free_slots_after_run_end_seconds"],
    )


def test_each_variable_that_a_run_gets_reaches_the_services_too() -> None:
    """DockerRunLauncher fails a run if a variable of `env_vars` isn't set in the daemon."""
    names = set(read(DEPLOY / "dagster.yaml")["run_launcher"]["config"]["env_vars"])
    services = read(DEPLOY / "compose.yaml")["x-environment"]
    assert names <= set(services)
    offered = set(re.findall(r"^#?([A-Z_]+)=", (DEPLOY / ".env.example").read_text("utf-8"), re.MULTILINE))
    text = (DEPLOY / "compose.yaml").read_text("utf-8") + (DEPLOY / "Dockerfile").read_text("utf-8")
    assert all(f"${{{name}" in text for name in offered), offered


def test_nothing_holds_a_secret() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix != ".json" and path.name != ".env" and "etc" not in path.parts:
            for line in path.read_text("utf-8").splitlines():
                assert not re.search(r"(PASSWORD|SECRET|TOKEN|API_KEY)=\S", line), line


def test_the_instance_of_compose_loads(tmp_path: Path) -> None:
    """Dagster accepts the configuration, including the launcher; the test connects to nothing."""
    (tmp_path / "dagster.yaml").write_bytes((DEPLOY / "dagster.yaml").read_bytes())
    script = """
import json, sys
from dagster._core.instance.config import dagster_instance_config
config, _ = dagster_instance_config(sys.argv[1])
from dagster._core.instance.ref import InstanceRef
ref = InstanceRef.from_dir(sys.argv[1])
print(json.dumps([type(ref.run_launcher).__name__, type(ref.compute_log_manager).__name__]))
"""
    environ = os.environ | {
        "DAGSTER_POSTGRES_URL": "postgresql+psycopg2://nobody@127.0.0.1:1/none",
        "DOCKER_NETWORK": "some-network",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["DockerRunLauncher", "NoOpComputeLogManager"]
