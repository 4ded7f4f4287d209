"""Each requirement is named in the docstring of a test that proves it; those about objects are in the docs as well."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OBJECTS = {
    "A1": "companies enrich existing accounts with their attributes",
    "A2": "all readable attributes, or a list",
    "T1": "timeline entries become activities, typed by their category",
    "T2": "default types, each with a description; categories compare without regard to case and blanks",
    "S1": "survey responses become activities",
    "S2": "one response object, or several with types and fields of their own",
    "S3": "a limit of responses per object and run, shown when it is reached",
    "S4": "lookback days, 30 at most",
    "S5": "custom fields registered with name, label and type, their values kept",
    "S6": "a where-clause in place of the lookback filter",
    "S7": "field mappings detected, overridable, shown as JSON",
    "S8": "lookback windows backfilled by day",
    "P1": "usage rolled up per account under a product name",
    "P2": "flat rows grouped by a key, with metric names, values and dimension",
    "P3": "field choices come from the object's schema",
    "P4": "each numeric field of a wide row is a metric",
    "M1": "matched by the company directly, else by the CRM field with the GSID",
    "M2": "each object can have its own field",
    "M3": "a field that the CRM doesn't have is an error",
    "M4": "without an account: kept with the reason, matched later",
}
"""The requirements about objects, each with a sentence in the docs."""

OTHERS = {
    "G1": "no account is created, no field of the CRM changed",
    "G2": "without the CRM no pull runs and Gainsight isn't called",
    "G4": "Salesforce and HubSpot, by each way to log in",
    "G5": "accounts are read incrementally, deleted and merged ones recognised",
    "C1": "the key is nowhere to be seen",
    "C2": "validate proves key, CRM and database",
    "C3": "a rejected key says what to do, and the next run goes on",
    "T3": "categories sampled in smaller steps on a slow tenant",
    "T4": "unmapped categories are offered with a type",
    "B1": "what is not enabled does not appear",
    "B5": "an object that never ran says what to do",
    "B2": "the last execution of each object, and how long ago",
    "B3": "a row runs only its own object",
    "B4": "run all: a run per object, failures isolated",
    "G3": "the gate is watched, and what was due runs once it is open",
    "W2": "pickers from the live tenant",
    "W1": "a wrong value is named with its place and what would do",
    "W3": "a section as JSON, edited",
    "W4": "a filter checked against the tenant",
    "W5": "bad settings of one object never stop the others",
}


@pytest.fixture(scope="module")
def tested() -> str:
    """The docstrings of all test functions. Those of modules don't count: they prove nothing."""
    return "\n".join(
        ast.get_docstring(node) or ""
        for path in Path(__file__).parent.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.fixture(scope="module")
def docs() -> str:
    return "\n".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("requirement", [*OBJECTS, *OTHERS])
def test_a_test_names_it(requirement: str, tested: str) -> None:
    assert re.search(rf"\b{requirement}\b", tested)


@pytest.mark.parametrize("requirement", OBJECTS)
def test_the_docs_name_it(requirement: str, docs: str) -> None:
    assert re.search(rf"\b{requirement}\b", docs)
