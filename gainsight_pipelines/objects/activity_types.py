"""The activity types, their meanings, and the mapping from reporting categories (requirements T1 and T2)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from gainsight_pipelines.text import label_key, visible

ActivityTypeName = Literal["EMAIL", "MEETING", "TYPE_MANUAL"]
"""The types that a reporting category can be mapped to; only survey pulls set SURVEY."""

DEFAULT_CATEGORIES: Mapping[str, ActivityTypeName] = {
    "email": "EMAIL",
    "meeting": "MEETING",
    "call": "MEETING",
    "update": "TYPE_MANUAL",
    "risk": "TYPE_MANUAL",
}


def category_key(category: str) -> str:
    """The comparison key of a reporting category: ignores case, blanks and invisible characters."""
    return label_key(category)


class ActivityType(StrEnum):
    """The type of an activity. Only survey pulls set SURVEY; the others come from the mapping of categories."""

    EMAIL = "EMAIL"
    MEETING = "MEETING"
    TYPE_MANUAL = "TYPE_MANUAL"
    SURVEY = "SURVEY"


DESCRIPTIONS: Mapping[ActivityType, str] = {
    ActivityType.EMAIL: "An email exchanged with people of the account.",
    ActivityType.MEETING: "People met or talked: a meeting, a call, a video conference, a business review.",
    ActivityType.TYPE_MANUAL: "A manual note: an update, a risk, an internal remark.",
    ActivityType.SURVEY: "A response to a survey (NPS, CSAT or other). Set by survey pulls alone.",
}

NO_CATEGORY = "(none)"
"""The name under which entries without a category are counted."""


SEEN, UNMAPPED = "categories", "unmapped_categories"
"""The topics under which a run counts categories."""


class CategoryMapping:
    """Maps reporting categories to activity types; unmapped ones are TYPE_MANUAL."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = {category_key(category): ActivityType(kind) for category, kind in types.items()}

    def activity_type(self, category: str | None) -> ActivityType:
        """The type of a category."""
        return self._types.get(category_key(category or ""), ActivityType.TYPE_MANUAL)

    def counts(self, category: str | None) -> tuple[tuple[str, str], ...]:
        """What a record of this category is counted as: the category, and again if it is unmapped."""
        shown = visible(category or "") or NO_CATEGORY
        is_mapped = category_key(category or "") in self._types
        return ((SEEN, shown),) if is_mapped else ((SEEN, shown), (UNMAPPED, shown))
