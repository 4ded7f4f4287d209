"""`run`, `unmatched`, `migrate` and `reset`, and how the results of pulls are printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.pull_process import PullProcess
from gainsight_pipelines.cli.runs import chosen, run_pulls
from gainsight_pipelines.cli.workspace import Workspace, open_workspace, say_mistakes
from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.delivery.csv_file import CsvFile, as_text
from gainsight_pipelines.delivery.files import whole_file
from gainsight_pipelines.errors import PermanentError, SettingsError, TransientError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.registry import DEFINITIONS, TABLES
from gainsight_pipelines.settings import Secrets, settings_path
from gainsight_pipelines.settings.database import MIGRATE_VARIABLE
from gainsight_pipelines.settings.pulls import find_pull
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, open_connection, translated_errors
from gainsight_pipelines.store.samples import UNMATCHED_COLUMNS, unmatched_counts, unmatched_objects, unmatched_rows
from gainsight_pipelines.store.tenant import empty
from gainsight_pipelines.store.views import drop_gone_columns

if TYPE_CHECKING:
    from rich.text import Text

RUN_COLUMNS = ("object", "status", "read", "matched", "unmatched", "written", "unchanged", "calls", "seconds")
NUMBERS = ("read", "matched", "written", "unchanged", "calls", "seconds")
LESS = ("written", "unchanged", "seconds", "calls")
"""Columns that a narrow terminal leaves out, the last one first."""
UNMATCHED_IDS = ("object", "record_id", "company_gsid", "reason", "first_seen_at")
UNMATCHED_LESS = ("candidates", "first_seen_at", "company_gsid")


def run_command(
    process: PullProcess,
    names: Sequence[str],
    *,
    everything: bool,
    config: Mapping[str, bool],
    path: Path | None,
    as_json: bool,
) -> int:
    """Runs the pulls, waits and prints the results. Returns 1 if a pull failed."""
    with open_workspace(path) as workspace:
        wanted = chosen(workspace, names, everything=everything)
        errors = workspace.settings.errors
        say_mistakes(workspace.settings)
        results = run_pulls(process, workspace, wanted, SystemClock(), config=config)
    status = print_results(results, as_json=as_json, mistakes=errors)
    return 1 if everything and errors else status


def unmatched_command(
    name: str | None, *, reason: str | None, limit: int, file: Path | None, path: Path | None, as_json: bool
) -> int:
    """Prints the stored records without an account, or writes them to a CSV file."""
    with open_workspace(path, is_looking=True) as workspace, workspace.store.connect("unmatched") as connection:
        say_mistakes(workspace.settings)
        found = _gainsight_objects(workspace, connection, name) if name else None
        if file is not None:
            count = _write_csv(file, unmatched_rows(connection, found, reason))
            output.say(f"{count:,} records without an account written to {file}.")
            return 0
        rows = list(unmatched_rows(connection, found, reason, limit))
        totals = unmatched_counts(connection, found, reason)
    shown = sum(totals.values())
    if as_json:
        records = [dict(zip(UNMATCHED_COLUMNS, row, strict=True)) for row in rows]
        output.print_json({"total": shown, "reasons": totals, "records": records})
        return 0
    texts = [tuple(_readable(value) for value in row) for row in rows]
    title = f"{output.reasons(totals)} without an account"
    output.print_table(output.table_of(title, UNMATCHED_COLUMNS, texts, whole=UNMATCHED_IDS, less=UNMATCHED_LESS))
    if shown > len(rows):
        output.say(f"Showing {len(rows):,} of {shown:,}. Use --limit to show more, or --csv FILE to write all.")
    return 0


def _gainsight_objects(workspace: Workspace, connection: psycopg.Connection, name: str) -> list[str]:
    """The Gainsight objects of a pull, or the object itself if it has stored records.

    Raises:
        SettingsError: the name is neither a pull nor such an object.
    """
    if workspace.settings.file_error is None and name in (*workspace.settings.object_names(), *DEFINITIONS):
        return [find_pull(workspace.settings, each).gainsight_object for each in chosen(workspace, [name])]
    stored = unmatched_objects(connection)
    if name not in stored:
        known = dict.fromkeys((*workspace.settings.object_names(), *stored))
        todo = f"{did_you_mean(name, known)} The objects are: {', '.join(known) or 'none'}.".strip()
        raise SettingsError(f"There is no object {name!r}.", todo)
    return [name]


def _write_csv(file: Path, rows: Iterable[tuple[Any, ...]]) -> int:
    """Writes the file completely or not at all. Returns the number of rows."""
    count = 0

    def counted() -> Iterator[tuple[Any, ...]]:
        nonlocal count
        for count, row in enumerate(rows, start=1):  # noqa: B007 - it is what is returned
            yield row

    with whole_file(file) as path, closing(CsvFile(path, UNMATCHED_COLUMNS)) as target:
        target.write(counted())
    return count


def _readable(value: Any) -> str:
    """A value as text; times in UTC, to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else as_text(value)


