"""The types of activities, what each means, and how a ReportingCategory gets its type (requirements T1 and T2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from gainsight_pipelines.settings.models import category_key
from gainsight_pipelines.text import visible


class ActivityType(StrEnum):
    """What an activity is. SURVEY is set by survey pulls; the others are chosen by the mapping of categories."""

    EMAIL = "EMAIL"
    MEETING = "MEETING"
    TYPE_MANUAL = "TYPE_MANUAL"
    SURVEY = "SURVEY"


DESCRIPTIONS: Mapping[ActivityType, str] = {
    ActivityType.EMAIL: "An e-mail that was exchanged with people of the account.",
    ActivityType.MEETING: "People met or talked: a meeting, a call, a video conference, a business review.",
    ActivityType.TYPE_MANUAL: "A note that somebody wrote down: an update, a risk, an internal remark.",
    ActivityType.SURVEY: "A person's response to a survey (NPS, CSAT or another). Set by survey pulls alone.",
}

NO_CATEGORY = "(none)"
"""Under this name entries without a category are counted."""


class CategoryMapping:
    """Gives each ReportingCategory its type, and counts what it has seen.

    `seen` and `unmapped` count records by the category as Gainsight writes it, blanks and what can't be seen dropped.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = {category_key(category): ActivityType(kind) for category, kind in types.items()}
        self.seen: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()

    def activity_type(self, category: str | None) -> ActivityType:
        """The type of a category; what isn't mapped is kept as TYPE_MANUAL and counted."""
        shown = visible(category or "") or NO_CATEGORY
        self.seen[shown] += 1
        found = self._types.get(category_key(category or ""))
        if found is None:
            self.unmapped[shown] += 1
            return ActivityType.TYPE_MANUAL
        return found
