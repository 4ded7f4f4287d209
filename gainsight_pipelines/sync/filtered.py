"""Reads with a filter from the settings: sent unchanged, newest first, by offset up to the limit, without a cursor.

What the filter selects is up to its author (requirement S6), so nothing is known of what a later read must bring: each
run reads it again, and unchanged rows write nothing.

Newest first by modification date, then by GSID. A tenant may put records without that date first (PostgreSQL does), and
they may fill the limit: no order is known to work in every tenant, and adding a condition to the filter would need
parentheses, which aren't documented to work. Where that happens, a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.pages import Columns, Pages, is_short
from gainsight_pipelines.gainsight.reader import PAGE_SIZE, ReadPlan
from gainsight_pipelines.objects.pull import Mapper
from gainsight_pipelines.store.scopes import Filtered
from gainsight_pipelines.sync.budget import Budget
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.page_writer import PageWriter
from gainsight_pipelines.sync.strategy import strategy_of


def read_filtered(context: PullContext, mapper: Mapper, where: Mapping[str, Any], write: PageWriter) -> None:
    """Reads what the filter matches, up to the limit.

    Raises:
        PermanentError: the tenant ignores offsets, so only the first page can be read.
    """
    context.scopes.take(Filtered)
    # Each attempt starts from the newest record, with the full limit.
    budget, seen, offset, undated = Budget(context.pull.limit), set[str](), 0, 0
    strategy = strategy_of(context, context.scopes)
    name = context.pull.gainsight_object
    id_field = mapper.id_field
    assert id_field is not None
    assert mapper.cursor_field is not None  # otherwise the object is read in full
    plan = ReadPlan(name, mapper.select, mapper.cursor_field, page_size=strategy.page_size, id_field=id_field)
    pages = Pages(context.services.gainsight, plan, Columns(plan), PAGE_SIZE, context.note)
    # Newest first: by modification date, then by GSID.
    order = (mapper.cursor_field, id_field)
    while True:
        # One record more than the limit leaves shows whether there are more.
        at_most = None if budget.remaining is None else budget.remaining + 1
        page = pages.ask((), order, direction="desc", offset=offset, at_most=at_most, raw_where=where)
        fresh = [record for record in page.records if str(record.get(id_field)) not in seen]
        if page.records and not fresh:
            raise PermanentError(
                f"Gainsight returns the same page of `{name}` again and again: this tenant"
                " ignores offsets, so a filter can't be read beyond its first page.",
                f"Narrow `{context.pull.section}.filter` so that its result fits one page, or remove it.",
            )
        if budget.remaining is not None and len(fresh) > budget.remaining:
            fresh = fresh[: budget.remaining]
            context.report.is_truncated = True
        budget.spend(len(fresh))
        undated += sum(record.get(mapper.cursor_field) in (None, "") for record in fresh)
        context.report.cleaned += page.cleaned
        write(fresh, Filtered(completed_at=context.started_at), also=partial(strategy.keep_size, pages.reduced_size))
        seen.update(str(record.get(id_field)) for record in fresh)
        offset += len(page.records)
        if context.report.is_truncated:
            note = f"The limit of {context.pull.limit:,} records was reached: older matches of the filter are left out."
            if undated:
                note += f" Of the records read, {undated:,} have no {mapper.cursor_field}: this tenant puts them first."
            context.note(note)
        if context.report.is_truncated or is_short(page):
            return
