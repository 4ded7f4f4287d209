"""`dev`: the Dagster UI and its daemon, with everything that they need, for as long as somebody looks at it."""

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
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.sync.clients import connect_crm

HOST = "127.0.0.1"
CHECK_SECONDS = 1.0
BANNER_PAGE = f"/locations/{LOCATION}/asset-groups/gainsight/list"
QUIET = "ignore:Function `dev_command` is superseded"
"""Dagster's advice to use another program of its own says nothing to the people who start this one."""


def dev_command(*, is_sandbox: bool, crm: str, port: int, page_port: int | None, path: Path | None) -> int:
    """Runs the UI and the daemon, and the settings page on a port of its own where one is given.

    Until Ctrl-C, or until one of the processes ends by itself.
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
        stack.callback(group.stop)  # before the database ends, which they would go on asking for
        command = [sys.executable, "-m", "dagster", "dev", "-m", LOCATION, "-h", HOST, "-p", str(port)]
        env = {**workspace.environ, "PYTHONWARNINGS": QUIET}
        output.say("Starting Dagster; its address follows once it answers …   (Ctrl-C ends everything)")
        dagster = group.start([*command, "--log-level", "error"], env=env, cwd=workspace.folder)
        names = {dagster.pid: "The Dagster UI"}
        if _wait_until_open(port, dagster, clock):
            output.say(f"Dagster UI: http://{HOST}:{port}{BANNER_PAGE}")
            if page_port is not None:  # not before: its Run needs the UI. It prints its address itself
                page = group.start(_page(page_port, port), env=workspace.environ, cwd=workspace.folder)
                names[page.pid] = "The settings page"
        _announce(workspace, clock)
        while (ended := group.wait_any(timeout=CHECK_SECONDS)) is None:
            if not workspace.is_database_running():
                raise PermanentError(
                    "The database has stopped.", "Look into its log in the data folder, then start again."
                )
        what = names.get(ended.pid, "The sandbox")
        raise PermanentError(f"{what} ended by itself (exit status {ended.returncode}).", "See what it says above.")


def _page(port: int, dagster_port: int) -> list[str]:
    """The command of the settings page; where the settings are stands in the environment."""
    command = [sys.executable, "-m", "gainsight_pipelines.cli", "settings-page", "--port", str(port)]
    return [*command, "--dagster", f"http://{HOST}:{dagster_port}"]


def _announce(workspace: Workspace, clock: Clock) -> None:
    """Says what a person should know before they look at the UI: the gate, what is wrong, what will run next."""
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
        output.say("Next: " + ", ".join(f"{name} {output.until(due, clock.now())}" for due, name in planned))


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
                f"Port {port} can't be used: {error.strerror}.", f"Choose another one with {option}."
            ) from None


def _wait_until_open(port: int, process: Popen[bytes], clock: Clock) -> bool:
    """Whether somebody answers at the port before the process ends."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        clock.sleep(0.2)
    return False
