"""The report of a pull: counted while it runs, stored in `sync_run`, shown by Dagster and the command line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gainsight_pipelines.objects.fields import UNREADABLE
from gainsight_pipelines.objects.pull import Count
from gainsight_pipelines.store.scopes import Pull

SHOWN = 50
"""Names stored per topic of counts."""


@dataclass(slots=True)
class SyncReport:
    """The result of a pull.

    Counts are records (`read`, `rejected`) or rows (the others) of this run; `accounts`: the CRM's live ones. `calls`:
    API calls by kind. `cleaned`: strings changed because PostgreSQL would refuse them. `counts`: the mapper's counts.
    `details`: further facts. `notes`: for people.
    """

    object: str
    run_id: str
    status: str = "running"
    since: datetime | None = None
    accounts: int = 0
    read: int = 0
    written: int = 0
    unchanged: int = 0
    matched: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)
    contradicted: int = 0
    rejected: int = 0
    cleaned: int = 0
    relinked: int = 0
    is_truncated: bool = False
    calls: dict[str, int] = field(default_factory=dict)
    bytes_received: int = 0
    seconds: float = 0.0
    counts: Counter[Count] = field(default_factory=Counter)
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cursor_before: Pull | None = None
    cursor_after: Pull | None = None
    undecided: SyncReport | None = None
    """The counts including a page whose commit got no response; only the database knows whether it took effect."""

    @property
    def unreadable(self) -> int:
        """The number of unreadable values."""
        return sum(count for (topic, _), count in self.counts.items() if topic == UNREADABLE)

    def snapshot(self) -> SyncReport:
        """A copy of the current counts, for `restore`."""
        return replace(self, unmatched=Counter(self.unmatched), counts=Counter(self.counts))

    def restore(self, snapshot: SyncReport) -> None:
        """Restores the counts after a counted page was rolled back."""
        for name in ("read", "written", "unchanged", "matched", "contradicted", "rejected"):
            setattr(self, name, getattr(snapshot, name))
        self.unmatched = Counter(snapshot.unmatched)
        self.counts = Counter(snapshot.counts)

    def counted(self) -> dict[str, dict[str, int]]:
        """The counts by topic and name, most frequent first."""
        found: dict[str, dict[str, int]] = {}
        for (topic, name), count in self.counts.most_common():
            names = found.setdefault(topic, {})
            if len(names) < SHOWN:
                names[name] = count
        return found

    def columns(self) -> dict[str, Any]:
        """The report as columns of `sync_run`."""
        return {
            "window_from": self.since,
            "records_read": self.read,
            "rows_written": self.written,
            "rows_unchanged": self.unchanged,
            "rows_matched": self.matched,
            "rows_unmatched": dict(self.unmatched),
            "records_rejected": self.rejected,
            "rows_relinked": self.relinked,
            "is_truncated": self.is_truncated,
            "calls": self.calls,
            "bytes_received": self.bytes_received,
            "values_unreadable": self.unreadable,
            "cursor_before": self.cursor_before.as_json() if self.cursor_before else None,
            "cursor_after": self.cursor_after.as_json() if self.cursor_after else None,
        }
