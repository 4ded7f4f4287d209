"""Samples the reporting categories of recent timeline activities, and suggests types for unmapped ones (T3, T4).

Slow tenants can't return many activities at once, so the sample size is reduced until they can.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from gainsight_pipelines.discovery.catalog import Catalog
from gainsight_pipelines.discovery.interactive_clients import ANSWER_SECONDS
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.errors import SlowAnswer
from gainsight_pipelines.gainsight.query import Direction, Query
from gainsight_pipelines.objects.activity import ACTIVITY_OBJECT, DEFINITION, ActivitySettings, category_reader
from gainsight_pipelines.objects.activity_types import DEFAULT_CATEGORIES, ActivityTypeName, category_key
from gainsight_pipelines.objects.fields import text
from gainsight_pipelines.objects.pull import cursor_field
from gainsight_pipelines.sync.clients import tenant_of

SAMPLE_SIZES = (1000, 800, 500)
"""Sample sizes, in activities; tried in this order until the tenant responds in time."""
SMALLER_SIZES = (250, 100, 50)
"""Further sizes for `resample`."""

NO_CATEGORY = ""
"""The name of activities without a category."""

Say = Callable[[str], None]

_WORDS: tuple[tuple[ActivityTypeName, str, str], ...] = (
    ("EMAIL", r"e-?mails?|mails?|newsletter|correo|courriel", "email"),
    (
        "MEETING",
        (
            r"meetings?|calls?|phone|e?qbrs?|ebrs?|reviews?|demos?|webinars?|workshops?|trainings?|kick-?offs?|onsites?"
            r"|visits?|syncs?|stand-?ups?|conferences?|zoom|teams|interviews?"
            r"|besprechung|anruf|termin|reuni[oó]n|llamada|r[eé]union|appel"
        ),
        "people meeting or talking",
    ),
    (
        "TYPE_MANUAL",
        r"updates?|notes?|risks?|internal|milestones?|outcomes?|escalations?|feedback|tasks?|summary|handovers?",
        "a note that somebody wrote down",
    ),
)
"""Type, words in the category's name, what they indicate. The first match wins."""


@dataclass(frozen=True, slots=True)
class Category:
    """A category of the sample.

    Attributes:
        name: in Gainsight's most frequent spelling; NO_CATEGORY for activities without one.
        count: its activities in the sample.
        mapped: its type by the settings; None: unmapped.
        suggested: a type for an unmapped category.
        why: the reason for the suggestion.
    """

    name: str
    count: int
    mapped: ActivityTypeName | None = None
    suggested: ActivityTypeName | None = None
    why: str = ""

    @property
    def can_be_added(self) -> bool:
        """Whether it can be added to `activity.reporting_categories`."""
        return self.mapped is None and self.name != NO_CATEGORY


@dataclass(frozen=True, slots=True)
class CategorySample:
    """A sample of the timeline, most frequent category first.

    Attributes:
        categories: those that occur.
        sampled: the number of activities received.
        target: the number requested.
        smaller_target: the number that `resample` would request; None: there is no smaller one.
        slow: numbers for which the tenant didn't respond in time.
        read_at: the time of the sample.
    """

    categories: tuple[Category, ...]
    sampled: int
    target: int
    smaller_target: int | None
    slow: tuple[int, ...]
    read_at: datetime

    @property
    def unmapped(self) -> tuple[Category, ...]:
        """The categories that can be added to the mapping."""
        return tuple(one for one in self.categories if one.can_be_added)


def sample_categories(
    catalog: Catalog,
    *,
    resample: bool = False,
    is_fresh: bool = False,
    answer_seconds: float = ANSWER_SECONDS,
    say: Say = lambda sentence: None,
) -> CategorySample:
    """Samples the newest activities and counts their categories; cached for minutes.

    Args:
        catalog: makes the call and caches the result.
        resample: sample again, with fewer activities than last time.
        is_fresh: sample again, starting with the largest size.
        answer_seconds: time limit per call.
        say: receives a sentence about each step.

    Raises:
        SlowAnswer: the tenant was too slow for every size; `resample` continues with smaller ones.
        PipelineError: it refuses, has no timeline, or no key is set.
    """
    catalog = replace(catalog)  # unaffected by later changes to it
    place = f"{urlsplit(tenant_of(catalog.connections.settings).base_url).netloc} categories"
    kept = catalog.cache.find(place, catalog.lasts)
    if kept is None or resample or is_fresh:
        last = catalog.cache.find(f"{place} target", None)
        sizes = SAMPLE_SIZES if not resample or last is None else _below(last.document)
        document = _sampled(catalog, sizes, answer_seconds, say, f"{place} target")
        kept = catalog.cache.keep(place, document)
    document = kept.document
    mapping = _mapping(catalog)
    counts = _by_key(Counter(document["counts"]))
    return CategorySample(
        categories=tuple(_category(name, count, mapping) for name, count in counts.most_common()),
        sampled=document["sampled"],
        target=document["target"],
        smaller_target=next(iter(_smaller(document["target"])), None),
        slow=tuple(document["slow"]),
        read_at=kept.read_at,
    )


