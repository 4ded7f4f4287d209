"""Objects without a cursor: each run is a full read, swapped in at the end."""

from __future__ import annotations

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.reader import ReadPlan, read_full
from gainsight_pipelines.objects.pull import Mapper
from gainsight_pipelines.store import snapshot
from gainsight_pipelines.store.scopes import Pull
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.page_writer import PageWriter
from gainsight_pipelines.sync.read_ahead import read_ahead

LEAST_SHARE = 0.5
"""Of the stored rows: a read with fewer counts as a mistake of the tenant."""


def read_snapshot(context: PullContext, mapper: Mapper, write: PageWriter) -> None:
    """Reads the whole object into a snapshot, and replaces the stored rows with it if it is plausible.

    Raises:
        PermanentError: it has so few rows that it was not swapped in; nothing was changed.
    """
    connection, run_id = context.connection, context.report.run_id
    context.report.cursor_before = context.scopes.take(Pull)
    plan = ReadPlan(context.pull.gainsight_object, mapper.select, cursor_field=None, id_field=mapper.id_field)
    snapshot.prepare(connection, context.pull.table)
    is_first = True
    for page in read_ahead(read_full(context.services.gainsight, plan, report=context.note)):
        context.report.cleaned += page.cleaned
        write.stage(page.records, is_restart=page.is_restart or is_first)
        is_first = False
    table, name = context.pull.table, context.pull.gainsight_object
    refused = context.schema(name).unreadable
    rows, stored = snapshot.compare(connection, table, name, refused)
    if rows < stored * LEAST_SHARE and not context.prepared.is_vanishing_accepted:
        raise PermanentError(
            f"Gainsight returned {rows:,} rows of `{context.pull.gainsight_object}` instead of {stored:,}, so the"
            " stored rows were kept.",
            "If the other records are really gone, run once with --accept-deletions; or check what the key may read.",
        )
    pull = Pull(completed_at=context.started_at)
    written, gone = snapshot.swap(
        connection,
        context.lease,
        table,
        name,
        run_id,
        refused=refused,
        finish=lambda: context.scopes.save(pull),
    )
    context.report.written += written.written
    context.report.unchanged += written.unchanged
    context.report.cursor_after = pull
    if gone:
        context.report.details["deleted"] = gone
