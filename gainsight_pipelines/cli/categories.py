"""`categories`: the timeline's reporting categories and the activity type of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.pickers import open_catalog
from gainsight_pipelines.discovery.categories import NO_CATEGORY, Category, CategorySample, sample_categories

COLUMNS = ("category", "activities", "type", "")


def categories_command(*, resample: bool, is_fresh: bool, path: Path | None, as_json: bool) -> int:
    """Samples the timeline and shows its categories."""
    catalog = open_catalog(path)
    found = sample_categories(catalog, resample=resample, is_fresh=is_fresh, say=output.say)
    if as_json:
        output.print_json(_document(found))
        return 0
    title = f"Categories of the {found.sampled:,} newest activities"
    output.print_table(output.table_of(title, COLUMNS, [_row(one) for one in found.categories], right=("activities",)))
    if found.slow:
        smaller = f": --resample asks for {found.smaller_target:,}" if found.smaller_target else ""
        output.say(f"The timeline is slow: no answer in time for {_sizes(found.slow)}{smaller}.")
    return 0


def _sizes(sizes: tuple[int, ...]) -> str:
    return " and ".join(f"{size:,}" for size in sizes)


def _row(one: Category) -> tuple[str, str, str, str]:
    if one.name == NO_CATEGORY:
        return "(none)", f"{one.count:,}", "TYPE_MANUAL", "activities without a category"
    if one.mapped is not None:
        return one.name, f"{one.count:,}", one.mapped, ""
    return one.name, f"{one.count:,}", f"[yellow]{one.suggested}?[/]", f"not mapped; suggested by {one.why}"


def _document(found: CategorySample) -> dict[str, Any]:
    return {
        "read_at": found.read_at,
        "sampled": found.sampled,
        "target": found.target,
        "smaller_target": found.smaller_target,
        "slow": found.slow,
        "categories": [
            {
                "category": one.name or None,
                "count": one.count,
                "mapped": one.mapped,
                "suggested": one.suggested,
                "why": one.why or None,
            }
            for one in found.categories
        ],
    }
