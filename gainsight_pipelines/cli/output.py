"""What people and programs read: tables, pills, times and JSON. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from gainsight_pipelines.scheduling.banner import Row
    from gainsight_pipelines.store.runs import Run

WIDE = 250
PILLS: Mapping[str, str] = {
    "running": "[blue]Running[/]",
    "completed": "[green]Completed[/]",
    "failed": "[red]Failed[/]",
    "gated": "[red]Failed[/]",
    "skipped": "[yellow]Skipped[/]",
    "waiting": "[dim]Waiting[/]",
    "never": "[dim]Never[/]",
}


def say(text: str) -> None:
    """A line about progress, to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is where printing is done


def say_marked(text: str) -> None:
    """A line to stderr with rich's marks for colours."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(text)


def print_json(document: Any) -> None:
    """One JSON document, to stdout."""
    print(json.dumps(document, indent=2, default=_as_text))  # noqa: T201


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def print_table(table: RenderableType) -> None:
    """A table, or several things, to stdout."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a file or a pipe: nothing is to be cut off
        console = Console(width=WIDE)
    console.print(table)


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """A table; the columns named in `right` are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def run_document(name: str, run_id: str, run: Run | None) -> dict[str, Any]:
    """A run as `--json` gives it."""
    if run is None:
        return {"object": name, "status": "failed", "run_id": run_id, "error": "The run did not start."}
    return {
        "object": name,
        "status": "failed" if run.status in ("gated", "running") else run.status,
        "gated": run.status == "gated",
        "read": run.records_read,
        "matched": run.rows_matched,
        "unmatched": run.rows_unmatched,
        "written": run.rows_written,
        "unchanged": run.rows_unchanged,
        "relinked": run.rows_relinked,
        "rejected": run.records_rejected,
        "truncated": run.is_truncated,
        "calls": gainsight_calls(run),
        "crm_calls": run.calls.get("crm", 0),
        "seconds": seconds(run),
        "run_id": run_id,
        "error": run.error,
    }


def gainsight_calls(run: Run) -> int:
    """Calls to Gainsight that a run made."""
    return sum(count for kind, count in run.calls.items() if kind != "crm")


def seconds(run: Run) -> float | None:
    """How long a run took; None while it runs."""
    return None if run.finished_at is None else round((run.finished_at - run.started_at).total_seconds(), 1)


def reasons(counts: Mapping[str, int]) -> str:
    """Counts by reason, in words."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items())) or "0"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago something was, as people say it."""
    minutes = _minutes(now - moment)
    return "less than a minute ago" if minutes < 1 else f"{_span(minutes)} ago"


def when(row: Row, now: datetime) -> str:
    """What became of the last run of an object, and how long ago; nothing where it never ran."""
    if row.since is None:
        return ""
    word = {"running": "Started", "completed": "Completed"}.get(row.status, "Failed")
    return f"{word} {ago(row.since, now)}"


def until(moment: datetime, now: datetime) -> str:
    """In how long something will be."""
    minutes = _minutes(moment - now)
    return "in less than a minute" if minutes < 1 else f"in {_span(minutes)}"


def _minutes(span: timedelta) -> int:
    return max(0, int(span.total_seconds() // 60))


def _span(minutes: int) -> str:
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"
