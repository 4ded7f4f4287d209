"""`export`: a table or view into a file."""

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
"""Between two lines about progress, where there is no terminal to draw on."""


def export_command(wanted: Export, *, file: Path, path: Path | None, as_json: bool) -> int:
    """Writes the file and says what is in it."""
    if needed := NEEDED.get(ending_of(file)):
        require("export", *needed)
    with (
        ProcessGroup(),  # TERM raises as well, as Ctrl-C does: no half a file stays
        open_workspace(path, is_looking=True) as workspace,
        workspace.store.connect(f"export {wanted.table}") as connection,
        _progress(wanted.table) as progress,
    ):
        done = export(connection, wanted, file, progress)
    if as_json:
        output.print_json({"table": wanted.table, "file": str(file), "rows": done.rows, "bytes": done.bytes})
    output.say(f"{done.rows:,} {'row' if done.rows == 1 else 'rows'} of {wanted.table} are in {file}.")
    if done.cut:
        output.say(
            f"{done.cut:,} texts are longer than a cell of Excel takes and were cut; .parquet and .csv cut none."
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
    """What the options say: names with commas between, `COLUMN=VALUE`, an ISO time (without a zone: UTC).

    Raises:
        UsageError: one can't be read.
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
        raise UsageError(f"--where {given} isn't COLUMN=VALUE.", "Write it like --where source=survey.")
    return column.strip(), value or None


def _moment(given: str) -> datetime:
    try:
        found = datetime.fromisoformat(given.strip())
    except ValueError:
        raise UsageError(f"--since {given} is no time.", "Write it like 2026-01-31 or 2026-01-31T10:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@contextmanager
def _progress(table: str) -> Iterator[Callable[[int], None]]:
    """What is told how many rows are written so far: a line that changes, or one now and then."""
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
