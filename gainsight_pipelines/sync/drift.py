"""Detects changes of settings and schema since the last pull, and what they require beyond reading what is new.

What stored rows depend on (`Basis`) is saved with the cursor. While a change is being applied, rows of both kinds are
stored, so all bases that rows may have are kept until it is done. A killed run, or settings that are changed back
midway, leave no inconsistent rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.objects.pull import FIELD_TYPES, Basis, Mapper
from gainsight_pipelines.store.deletions import mark_object
from gainsight_pipelines.store.links import has_rows as has_rows_of
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.scopes import (
    Bases,
    Deletions,
    Filtered,
    PageSize,
    Pull,
    ReadStrategy,
    Reread,
    RereadStored,
    WithoutDate,
    WithoutModification,
)
from gainsight_pipelines.store.stored_records import rename_object
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.text import name_key

OF_ONE_OBJECT = (
    Pull,
    Filtered,
    WithoutModification,
    WithoutDate,
    Reread,
    RereadStored,
    Deletions,
    ReadStrategy,
    PageSize,
)
"""The scopes that concern one Gainsight object, and are reset when another object takes its place."""

SHOWN = 5


@dataclass(slots=True)
class Changes:
    """What to do after the regular pull.

    `rereads`: the reasons for reading records again; empty: none. `start`, `until`: only those last changed within.
    `is_of_stored`: stored rows must be recreated, not only more be read. `is_first`: the pull's own read starts at the
    beginning of its window, so only other stored records must be read again. `remaps`: derived columns to recompute,
    with the reasons.
    """

    basis: Basis
    rereads: list[str] = field(default_factory=list)
    start: datetime | None = None
    until: datetime | None = None
    is_of_stored: bool = False
    is_first: bool = False
    remaps: tuple[Remap, ...] = ()
    remap_reasons: list[str] = field(default_factory=list)

    @property
    def target(self) -> str:
        """Identifies this reread, so that only the same one resumes an interrupted one."""
        document = [asdict(self.basis), self.until.isoformat() if self.until else None]
        return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    @property
    def is_from_the_beginning(self) -> bool:
        """Whether everything is read again."""
        return bool(self.rereads) and self.until is None


@dataclass(frozen=True, slots=True)
class Remembered:
    """The content of the scope `settings`: bases of stored rows (None: unknown, so read again), and field types."""

    bases: tuple[Basis | None, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        document = {"bases": [asdict(basis) if basis else None for basis in self.bases], "types": dict(self.types)}
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()

    @classmethod
    def from_text(cls, text: str | None) -> Remembered:
        if text is None:
            return cls()
        document = orjson.loads(text)
        return cls(tuple(_basis(each) for each in document["bases"]), document["types"])


def _basis(document: dict[str, Any] | None) -> Basis | None:
    if document is None:
        return None
    return Basis(**{**document, "fields": tuple(document["fields"]), "names": tuple(document.get("names", ()))})


def begin(context: PullContext, mapper: Mapper, schema: ObjectSchema) -> Changes:
    """Compares what stored rows depend on with what new ones will, and saves both until `finish`."""
    connection, scopes = context.connection, context.scopes
    gone = _bring_over(context, mapper)
    with connection.transaction():
        kept = scopes.take(Bases)
        remembered = Remembered.from_text(kept.document)
        pulled, filtered = scopes.take(Pull), scopes.peek(Filtered)
        basis = _basis_of(mapper)
        changes = Changes(basis)
        _note_drift(context, remembered.types, schema)
        bases = _respelt(remembered.bases, basis.object_name)
        former = next((each.object_name for each in bases if each and each.object_name != basis.object_name), None)
        is_untouched = pulled.modified_at is None and pulled.completed_at is None and filtered.completed_at is None
        has_rows = has_rows_of(connection, context.pull.table, basis.object_name)
        if former is None and is_untouched and not has_rows:
            bases = ()
        elif former is None and not bases and has_rows:
            bases = (Basis(basis.object_name),)  # stored by a backfill of a former version
        if context.prepared.is_full and bases and former is None:
            bases = (*(each for each in bases if each is not None), None)
            _forget_reread(context)
        if former is not None:
            context.note(f"`{basis.object_name}` replaces `{former}`, whose {gone:,} rows are marked deleted.")
            bases, is_untouched = (), True
            scopes.forget(*OF_ONE_OBJECT)
        starts_at = kept.starts_at
        changes.is_first = is_untouched and mapper.window(context.started_at, None).where is None
        if not bases or changes.is_first:
            starts_at = mapper.window(context.started_at, None).start
        for each in bases:
            _compare(changes, mapper, each)
        changes.is_of_stored = bool(changes.rereads)
        _bound(changes, bases, starts_at, mapper.window(context.started_at, None).start)
        changes.rereads = list(dict.fromkeys(changes.rereads))
        if basis not in bases:
            bases = (*bases, basis)
        remembered = Remembered(bases, {each.name: each.data_type for each in schema.fields.values()})
        scopes.save(Bases(remembered.to_text(), starts_at))
    return changes


def remember(context: PullContext, mapper: Mapper) -> None:
    """Saves what the rows of a backfill, about to be stored beside the pull, depend on."""
    with context.connection.transaction():
        kept = context.scopes.take(Bases)
        remembered = Remembered.from_text(kept.document)
        basis = _basis_of(mapper)
        if basis not in remembered.bases:
            remembered = replace(remembered, bases=(*remembered.bases, basis))
            context.scopes.save(kept.moved_to(document=remembered.to_text()))


def _basis_of(mapper: Mapper) -> Basis:
    """The mapper's basis after a JSON round trip, in a fixed order, so that equal ones are equal."""
    asked = mapper.basis()
    basis = _basis(orjson.loads(orjson.dumps(asdict(replace(asked, fields=tuple(sorted(asked.fields)))))))
    assert basis is not None
    return basis


