"""`ObjectDefinition`: everything that the rest of the package needs to know about a Gainsight object.

Settings, cadences, assets, schedules, checks, commands, the page and the data contract iterate over the `registry` and
name no object. What only some objects can do is a capability of the pull (`pull`) or of the table (`store.tables`),
which callers test for instead of the object's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.objects.section import Section, is_object_name
from gainsight_pipelines.store.tables import Table
from gainsight_pipelines.text import name_key

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class ObjectDefinition(Generic[S]):
    """An object, or a family of objects, with its own section in the settings.

    Attributes:
        section: the section's name.
        model: the section's model.
        title: a display name.
        summary: what it brings, in a few words.
        cron: the documented cadence: five fields, in UTC unless the settings name another time zone.
        cadence: the same in words.
        icon: its Material icon on the settings page.
        table: the table of its rows.
        pulls: returns the pulls that a section configures.
        owns: Gainsight objects that only it pulls, whether it is configured or not.
        is_for_any: its rows may name any object that no other section pulls.
        rows: the setting with one row per pull, each with its `object`; None: the section is one pull of the same name.
        pull_name: the name of a row's pull, by its object's name.
        is_each_scheduled: each pull has its own cron expression in the settings, instead of one for the section.
        spread_minutes: the minutes over which a section's pulls are spread, so that they don't start together.
    """

    section: str
    model: type[S]
    title: str
    summary: str
    cron: str
    cadence: str
    icon: str
    table: Table
    pulls: Callable[[S], Iterable[ObjectPull]]
    owns: tuple[str, ...] = ()
    is_for_any: bool = False
    rows: str | None = None
    pull_name: Callable[[str], str] = name_key
    is_each_scheduled: bool = False
    spread_minutes: int = 0

    def names(self, model: S) -> tuple[str, ...]:
        """The names of its pulls."""
        if self.rows is None:
            return (self.section,)
        return tuple(self.pull_name(row.object) for row in getattr(model, self.rows))

    def names_if_broken(self, raw: object) -> tuple[str, ...]:
        """The names of its pulls from an invalid section; the section's name where a row can't be read."""
        if self.rows is None:
            return (self.section,)
        rows: Any = raw.get(self.rows) if isinstance(raw, dict) else raw if self.model.listed else None
        objects = [row.get("object") if isinstance(row, dict) else None for row in _list(rows)]
        if not objects or not all(is_object_name(name) for name in objects):
            return (self.section,)
        return tuple(dict.fromkeys(self.pull_name(str(name)) for name in objects))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
