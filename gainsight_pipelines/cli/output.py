"""Output to the terminal: tables, status words, times and JSON. Results go to stdout, everything else to stderr.

The only module that prints. Plain strings are printed literally: no markup is parsed, and control characters are
escaped. Colour comes from `styled` alone.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from gainsight_pipelines import logs

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from gainsight_pipelines.store.runs import Run

WIDE = 10_000
"""Width of a pipe or file: nothing is wrapped there."""
WORD = 16
"""Least width of a cell when its table has to shrink."""
STATUSES: Mapping[str, tuple[str, str]] = {
    "running": ("Running", "blue"),
    "completed": ("Completed", "green"),
    "failed": ("Failed", "red"),
    "gated": ("Failed", "red"),
    "skipped": ("Skipped", "yellow"),
    "waiting": ("Waiting", "dim"),
    "never": ("Never", "dim"),
}
"""The word and the colour of each status."""

# Control characters except line breaks and tabs; marks that reverse the direction of text; lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ASCII: Mapping[str, str] = {
    "→": "->", "…": "...", "✓": "+", "✗": "x", "─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
}  # fmt: skip
"""ASCII replacements for our own symbols."""
READABLE = "gainsight_pipelines.readable"


def prepare_streams() -> None:
    """Makes stdout and stderr escape characters that their encoding lacks, instead of failing."""
    codecs.register_error(READABLE, _encodable)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors=READABLE)  # type: ignore[union-attr]


def _encodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(one) or one.encode("ascii", "backslashreplace").decode() for one in text), error.end


def clean(text: str) -> str:
    """The text with control characters escaped."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _plain(text: str | Text) -> Text:
    from rich.text import Text

    return text if isinstance(text, Text) else Text(clean(text))


def styled(text: str, style: str) -> Text:
    """A text in a colour."""
    from rich.text import Text

    return Text(clean(text), style=style)


def joined(*parts: str | Text) -> Text:
    """Concatenated texts, each in its own colour."""
    from rich.text import Text

    return Text.assemble(*map(_plain, parts))


def status_word(status: str) -> Text:
    """The word for a status, in its colour."""
    return styled(*STATUSES[status])


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=None if is_terminal else WIDE)


def _write(part: RenderableType, *, stderr: bool = False, wrap: bool = True) -> None:
    """Renders to a string, then writes it: without trailing spaces in a pipe, and a broken pipe raises an error."""
    console = _console(stderr=stderr)
    with console.capture() as captured:
        console.print(part, soft_wrap=not wrap)
    text = captured.get()
    if not console.is_terminal:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    stream = sys.stderr if stderr else sys.stdout
    stream.write(text)
    stream.flush()


def say(text: str | Text, level: str = "INFO") -> None:
    """Prints a message to stderr, as a line of JSON if logs are JSON."""
    if logs.is_json():
        if message := str(text).strip():
            sys.stderr.write(f"{logs.json_line(level, message, datetime.now(UTC))}\n")
            sys.stderr.flush()
    elif isinstance(text, str):  # avoids importing rich
        sys.stderr.write(f"{clean(text)}\n")
        sys.stderr.flush()
    else:
        _write(text, stderr=True, wrap=False)


def print_line(text: str | Text) -> None:
    """Prints a line of a result to stdout; terminals wrap it."""
    _write(_plain(text), wrap=False)


def print_json(document: Any) -> None:
    """Prints one JSON document to stdout; escapes non-ASCII characters if stdout is not UTF-8."""
    is_ascii = not str(sys.stdout.encoding).casefold().startswith("utf")
    sys.stdout.write(json.dumps(document, indent=2, default=_as_text, ensure_ascii=is_ascii) + "\n")


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def print_table(*parts: RenderableType) -> None:
    """Prints tables and texts to stdout, below each other."""
    _write(below(*parts))


def below(*parts: RenderableType) -> RenderableType:
    """Stacks renderables vertically."""
    from rich.console import Group

    return Group(*(_plain(part) if isinstance(part, str) else part for part in parts))


@contextmanager
def live(part: RenderableType = "", *, stderr: bool = False, **options: Any) -> Iterator[Live]:
    """A display in the terminal that can be updated. `options` are those of rich's `Live`."""
    from rich.live import Live

    with Live(part, console=_console(stderr=stderr), **options) as drawing:
        yield drawing


