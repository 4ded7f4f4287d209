"""The docs match the command line: commands and options on a page exist, and each command is documented."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App

from gainsight_pipelines.cli.app import app
from gainsight_pipelines.cli.examples import EXAMPLES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CALL = re.compile(r"gainsight-pipelines((?: +[^`|\n]*)?)")


def commands(of: App) -> dict[str, App]:
    return {name: of[name] for name in of if not name.startswith("-")}


def options(of: App) -> set[str]:
    return {name for argument in of.assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page: Path) -> None:
    known = commands(app)
    for call in CALL.findall(page.read_text("utf-8")):
        words = call.split()
        if not words or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
            continue
        command = known.get(words[0])
        assert command is not None, call
        if commands(command) and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            command = commands(command).get(words[1])
            assert command is not None, call
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", call)) - {"--help"}
        assert named <= options(command), call


def test_each_command_has_examples_that_it_takes() -> None:
    every = [*commands(app), *(f"{group} {name}" for group, of in commands(app).items() for name in commands(of))]
    assert set(EXAMPLES) == {"", *every}
    for lines in EXAMPLES.values():
        for line in lines:
            assert len(line) + len("  gainsight-pipelines ") <= 80
            words = shlex.split(line.partition(" > ")[0].partition(" < ")[0])
            command, _, _ = app.parse_args(words, exit_on_error=False, print_error=False)
            assert command is not None


def test_each_command_is_in_the_list() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    table = page[page.index("| command | does |") :].partition("\n\n")[0]
    named = set(re.findall(r"[a-z][a-z-]+", " ".join(re.findall(r"`([^`]*)`", table))))
    assert set(commands(app)) <= named
