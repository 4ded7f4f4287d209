"""`categories`: the timeline's reporting categories and the activity type that each maps to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.pickers import open_catalog
from gainsight_pipelines.cli.settings_file import write_file
from gainsight_pipelines.discovery.categories import (
    NO_CATEGORY,
    Category,
    CategorySample,
    sample_categories,
    suggested_type,
    with_categories,
)
from gainsight_pipelines.errors import SettingsError, UsageError
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.activity import ActivitySettings
from gainsight_pipelines.objects.activity_types import ActivityTypeName
from gainsight_pipelines.settings import settings_path
from gainsight_pipelines.settings.editing import SettingsFile
from gainsight_pipelines.settings.files import check_writable

if TYPE_CHECKING:
    from rich.text import Text

COLUMNS = ("category", "activities", "type", "")


def categories_command(
    names: Sequence[str],
    *,
    add: bool,
    is_dry: bool,
    resample: bool,
    is_fresh: bool,
    path: Path | None,
    as_json: bool,
) -> int:
    """Samples the timeline and prints its categories, or adds them to the settings."""
    if (names or is_dry) and not add:
        raise UsageError("Category names are only used with --add.", "Add --add.")
    chosen = _chosen(names)
    if add and not is_dry:
        check_writable(settings_path(path))
    catalog = open_catalog(path)
    found = sample_categories(catalog, resample=resample, is_fresh=is_fresh, say=output.say)
    if as_json:
        output.print_json(_document(found))
    else:
        _print(found)
    return _add(found, chosen, is_dry=is_dry, path=path) if add else 0


def _print(found: CategorySample) -> None:
    title = f"Categories of the {found.sampled:,} newest activities"
    output.print_table(output.table_of(title, COLUMNS, [_row(one) for one in found.categories], right=("activities",)))
    if found.slow:
        smaller = f". Use --resample to sample {found.smaller_target:,}" if found.smaller_target else ""
        output.say(f"The timeline is slow: requests for {_sizes(found.slow)} activities timed out{smaller}.")


def _chosen(names: Sequence[str]) -> dict[str, ActivityTypeName | None]:
    """The type of each CATEGORY=TYPE; None for a CATEGORY, which gets the suggested type."""
    chosen: dict[str, ActivityTypeName | None] = {}
    for name in names:
        category, equals, kind = name.rpartition("=")
        if not equals:
            chosen[name.strip()] = None
            continue
        wanted = next((one for one in get_args(ActivityTypeName) if one == kind.strip().upper()), None)
        if wanted is None or not category.strip():
            kinds = ", ".join(get_args(ActivityTypeName))
            todo = (
                f"{did_you_mean(kind, get_args(ActivityTypeName))} Write CATEGORY=TYPE. The types are {kinds}.".strip()
            )
            raise SettingsError(f"{name!r} names no activity type.", todo)
        chosen[category.strip()] = wanted
    return chosen


def _add(
    found: CategorySample, chosen: Mapping[str, ActivityTypeName | None], *, is_dry: bool, path: Path | None
) -> int:
    """Writes these categories to the settings file, or all unmapped ones if none is given."""
    if chosen:
        added = {name: kind or suggested_type(name)[0] for name, kind in chosen.items()}
    else:
        added = {one.name: one.suggested for one in found.unmapped if one.suggested is not None}
    file = SettingsFile.read(settings_path(path))
    if file.settings.of(ActivitySettings) is None:
        raise SettingsError(
            "The settings have no section `activity` to add categories to.", "Add `activity: {}` first."
        )
    text = file.with_section("activity", with_categories(file.data("activity"), added))
    if write_file(file, text, "categories --add", is_dry=is_dry):
        output.say("The next run updates the types of stored activities, without reading them again.")
    return 0


def _sizes(sizes: tuple[int, ...]) -> str:
    return " and ".join(f"{size:,}" for size in sizes)


def _row(one: Category) -> tuple[str | Text, ...]:
    if one.name == NO_CATEGORY:
        return "(none)", f"{one.count:,}", "TYPE_MANUAL", "activities without a category"
    if one.mapped is not None:
        return one.name, f"{one.count:,}", one.mapped, ""
    return (
        one.name,
        f"{one.count:,}",
        output.styled(f"{one.suggested}?", "yellow"),
        f"not mapped; suggested by {one.why}",
    )


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
