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

# Words that must occur among the faults of each section.
FAULTS = {
    "F6": ["during the read", "12,000", "without a modification date", "our clock", "time zones", "history"],
    "F7": ["deleted in Gainsight", "is restored", "too many GSIDs are missing", "CRM account", "merged"],
    "F8": ["too large", "orderBy", "where", "repeats, goes backwards or leaves its window", "parentheses"],
    "F9": ["a pull", "PostgreSQL", "disk full", "connection", "deadlock", "random"],
    "F10": [
        "reset in the body", "truncated JSON", "gateway", "wrong content length", "byte by byte", "DNS", "certificate",
        "redirect to another host", "endless response", "500, 502, 503, 504", "429", "in seconds, as a date, without",
        "result: false", "rate-limit code in the body",
    ],
    "F11": ["many processes", "minute's share", "two runs", "renew its lease"],
    "F12": ["rotated or revoked", "token expires", "becomes unavailable during a refresh"],
    "F13": [
        "NUL, lone surrogates", "megabyte", "numbers as strings", "impossible dates", "a GSID twice", "no GSID",
        "in another case", "deep nesting", "10,000 custom fields", "picklist",
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
