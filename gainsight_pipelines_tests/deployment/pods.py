"""The pods that K8sRunLauncher makes from deploy/helm/values.yaml, run as processes on this machine.

Dagster's own launcher creates the Job at a server that responds like the Kubernetes API. The process that stands for
the pod has exactly the command and environment of that Job; the pod's volumes are folders here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from gainsight_pipelines_tests.preloaded import python

VALUES = Path(__file__).parents[2] / "deploy/helm/values.yaml"
HOME = "/opt/dagster/dagster_home"
"""Where Dagster's chart mounts the instance's configuration."""

LAUNCH = """import dagster as dg
import json, sys
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from gainsight_pipelines.definitions import defs
from gainsight_pipelines.orchestration.names import Names

name, image, context = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
job = defs.resolve_job_def(Names().job(name))
code = RepositoryPythonOrigin(
    executable_path=sys.executable,
    code_pointer=ModuleCodePointer("gainsight_pipelines.definitions", "defs", working_directory=None),
    container_image=image,
    entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    container_context=context,
)
with dg.DagsterInstance.get() as instance:
    for _ in range(int(sys.argv[4])):
        run = instance.create_run_for_job(job, job_code_origin=JobPythonOrigin(job.name, code))
        instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
        print(run.run_id)
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Stands in for a cluster: `jobs` are the Job objects that the launcher created.

    `folders` are the volumes by mount path, `secrets` the Secrets by name, `environ` is the environment of the image.
    """

    folder: Path
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    jobs: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def folders(self) -> dict[str, str]:
        return {HOME: str(self.folder / "home"), "/etc/gainsight-pipelines": str(self.folder / "settings")}

    def launch(self, name: str, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Launches runs of a pull with K8sRunLauncher; returns the id and the Job of each run."""
        values = yaml.safe_load(VALUES.read_text("utf-8"))
        (deployment,) = values["dagster-user-deployments"]["deployments"]
        context = {
            "k8s": {  # as the chart's template writes it for the code server
                "image_pull_policy": deployment["image"]["pullPolicy"],
                "env_secrets": [each["name"] for each in deployment["envSecrets"]],
                "volumes": deployment["volumes"],
                "volume_mounts": deployment["volumeMounts"],
                "env": deployment["env"],
                "resources": deployment["resources"],
                "security_context": deployment["securityContext"],
            }
        }
        image = f"{deployment['image']['repository']}:{deployment['image']['tag']}"
        launching = (
            self.environ
            | self.secrets["gainsight-pipelines"]
            | {
                "DAGSTER_HOME": self.folders[HOME],
                "GAINSIGHT_PIPELINES_SETTINGS": f"{self.folders['/etc/gainsight-pipelines']}/gainsight.yaml",
            }
        )
        done = subprocess.run(
            [python(), "-c", LAUNCH, name, image, json.dumps(context), str(count)],
            env=launching, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(zip(done.stdout.split(), self.jobs[-count:], strict=True))

    def start(self, job: Mapping[str, Any]) -> subprocess.Popen[str]:
        """Starts the process that stands for the container of a Job's pod."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        mounts = {each["mountPath"] for each in container["volumeMounts"]}
        assert all(any(mount.startswith(place) for place in self.folders) for mount in mounts), mounts
        env = dict(self.environ)
        for source in container.get("envFrom", ()):
            env |= self.secrets[source["secretRef"]["name"]]
        for each in container["env"]:
            if "valueFrom" in each:
                key = each["valueFrom"]["secretKeyRef"]
                env[each["name"]] = self.secrets[key["name"]][key["key"]]
            else:
                env[each["name"]] = self._here(each["value"])
        command = [self._here(part) for part in (*container.get("command", ()), *container["args"])]
        return subprocess.Popen(
            command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _here(self, text: str) -> str:
        for mounted, folder in self.folders.items():
            text = text.replace(mounted, folder)
        return text


@contextmanager
def cluster(folder: Path, settings: str, secrets: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster with the ConfigMaps and Secrets that docs/deployment.md asks for.

    Args:
        folder: where the volumes are.
        settings: the text of the settings file.
        secrets: the content of the Secret `gainsight-pipelines`, and DAGSTER_POSTGRES_URL. The chart has no such
            variable: it writes the address of Dagster's storage into the instance's ConfigMap.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    found = Cluster(
        folder,
        {"gainsight-pipelines": secrets, "dagster-postgresql": {"postgresql-password": "unused"}},
        {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    for each in found.folders.values():
        Path(each).mkdir()
    (folder / "settings/gainsight.yaml").write_text(settings)
    with _api(found.jobs) as port:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(port)))
        (folder / "home/dagster.yaml").write_text(yaml.safe_dump(_instance(kubeconfig)))
        yield found


def _instance(kubeconfig: Path) -> dict[str, Any]:
    """The part of the instance's configuration that is about runs, as the chart makes it from the values."""
    values = yaml.safe_load(VALUES.read_text("utf-8"))
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    assert values["computeLogManager"] == {"type": "NoOpComputeLogManager"}
    return {
        "storage": {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}},
        "telemetry": {"enabled": False},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager",
        },
        "run_launcher": {
            "module": "dagster_k8s", "class": "K8sRunLauncher",
            "config": {
                "load_incluster_config": False, "kubeconfig_file": str(kubeconfig), "job_namespace": "default",
                "service_account_name": "dagster", "dagster_home": HOME, "instance_config_map": "dagster-instance",
                "postgres_password_secret": values["global"]["postgresqlSecretName"],
                "run_k8s_config": {
                    "container_config": run["containerConfig"], "pod_spec_config": run["podSpecConfig"],
                },
            },
        },
    }  # fmt: skip


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "none"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }  # fmt: skip


@contextmanager
def _api(jobs: list[dict[str, Any]]) -> Iterator[int]:
    """Serves the part of the Kubernetes API that creates a Job; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/apis/batch/v1/namespaces/default/jobs", self.path
            body = self.rfile.read(int(self.headers["Content-Length"]))
            jobs.append(json.loads(body))
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
