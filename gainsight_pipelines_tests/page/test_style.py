"""The style sheet: each class that the page's elements name has a rule, and each rule for one property is named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nicegui

from gainsight_pipelines import page
from gainsight_pipelines.page.style import STYLE, UTILITIES

STATIC = Path(nicegui.__file__).parent / "static"
QUASAR = ("quasar.unimportant.css", "quasar.important.css")


def named() -> set[str]:
    """The classes in the code's calls of `classes`."""
    found: set[str] = set()
    for file in Path(page.__path__[0]).glob("*.py"):
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "classes":
                texts = [each for argument in (*call.args, *call.keywords) for each in ast.walk(argument)]
                found.update(*(str(each.value).split() for each in texts if isinstance(each, ast.Constant)))
    return found


def defined(css: str) -> set[str]:
    """The classes that a style sheet has rules for."""
    return {name.replace("\\", "") for name in re.findall(r"\.((?:[a-zA-Z_-]|\\.)(?:[\w-]|\\.)*)", css)}


def test_each_class_has_a_rule() -> None:
    quasar = {name for file in QUASAR for name in defined((STATIC / file).read_text("utf-8"))}
    assert {"w-full", "panel", "items-center"} <= named()
    assert named() <= defined(UTILITIES) | defined(STYLE) | quasar


def test_each_rule_for_one_property_is_used() -> None:
    assert defined(UTILITIES) <= named()
