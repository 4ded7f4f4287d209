"""Writes docs/benchmarks.md and its plot from the measurements. report.md has the text around the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

Result = dict[str, Any]
WORDS = Path(__file__).parent / "report.md"
PRODUCT, COMMAND = "gainsight_pipelines", "`gainsight-pipelines run`, with Dagster and a CRM"
SCRIPT, AHEAD = "plain script", "plain script, one page ahead"
QUOTA = 80
"""Calls per minute, of 5,000 records each: Gainsight allows 100, and `quota_share` is 0.8."""
TEN_MILLION = 10_000_000


def write(document: dict[str, Any], target: Path) -> None:
    """Writes the page, and the plot beside it."""
    results: list[Result] = document["results"]
    parts = {
        "command": document["command"],
        "at": document["at"],
        "machine": document["machine"],
        "load": _span([result["load"] for result in results]),
        "versions": "\n".join(f"- {name}: {version}" for name, version in document["versions"].items()),
        "first": _first_loads(results),
        "ratios": _ratios(results),
        "ten": _extrapolated(results),
        "second": _later_runs(results),
        "memory": _memory(results),
    }
    text = WORDS.read_text()
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    target.parent.mkdir(exist_ok=True)
    target.write_text(text)
    target.with_suffix(".svg").write_text(_plot(results))


def _seconds(result: Result) -> float:
    return float(result["said"].get("seconds", result["wall"]))


def _groups(results: Sequence[Result], which: str) -> dict[tuple[int, str], list[Result]]:
    """Results of one kind of run by number of rows and label, in the order of measurement."""
    found: dict[tuple[int, str], list[Result]] = {}
    for result in results:
        if result["run"] == which and not result["label"].startswith(f"{PRODUCT}: "):
            found.setdefault((result["rows"], result["label"]), []).append(result)
    return dict(sorted(found.items(), key=lambda item: item[0][0]))


def _median(results: Sequence[Result], value: Callable[[Result], float]) -> float:
    return median(map(value, results))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' if not index else '---:' for index in range(len(head)))}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"


def _first_loads(results: Sequence[Result]) -> str:
    groups = _groups(results, "first")
    rows = []
    for (count, label), group in groups.items():
        base = groups.get((count, PRODUCT))
        seconds = _median(group, _seconds)
        ratio = f"{seconds / _median(base, _seconds):.2f}" if base else ""
        cpu = _median(group, lambda each: each["cpu"])
        database = _median(group, lambda each: each["database_cpu"])
        whole = _median(base, lambda each: each["cpu"] + each["database_cpu"]) if base else 0
        rows.append(
            (
                label,
                f"{count:,}",
                _span([_seconds(each) for each in group]) if label != COMMAND else "",
                ratio if label != COMMAND else "",
                _span([each["wall"] for each in group]),
                f"{cpu:.1f}",
                f"{database:.1f}",
                f"{(cpu + database) / whole:.2f}" if whole else "",
                f"{max(each['peak_mb'] for each in group):.0f}",
                f"{group[0]['counts'].get('query', 0)}",
                f"{group[0]['counts'].get('pages', 0)}",
            )
        )
    head = (
        "",
        "rows",
        "seconds",
        "× ours",
        "whole process, s",
        "its CPU s",
        "PostgreSQL's CPU s",
        "CPU × ours",
        "peak MB",
    )
    return _table((*head, "query calls", "pages"), rows)


def _ratios(results: Sequence[Result]) -> str:
    """The medians of this project, divided by those of the plain script that reads a page ahead."""
    first = _groups(results, "first")
    lines = []
    for count in sorted({count for count, _ in first}):
        script, ours = first.get((count, AHEAD)), first.get((count, PRODUCT))
        if script and ours:
            time = _median(ours, _seconds) / _median(script, _seconds)
            cpu = _median(ours, _loop_cpu) / _median(script, _loop_cpu)
            database = _median(ours, lambda one: one["database_cpu"]) / _median(script, lambda one: one["database_cpu"])
            lines.append(
                f"- {count:,} rows: time × {time:.2f}, own CPU × {cpu:.2f}, PostgreSQL's CPU × {database:.2f}"
                f" (loops: {_median(ours, _loop_cpu):.1f} and {_median(script, _loop_cpu):.1f} s of CPU)"
            )
    return "\n".join(lines)


def _loop_cpu(result: Result) -> float:
    return float(result["said"]["loop_cpu"])


def _extrapolated(results: Sequence[Result]) -> str:
    """How long 10,000,000 rows would take, from the largest measurement."""
    first = _groups(results, "first")
    count = max(count for count, label in first if label == PRODUCT)
    ours = first[count, PRODUCT]
    per_row, own = _median(ours, _seconds) / count, _median(ours, _loop_cpu) / count
    calls = TEN_MILLION // 5000
    return (
        f"Measured with {count:,} rows: {per_row * 1e6:.0f} µs a row, {own * 1e6:.0f} µs of them our CPU. At that rate,"
        f" {TEN_MILLION:,} rows take {TEN_MILLION * per_row / 60:.0f} minutes. Their {calls:,} calls take"
        f" {calls / QUOTA:.0f} minutes at {QUOTA} calls a minute, our share of the quota. A first load takes the longer"
        " of the two."
    )


def _later_runs(results: Sequence[Result]) -> str:
    rows = []
    for which in ("nothing new", "one changed"):
        for (count, label), group in _groups(results, which).items():
            said, counts = group[0]["said"], group[0]["counts"]
            written = f"{said['written']:,}" if "written" in said else ""
            rows.append(
                (
                    label,
                    f"{count:,}",
                    which,
                    _span([_seconds(each) for each in group]),
                    _span([each["wall"] for each in group]),
                    str(counts.get("query", 0)),
                    written,
                    f"{group[0]['peak_mb']:.0f}",
                )
            )
    head = ("", "rows stored", "run", "seconds", "with start-up", "query calls", "rows written", "peak MB")
    return _table(head, rows)


def _memory(results: Sequence[Result]) -> str:
    found: dict[str, dict[int, Result]] = {}
    for result in results:
        if result["run"] == "first" and result["label"].startswith(PRODUCT):
            found.setdefault(result["label"].removeprefix(f"{PRODUCT}: "), {})[result["rows"]] = result
    found = {("activity" if name == PRODUCT else name): by_rows for name, by_rows in found.items()}
    counts = sorted({rows for by_rows in found.values() for rows in by_rows})
    rows = []
    for name, by_rows in found.items():
        cells = [f"{by_rows[count]['peak_mb']:.0f}" if count in by_rows else "" for count in counts]
        last = by_rows[max(by_rows)]
        rows.append((name, *cells, f"{_seconds(last):.1f}"))
    return _table(("peak MB of the process that pulls", *(f"{count:,}" for count in counts), "s, the most rows"), rows)


def _plot(results: Sequence[Result]) -> str:
    """A bar chart of first loads in seconds, with the largest number of rows for which a peer was measured."""
    groups = _groups(results, "first")
    with_peers = [count for count, label in groups if not label.startswith((PRODUCT, "plain", "`"))]
    count = max(with_peers or [count for count, _ in groups])
    bars = [(label, _median(group, _seconds)) for (rows, label), group in groups.items() if rows == count]
    longest = max(seconds for _, seconds in bars)
    height, left, width = 26, 230, 420
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height * len(bars) + 40}">',
        "<style>text { font: 13px sans-serif }</style>",
        f'<text x="4" y="18" font-weight="bold">First load of {count:,} activities, seconds</text>',
    ]
    for index, (label, seconds) in enumerate(bars):
        top = 32 + index * height
        colour = "#2f6fb3" if label == PRODUCT else "#b9c3cf"
        lines.append(f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{escape(label)}</text>')
        length = max(1.0, width * seconds / longest)
        lines.append(f'<rect x="{left}" y="{top}" width="{length:.0f}" height="{height - 8}" fill="{colour}"/>')
        lines.append(f'<text x="{left + length + 6:.0f}" y="{top + 14}">{seconds:.1f}</text>')
    return "\n".join([*lines, "</svg>", ""])
