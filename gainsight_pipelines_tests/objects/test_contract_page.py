"""docs/data-contract.md is generated from the registry, so it lists every object."""

from __future__ import annotations

from pathlib import Path

from gainsight_pipelines.objects import contract_page
from gainsight_pipelines.objects.record import KNOWN
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.store.contract import RELATIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-contract.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == contract_page.page(), (
        "run: python -m gainsight_pipelines.objects.contract_page > docs/data-contract.md"
    )


def test_each_object_has_its_table_and_each_table_is_listed_once() -> None:
    text = PAGE.read_text("utf-8")
    for each in DEFINITIONS.values():
        assert f"| `{each.section}` |" in text
        assert f"[`{each.table.name}`](#{each.table.name})" in text
    assert all(f"| `{name}` |" in text for name in KNOWN)
    headings = [
        line.removeprefix("## ").removesuffix(" (view)") for line in text.splitlines() if line.startswith("## ")
    ]
    assert sorted(each for each in headings if each in RELATIONS) == sorted(RELATIONS)
