"""Previews a pull or a filter: the number of records, and some of them raw and as they would be stored (W4).

Writes nothing. Makes one or two calls to Gainsight for the count, one for the records, a few to the CRM for accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from gainsight_pipelines.discovery.accounts import FoundLinks, find_links, keys_of
from gainsight_pipelines.discovery.catalog import Catalog
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.errors import UnknownField, UnknownObject
from gainsight_pipelines.gainsight.metadata import ObjectSchema
from gainsight_pipelines.gainsight.query import MAX_LIMIT, Condition, Direction, Operator, Query
from gainsight_pipelines.gainsight.where_check import checked_filter
from gainsight_pipelines.matching import Link
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.fields import BadRecord, first_named
from gainsight_pipelines.objects.pull import COMPANY_OBJECT, Mapper, ObjectPull, Window, company_crm_id_field
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.settings.pulls import find_pull
from gainsight_pipelines.store.contract import RELATIONS
from gainsight_pipelines.store.tables import Table
from gainsight_pipelines.text import name_key

if TYPE_CHECKING:
    import pandas as pd

FILTER_PLACE = "--filter"
SAMPLE = 3
"""Records shown by default."""
MOST_SAMPLES = 50
MOST_REFUSED = 20
"""Fields that a tenant may refuse one by one before the preview fails."""


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many records match. The API doesn't count: beyond one page, or with capped pages, it is "at least"."""

    count: int
    is_exact: bool

    def __str__(self) -> str:
        return f"{self.count:,}" if self.is_exact else f"at least {self.count:,}"


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    """One record of a preview.

    Attributes:
        raw: as received, by field.
        rows: as stored, by column; usage objects make several rows of one record.
        rejected: why it would be rejected instead.
        link: the account it would be matched to, or why none; None: unknown.
        account_name: the name of that account.
    """

    raw: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...] = ()
    rejected: str | None = None
    link: Link | None = None
    account_name: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a pull or a filter would bring, newest first.

    Attributes:
        object_name: the Gainsight object.
        pull: the configured pull that maps the rows; None: raw records only.
        table: the table of the rows; None: none.
        filter: the where-clause that was sent; None: none.
        since: the earliest date that the pull's window covers; None: unbounded.
        count: the number of matching records.
        limit: the maximum that one run reads of them; None: unlimited.
        records: some of them.
        notes: what could not be determined, and why.
        field_mappings: which field of a response object holds which part of a response, and why (S7).
    """

    object_name: str
    pull: str | None
    table: str | None
    filter: Mapping[str, Any] | None
    since: datetime | None
    count: MatchCount
    limit: int | None
    records: tuple[PreviewRecord, ...]
    notes: tuple[str, ...] = ()
    field_mappings: Mapping[str, Any] = field(default_factory=dict)

    def frame(self) -> pd.DataFrame:
        """The rows as they would be stored, with the types that a downstream asset gets.

        Indexed by the record's number; keys of JSON are columns of their own.
        """
        from gainsight_pipelines.store.frames import expanded, frame_of

        types = {name: kind for name, (kind, _) in RELATIONS[self.table].columns.items()} if self.table else {}
        numbered = [(number, row) for number, record in enumerate(self.records) for row in record.rows]
        types = {name: types[name] for name in (numbered[0][1] if numbered else ())}
        frame = frame_of([tuple(row.values()) for _, row in numbered], types, decimals="decimal")
        frame.index = [number for number, _ in numbered]
        for name in [name for name, kind in types.items() if kind == "jsonb"]:
            frame = expanded(frame, name)
        return frame


def preview(catalog: Catalog, name: str, *, document: object = None, size: int = SAMPLE) -> Preview:
    """Previews a pull, or any object of the tenant.

    Args:
        catalog: makes the calls.
        name: a configured pull (company, activity, survey_<object>, product_usage) or a Gainsight object.
        document: a where-clause instead of the pull's own window, as :func:`parse_where` takes it.
        size: the number of records to show, up to 50.

    Raises:
        SettingsError: the pull's section is invalid, a field doesn't exist, or the filter is wrong.
        PipelineError: Gainsight refuses or doesn't respond.
    """
    catalog = replace(catalog)  # unaffected by later changes to it
    settings = catalog.connections.settings
    pull = _pull(settings, name)
    schema = _schema(catalog, pull.gainsight_object if pull else name)
    own_crm_id_field = crm_id_field(catalog, settings) if pull else None
    where = checked_filter(document, schema, FILTER_PLACE)
    notes: list[str] = []
    with closing(catalog.connections.gainsight()) as client:
        while True:
            mapper = pull.mapper(schema, own_crm_id_field) if pull else None
            try:
                found = _look(catalog, client, schema, pull, mapper, where, size)
                break
            except UnknownField as refused:
                if not refused.fields or len(schema.unreadable) > MOST_REFUSED:
                    raise
                schema = schema.without(refused.fields)
                notes.append(f"Gainsight refuses {', '.join(refused.fields)}: a pull leaves it out.")
    return replace(found, notes=(*notes, *found.notes))


def _look(
    catalog: Catalog,
    client: GainsightClient,
    schema: ObjectSchema,
    pull: ObjectPull | None,
    mapper: Mapper | None,
    where: dict[str, Any] | None,
    size: int,
) -> Preview:
    window = mapper.window(catalog.connections.clock.now(), None) if mapper else Window()
    if where is None and window.where is not None:
        where = dict(window.where)
    conditions = () if where is not None or mapper is None else window_conditions(mapper, window)
    query = Query(
        select=mapper.select if mapper else tuple(schema.fields),
        where=conditions,
        raw_where=where,
        order_by=newest_first(schema),
        limit=max(1, min(size, MOST_SAMPLES)),
    )
    raw = client.query(schema.name, query, kind="probe").records
    count = count_matches(client, schema, conditions, where) if raw else MatchCount(0, is_exact=True)
    records, notes = [PreviewRecord(record) for record in raw], list[str]()
    if pull is not None and mapper is not None:
        found, notes = _links(catalog, pull, mapper, raw, client)
        records = _stored(pull.table, mapper, raw, found)
    shown_where = where if where is not None else _where_of(conditions)
    since = None if where is not None else window.since
    return Preview(
        object_name=schema.name,
        pull=pull.name if pull else None,
        table=pull.table.name if pull else None,
        filter=shown_where,
        since=since,
        count=count,
        limit=pull.limit if pull else None,
        records=tuple(records),
        notes=tuple(notes),
        field_mappings=mapper.details().get("field_mappings", {}) if mapper else {},
    )


def count_matches(
    client: GainsightClient,
    schema: ObjectSchema,
    conditions: tuple[Condition, ...] = (),
    where: Mapping[str, Any] | None = None,
) -> MatchCount:
    """Counts the matching records with one or two calls that select only ids.

    Raises:
        PipelineError: Gainsight refuses or doesn't respond.
    """
    one = schema.field("Gsid") or next(iter(schema.fields.values()))
    query = Query((one.name,), where=conditions, raw_where=where, limit=MAX_LIMIT)
    count = len(client.query(schema.name, query, kind="probe").records)
    if not count or count >= MAX_LIMIT:
        return MatchCount(count, is_exact=not count)
    # The tenant may cap its pages, so this page doesn't prove that there are no more.
    behind = Query((one.name,), where=conditions, raw_where=where, limit=1, offset=count)
    return MatchCount(count, is_exact=not client.query(schema.name, behind, kind="probe").records)


def crm_id_field(catalog: Catalog, settings: Settings) -> str | None:
    """The company's field with the CRM's account id, chosen as a pull does.

    Raises:
        SettingsError: `company.crm_id_field` names a field that doesn't exist.
    """
    try:
        configured = settings.crm_id_field()
    except SettingsError:
        configured = None
    primary = settings.primary_crm if "primary_crm" not in settings.errors else None
    return company_crm_id_field(
        configured,
        primary.kind if primary else None,
        lambda: catalog.fields(COMPANY_OBJECT).schema,
    )


def _schema(catalog: Catalog, name: str) -> ObjectSchema:
    """The object's schema; for an unknown name, the error suggests pulls as well as objects."""
    try:
        return catalog.fields(name).schema
    except UnknownObject as error:
        pulls = catalog.connections.settings.object_names()
        near = did_you_mean(name, [*pulls, *(one.name for one in catalog.objects().objects)])
        raise UnknownObject(error.message, near or error.todo) from None


