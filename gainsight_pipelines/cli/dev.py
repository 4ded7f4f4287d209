"""`dev`: runs the Dagster UI, its daemon and what they need, until Ctrl-C."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.sandbox import sandbox_folder, start_sandbox
from gainsight_pipelines.cli.status import gate_line
from gainsight_pipelines.cli.workspace import Workspace, open_workspace, say_mistakes
from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.extras import require
from gainsight_pipelines.orchestration.instance import LOCATION, create_storage
from gainsight_pipelines.scheduling import gate
from gainsight_pipelines.scheduling.banner import read_banner
from gainsight_pipelines.scheduling.wording import until
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.sync.clients import connect_crm

HOST = "127.0.0.1"
CHECK_SECONDS = 1.0
BANNER_PAGE = f"/locations/{LOCATION}/asset-groups/gainsight/list"
QUIET = "ignore:Function `dev_command` is superseded"
"""Hides Dagster's advice to use `dg dev`, which does not concern users of this command."""


def dev_command(*, is_sandbox: bool, crm: str, port: int, page_port: int | None, path: Path | None) -> int:
    """Runs the UI, the daemon and, if `page_port` is given, the settings page.

    Ends on Ctrl-C, or with an error as soon as one of the processes ends.
    """
    _check_port(port, "--port")
    if page_port is not None:
        require("page", "The settings page")
        _check_port(page_port, "--settings-page")
    clock = SystemClock()
    with (
        ProcessGroup() as group,
        _workspace(group, path, crm if is_sandbox else None) as workspace,
        ExitStack() as stack,
    ):
        create_storage(workspace.environ)
        stack.callback(group.stop)  # stop the processes before their database
        command = [sys.executable, "-m", "dagster", "dev", "-m", LOCATION, "-h", HOST, "-p", str(port)]
        env = {**workspace.environ, "PYTHONWARNINGS": QUIET}
        output.say("Starting Dagster …   (Ctrl-C stops everything)")
        dagster = group.start([*command, "--log-level", "error"], env=env, cwd=workspace.folder)
        names = {dagster.pid: "The Dagster UI"}
        if _wait_until_open(port, dagster, clock):
            output.say(f"Dagster UI: http://{HOST}:{port}{BANNER_PAGE}")
            if page_port is not None:  # after the UI, which its Run button needs; the page prints its own address
                page = group.start(_page(page_port, port), env=workspace.environ, cwd=workspace.folder)
                names[page.pid] = "The settings page"
        _announce(workspace, clock)
        while (ended := group.wait_any(timeout=CHECK_SECONDS)) is None:
            if not workspace.is_database_running():
                raise PermanentError("The database has stopped.", "See its log in the data folder, then start again.")
        what = names.get(ended.pid, "The sandbox")
        raise PermanentError(f"{what} has stopped (exit status {ended.returncode}).", "See its messages above.")


def _page(port: int, dagster_port: int) -> list[str]:
    """The command of the settings page, which finds the settings file through the environment."""
    command = [sys.executable, "-m", "gainsight_pipelines.cli", "settings-page", "--port", str(port)]
    return [*command, "--dagster", f"http://{HOST}:{dagster_port}"]


def _announce(workspace: Workspace, clock: Clock) -> None:
    """Prints the gate, errors in the settings and the next runs."""
    settings = workspace.settings
    if settings.file_error is not None:
        output.say(str(settings.file_error))
        return
    say_mistakes(settings)
    secrets = Secrets.read(settings.path, workspace.environ)
    gate.check(workspace.store, lambda: connect_crm(settings, secrets, clock), clock)
    with workspace.store.connect("dev") as connection:
        banner = read_banner(connection, settings, clock.now())
    output.say(gate_line(banner, clock.now()))
    planned = sorted((row.next_due, row.name) for row in banner.rows if row.next_due is not None)
    if planned:
        output.say("Next: " + ", ".join(f"{name} {until(due, clock.now())}" for due, name in planned))


@contextmanager
def _workspace(group: ProcessGroup, path: Path | None, sandbox_crm: str | None) -> Iterator[Workspace]:
    with ExitStack() as stack:
        if sandbox_crm is None:
            yield stack.enter_context(open_workspace(path, is_lasting=True))
        else:
            folder = sandbox_folder(sandbox_crm)
            running, _ = start_sandbox(group, folder, sandbox_crm)
            yield stack.enter_context(open_workspace(running.settings_path, folder=folder, environ=running.environ))


def _check_port(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PermanentError(
                f"Port {port} can't be used: {error.strerror}.", f"Choose another port with {option}."
            ) from None


def _wait_until_open(port: int, process: Popen[bytes], clock: Clock) -> bool:
    """Waits until the port accepts connections. False if the process ends first."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        clock.sleep(0.2)
    return False