def _bring_over(context: PullContext, mapper: Mapper) -> int:
    """Renames the rows of an object whose spelling changed; marks those of another object deleted and returns how many.

    Before anything new is stored, so that a killed run doesn't leave both objects' rows in the views. The former
    object's cursors are reset first, so that going back to it reads it again.
    """
    connection, lease, run_id, table = context.connection, context.lease, context.report.run_id, context.pull.table
    now, gone = _basis_of(mapper).object_name, 0
    for each in Remembered.from_text(context.scopes.peek(Bases).document).bases:
        if each is None or each.object_name == now:
            continue
        if name_key(each.object_name) == name_key(now):
            rename_object(connection, lease, table, each.object_name, now, run_id)
            continue
        with connection.transaction():
            context.scopes.forget(*OF_ONE_OBJECT)
        gone += mark_object(connection, lease, table, each.object_name, run_id)
    return gone


def _respelt(bases: tuple[Basis | None, ...], now: str) -> tuple[Basis | None, ...]:
    """The bases with the object's name in its current spelling, since case doesn't make it another object."""
    respelt: list[Basis | None] = []
    for each in bases:
        if each is None or each.object_name == now or name_key(each.object_name) != name_key(now):
            respelt.append(each)
            continue
        respelt.append(replace(each, object_name=now))
    return tuple(respelt)


def finish(context: PullContext, changes: Changes) -> None:
    """Records that all stored rows now have this basis, and where the earliest read of them began."""
    with context.connection.transaction():
        kept = context.scopes.take(Bases)
        remembered = replace(Remembered.from_text(kept.document), bases=(changes.basis,))
        if changes.rereads:
            kept = kept.moved_to(starts_at=changes.start)
            _forget_reread(context)
        context.scopes.save(kept.moved_to(document=remembered.to_text()))


def _forget_reread(context: PullContext) -> None:
    """Resets the reread, so that the next one starts fresh. Daily reads are kept, but count for no reread."""
    context.scopes.forget(Reread, RereadStored)
    for kind in (WithoutModification, WithoutDate):
        context.scopes.save(context.scopes.take(kind).moved_to(target=None))


