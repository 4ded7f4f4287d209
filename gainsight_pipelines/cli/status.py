"""`status`: prints the status banner, once or until Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import Workspace, open_workspace
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import UsageError
from gainsight_pipelines.scheduling.banner import NEVER, Banner, Delivered, Row, read_banner
from gainsight_pipelines.scheduling.gate import SENSOR, Pace
from gainsight_pipelines.scheduling.wording import ago, until
from gainsight_pipelines.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

COLUMNS = ("object", "status", "when", "next", "read", "unmatched")
WATCH_SECONDS = 2.0
NO_LOOK = "Gate: the primary CRM has not been checked yet. Each run checks it first."


def status_command(*, path: Path | None, as_json: bool, is_watched: bool) -> int:
    """Prints the banner: the gate, and a row per configured object."""
    if is_watched and as_json:
        raise UsageError("--watch and --json can't be combined.", "Call `status --json` repeatedly instead.")
    with open_workspace(path, is_looking=True) as workspace:
        if workspace.settings.file_error is not None:
            raise workspace.settings.file_error
        found = _read(workspace)
        if any(row.is_dead for row in found.rows):
            _end_dead_runs(workspace)
        if as_json:
            output.print_json(_document(found, workspace.settings))
        elif is_watched:
            _watch(workspace, found)
        else:
            output.print_table(banner_table(found, workspace.settings, SystemClock().now()))
        return 1 if workspace.settings.unread() else 0


def banner_table(found: Banner, settings: Settings, now: datetime) -> RenderableType:
    """The banner: the gate, a row per object, and errors and notes below them."""
    rows = [_cells(row, now) for row in found.rows]
    table = output.table_of("Object sync status", COLUMNS, rows, right=("read",), whole=("object", "status"))
    notes = [f"{row.name}: {note}" for row in found.rows if (note := _note(row))]
    notes += [f"{section}: {error}" for section, error in settings.errors.items()]
    if views := [name for row in found.rows for name in row.views]:
        notes.append(f"Typed views: {', '.join(dict.fromkeys(views))}")
    warehouse = ["", _warehouse_table(found, now)] if found.warehouse is not None else []
    notes += [f"{row.name} in the warehouse: {row.error}" for row in found.delivered if row.error]
    return output.below(gate_line(found, now), "", table, *warehouse, *([""] if notes else []), *notes)


def _warehouse_table(found: Banner, now: datetime) -> RenderableType:
    rows = [(row.name, output.status_word(row.status), ago(row.since, now), _rows(row)) for row in found.delivered]
    title = f"Deliveries to {found.warehouse}"
    return output.table_of(title, ("table", "status", "when", "rows sent"), rows, right=("rows sent",))


def _rows(row: Delivered) -> str:
    return "" if row.rows is None else f"{row.rows:,}"


def _note(row: Row) -> str | None:
    if row.error is None and row.run is not None and row.run.is_truncated:
        return "The last run reached the response limit. The next one continues from there."
    return row.error


def gate_line(found: Banner, now: datetime) -> str | Text:
    """The gate in one line, with a warning if it is no longer checked."""
    gate = found.gate
    if gate is None:
        return NO_LOOK
    state = output.styled("open", "green") if gate.is_open else output.styled("closed", "red")
    line = output.joined("Gate: ", state, f" since {ago(gate.since, now)}. {gate.message}")
    if Pace.of().is_stale(gate, SystemClock()):
        looked = ago(gate.checked_at, now)
        stale = f" Last checked {looked}: no Dagster daemon is running, or {SENSOR} is stopped."
        line = output.joined(line, output.styled(stale, "yellow"))
    return line


def _read(workspace: Workspace) -> Banner:
    with workspace.store.connect("status") as connection:
        return read_banner(connection, workspace.settings, SystemClock().now())


def _watch(workspace: Workspace, found: Banner) -> None:
    clock = SystemClock()
    with output.live(banner_table(found, workspace.settings, clock.now()), auto_refresh=False) as live:
        while True:
            clock.sleep(WATCH_SECONDS)
            live.update(banner_table(_read(workspace), workspace.settings, clock.now()), refresh=True)


def _end_dead_runs(workspace: Workspace) -> None:
    """Reports dead runs to Dagster. In a child process, as Dagster reads its configuration from the environment."""
    command = [sys.executable, "-m", "gainsight_pipelines.orchestration.dead_runs"]
    subprocess.run(command, env=dict(workspace.environ), check=False)


def _cells(row: Row, now: datetime) -> Sequence[str | Text]:
    due = "stopped" if row.next_due is None else until(row.next_due, now)
    read = f"{row.run.records_read:,}" if row.run else ""
    unmatched = output.reasons(row.run.rows_unmatched) if row.run else ""
    return row.name, output.status_word(row.status), _when(row, now), due, read, unmatched


def _when(row: Row, now: datetime) -> str:
    """State of an object's last run and its age: `Completed 5 min ago`; empty if it never ran."""
    if row.since is None:
        return ""
    word = {"running": "Started", "completed": "Completed"}.get(row.status, "Failed")
    return f"{word} {ago(row.since, now)}"


def _document(found: Banner, settings: Settings) -> dict[str, Any]:
    gate = found.gate
    errors = {section: str(error) for section, error in settings.errors.items()}
    return (
        ({"settings_errors": errors} if errors else {})
        | {
            "gate": None
            if gate is None
            else {
                "is_open": gate.is_open,
                "reason": gate.reason,
                "message": gate.message,
                "since": gate.since,
                "checked_at": gate.checked_at,
            },
            "objects": [_row_document(row) for row in found.rows],
        }
        | ({"deliveries": [asdict(row) for row in found.delivered]} if found.warehouse is not None else {})
    )


def _row_document(row: Row) -> dict[str, Any]:
    if row.status == NEVER or row.run is None:
        return {"object": row.name, "status": NEVER, "next_due": row.next_due, "error": None}
    return output.run_document(row.name, row.run.run_id, row.run) | {
        "status": row.status,
        "started_at": row.run.started_at,
        "finished_at": row.run.finished_at,
        "next_due": row.next_due,
        "error": row.error,
        "views": row.views,
    }
