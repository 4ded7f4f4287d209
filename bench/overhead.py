"""`python -m bench.overhead`: measures what this project adds to Dagster, compared with an empty project.

Three tables: the cost of commands that find nothing new, compared with `import dagster`; the time to load the
definitions in a new interpreter; the time of a pull with nothing new from the click (the call of the UI's button) to
Completed. The measurements alternate, so that other load affects all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.orchestration.instance import LOCATION, create_storage
from gainsight_pipelines_tests.page.browsing import free_port
from gainsight_pipelines_tests.sandbox_process import start_sandbox

STARTS, LOADS, CLICKS = 5, 5, 5
EMPTY = "bench.empty"
WORKSPACE = f"load_from:\n  - python_module: {LOCATION}\n  - python_module: {EMPTY}\n"

LAUNCH = """mutation ($location: String!, $job: String!) {
  launchRun(executionParams: {
    mode: "default", runConfigData: {},
    selector: {repositoryLocationName: $location, repositoryName: "__repository__", jobName: $job}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def main() -> None:
    """Measures and prints all three."""
    root = Path(__file__).parents[1]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        start_sandbox(Path(folder) / "sandbox", activities=300, accounts=60) as sandbox,
    ):
        settings = sandbox.settings_file()
        environ = os.environ | sandbox.env | {"PYTHONPATH": str(root)}
        with (
            ProcessGroup() as group,
            open_workspace(settings, folder=Path(folder) / "data", environ=environ) as workspace,
        ):
            env = dict(workspace.environ)
            create_storage(env)
            _commands(env)
            ours, empty = _loads(env)
            _show(f"definitions load, s (median of {LOADS})", ours, empty, 1.3)
            port = free_port()
            file = Path(folder) / "workspace.yaml"
            file.write_text(WORKSPACE)
            command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "-w", str(file), "-p", str(port)]
            group.start(
                [*command, "--log-level", "error"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            url = f"http://127.0.0.1:{port}/graphql"
            _wait_for(url)
            _click(url, LOCATION, "gainsight_pull_activity")  # the first run pulls everything
            ours, empty = [], []
            for _ in range(CLICKS):
                ours.append(_click(url, LOCATION, "gainsight_pull_activity"))
                empty.append(_click(url, EMPTY, "pull_empty"))
            _show(f"click to Completed, nothing new, s (median of {CLICKS})", ours, empty, 1.4)


def _commands(env: dict[str, str]) -> None:
    """Seconds and CPU seconds of commands, including the processes that they start."""
    program = [sys.executable, "-W", "ignore", "-c", "from gainsight_pipelines.cli.app import main; main()"]
    commands = {
        "import dagster": [sys.executable, "-c", "import dagster"],
        "--help": [*program, "--help"],
        'completion of `run ""`': [*program, "__complete", "run", ""],
        "status": [*program, "status"],
        "run activity": [*program, "run", "activity"],
        "run --all (four pulls)": [*program, "run", "--all"],
    }
    costs: dict[str, list[tuple[float, float]]] = {}
    for number in range(STARTS + 1):
        for what, command in commands.items():
            started = time.perf_counter()
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"{what}: exit status {process.returncode}")
            if number:  # the first run pulls everything
                costs.setdefault(what, []).append((time.perf_counter() - started, used.ru_utime + used.ru_stime))
    _say(f"| nothing new, medians of {STARTS} | seconds | CPU seconds |\n|---|---:|---:|")
    for what, found in costs.items():
        wall, cpu = (statistics.median(each) for each in zip(*found, strict=True))
        _say(f"| {what} | {wall:.2f} | {cpu:.2f} |")


def _loads(env: dict[str, str]) -> tuple[list[float], list[float]]:
    found: dict[str, list[float]] = {LOCATION: [], EMPTY: []}
    for _ in range(LOADS + 1):
        for module, times in found.items():
            command = [sys.executable, "-c", f"from {module} import defs; defs.get_repository_def()"]
            started = time.perf_counter()
            subprocess.run(command, env=env, check=True)
            times.append(time.perf_counter() - started)
    return found[LOCATION][1:], found[EMPTY][1:]


def _click(url: str, location: str, job: str) -> float:
    """Seconds from the click to the end of the run."""
    started = time.perf_counter()
    answer = _ask(url, LAUNCH, location=location, job=job)["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(answer)
    while (status := _ask(url, STATUS, id=answer["run"]["runId"])["runOrError"]["status"]) != "SUCCESS":
        if status in ("FAILURE", "CANCELED"):
            raise RuntimeError(f"{job}: {status}")
        time.sleep(0.02)
    return time.perf_counter() - started


def _ask(url: str, query: str, **variables: str) -> dict[str, dict[str, dict[str, str]]]:
    return requests.post(url, json={"query": query, "variables": variables}, timeout=30).json()["data"]


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.post(url, json={"query": "{ version }"}, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise RuntimeError("Dagster did not start")


def _show(what: str, ours: list[float], empty: list[float], goal: float) -> None:
    ratio = statistics.median(ours) / statistics.median(empty)
    _say(
        f"{what}: {statistics.median(ours):.2f} ({min(ours):.2f}-{max(ours):.2f}), empty project"
        f" {statistics.median(empty):.2f} ({min(empty):.2f}-{max(empty):.2f}), ratio {ratio:.2f}, goal {goal}"
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for a terminal


if __name__ == "__main__":
    main()
