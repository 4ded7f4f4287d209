"""How an object of this tenant is read: incrementally or in full, and with which page size.

What a run finds out applies to the next ones, but not forever: after a week incremental reading is tried again, with
proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gainsight_pipelines.gainsight.reader import ReadPage
from gainsight_pipelines.store.scopes import PageSize, ReadStrategy, Scopes
from gainsight_pipelines.sync.context import PullContext

TRY_AGAIN_AFTER = 7
"""Days."""


@dataclass(slots=True)
class Strategy:
    """The strategy of one read, updated from its pages.

    `is_whole`: full read. `is_retry`: incremental reading is tried again and must be proved. `page_size`: records per
    page; None: the maximum.
    """

    scopes: Scopes
    now: datetime
    is_whole: bool
    is_retry: bool
    page_size: int | None

    def learn(self, page: ReadPage) -> None:
        """Saves what a page shows, in the transaction that stores it, which may be repeated."""
        if page.is_whole and not self.is_whole:
            self._keep(ReadStrategy(whole_since=self.now, finding=page.finding))
        elif self.is_retry and page.is_last and not page.is_whole:
            self._keep(ReadStrategy())
        self.keep_size(page.page_size)

    def keep_size(self, records: int | None) -> None:
        """Saves the current page size, if it has changed."""
        if records != self.page_size:
            self._keep(PageSize(str(records), self.now) if records else PageSize())

    def _keep(self, state: ReadStrategy | PageSize) -> None:
        self.scopes.take(type(state))
        self.scopes.save(state)


def strategy_of(context: PullContext, scopes: Scopes) -> Strategy:
    """The current strategy for these scopes; notes a full read."""
    known, size = scopes.peek(ReadStrategy), scopes.peek(PageSize)
    is_known = known.whole_since is not None
    is_whole = is_known and not context.is_due(known.whole_since, days=TRY_AGAIN_AFTER)
    if context.prepared.is_full:
        is_whole = False
    if is_whole and known.whole_since is not None:
        again = known.whole_since + timedelta(days=TRY_AGAIN_AFTER)
        context.note(
            f"Each run reads all of it, as {known.finding or 'it was found to be needed'} on"
            f" {known.whole_since:%Y-%m-%d}; incremental reading is tried again on {again:%Y-%m-%d}."
        )
    page_size = None if context.is_due(size.noted_at, days=TRY_AGAIN_AFTER) else size.records
    return Strategy(scopes, context.started_at, is_whole, is_known and not is_whole, page_size)
