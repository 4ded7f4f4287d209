"""`export`: writes a table or view to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.delivery.export import Export, ending_of, export
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import UsageError
from gainsight_pipelines.extras import require

NEEDED = {".parquet": ("A Parquet file", "pyarrow"), ".xlsx": ("An Excel file", "xlsxwriter")}
QUIET_SECONDS = 5.0
"""Interval of progress lines if standard error is not a terminal."""


def export_command(wanted: Export, *, file: Path, path: Path | None, as_json: bool) -> int:
    """Writes the file and prints the number of rows."""
    if needed := NEEDED.get(ending_of(file)):
        require("export", *needed)
    with (
        ProcessGroup(),  # TERM raises an exception too, like Ctrl-C, so that no partial file stays
        open_workspace(path, is_looking=True) as workspace,
        workspace.store.connect(f"export {wanted.table}") as connection,
        _progress(wanted.table) as progress,
    ):
        done = export(connection, wanted, file, progress)
    if as_json:
        output.print_json({"table": wanted.table, "file": str(file), "rows": done.rows, "bytes": done.bytes})
    output.say(f"Wrote {done.rows:,} {'row' if done.rows == 1 else 'rows'} of {wanted.table} to {file}.")
    if done.cut:
        output.say(
            f"{done.cut:,} texts were truncated to the limit of an Excel cell. Use .parquet or .csv to keep them whole."
        )
    return 0


def wanted_of(
    table: str,
    columns: Sequence[str],
    where: Sequence[str],
    since: str | None,
    since_column: str | None,
    *,
    with_deleted: bool,
) -> Export:
    """Parses the options: comma-separated names, `COLUMN=VALUE`, an ISO time (UTC if it has no zone).

    Raises:
        UsageError: an option can't be parsed.
    """
    named = [name.strip() for each in columns for name in each.split(",")]
    return Export(
        table,
        [name for name in named if name],
        [_condition(each) for each in where],
        None if since is None else _moment(since),
        since_column,
        with_deleted,
    )


def _condition(given: str) -> tuple[str, str | None]:
    column, is_there, value = given.partition("=")
    if not is_there or not column.strip():
        raise UsageError(f"--where {given} is not COLUMN=VALUE.", "For example: --where source=survey.")
    return column.strip(), value or None


def _moment(given: str) -> datetime:
    try:
        found = datetime.fromisoformat(given.strip())
    except ValueError:
        raise UsageError(f"--since {given} is not a time.", "Write 2026-01-31 or 2026-01-31T10:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@contextmanager
def _progress(table: str) -> Iterator[Callable[[int], None]]:
    """A callback that shows the number of rows written: as one changing line, or as a line every few seconds."""
    if sys.stderr.isatty():
        with output.live(stderr=True, refresh_per_second=5, transient=True) as live:
            yield lambda rows: live.update(output.styled(f"{table}: {rows:,} rows", "dim"))
        return
    clock = SystemClock()
    shown_at = clock.monotonic()

    def say(rows: int) -> None:
        nonlocal shown_at
        if clock.monotonic() - shown_at > QUIET_SECONDS:
            shown_at = clock.monotonic()
            output.say(f"{table}: {rows:,} rows")

    yield say
