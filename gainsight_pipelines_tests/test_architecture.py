"""docs/architecture.md shows the imports that the code makes."""

from __future__ import annotations

from pathlib import Path

from gainsight_pipelines_tests import architecture


def test_the_page_is_drawn_from_the_imports() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
    assert page == architecture.page(), "run: python -m gainsight_pipelines_tests.architecture > docs/architecture.md"


def test_every_part_says_what_belongs_in_it_and_no_import_points_up() -> None:
    edges = architecture.imports()
    assert all(architecture.first_line(part).endswith(".") for part in edges)
    seen: set[str] = set()
    while len(seen) < len(edges):
        free = {part for part, others in edges.items() if part not in seen and others <= seen}
        assert free, "an import cycle"
        seen |= free
