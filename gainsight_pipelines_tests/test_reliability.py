"""docs/reliability.md and the tests agree: each fault has a test, and each test that the page names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text("utf-8")
ROWS = {
    cells[0]: cells for line in PAGE.splitlines() if (cells := re.split(r"\s*\|\s*", line.strip("| ")))[0][:1] == "F"
}

# What each item of the list of faults has to have a row for: a word of the row.
FAULTS = {
    "F6": ["while reading", "12,000", "without a date", "clocks", "time zones", "history"],
    "F7": ["deleted in Gainsight", "comes back", "sweep", "CRM account", "merged"],
    "F8": ["too large", "orderBy", "where", "repeats, goes backwards, leaves its window", "parentheses"],
    "F9": ["a pull", "PostgreSQL", "disk full", "connection", "deadlock", "random"],
    "F10": [
        "reset in the body", "truncated JSON", "gateway", "wrong content length", "slow drip", "DNS", "certificate",
        "redirect to another host", "without end", "500, 502, 503, 504", "429", "in seconds, as a date, without",
        "result: false", "rate-limit code in the body",
    ],
    "F11": ["many processes", "minute's share", "two runs", "lock is lost"],
    "F12": ["rotated or revoked", "token expires", "goes down in the middle"],
    "F13": [
        "NUL, lone surrogates", "megabyte", "numbers as strings", "impossible dates", "Gsid twice", "or none",
        "differ by case", "deep nesting", "10,000 custom fields", "picklist",
    ],
}  # fmt: skip


def defined_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("fault", ROWS)
def test_a_fault_says_what_happens_and_has_tests_that_exist(fault: str) -> None:
    cells = ROWS[fault]
    assert len(cells) == 5
    assert cells[1] and cells[2]
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", cells[4])
    assert named, "a row without a test"
    for file, test in named:
        assert test in defined_in(TESTS / file), f"{file} has no {test}"


@pytest.mark.parametrize("item", FAULTS)
def test_no_fault_is_left_out(item: str) -> None:
    faults = " · ".join(cells[1] for fault, cells in ROWS.items() if fault.startswith(f"{item}."))
    assert [word for word in FAULTS[item] if word not in faults] == []


def test_no_row_hides_another_one() -> None:
    assert len(re.findall(r"^\| F\d+\.\d+ \|", PAGE, re.MULTILINE)) == len(ROWS)
