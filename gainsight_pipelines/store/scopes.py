"""Cursors: how far each object has been read. One row of `sync_cursor` per object and scope, one class per scope.

All scopes have the same columns; each class says what they mean. A scope belongs to the run that took it last, and no
other run may move it: a run that was declared dead can't overwrite its successor's cursor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from gainsight_pipelines.errors import ObjectBusy

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Scope:
    """The state of one scope of an object, as stored in `sync_cursor`. Without values: nothing is known yet."""

    scope: ClassVar[str]
    columns: ClassVar[Mapping[str, str]] = {}
    """Attributes whose column has another name."""

    def moved_to(self, **changes: Any) -> Self:
        """A copy with these attributes changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Pull(Scope):
    """The regular read, ascending by modification.

    `modified_at`, `gsid`: where to continue. `window_from`: the start of an interrupted read's window.
    `read_started_at`: when the last completed read began, by the tenant's clock. `completed_at`: when it was completed,
    by ours; empty while a read is unfinished.
    """

    scope: ClassVar[str] = "pull"
    modified_at: datetime | None = None
    gsid: str | None = None
    window_from: datetime | None = None
    read_started_at: datetime | None = None
    completed_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The cursor as `sync_run` stores it."""
        return {
            "modified_at": self.modified_at.isoformat() if self.modified_at else None,
            "gsid": self.gsid,
            "window_from": self.window_from.isoformat() if self.window_from else None,
        }


@dataclass(frozen=True, slots=True)
class Filtered(Scope):
    """Reads with a filter from the settings: the time of the last one."""

    scope: ClassVar[str] = "filtered"
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Days(Scope):
    """Backfills by day: the time of the last one."""

    scope: ClassVar[str] = "days"
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Undated(Scope):
    """A daily read by GSID of records that date comparisons exclude.

    `gsid`: where to continue. `target`: the reread that it belongs to. `window_from`: the start of its window.
    `completed_at`: when it was last completed; empty while one is unfinished.
    """

    columns: ClassVar[Mapping[str, str]] = {"target": "fingerprint"}
    gsid: str | None = None
    target: str | None = None
    window_from: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WithoutModification(Undated):
    """Records without a modification date."""

    scope: ClassVar[str] = "nulls"


@dataclass(frozen=True, slots=True)
class WithoutDate(Undated):
    """Records without the date that the window uses."""

    scope: ClassVar[str] = "undated"


@dataclass(frozen=True, slots=True)
class Bases(Scope):
    """What the stored rows depend on, as JSON, and the start of the earliest read of them."""

    scope: ClassVar[str] = "settings"
    columns: ClassVar[Mapping[str, str]] = {"document": "fingerprint", "starts_at": "window_from"}
    document: str | None = None
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reread(Scope):
    """A second read of the pull's window after a change of settings: which, how far it has come, when it ended."""

    scope: ClassVar[str] = "reread"
    columns: ClassVar[Mapping[str, str]] = {"target": "fingerprint"}
    target: str | None = None
    modified_at: datetime | None = None
    gsid: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RereadStored(Scope):
    """The same for stored records outside any window, by their GSIDs."""

    scope: ClassVar[str] = "stored"
    columns: ClassVar[Mapping[str, str]] = {"target": "fingerprint"}
    target: str | None = None
    gsid: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Linked(Scope):
    """The accounts and companies with which the stored rows were last matched."""

    scope: ClassVar[str] = "links"
    fingerprint: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deletions(Scope):
    """When deleted records were last looked for, and when with a full sweep over all GSIDs."""

    scope: ClassVar[str] = "deletions"
    columns: ClassVar[Mapping[str, str]] = {"looked_at": "completed_at", "swept_at": "modified_at"}
    looked_at: datetime | None = None
    swept_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadStrategy(Scope):
    """That the tenant doesn't honour incremental reads: since when this is known, and the finding."""

    scope: ClassVar[str] = "strategy"
    columns: ClassVar[Mapping[str, str]] = {"whole_since": "completed_at", "finding": "fingerprint"}
    whole_since: datetime | None = None
    finding: str | None = None


