"""Only the `objects` package names the objects that exist."""

from __future__ import annotations

import ast
from pathlib import Path

from gainsight_pipelines.objects.registry import DEFINITIONS, TABLES

PACKAGE = Path(__file__).parents[2] / "gainsight_pipelines"

GENERAL = {"objects", "record"}
"""A section and a table whose names are also ordinary words."""

NAMES = {
    *DEFINITIONS,
    *(table.name for table in TABLES),
    *(name for each in DEFINITIONS.values() for name in each.owns),
}

EXCEPTED = {
    "sandbox": "knows nothing of the code that it tests",
    "store/contract.py": "the comments that go with the migrations",
    "cli/categories.py": "the editor of one object's setting",
    "discovery/categories.py": "the editor of one object's setting",
    "page/categories.py": "the editor of one object's setting",
    "cli/init.py": "asks for each object what is worth asking",
    "page/objects.py": "draws each object's form by hand",
    "store/tenant.py": "the tables that a reset empties",
}


def test_no_module_outside_objects_names_an_object() -> None:
    modules = {f"gainsight_pipelines.objects.{path.stem}" for path in (PACKAGE / "objects").glob("*.py")}
    own = {name for name in modules if hasattr_definition(name)}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = str(path.relative_to(PACKAGE))
        if place.startswith(("objects/", *EXCEPTED)):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in NAMES - GENERAL:
                found.add(f"{place}:{node.lineno} {node.value}")
            if isinstance(node, ast.ImportFrom) and node.module in own:
                found.add(f"{place}:{node.lineno} imports {node.module}")
    assert found == set()


def hasattr_definition(module: str) -> bool:
    """Whether the module assigns `DEFINITION`, which means that it defines an object."""
    tree = ast.parse((PACKAGE.parent / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    return any(
        isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DEFINITION" for node in tree.body
    )


def test_each_exception_is_still_needed() -> None:
    for place in EXCEPTED:
        files = [PACKAGE / place] if place.endswith(".py") else (PACKAGE / place).rglob("*.*")
        assert any(name in path.read_text("utf-8", "ignore") for path in files for name in NAMES - GENERAL), place


def test_every_definition_has_its_display_texts() -> None:
    for name, each in DEFINITIONS.items():
        assert name == each.section
        assert all((each.title, each.summary, each.cadence, each.icon))
        assert len(each.cron.split()) == 5
        assert set(each.table.sample) - {"account_id", "match_method", "unmatched_reason", "changed_at"} <= set(
            each.table.columns
        )
