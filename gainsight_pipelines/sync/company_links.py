"""Keeps the companies' CRM ids up to date: finds the field that holds them, and reads changed ones.

All pulls share them (table `company_link`), whether or not companies are pulled.
"""

from __future__ import annotations

from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.errors import UnknownField
from gainsight_pipelines.gainsight.reader import (
    Position,
    ReadPlan,
    end_of_read,
    read_changed,
    read_full,
    start_of_pull,
)
from gainsight_pipelines.objects.fields import MODIFIED_NAMES, first_named, spelled
from gainsight_pipelines.objects.pull import COMPANY_OBJECT, company_crm_id_field, crm_ids_of
from gainsight_pipelines.objects.registry import COMPANIES
from gainsight_pipelines.store import links
from gainsight_pipelines.store.scopes import CompanyCheck, CrmIdField, Pull, Scopes
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.strategy import strategy_of
from gainsight_pipelines.text import name_key

COMPANY_LINKS = "company_link"
"""The object in `sync_cursor` for the table of companies' CRM ids."""

NO_FIELD = "(none)"


def crm_id_field(context: PullContext) -> str | None:
    """The company's field with the CRM id, as `company_crm_id_field` finds it.

    An invalid `company` section must not change other objects' matches: if it hides the setting, the field of the last
    pull is used; if there was none, companies are not matched by CRM id.

    Raises:
        SettingsError: the company has no such field.
    """
    configured = context.prepared.crm_id_field
    if not context.prepared.is_crm_id_field_told:
        known = context.scopes.of(COMPANY_LINKS).peek(CrmIdField).name
        configured = None if known in (None, NO_FIELD) else known
        context.note(
            "The section `company` of the settings is invalid, so its `crm_id_field` is unknown: companies are"
            f" matched by {f'`{configured}`, as before' if configured else 'the GSID field alone'}."
        )
        if configured is None:
            return None
    return company_crm_id_field(configured, context.services.crm.kind, lambda: context.schema(COMPANY_OBJECT))


def company_gsid_field(context: PullContext) -> str:
    """The company's GSID field in this tenant's spelling."""
    return spelled(context.schema(COMPANY_OBJECT), "Gsid")


def keep_crm_ids(context: PullContext, field: str | None) -> None:
    """Updates the stored CRM ids: of all companies if another field holds them now, otherwise of changed ones."""
    if field is None and (refused := _refused_field(context)) is not None:
        context.note(f"Gainsight refuses `{refused}` of `{COMPANY_OBJECT}`: companies keep their stored CRM ids.")
        return
    _follow_field(context, field)
    if field is not None:
        try:
            _look_at_changes(context, field)
        except UnknownField:
            raise
        except PermanentError as error:
            context.note(f"Changed CRM ids of companies can't be read. {error}")


def _refused_field(context: PullContext) -> str | None:
    """The field that the stored CRM ids came from, if the tenant now refuses it."""
    known = context.scopes.of(COMPANY_LINKS).peek(CrmIdField).name
    if known is None or known == NO_FIELD:
        return None
    return known if name_key(known) in context.schema(COMPANY_OBJECT).unreadable else None


def _follow_field(context: PullContext, field: str | None) -> None:
    connection, scopes, now = context.connection, context.scopes.of(COMPANY_LINKS), field or NO_FIELD
    with connection.transaction():
        known = scopes.take(CrmIdField)
        kept, is_same = known.name, known.name is not None and name_key(known.name) == name_key(now)
        if is_same and known.doubt is None:
            return
        if kept is not None:
            links.forget_crm_ids(connection)
            if field is not None:
                gsid = company_gsid_field(context)
                plan = ReadPlan(COMPANY_OBJECT, (gsid, field), cursor_field=None, id_field=gsid, kind="links")
                for page in read_full(context.services.gainsight, plan, report=context.note):
                    checked_at = context.services.clock.now()
                    links.write_companies(
                        connection, dict(crm_ids_of(page.records, gsid, field)), is_known=True, checked_at=checked_at
                    )
            context.note(
                "The CRM ids of all companies were read again: an earlier version may have lost some."
                if is_same
                else f"The company's field with the CRM id is now {now}: the ids of all companies were read again."
            )
        scopes.save(CrmIdField(now))


def _look_at_changes(context: PullContext, field: str) -> None:
    """Once a day, one call if few companies changed: a correction changes no record that names the company.

    A completed pull of companies counts too.
    """
    connection, scopes, now = context.connection, context.scopes.of(COMPANY_LINKS), context.started_at
    if context.pull.table.holds_companies:
        return
    with connection.transaction():
        last, pulled = scopes.take(CompanyCheck), context.scopes.of(COMPANIES.section).peek(Pull)
        if pulled.completed_at and (last.completed_at is None or pulled.completed_at > last.completed_at):
            last = CompanyCheck(pulled.modified_at, pulled.gsid, pulled.read_started_at, pulled.completed_at)
        if last.completed_at is None:
            # Never read yet: the stored ids are as old as the oldest of them.
            oldest = links.oldest_check(connection)
            last = CompanyCheck(modified_at=oldest.replace(microsecond=0) if oldest else None, completed_at=oldest)
        is_due = last.completed_at is not None and context.is_due(last.completed_at)
        if is_due or context.prepared.is_full:
            done = _read_changes(context, scopes, field, last)
            scopes.save(done.moved_to(completed_at=now))


def _read_changes(context: PullContext, scopes: Scopes, field: str, last: CompanyCheck) -> CompanyCheck:
    """Corrects the CRM ids of companies that changed since the last read (of all companies in a full run)."""
    overlap = context.prepared.overlap
    modified = first_named(context.schema(COMPANY_OBJECT), MODIFIED_NAMES)
    position = Position(last.modified_at, last.gsid) if last.modified_at else None
    start = None if context.prepared.is_full else start_of_pull(position, last.read_started_at, overlap)
    strategy = strategy_of(context, scopes)
    gsid_field = company_gsid_field(context)
    plan = ReadPlan(
        COMPANY_OBJECT,
        (gsid_field, field),
        cursor_field=modified.name if modified else None,
        start=start if modified else None,
        is_whole=strategy.is_whole,
        is_retry=strategy.is_retry,
        page_size=strategy.page_size,
        id_field=gsid_field,
        kind="links",
    )
    corrected: dict[str, str | None] = {}
    look = last.moved_to(read_started_at=None)
    is_anything_read = False
    for page in read_changed(context.services.gainsight, plan, report=context.note):
        corrected |= links.differing(context.connection, dict(crm_ids_of(page.records, gsid_field, field)))
        look = look.moved_to(read_started_at=look.read_started_at or page.server_time)
        is_anything_read |= bool(page.records)
        if page.is_last and is_anything_read:
            end = end_of_read(page.position, page.server_time, overlap)
            look = look.moved_to(modified_at=end.modified if end else None, gsid=end.gsid if end else None)
        strategy.learn(page)
    checked_at = context.services.clock.now()
    links.write_companies(context.connection, corrected, is_known=True, checked_at=checked_at)
    return look