def _pull(settings: Settings, name: str) -> ObjectPull | None:
    """The configured pull of that name or object; None: no pull reads the object."""
    names = settings.object_names()
    if name in names:
        return find_pull(settings, name)
    for each in names:
        try:
            pull = find_pull(settings, each)
        except PipelineError:
            continue  # a mistake in another section
        if name_key(pull.gainsight_object) == name_key(name):
            return pull
    return None


def window_conditions(mapper: Mapper, window: Window) -> tuple[Condition, ...]:
    """The conditions of a first read."""
    start = (
        (Condition(mapper.cursor_field, Operator.GTE, (window.start,)),)
        if window.start is not None and mapper.cursor_field is not None
        else ()
    )
    return (*window.filters, *start)


def _where_of(conditions: tuple[Condition, ...]) -> Mapping[str, Any] | None:
    """Conditions as they are sent."""
    return Query(("Gsid",), where=conditions).body()["where"] if conditions else None


def newest_first(schema: ObjectSchema) -> tuple[tuple[str, Direction], ...]:
    """The order for a sample of the latest changes; empty if the object has nothing to order by."""
    modified = first_named(schema, ["lastmodifieddate", "modifieddate", "createddate"])
    return ((modified.name, "desc"),) if modified is not None and modified.is_sortable else ()


def _links(
    catalog: Catalog, pull: ObjectPull, mapper: Mapper, records: Sequence[Mapping[str, Any]], client: GainsightClient
) -> tuple[FoundLinks | None, list[str]]:
    """The accounts that the records would be matched to; a note instead if the CRM can't be queried."""
    settings = catalog.connections.settings
    try:
        if mapper.company.is_nobody:
            return None, ["Reference data: its records name no company, so they are stored but not matched."]
        if mapper.company.key_kind == "domain":
            return None, ["Accounts are matched by domain here: only a pull shows which."]
        crm_id = crm_id_field(catalog, settings)
        keys = keys_of(records, mapper.company, crm_id, client, lambda: catalog.fields(COMPANY_OBJECT).schema)
        gsid_field = pull.gsid_field or settings.common.gsid_field
        with closing(catalog.connections.crm(gsid_field)) as crm:
            return find_links(crm, gsid_field, keys), []
    except PipelineError as error:
        return None, [f"The accounts could not be looked up. {error}"]


def _stored(
    table: Table, mapper: Mapper, records: Sequence[Mapping[str, Any]], found: FoundLinks | None
) -> list[PreviewRecord]:
    shown = []
    for number, record in enumerate(records):
        link = found.links[number] if found is not None else None
        account = found.accounts.get(link.account_id) if found and link and link.account_id else None
        name = account.name if account else None
        try:
            rows = tuple(dict(zip(table.columns, map(_readable, row), strict=True)) for row in mapper.map(record).rows)
            shown.append(PreviewRecord(record, rows, None, link, name))
        except BadRecord as error:
            shown.append(PreviewRecord(record, (), str(error), link, name))
    return shown


def _readable(value: Any) -> Any:
    """A column's value; JSON for jsonb columns."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value