@dataclass(frozen=True, slots=True)
class PageSize(Scope):
    """A reduced page size that the tenant can manage, and when it was recorded."""

    scope: ClassVar[str] = "pages"
    columns: ClassVar[Mapping[str, str]] = {"shown": "fingerprint", "noted_at": "completed_at"}
    shown: str | None = None
    noted_at: datetime | None = None

    @property
    def records(self) -> int | None:
        """Records per page."""
        return int(self.shown) if self.shown else None


@dataclass(frozen=True, slots=True)
class CrmIdField(Scope):
    """For companies: the field that their stored CRM ids came from."""

    scope: ClassVar[str] = "links"
    columns: ClassVar[Mapping[str, str]] = {"name": "fingerprint", "doubt": "gsid"}
    name: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class CompanyCheck(Scope):
    """For companies: how far changed CRM ids have been read, and when."""

    scope: ClassVar[str] = "changes"
    modified_at: datetime | None = None
    gsid: str | None = None
    read_started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountChanges(Scope):
    """For the CRM's accounts: how far changes have been read, start and end of the read, and its fields."""

    scope: ClassVar[str] = "changes"
    modified_at: datetime | None = None
    read_started_at: datetime | None = None
    completed_at: datetime | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class AccountSweep(Scope):
    """For the CRM's accounts: when all were last read, and by how many the CRM's count exceeds them."""

    scope: ClassVar[str] = "sweep"
    columns: ClassVar[Mapping[str, str]] = {"surplus": "fingerprint"}
    read_started_at: datetime | None = None
    completed_at: datetime | None = None
    surplus: str | None = None


S = TypeVar("S", bound=Scope)


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of one object, as one run reads and moves them."""

    connection: psycopg.Connection
    name: str
    run_id: str

    def take(self, kind: type[S]) -> S:
        """Takes a scope over for this run, and returns its state."""
        row = self.connection.execute(
            """INSERT INTO sync_cursor AS c (object, scope, run_id) VALUES (%s, %s, %s)
               ON CONFLICT (object, scope) DO UPDATE SET run_id = excluded.run_id
               RETURNING modified_at, gsid, window_from, read_started_at, completed_at, fingerprint""",
            (self.name, kind.scope, self.run_id),
        ).fetchone()
        assert row is not None
        return _loaded(kind, row)

    def peek(self, kind: type[S]) -> S:
        """The state of a scope, without taking it over."""
        return peek(self.connection, self.name, kind)

    def save(self, state: Scope) -> None:
        """Saves a scope in the transaction that writes the corresponding rows.

        Raises:
            ObjectBusy: another run has taken the object over; the transaction must be rolled back.
        """
        values = dict.fromkeys(COLUMNS) | {
            state.columns.get(each.name, each.name): getattr(state, each.name) for each in fields(state)
        }
        done = self.connection.execute(
            """UPDATE sync_cursor
               SET modified_at = %(modified_at)s, gsid = %(gsid)s, window_from = %(window_from)s,
                   read_started_at = %(read_started_at)s, completed_at = %(completed_at)s,
                   fingerprint = %(fingerprint)s, updated_at = now()
               WHERE object = %(object)s AND scope = %(scope)s AND run_id = %(run_id)s""",
            values | {"object": self.name, "scope": state.scope, "run_id": self.run_id},
        )
        if done.rowcount != 1:
            raise ObjectBusy(
                f"Another run has taken over `{self.name}`.", "Nothing is lost: it goes on from the last page."
            )

    def forget(self, *kinds: type[Scope]) -> None:
        """Resets scopes to their initial state."""
        for kind in kinds:
            self.take(kind)
            self.save(kind())

    def of(self, name: str) -> Scopes:
        """The scopes of another object, for the same run."""
        return replace(self, name=name)


COLUMNS = ("modified_at", "gsid", "window_from", "read_started_at", "completed_at", "fingerprint")


def _loaded(kind: type[S], row: tuple[Any, ...]) -> S:
    stored = dict(zip(COLUMNS, row, strict=True))
    return kind(**{each.name: stored[kind.columns.get(each.name, each.name)] for each in fields(kind)})


def peek(connection: psycopg.Connection, name: str, kind: type[S]) -> S:
    """The state of a scope of an object, for readers only."""
    row = connection.execute(
        """SELECT modified_at, gsid, window_from, read_started_at, completed_at, fingerprint
           FROM sync_cursor WHERE object = %s AND scope = %s""",
        (name, kind.scope),
    ).fetchone()
    return kind() if row is None else _loaded(kind, row)
