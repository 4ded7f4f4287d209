"""`settings-page`: serves the settings page, and gives it the store and Dagster's webserver."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import Workspace, data_folder, export_library_variables, open_workspace
from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.extras import require
from gainsight_pipelines.orchestration.webserver import Webserver
from gainsight_pipelines.scheduling.banner import NEVER, Row, read_banner
from gainsight_pipelines.scheduling.gate import Pace
from gainsight_pipelines.scheduling.wording import ago, until
from gainsight_pipelines.settings import Secrets, Settings, load_settings, settings_path
from gainsight_pipelines.settings.pulls import find_pull
from gainsight_pipelines.store.gate import Gate
from gainsight_pipelines.values import is_loopback

TRIED_AGAIN_AFTER = 5.0
"""Seconds between two attempts to open a database that could not be opened."""


def settings_page_command(
    *, host: str, port: int, public_url: str | None, dagster: str | None, answer_seconds: float, path: Path | None
) -> int:
    """Serves the page until Ctrl-C."""
    require("page", "The settings page")
    from gainsight_pipelines.page.lookups import Lookups
    from gainsight_pipelines.page.server import serve
    from gainsight_pipelines.page.view import Outside

    file, clock = settings_path(path), SystemClock()
    if not is_loopback(host) and public_url is None:
        output.say(f"Anyone who can reach {host} and knows the URL below can change the settings, without encryption.")
    export_library_variables(Secrets.read(file), os.environ)
    with ProcessGroup(), ExitStack() as stack:  # SIGTERM cleans up like Ctrl-C
        opening = _Opening(path, stack, clock)
        try:
            opening.workspace()
        except PipelineError as error:
            output.say(str(error))

        def lookups() -> Lookups:
            return Lookups(data_folder(path), clock, answer_seconds=answer_seconds)

        runs = _runs(opening, Webserver(dagster) if dagster else None, file, clock)
        serve(Outside(file, clock, lookups, runs), host, port, output.say, public_url=public_url)
    return 0


class _Opening:
    """Opens the workspace once it can be opened: the database may be started or migrated while the page is open.

    Args:
        path: of the settings file; None: from the environment.
        stack: closes the workspace at the end.
        clock: for the pause between two attempts.
    """

    def __init__(self, path: Path | None, stack: ExitStack, clock: Clock) -> None:
        self._path = path
        self._stack = stack
        self._clock = clock
        self._lock = Lock()
        self._opened: Workspace | None = None
        self._error: PipelineError | None = None
        self._tried_at = 0.0

    def workspace(self) -> Workspace:
        """The workspace. Tabs call it from threads.

        Raises:
            PipelineError: it can't be opened, or couldn't be a moment ago.
        """
        with self._lock:
            if self._opened is not None:
                return self._opened
            if self._error is not None and self._clock.monotonic() - self._tried_at < TRIED_AGAIN_AFTER:
                raise self._error
            try:
                self._opened = self._stack.enter_context(open_workspace(self._path, is_looking=True))
            except PipelineError as error:
                self._error, self._tried_at = error, self._clock.monotonic()
                raise
            return self._opened


def _runs(opening: _Opening, webserver: Webserver | None, file: Path, clock: Clock) -> Any:
    from gainsight_pipelines.page.status import Runs, Status

    def status() -> Status:
        workspace = opening.workspace()
        if not file.exists():
            return Status(None, ())  # the page is about to create it
        settings, now = load_settings(file), clock.now()
        with workspace.store.connect("settings page") as connection:
            banner = read_banner(connection, settings, now)
        rows = [_row(row, settings, webserver, now) for row in banner.rows]
        ends = [row.since for row in banner.rows if row.status == "completed" and row.since is not None]
        due = [row.next_due for row in banner.rows if row.next_due is not None]
        return Status(
            _gate(banner.gate, clock), rows, ago(max(ends), now) if ends else "", until(min(due), now) if due else ""
        )

    if webserver is None:
        why_not = "To run pulls from this page, start `gainsight-pipelines dev` and give its URL with --dagster."
        return Runs(status, why_not=why_not)

    def start(name: str) -> str:
        return webserver.run_page(webserver.start(name, load_settings(file)))

    def reload() -> None:
        webserver.reload(load_settings(file))

    return Runs(status, start, reload, webserver.url)


def _gate(gate: Gate | None, clock: Clock) -> Any:
    from gainsight_pipelines.page.status import GateState

    if gate is None:
        return None
    checked = ago(gate.checked_at, clock.now())
    return GateState(gate.is_open, gate.message, checked, Pace.of().is_stale(gate, clock))


def _row(row: Row, settings: Settings, webserver: Webserver | None, now: datetime) -> Any:
    from gainsight_pipelines.page.status import StatusRow

    due = "" if row.next_due is None else until(row.next_due, now)
    title = _title(settings, row.name)
    since = row.since
    if row.run is None or since is None:
        return StatusRow(
            row.name, NEVER, "", "Not synced yet: click Run, or wait for its schedule.", None, title, "", due
        )
    run_page = webserver.run_page(row.run.run_id) if webserver else None
    unmatched = sum(row.run.rows_unmatched.values())
    counts = f"{row.run.records_read:,} read, {unmatched:,} without an account"
    return StatusRow(row.name, row.status, ago(since, now), row.error or "", run_page, title, counts, due)


def _title(settings: Settings, name: str) -> str:
    """The title of a pull; its name if its section is invalid."""
    try:
        return find_pull(settings, name).title
    except PipelineError:
        return name
