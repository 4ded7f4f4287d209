"""Finds stored records that Gainsight no longer has, since deleted records simply stop coming.

Once a day from the tenant's log of deletions, which it keeps for 15 days. If there is no log, or the last check is too
long ago, once a week with a sweep over all GSIDs. Once a month there is a sweep anyway, since the log may not cover the
object.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gainsight_pipelines.gainsight.errors import UnknownObject
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.query import Condition, Operator
from gainsight_pipelines.gainsight.reader import ReadPlan, read_full
from gainsight_pipelines.objects.fields import normal_name, spelled, text
from gainsight_pipelines.objects.pull import Mapper
from gainsight_pipelines.store import deletions
from gainsight_pipelines.store.scopes import Deletions
from gainsight_pipelines.sync.accounts import most_that_may_vanish
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.text import canonical_gsid, visible
from gainsight_pipelines.values import parse_datetime

LOGS = ("record_delete_log", "record_delete_log_high_volume")
"""The second may be missing even if the first exists."""

SWEEP_EVERY, SWEEP_BESIDE_LOG_EVERY = 7, 30
"""Days."""

LOG_KEPT_FOR, LOG_OVERLAP = timedelta(days=14), timedelta(days=1)
"""A day less than Gainsight keeps the log; entries may appear late."""


def note_beginning(context: PullContext) -> None:
    """Records when the first read of an object began: deletions are searched for from then on.

    Called before anything is read, since that run may be killed and leave rows behind.
    """
    with context.connection.transaction():
        if context.scopes.take(Deletions).looked_at is None:
            context.scopes.save(Deletions(looked_at=context.started_at, swept_at=context.started_at))


def find_deletions(context: PullContext, mapper: Mapper) -> None:
    """Marks the rows of deleted records, if a check is due."""
    if mapper.cursor_field is None:
        return  # full reads notice deletions themselves
    state, now = context.scopes.take(Deletions), context.started_at
    looked_at, swept_at = state.looked_at, state.swept_at
    assert looked_at is not None  # set by note_beginning
    is_asked_for = context.prepared.is_vanishing_accepted
    if not context.is_due(looked_at) and not is_asked_for:
        return
    is_log_enough = now - looked_at < LOG_KEPT_FOR and not is_asked_for and _read_logs(context, looked_at)
    every = SWEEP_BESIDE_LOG_EVERY if is_log_enough else SWEEP_EVERY
    if is_asked_for or now - looked_at >= LOG_KEPT_FOR or context.is_due(swept_at, days=every):
        _sweep(context, mapper.id_field)
        swept_at = now
    context.scopes.take(Deletions)
    context.scopes.save(Deletions(looked_at=now, swept_at=swept_at))


def _read_logs(context: PullContext, looked_at: datetime) -> bool:
    """Marks what the logs list; False if the tenant has no log."""
    deleted: dict[str, datetime | None] = {}
    has_log = False
    for log in LOGS:
        try:
            schema = context.schema(log)
        except UnknownObject:
            continue
        try:
            deleted |= _logged(context, schema, looked_at - LOG_OVERLAP)
        except UnknownObject:  # from a cached schema; the log no longer exists
            continue
        has_log = True
    if deleted:
        marked = deletions.mark_logged(
            context.connection,
            context.lease,
            context.pull.table,
            context.pull.gainsight_object,
            deleted,
            context.report.run_id,
        )
        _report(context, marked)
    return has_log


def _logged(context: PullContext, schema: ObjectSchema, since: datetime) -> dict[str, datetime | None]:
    record_id, object_name, deleted_on = (spelled(schema, name) for name in ("RecordId", "ObjectName", "DeletedOn"))
    own_id = schema.field("Gsid")
    plan = ReadPlan(
        schema.name,
        (record_id, object_name, deleted_on),
        cursor_field=None,
        filters=(Condition(deleted_on, Operator.GTE, (since,)),),
        id_field=own_id.name if own_id else None,
        kind="deletions",
    )
    # The log may say `Company` or `Activity Timeline` for the objects `company` and `activity_timeline`.
    label = context.schema(context.pull.gainsight_object).label
    names = {normal_name(context.pull.gainsight_object), normal_name(label)}
    found: dict[str, datetime | None] = {}
    for page in read_full(context.services.gainsight, plan, report=context.note):
        for record in page.records:
            gsid = text(record.get(record_id))
            if gsid and normal_name(text(record.get(object_name)) or "") in names:
                found[_as_stored(context, gsid)] = _moment(record.get(deleted_on))
    return found


def _moment(value: object) -> datetime | None:
    try:
        return parse_datetime(value)
    except ValueError:
        return None


def _sweep(context: PullContext, id_field: str | None) -> None:
    """Reads all GSIDs and marks the rows that are not among them."""
    assert id_field is not None  # an object with a cursor has one
    connection, table, name = context.connection, context.pull.table, context.pull.gainsight_object
    plan = ReadPlan(name, (id_field,), cursor_field=None, id_field=id_field, kind="sweep")
    deletions.prepare_sweep(connection)
    for page in read_full(context.services.gainsight, plan, report=context.note):
        ids = (_as_stored(context, str(record[id_field])) for record in page.records if record.get(id_field))
        deletions.note_seen(connection, ids, is_restart=page.is_restart)
    unseen, live = deletions.count_unseen(connection, table, name, context.started_at)
    if unseen > most_that_may_vanish(live) and not context.prepared.is_vanishing_accepted:
        context.report.details["vanished"] = unseen
        context.note(
            f"Gainsight showed {live - unseen:,} of {live:,} stored rows of `{name}`; so many don't count as"
            " deleted. If they are, run once with --accept-deletions; otherwise check what the API key may read."
        )
        return
    marked = deletions.mark_unseen(connection, context.lease, table, name, context.started_at, context.report.run_id)
    _report(context, marked)


def _as_stored(context: PullContext, gsid: str) -> str:
    """A record's GSID as stored: companies' are in upper case."""
    return canonical_gsid(gsid) or "" if context.pull.table.holds_companies else visible(gsid)


def _report(context: PullContext, marked: int) -> None:
    if marked:
        context.report.details["deleted"] = context.report.details.get("deleted", 0) + marked
        context.note(f"{marked:,} rows were marked deleted: Gainsight no longer has their records.")