@dataclass(frozen=True, slots=True)
class Listing:
    """A table that fits any width.

    If it is too wide for the terminal, it wraps cells between words, then leaves out the columns in `less`, the last
    one first. If that is not enough, it prints each row as a block with one line per column.

    Attributes:
        title: line above the table.
        columns: column names.
        rows: one cell per column.
        right: right-aligned columns (numbers).
        whole: columns that are never wrapped: names and ids, which users copy.
        less: columns that a narrow terminal leaves out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    right: Sequence[str] = ()
    whole: Sequence[str] = ()
    less: Sequence[str] = ()

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self.title:
            yield _plain(self.title)
        dropped: list[str] = []
        for name in (None, *reversed(self.less)):
            dropped += [name] if name else []
            shown = [number for number, column in enumerate(self.columns) if column not in dropped]
            if self._least(shown) <= options.max_width:
                yield self._table(shown)
                if dropped:
                    what = ", ".join(name for name in self.columns if name in dropped)
                    yield styled(f"Widen the terminal to see {what}.", "dim")
                return
        yield from self._blocks()

    def is_unbroken(self, width: int) -> bool:
        """Whether the table fits that width without breaking a word."""
        columns = zip(*([self.columns, *self.rows]), strict=True)
        return sum(max(_longest_word(_plain(cell).plain) for cell in cells) + 2 for cells in columns) - 2 <= width

    def _least(self, shown: Sequence[int]) -> int:
        """The least width of a table with these columns."""
        return sum(self._least_of(number) for number in shown) + 2 * (len(shown) - 1)

    def _least_of(self, number: int) -> int:
        name = self.columns[number]
        texts = [name, *(_plain(row[number]).plain for row in self.rows)]
        if name in self.right or name in self.whole:
            return max(map(_width, texts))
        return min(WORD, max(map(_longest_word, texts)))

    def _table(self, shown: Sequence[int]) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for number in shown:
            name = self.columns[number]
            is_right, is_whole = name in self.right, name in self.whole
            table.add_column(
                _plain(name), justify="right" if is_right else "left", overflow="fold", no_wrap=is_right or is_whole
            )
        for row in self.rows:
            table.add_row(*(_plain(row[number]) for number in shown))
        return table

    def _blocks(self) -> Iterator[RenderableType]:
        from rich.table import Table

        for row in self.rows:
            block = Table.grid(padding=(0, 2, 0, 0))
            block.add_column(no_wrap=True)
            block.add_column(overflow="fold")
            for name, cell in zip(self.columns, row, strict=True):
                if text := _plain(cell):
                    block.add_row(styled(name, "dim"), text)
            yield block
            yield _plain("")


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One wide table, or several narrow ones below each other if the wide one does not fit."""

    beside: Listing
    below: Sequence[Listing]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self.beside.is_unbroken(options.max_width):
            yield self.beside
            return
        for number, each in enumerate(self.below):
            if number:
                yield _plain("")
            yield each


def _longest_word(text: str) -> int:
    return max(map(_width, text.split()), default=0)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)


def table_of(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    less: Sequence[str] = (),
) -> Listing:
    """Makes a ``Listing``."""
    return Listing(title, columns, list(rows), right, whole, less)


def run_document(name: str, run_id: str, run: Run | None) -> dict[str, Any]:
    """A run as in `--json` output."""
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
        "unreadable": run.values_unreadable,
        "truncated": run.is_truncated,
        "calls": gainsight_calls(run),
        "crm_calls": run.calls.get("crm", 0),
        "seconds": seconds(run),
        "run_id": run_id,
        "error": run.error,
    }


def gainsight_calls(run: Run) -> int:
    """Number of Gainsight calls that a run made."""
    return sum(count for kind, count in run.calls.items() if kind != "crm")


def seconds(run: Run) -> float | None:
    """Duration of a run in seconds; None while it runs."""
    return None if run.finished_at is None else round((run.finished_at - run.started_at).total_seconds(), 1)


def reasons(counts: Mapping[str, int]) -> str:
    """Counts by reason, as text."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items())) or "0"