def _compare(changes: Changes, mapper: Mapper, former: Basis | None) -> None:
    """Adds what it takes to update rows of a former basis to this one."""
    basis = changes.basis
    if former is None:
        changes.rereads.append("a full run was requested")
        return
    asked_before = {name_key(name) for name in former.fields}
    if new := [name for name in basis.fields if name_key(name) not in asked_before]:
        more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
        changes.rereads.append(f"new fields are requested: {', '.join(new[:SHOWN])}{more}")
    for name in sorted({*former.choice, *basis.choice}):
        if former.choice.get(name) != basis.choice.get(name):
            changes.rereads.append(f"`{name}` changed")
    different = [
        name
        for name in sorted({*former.mapping, *basis.mapping})
        if not _is_same(former.mapping.get(name), basis.mapping.get(name), is_name=name in basis.names)
    ]
    if FIELD_TYPES in different:
        different.remove(FIELD_TYPES)
        if told := _field_changes(former.mapping.get(FIELD_TYPES), basis.mapping.get(FIELD_TYPES)):
            changes.rereads.append(f"fields changed in Gainsight: {told} (the settings can stay as they are)")
    if different:
        named = ", ".join(f"`{name}`" for name in different)
        remaps = mapper.remaps(former)
        if remaps is None:
            changes.rereads.append(f"{named} changed, and the stored rows lack what that takes")
        else:
            changes.remaps = remaps
            changes.remap_reasons.append(f"{named} changed")


def _field_changes(former: object, now: object) -> str:
    """Fields now stored with another type, and removed ones. New fields are reported separately."""
    before, after = (value if isinstance(value, dict) else {} for value in (former, now))
    found = [
        f"{name} ({before[name]}, now {after[name]})" for name in after if before.get(name, after[name]) != after[name]
    ]
    found += [f"{name} (gone)" for name in before if name not in after]
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _is_same(former: object, now: object, *, is_name: bool) -> bool:
    return former == now or (is_name and _folded(former) == _folded(now))


def _folded(value: object) -> object:
    """A setting's value with all names normalised for comparison."""
    match value:
        case str():
            return name_key(value)
        case list():
            return [_folded(each) for each in value]
        case dict():
            return {name_key(key): _folded(each) for key, each in value.items()}
    return value


def _bound(
    changes: Changes, bases: tuple[Basis | None, ...], starts_at: datetime | None, start: datetime | None
) -> None:
    """Start and end of a reread: over everything stored, or before it if only older records are to be added."""
    days = changes.basis.lookback_days
    changes.start = None if starts_at is None or start is None else min(starts_at, start)
    if not changes.is_first and any(
        each and each.lookback_days and (days is None or days > each.lookback_days) for each in bases
    ):
        changes.until = starts_at if not changes.rereads else None
        changes.start = start
        changes.rereads.append("the first read is to go further back")


def _note_drift(context: PullContext, former: Mapping[str, str], schema: ObjectSchema) -> None:
    """Reports schema drift: fields that were added, removed or changed their type since the last pull."""
    now = {each.name: each.data_type for each in schema.fields.values()}
    if not former or former == now:
        return
    # Another spelling is not another field.
    before, after = ({name_key(name): name for name in names} for names in (former, now))
    drift: dict[str, Any] = {
        "new": sorted(after[key] for key in after.keys() - before.keys()),
        "gone": sorted(before[key] for key in before.keys() - after.keys() if key not in schema.unreadable),
        "retyped": {
            name: f"{former[before[key]]} → {now[name]}"
            for key, name in sorted(after.items())
            if key in before and former[before[key]] != now[name]
        },
    }
    if any(drift.values()):
        context.report.details["schema_drift"] = drift
        words = [f"{what}: {', '.join(drift[what])}" for what in ("new", "gone") if drift[what]]
        words += [f"{name} was {types.replace(' → ', ', is now ')}" for name, types in drift["retyped"].items()]
        context.note(
            f"The fields of Gainsight object `{schema.name}` changed since the last pull ({'; '.join(words)})."
        )
