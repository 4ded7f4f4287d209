"""Runs pulls, each in its own process and Dagster run, and shows their progress from `sync_run`."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from types import MappingProxyType
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.pull_process import PullProcess
from gainsight_pipelines.cli.workspace import Workspace
from gainsight_pipelines.clock import Clock
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.orchestration.instance import create_storage
from gainsight_pipelines.orchestration.run_request import exit_of, log_of
from gainsight_pipelines.store import runs
from gainsight_pipelines.store.runs import Run

POLL_SECONDS = 0.2
QUIET_SECONDS = 5.0
"""Interval of progress lines per object if standard error is not a terminal."""


@dataclass(slots=True)
class Started:
    """A pull in its own process.

    `process` runs it, or starts a process per pull; `folder` then holds their output and exit statuses.
    """

    name: str
    run_id: str
    process: Popen[bytes]
    folder: Path
    run: Run | None = None

    def exit_status(self) -> int | None:
        """Its exit status; None while it runs."""
        with contextlib.suppress(FileNotFoundError):
            return int(exit_of(self.folder, self.name).read_text())
        return self.process.poll()

    def result(self) -> dict[str, Any]:
        """The result, as in `--json` output."""
        document = output.run_document(self.name, self.run_id, self.run)
        if self.run is None or self.run.status == "running":
            document["error"] = f"The run ended without a result (exit status {self.exit_status()}). {self._tail()}"
        return document

    def _tail(self) -> str:
        """The last line of the pull's output, or of the process that should have started it."""
        lines: list[str] = []
        for file in (log_of(self.folder), log_of(self.folder, self.name)):
            if file.exists():
                lines += file.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def chosen(workspace: Workspace, names: Sequence[str], *, everything: bool = False) -> list[str]:
    """The pulls that the user named; a section's name selects all of its pulls.

    Raises:
        SettingsError: the settings do not have such an object, or have none at all.
    """
    known = workspace.settings.object_names()
    if workspace.settings.file_error is not None:
        raise workspace.settings.file_error
    if not known:
        raise SettingsError("The settings enable no object.", f"Add a section: {', '.join(DEFINITIONS)}.")
    if everything:
        return list(known)
    found: list[str] = []
    for name in names:
        matches = [each for each in known if name in (each, workspace.settings.section_of(each))]
        if not matches:
            near = did_you_mean(name, (*known, *map(workspace.settings.section_of, known)))
            todo = f"{near} The settings have: {', '.join(known)}.".strip()
            raise SettingsError(f"{name!r} is not a configured object.", todo)
        found += matches
    return list(dict.fromkeys(found))


def run_pulls(
    process: PullProcess,
    workspace: Workspace,
    names: Sequence[str],
    clock: Clock,
    *,
    config: Mapping[str, bool] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Runs the pulls in parallel and waits for them. A failed pull does not stop the others.

    Args:
        process: runs them.
        workspace: the open workspace.
        names: the pulls.
        clock: for the time that is shown.
        config: run config of each pull: `accept_deletions`, `full_refresh`.

    Returns:
        A document per object, in the order of `names`.
    """
    create_storage(workspace.environ)
    ids = {name: str(uuid.uuid4()) for name in names}
    started = [Started(name, run_id, process.process, process.folder) for name, run_id in ids.items()]
    try:
        process.ask_for(ids, workspace.environ, config)
        _watch(workspace, process.group, started, clock)
        return [each.result() for each in started]
    finally:
        process.group.stop()  # on Ctrl-C, each pull rolls back its page and records its end in the open database


def _watch(workspace: Workspace, group: ProcessGroup, started: list[Started], clock: Clock) -> None:
    with workspace.store.connect("progress") as connection:

        def refresh() -> bool:
            is_any_running = False
            for each in started:
                is_running = each.exit_status() is None
                each.run = runs.find_run(connection, each.run_id, each.name) or each.run
                is_any_running |= is_running
            return is_any_running

        if sys.stderr.isatty():
            with output.live(stderr=True, refresh_per_second=5, transient=True) as live:
                while refresh():
                    live.update(_progress_table(started, clock))
                    group.wait_any(POLL_SECONDS)
        else:
            shown: dict[str, tuple[str, float]] = {}
            while refresh():
                _say_changes(started, shown, clock)
                group.wait_any(POLL_SECONDS)
            _say_changes(started, shown, clock)


def _progress_table(started: list[Started], clock: Clock) -> Any:
    rows = []
    for each in started:
        run = each.run
        begun = f"{(clock.now() - run.started_at).total_seconds():.0f} s" if run and run.finished_at is None else ""
        rows.append(
            (
                each.name,
                output.status_word(run.status if run else "waiting"),
                f"{run.records_read:,}" if run else "",
                f"{run.rows_written:,}" if run else "",
                begun,
            )
        )
    return output.table_of("", ("object", "status", "read", "written", "for"), rows, right=("read", "written", "for"))


def _say_changes(started: list[Started], shown: dict[str, tuple[str, float]], clock: Clock) -> None:
    """Prints a line for each object whose status changed, and one every few seconds for each that runs."""
    for each in started:
        status = each.run.status if each.run else "waiting"
        last, at = shown.get(each.name, ("", 0.0))
        if status != last or (status == "running" and clock.monotonic() - at > QUIET_SECONDS):
            shown[each.name] = (status, clock.monotonic())
            read = f", {each.run.records_read:,} read" if each.run else ""
            output.say(f"{each.name}: {status}{read}")