def suggested_type(category: str) -> tuple[ActivityTypeName, str]:
    """A suggested type for a category, by its name, and the reason."""
    words = re.sub(r"[_/|]+", " ", category).casefold()
    for kind, pattern, meaning in _WORDS:
        found = re.search(rf"(?<!\w)(?:{pattern})(?!\w)", words)
        if found is not None:
            return kind, f"{found[0]!r}: {meaning}"
    return "TYPE_MANUAL", "its name gives no hint: kept as a note"


def with_categories(activity: Mapping[str, Any], added: Mapping[str, ActivityTypeName]) -> dict[str, Any]:
    """The data of the section `activity` with categories added, or with other types for existing ones.

    Args:
        activity: the whole section, defaults filled in.
        added: types by category.
    """
    mapping = dict(activity["reporting_categories"])
    spelled = {category_key(name): name for name in mapping}
    for name, kind in added.items():
        mapping[spelled.setdefault(category_key(name), name)] = kind
    return {**activity, "reporting_categories": mapping}


def _sampled(catalog: Catalog, sizes: tuple[int, ...], seconds: float, say: Say, target_key: str) -> dict[str, Any]:
    """The counts of the largest sample that the tenant returns in time."""
    schema = catalog.fields(ACTIVITY_OBJECT).schema
    path, read = category_reader(schema.field("ReportingCategory"))
    if path is None:
        raise PermanentError(
            f"The tenant's {ACTIVITY_OBJECT} has no field ReportingCategory, so its activities have no categories.",
            "Give the API key's user the right to read it; until then all are kept as TYPE_MANUAL.",
        )
    newest: tuple[tuple[str, Direction], ...] = ((cursor_field(schema), "desc"),)
    slow: list[int] = []
    for size in sizes:
        say(f"Requesting the categories of {size:,} activities …")
        catalog.cache.keep(target_key, size)
        try:
            with closing(catalog.connections.gainsight(seconds)) as client:
                page = client.query(schema.name, Query((path,), order_by=newest, limit=size), kind="probe")
        except SlowAnswer:
            say(f"No response within {seconds:g} s.")
            slow.append(size)
            continue
        counts = Counter((text(read(record.get(path))) or NO_CATEGORY) for record in page.records)
        return {"counts": counts, "sampled": len(page.records), "target": size, "slow": slow}
    tried = ", ".join(f"{size:,}" for size in sizes)
    smaller = next(iter(_smaller(sizes[-1])), None)
    raise SlowAnswer(
        f"The timeline is slow: Gainsight didn't respond within {seconds:g} s to samples of {tried} activities.",
        f"Resample: it continues with {smaller}." if smaller else "Try again when the tenant is less busy.",
    )


def _by_key(counts: Counter[str]) -> Counter[str]:
    """The counts of equal spellings added up under the most frequent one."""
    spelled: dict[str, str] = {}
    together: Counter[str] = Counter()
    for name, count in counts.most_common():
        together[spelled.setdefault(category_key(name), name)] += count
    return together


def _below(target: int) -> tuple[int, ...]:
    """The sizes below a target; the smallest size again if there is none."""
    return _smaller(target) or SMALLER_SIZES[-1:]


def _smaller(target: int) -> tuple[int, ...]:
    return tuple(size for size in (*SAMPLE_SIZES, *SMALLER_SIZES) if size < target)


def _mapping(catalog: Catalog) -> Mapping[str, ActivityTypeName]:
    """The mapping from the settings, by key; the default one if the section is missing or invalid."""
    settings = catalog.connections.settings
    activity = settings.of(ActivitySettings) if DEFINITION.section not in settings.errors else None
    mapping = activity.reporting_categories if activity is not None else DEFAULT_CATEGORIES
    return {category_key(name): kind for name, kind in mapping.items()}


def _category(name: str, count: int, mapping: Mapping[str, ActivityTypeName]) -> Category:
    mapped = mapping.get(category_key(name))
    if mapped is not None or name == NO_CATEGORY:
        return Category(name, count, mapped)
    suggested, why = suggested_type(name)
    return Category(name, count, None, suggested, why)
