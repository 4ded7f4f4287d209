"""docs/architecture.md: the rooms of the package and who imports whom, drawn from the imports themselves.

`python -m gainsight_pipelines_tests.rooms > docs/architecture.md` writes it; a test holds it against the code.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import grimp

PACKAGE = "gainsight_pipelines"
ROOT = Path(__file__).parents[1] / PACKAGE

INTRODUCTION = """\
# Architecture

<!-- Written by `python -m gainsight_pipelines_tests.rooms > docs/architecture.md`; a test holds it against the
code. -->

Imports point one way, and `make check` holds them to it. An arrow is left out where a longer way says the same.
Dagster lives in `orchestration` alone, PostgreSQL in `store`, HTTP in `gainsight` and `crm`. Everything that is to be
known of a Gainsight object stands in `objects`: the others go through its registry and name none.

"""


def rooms() -> list[str]:
    """The folders and modules of the package, by name."""
    folders = [path.parent.name for path in ROOT.glob("*/__init__.py")]
    modules = [path.stem for path in ROOT.glob("*.py") if path.stem != "__init__"]
    return sorted([*folders, *modules])


def imports() -> dict[str, set[str]]:
    """Which rooms each room imports. The code location is left out: who runs pulls loads it as Dagster does."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found: dict[str, set[str]] = {room: set() for room in rooms()}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            one, other = (name.split(".")[1] if "." in name else "" for name in (importer, imported))
            if one in found and other in found and other not in {one, "definitions"}:
                found[one].add(other)
    return found


def reduced(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without what follows from the rest."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(edges[start])
        while waiting:
            room = waiting.pop()
            if room not in seen:
                seen.add(room)
                waiting += edges[room]
        return seen

    beyond = {room: reachable(room) for room in edges}
    return {
        room: {other for other in others if not any(other in beyond[between] for between in others - {other})}
        for room, others in edges.items()
    }


def first_line(room: str) -> str:
    """What belongs in a room, as it says itself."""
    path = ROOT / f"{room}.py"
    text = (path if path.exists() else ROOT / room / "__init__.py").read_text("utf-8")
    sentence = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    return re.sub(r"\s+", " ", sentence)


def page() -> str:
    """docs/architecture.md."""
    lines = ["```mermaid", "flowchart TD"]
    for room, others in sorted(reduced(imports()).items()):
        lines += [f"    {room} --> {other}" for other in sorted(others)]
    lines += ["```", "", "| room | holds |", "|---|---|"]
    lines += [f"| `{room}` | {first_line(room)} |" for room in rooms()]
    return INTRODUCTION + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
