"""docs/architecture.md: the subpackages and modules of the package, and a diagram of their imports.

`python -m gainsight_pipelines_tests.architecture > docs/architecture.md` writes it; a test compares it with the code.
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

<!-- Written by `python -m gainsight_pipelines_tests.architecture > docs/architecture.md`; a test compares it with the
code. -->

Imports point one way, and `make check` enforces it. The diagram leaves out arrows that follow from others. Only
`orchestration` imports Dagster; PostgreSQL is in `store`, HTTP in `gainsight` and `crm`. Everything about a single
Gainsight object is in `objects`: other modules use its registry and name no object.

"""


def parts() -> list[str]:
    """The subpackages and modules of the package, by name."""
    folders = [path.parent.name for path in ROOT.glob("*/__init__.py")]
    modules = [path.stem for path in ROOT.glob("*.py") if path.stem != "__init__"]
    return sorted([*folders, *modules])


def imports() -> dict[str, set[str]]:
    """The parts that each part imports. Imports of the code location don't count: they load it as Dagster does."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found: dict[str, set[str]] = {part: set() for part in parts()}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            one, other = (name.split(".")[1] if "." in name else "" for name in (importer, imported))
            if one in found and other in found and other not in {one, "definitions"}:
                found[one].add(other)
    return found


def reduced(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports, without those that others imply."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(edges[start])
        while waiting:
            part = waiting.pop()
            if part not in seen:
                seen.add(part)
                waiting += edges[part]
        return seen

    beyond = {part: reachable(part) for part in edges}
    return {
        part: {other for other in others if not any(other in beyond[between] for between in others - {other})}
        for part, others in edges.items()
    }


def first_line(part: str) -> str:
    """What a part contains: the first paragraph of its docstring."""
    path = ROOT / f"{part}.py"
    text = (path if path.exists() else ROOT / part / "__init__.py").read_text("utf-8")
    sentence = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    return re.sub(r"\s+", " ", sentence)


def page() -> str:
    """The text of docs/architecture.md."""
    lines = ["```mermaid", "flowchart TD"]
    for part, others in sorted(reduced(imports()).items()):
        lines += [f"    {part} --> {other}" for other in sorted(others)]
    lines += ["```", "", "| module | holds |", "|---|---|"]
    lines += [f"| `{part}` | {first_line(part)} |" for part in parts()]
    return INTRODUCTION + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
