"""`settings-page`: the settings, the pickers and the banner in a browser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.extras import require
from gainsight_pipelines.cli.workspace import Workspace, data_folder, export_library_variables, open_workspace
from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.webserver import Webserver
from gainsight_pipelines.scheduling.banner import NEVER, Row, read_banner
from gainsight_pipelines.settings import Secrets, load_settings, settings_path
from gainsight_pipelines.settings.values import is_loopback


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
        output.say(f"Anybody who reaches {host} and learns the address below can change the settings: no encryption.")
    export_library_variables(Secrets.read(file), os.environ)
    with ProcessGroup(), ExitStack() as stack:  # TERM ends it like Ctrl-C, with everything cleaned up
        workspace: Workspace | PipelineError
        try:
            workspace = stack.enter_context(open_workspace(path))
        except PipelineError as error:
            workspace = error
            output.say(str(error))

        def lookups() -> Lookups:
            return Lookups(data_folder(path), clock, answer_seconds=answer_seconds)

        runs = _runs(workspace, Webserver(dagster) if dagster else None, file, clock)
        serve(Outside(file, clock, lookups, runs), host, port, output.say, public_url=public_url)
    return 0


def _runs(workspace: Workspace | PipelineError, webserver: Webserver | None, file: Path, clock: Clock) -> Any:
    from gainsight_pipelines.page.status import Runs, StatusRow

    def rows() -> Sequence[StatusRow]:
        if isinstance(workspace, PipelineError):
            raise workspace
        with workspace.store.connect("settings page") as connection:
            banner = read_banner(connection, load_settings(file), clock.now())
        return [_row(row, webserver, clock) for row in banner.rows]

    if webserver is None:
        why_not = "To run pulls from here, start `gainsight-pipelines dev` and give its address with --dagster."
        return Runs(rows, why_not=why_not)

    def start(name: str) -> str:
        return webserver.run_page(webserver.start(name, load_settings(file)))

    def reload() -> None:
        webserver.reload(load_settings(file))

    return Runs(rows, start, reload, webserver.url)


def _row(row: Row, webserver: Webserver | None, clock: Clock) -> Any:
    from gainsight_pipelines.page.status import StatusRow

    if row.run is None:
        return StatusRow(row.name, NEVER, "", "Never synced: click Run, or wait for its schedule.")
    when = output.when(row, clock.now())
    run_page = webserver.run_page(row.run.run_id) if webserver else None
    return StatusRow(row.name, row.status, when, row.error or "", run_page)