def print_results(
    results: list[dict[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    mistakes: Mapping[str, SettingsError] = MappingProxyType({}),
) -> int:
    """Prints the results of pulls, as a table or as JSON. Returns the exit status: 1 if one failed."""
    if as_json:
        document: dict[str, Any] = {"gate": gate_of(results), "objects": results}
        if mistakes:
            document["settings_errors"] = {section: str(error) for section, error in mistakes.items()}
        output.print_json(document)
    else:
        rows = [_result_row(result) for result in results]
        output.print_table(
            output.table_of(title, RUN_COLUMNS, rows, right=NUMBERS, whole=("object", "status"), less=LESS)
        )
        for result in results:
            if result["error"]:
                output.say(f"{result['object']}: {result['error']}")
    return 1 if any(result["status"] == "failed" for result in results) else 0


def gate_of(results: list[dict[str, Any]]) -> str:
    """The state of the gate during these pulls: open or closed."""
    return "closed" if any(result.get("gated") for result in results) else "open"


def _result_row(result: dict[str, Any]) -> tuple[str | Text, ...]:
    def number(key: str) -> str:
        value = result.get(key)
        return "" if value is None else f"{value:,}"

    return (
        result["object"],
        output.status_word(result["status"]),
        number("read"),
        number("matched"),
        output.reasons(result.get("unmatched") or {}),
        number("written"),
        number("unchanged"),
        number("calls"),
        number("seconds"),
    )


def migrate_command(*, drops_gone_columns: bool = False, wait: float = 0.0, path: Path | None) -> int:
    """Migrates the database, which opening the workspace does.

    Args:
        drops_gone_columns: whether to remove columns of removed fields from the typed views.
        wait: seconds to wait for a database that does not respond yet.
        path: the settings file.
    """
    _await_database(path, wait, SystemClock())
    with open_workspace(path, environ={**os.environ, MIGRATE_VARIABLE: "always"}) as workspace:
        say_mistakes(workspace.settings)
        output.say("The database is at the program's version.")
        if drops_gone_columns:
            with workspace.store.connect("views") as connection:
                dropped = drop_gone_columns(connection, TABLES)
            for view, columns in dropped.items():
                output.say(f"{view}: dropped {', '.join(columns)}.")
            if not dropped:
                output.say("No view has columns of removed fields.")
    return 0


def _await_database(path: Path | None, seconds: float, clock: Clock) -> None:
    """Waits until the user's own database responds, or the time is over; opening it then reports why."""
    url = Secrets.read(settings_path(path)).get(DATABASE_VARIABLE)
    give_up_at, is_told = clock.monotonic() + seconds, False
    while url is not None and clock.monotonic() < give_up_at:
        try:
            with translated_errors(), open_connection(url, "migrate"):
                return
        except TransientError as error:
            if not is_told:
                output.say(f"{error.message} Waiting for it, {seconds:g} s at most.")
                is_told = True
            clock.sleep(1.0)


def reset_command(*, is_confirmed: bool, path: Path | None) -> int:
    """Empties all of our tables."""
    if not is_confirmed:
        raise PermanentError("Nothing was deleted.", "Use `reset --all` to delete all pulled data.")
    with open_workspace(path, is_looking=True) as workspace, workspace.store.connect("reset") as connection:
        say_mistakes(workspace.settings)
        empty(connection)
    output.say("All tables are empty.")
    return 0
