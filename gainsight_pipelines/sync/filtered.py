"""The read of a filter of the settings: sent as it stands, newest first, by offset up to the limit, without a cursor.

What the filter means is its author's business (requirement S6), so nothing is known of what a later read has to bring:
each run asks for it anew, and unchanged rows write nothing.

Newest first by the modification date, then by Gsid. A tenant may put records without that date first (PostgreSQL does),
so that they fill the limit: no order is known that every tenant sorts otherwise, and a condition added to the filter
would need parentheses, which aren't documented to work. So it is said where it happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.query import MAX_LIMIT, Direction, Query
from gainsight_pipelines.objects.pull import Mapper
from gainsight_pipelines.store.runs import Cursor, take_cursor
from gainsight_pipelines.sync.changes import FILTERED
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.pages import PageWriter

SHORT_PAGE = 100
"""Fewer records than this end a read; after more of them the next page is asked for, as a tenant may cap pages."""


def read_filtered(context: PullContext, mapper: Mapper, where: Mapping[str, Any], write: PageWriter) -> None:
    """Reads what the filter asks for, up to the limit.

    Raises:
        PermanentError: the tenant ignores offsets, so only its first page can be had.
    """
    take_cursor(context.connection, context.pull.name, FILTERED, context.report.run_id)
    limit, seen, offset, undated = context.pull.limit, set[str](), 0, 0
    while True:
        # One more than what is left shows whether there is more.
        asked = MAX_LIMIT if limit is None else min(MAX_LIMIT, limit - len(seen) + 1)
        query = Query(select=mapper.select, raw_where=where, order_by=_newest_first(mapper), limit=asked, offset=offset)
        page = context.services.gainsight.query(context.pull.gainsight_object, query)
        fresh = [record for record in page.records if str(record.get("Gsid")) not in seen]
        if page.records and not fresh:
            raise PermanentError(
                f"Gainsight gives the same page of `{context.pull.gainsight_object}` again and again: this tenant"
                " ignores offsets, so a filter can't be read beyond its first page.",
                f"Narrow `{context.pull.section}.filter` so that its result fits one page, or remove it.",
            )
        if limit is not None and len(seen) + len(fresh) > limit:
            fresh = fresh[: limit - len(seen)]
            context.report.is_truncated = True
        if mapper.cursor_field is not None:
            undated += sum(record.get(mapper.cursor_field) in (None, "") for record in fresh)
        context.report.cleaned += page.cleaned
        write(fresh, FILTERED, Cursor(completed_at=context.started_at))
        seen.update(str(record.get("Gsid")) for record in fresh)
        offset += len(page.records)
        if context.report.is_truncated:
            note = f"The limit of {limit:,} records was reached: older ones that the filter matches are left out."
            if undated:
                note += (
                    f" Of those that were read, {undated:,} have no {mapper.cursor_field}: this tenant puts them first."
                )
            context.note(note)
        if context.report.is_truncated or len(page.records) < min(SHORT_PAGE, asked):
            return


def _newest_first(mapper: Mapper) -> tuple[tuple[str, Direction], ...]:
    by_gsid: tuple[str, Direction] = ("Gsid", "desc")
    return (by_gsid,) if mapper.cursor_field is None else ((mapper.cursor_field, "desc"), by_gsid)
