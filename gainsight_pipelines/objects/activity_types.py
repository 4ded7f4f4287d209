"""The types of activities, what each means, and how a ReportingCategory gets its type (requirements T1 and T2)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from gainsight_pipelines.text import label_key, visible

ActivityTypeName = Literal["EMAIL", "MEETING", "TYPE_MANUAL"]
"""What a reporting category can be mapped to; SURVEY is set by survey pulls alone."""

DEFAULT_CATEGORIES: Mapping[str, ActivityTypeName] = {
    "email": "EMAIL",
    "meeting": "MEETING",
    "call": "MEETING",
    "update": "TYPE_MANUAL",
    "risk": "TYPE_MANUAL",
}


def category_key(category: str) -> str:
    """A reporting category as it is compared: without regard to case, blanks and what can't be seen."""
    return label_key(category)


class ActivityType(StrEnum):
    """What an activity is. SURVEY is set by survey pulls; the others are chosen by the mapping of categories."""

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
"""Under this name entries without a category are counted."""


SEEN, UNMAPPED = "categories", "unmapped_categories"
"""Topics under which a run counts them."""


class CategoryMapping:
    """Gives each ReportingCategory its type; what isn't mapped is TYPE_MANUAL."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = {category_key(category): ActivityType(kind) for category, kind in types.items()}

    def activity_type(self, category: str | None) -> ActivityType:
        """The type of a category."""
        return self._types.get(category_key(category or ""), ActivityType.TYPE_MANUAL)

    def counts(self, category: str | None) -> tuple[tuple[str, str], ...]:
        """Under which names a record of this category is counted: as it is shown, and once more if it isn't mapped."""
        shown = visible(category or "") or NO_CATEGORY
        is_mapped = category_key(category or "") in self._types
        return ((SEEN, shown),) if is_mapped else ((SEEN, shown), (UNMAPPED, shown))
