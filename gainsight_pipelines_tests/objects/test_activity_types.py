"""Activity types (requirement T2): default mapping, comparison of categories, descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainsight_pipelines.objects.activity_types import DEFAULT_CATEGORIES, DESCRIPTIONS, ActivityType, CategoryMapping

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("email", "EMAIL"),
        (" E mail ", "EMAIL"),
        ("MEETING", "MEETING"),
        ("Call", "MEETING"),
        ("Update", "TYPE_MANUAL"),
        ("risk", "TYPE_MANUAL"),
        ("Renewal", "TYPE_MANUAL"),
        (None, "TYPE_MANUAL"),
        ("\uff23all\u200b", "MEETING"),
    ],
)
def test_t2_default_types_of_categories(category: str | None, kind: str) -> None:
    """Requirement T2."""
    assert CategoryMapping(DEFAULT_CATEGORIES).activity_type(category) == kind


def test_t2_categories_that_look_the_same_get_the_same_type() -> None:
    """Requirement T2."""
    types = CategoryMapping({"Réunion client": "MEETING"})
    for spelling in ("Réunion client", "Re\u0301union client", "\u200bRéunion\u00a0client\ufeff"):
        assert types.activity_type(spelling) == "MEETING"
        assert types.counts(spelling)[1:] == ()
    assert types.counts("Re\u0301union\u200b") == (("categories", "Réunion"), ("unmapped_categories", "Réunion"))


def test_t2_each_type_has_a_description_also_in_the_docs() -> None:
    """Requirement T2."""
    page = " ".join((DOCS / "objects.md").read_text("utf-8").split())
    for kind in ActivityType:
        assert len(DESCRIPTIONS[kind].split()) > 5
        assert f"| `{kind}` |" in page and DESCRIPTIONS[kind] in page
