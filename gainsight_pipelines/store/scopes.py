"""How far each object has been read, and with what: a row of `sync_cursor` per object and scope, a class per scope.

The columns are the same for all scopes; what they hold in each is said by its class. A scope belongs to the run that
took it last: no other may move it, so that a run that was given up for dead writes nothing over its successor.
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
    """What `sync_cursor` holds of one scope of an object. Without values: nothing is known yet."""

    scope: ClassVar[str]
    columns: ClassVar[Mapping[str, str]] = {}
    """Of attributes whose column has another name."""

    def moved_to(self, **changes: Any) -> Self:
        """A copy with these attributes changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Pull(Scope):
    """The normal read, ascending by modification.

    `modified_at`, `gsid`: the place to go on at. `window_from`: the start of what a read covers that was cut off.
    `read_started_at`: when, by the tenant's clock, the last completed read began. `completed_at`: when by ours; empty
    while a read is under way.
    """

    scope: ClassVar[str] = "pull"
    modified_at: datetime | None = None
    gsid: str | None = None
    window_from: datetime | None = None
    read_started_at: datetime | None = None
    completed_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """What `sync_run` keeps of it."""
        return {
            "modified_at": self.modified_at.isoformat() if self.modified_at else None,
            "gsid": self.gsid,
            "window_from": self.window_from.isoformat() if self.window_from else None,
        }


@dataclass(frozen=True, slots=True)
class Filtered(Scope):
    """The reads that a filter of the settings asks for: when the last one was."""

    scope: ClassVar[str] = "filtered"
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Days(Scope):
    """The reads by day of backfills: when the last one was."""

    scope: ClassVar[str] = "days"
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Undated(Scope):
    """A daily read by Gsid of records that comparisons of dates leave out.

    `gsid`: the place to go on at. `target`: the reread that it was a part of. `window_from`: the start of what it
    covers. `completed_at`: when it last came to its end; empty while one is under way.
    """

    columns: ClassVar[Mapping[str, str]] = {"target": "fingerprint"}
    gsid: str | None = None
    target: str | None = None
    window_from: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WithoutModification(Undated):
    """Of records without a date of modification."""

    scope: ClassVar[str] = "nulls"


@dataclass(frozen=True, slots=True)
class WithoutDate(Undated):
    """Of records without the date by which the window chooses."""

    scope: ClassVar[str] = "undated"


@dataclass(frozen=True, slots=True)
class Bases(Scope):
    """What stored rows depend on, as JSON, and where the earliest read of them began."""

    scope: ClassVar[str] = "settings"
    columns: ClassVar[Mapping[str, str]] = {"document": "fingerprint", "starts_at": "window_from"}
    document: str | None = None
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reread(Scope):
    """A second read by the pull's window, for changed settings: which, how far it has come, when it ended."""

    scope: ClassVar[str] = "reread"
    columns: ClassVar[Mapping[str, str]] = {"target": "fingerprint"}
    target: str | None = None
    modified_at: datetime | None = None
    gsid: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RereadStored(Scope):
    """The same for stored records that no window shows any more, by their Gsids."""

    scope: ClassVar[str] = "stored"
    columns: ClassVar[Mapping[str, str]] = {"target": "fingerprint"}
    target: str | None = None
    gsid: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Linked(Scope):
    """With which accounts and companies the stored rows were matched last."""

    scope: ClassVar[str] = "links"
    fingerprint: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deletions(Scope):
    """When deleted records were last looked for, and when by a sweep over all Gsids."""

    scope: ClassVar[str] = "deletions"
    columns: ClassVar[Mapping[str, str]] = {"looked_at": "completed_at", "swept_at": "modified_at"}
    looked_at: datetime | None = None
    swept_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadStrategy(Scope):
    """That the tenant doesn't honour what reading by changes needs: since when that is known, and what was found."""

    scope: ClassVar[str] = "strategy"
    columns: ClassVar[Mapping[str, str]] = {"whole_since": "completed_at", "finding": "fingerprint"}
    whole_since: datetime | None = None
    finding: str | None = None


@dataclass(frozen=True, slots=True)
class PageSize(Scope):
    """How many records at a time the tenant managed, where that is fewer than are asked for; and when it was noted."""

    scope: ClassVar[str] = "pages"
    columns: ClassVar[Mapping[str, str]] = {"shown": "fingerprint", "noted_at": "completed_at"}
    shown: str | None = None
    noted_at: datetime | None = None

    @property
    def records(self) -> int | None:
        """The number."""
        return int(self.shown) if self.shown else None


@dataclass(frozen=True, slots=True)
class CrmIdField(Scope):
    """Of companies: the field that their known CRM ids came from; `doubt`: what is known has to be read again."""

    scope: ClassVar[str] = "links"
    columns: ClassVar[Mapping[str, str]] = {"name": "fingerprint", "doubt": "gsid"}
    name: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class CompanyCheck(Scope):
    """Of companies: how far changed CRM ids were looked for, and when."""

    scope: ClassVar[str] = "changes"
    modified_at: datetime | None = None
    gsid: str | None = None
    read_started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountChanges(Scope):
    """Of the CRM's accounts: how far changes were read, when a read began and ended, and with which fields."""

    scope: ClassVar[str] = "changes"
    modified_at: datetime | None = None
    read_started_at: datetime | None = None
    completed_at: datetime | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class AccountSweep(Scope):
    """Of the CRM's accounts: when all were last read, and by how many the CRM counted more than there are."""

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
        """What is stored of a scope, which from now on belongs to this run."""
        row = self.connection.execute(
            """INSERT INTO sync_cursor AS c (object, scope, run_id) VALUES (%s, %s, %s)
               ON CONFLICT (object, scope) DO UPDATE SET run_id = excluded.run_id
               RETURNING modified_at, gsid, window_from, read_started_at, completed_at, fingerprint""",
            (self.name, kind.scope, self.run_id),
        ).fetchone()
        assert row is not None
        return _loaded(kind, row)

    def peek(self, kind: type[S]) -> S:
        """What is stored of a scope, which stays whose it is."""
        return peek(self.connection, self.name, kind)

    def save(self, state: Scope) -> None:
        """Moves a scope, as part of the transaction that writes what it stands for.

        Raises:
            ObjectBusy: another run has taken the object over; the transaction has to be given up.
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
                f"Another run has taken `{self.name}` over.", "Nothing is lost: it goes on from the last page."
            )

    def forget(self, *kinds: type[Scope]) -> None:
        """Puts scopes to where nothing is known."""
        for kind in kinds:
            self.take(kind)
            self.save(kind())

    def of(self, name: str) -> Scopes:
        """The same for something else that is read."""
        return replace(self, name=name)


COLUMNS = ("modified_at", "gsid", "window_from", "read_started_at", "completed_at", "fingerprint")


def _loaded(kind: type[S], row: tuple[Any, ...]) -> S:
    stored = dict(zip(COLUMNS, row, strict=True))
    return kind(**{each.name: stored[kind.columns.get(each.name, each.name)] for each in fields(kind)})


def peek(connection: psycopg.Connection, name: str, kind: type[S]) -> S:
    """What is stored of a scope of an object, for those who only look."""
    row = connection.execute(
        """SELECT modified_at, gsid, window_from, read_started_at, completed_at, fingerprint
           FROM sync_cursor WHERE object = %s AND scope = %s""",
        (name, kind.scope),
    ).fetchone()
    return kind() if row is None else _loaded(kind, row)
