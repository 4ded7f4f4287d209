"""The picture of the rooms is that of the imports."""

from __future__ import annotations

from pathlib import Path

from gainsight_pipelines_tests import rooms


def test_the_picture_is_drawn_from_the_imports() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
    assert page == rooms.page(), "run: python -m gainsight_pipelines_tests.rooms > docs/architecture.md"


def test_every_room_says_what_belongs_in_it_and_no_arrow_points_up() -> None:
    edges = rooms.imports()
    assert all(rooms.first_line(room).endswith(".") for room in edges)
    seen: set[str] = set()
    while len(seen) < len(edges):
        free = {room for room, others in edges.items() if room not in seen and others <= seen}
        assert free, "a circle of rooms"
        seen |= free
