"""Profiles a tenant's API behaviour with a few small calls: formats, page sizes, what it honours, how it refuses.

The public documents contradict each other on these points. A profile holds no data: no names of the tenant's objects or
fields, no values. The sandbox can imitate a tenant from its profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.gainsight.client import GainsightClient, RawAnswer
from gainsight_pipelines.gainsight.errors import RATE_LIMIT_CODE
from gainsight_pipelines.gainsight.metadata import ObjectInfo, ObjectSchema
from gainsight_pipelines.gainsight.pages import within_second
from gainsight_pipelines.gainsight.query import MAX_LIMIT, Condition, Direction, Operator, Query
from gainsight_pipelines.values import parse_datetime, whole_second

HONOURED, IGNORED, REFUSED, UNKNOWN = "honoured", "ignored", "refused", "unknown"
DELETE_LOG = "record_delete_log"
NOBODY = "0" * 36
"""A GSID that no record has."""
NO_FIELD, NO_OBJECT = "No_Such_Field__gc", "no_such_object__gc"

_FEW = 20
_DATE_FIELDS = 4

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a query was refused: the HTTP status and Gainsight's code ("" if there is none)."""

    status: int
    code: str


@dataclass(frozen=True, slots=True)
class TenantProfile:
    """A tenant's API behaviour. HONOURED, IGNORED, REFUSED or UNKNOWN unless noted otherwise.

    Attributes:
        data_shape: records (`{"records": […]}`) or list.
        date_style: iso, iso_ms or epoch_ms.
        empty_dates: blank dates are "".
        case_drift: keys differ in case from those requested.
        missing_keys: keys with blank values are left out.
        where: conditions.
        order_by: the order of records.
        offset: the offset of a page.
        dates: conditions on the second of a shown date, in UTC.
        or_conditions: `A OR B`.
        parentheses: `(A OR B) AND C`.
        largest_page: the most records that came at once.
        page_cap: the tenant's maximum, if lower than requested; None: no cap was met.
        no_data: an empty result's format: records, legacy (result: false) or http400.
        delete_log: whether the tenant lists deleted records.
        refusals: how an unknown field, an unknown object and a limit above 5,000 are refused; absent: not refused.
        notes: what could not be determined, and why.
    """

    data_shape: str = UNKNOWN
    date_style: str = UNKNOWN
    empty_dates: bool = False
    case_drift: bool = False
    missing_keys: bool = False
    where: str = UNKNOWN
    order_by: str = UNKNOWN
    offset: str = UNKNOWN
    dates: str = UNKNOWN
    or_conditions: str = UNKNOWN
    parentheses: str = UNKNOWN
    largest_page: int = 0
    page_cap: int | None = None
    no_data: str = UNKNOWN
    delete_log: bool = False
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The profile as a JSON object, for a report."""
        return asdict(self)

    def meanings(self) -> list[str]:
        """What the profile means for pulls, in sentences."""
        return list(_meanings(self))


def probe_tenant(client: GainsightClient, objects: Iterable[ObjectInfo], schema: ObjectSchema) -> TenantProfile:
    """Profiles a tenant with about a dozen small calls.

    Args:
        client: the client to use.
        objects: the tenant's objects.
        schema: a standard object with records, such as activity_timeline.
    """
    return _Probe(client, schema).run([one.name for one in objects])


class _Probe:
    def __init__(self, client: GainsightClient, schema: ObjectSchema) -> None:
        self._client = client
        self._schema = schema
        self._found: dict[str, Any] = {}
        self._notes: list[str] = []
        cursor = schema.field("LastModifiedDate") or schema.field("ModifiedDate")
        self._cursor = cursor.name if cursor is not None else "ModifiedDate"
        dates = [one.name for one in schema.fields.values() if one.is_date and one.name != self._cursor]
        gsid = schema.field("Gsid")
        self._gsid = gsid.name if gsid is not None else "Gsid"
        self._select = (self._gsid, self._cursor, *dates[:_DATE_FIELDS])

    def run(self, objects: Sequence[str]) -> TenantProfile:
        self._found["delete_log"] = DELETE_LOG in {name.casefold() for name in objects}
        records: list[Record] = []
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("shape, dates and order", lambda: records.extend(self._first())),
            ("order", lambda: self._order(records)),
            ("conditions", lambda: self._where(records)),
            ("conditions on dates", lambda: self._dates(records)),
            ("offset", self._offset),
            ("the largest page", self._largest_page),
            ("empty results", self._nothing),
            ("OR and parentheses", lambda: self._expressions(records)),
            ("refusals", self._refusals),
        )
        for what, step in steps:
            try:
                step()
            except PipelineError as error:
                self._notes.append(f"{what}: {error}")
        return TenantProfile(**self._found, notes=tuple(self._notes))

    # -- steps ----------------------------------------------------------------------------------------------------

    def _first(self) -> list[Record]:
        answer = self._ask(self._dated("asc", _FEW))
        records = self._records(answer)
        data = answer.envelope.get("data")
        self._found["data_shape"] = "list" if isinstance(data, list) else "records"
        values = [value for record in records for key, value in record.items() if key.casefold() != "gsid"]
        self._found["date_style"] = next((style for value in values if (style := _style(value))), UNKNOWN)
        self._found["empty_dates"] = "" in values
        keys = {key for record in records for key in record}
        wanted = {name.casefold() for name in self._select}
        self._found["case_drift"] = any(key not in self._select and key.casefold() in wanted for key in keys)
        self._found["missing_keys"] = any(not wanted <= {key.casefold() for key in record} for record in records)
        return [{_spelled(key, self._select): value for key, value in record.items()} for record in records]

    def _order(self, ascending: Sequence[Record]) -> None:
        moments = [moment for one in ascending if (moment := _moment(one.get(self._cursor))) is not None]
        if len(set(moments)) < 2:
            return
        is_ordered = all(left <= right for left, right in pairwise(moments))
        turned = [_moment(_value(one, self._cursor)) for one in self._records(self._ask(self._dated("desc", _FEW)))]
        latest = next((moment for moment in turned if moment is not None), None)
        if latest is not None:
            self._found["order_by"] = HONOURED if is_ordered and latest >= moments[-1] else IGNORED

    def _where(self, records: Sequence[Record]) -> None:
        if not records:
            return
        gsid = records[-1].get(self._gsid)
        if isinstance(gsid, str):
            found = self._gsids(Query((self._gsid,), where=(Condition(self._gsid, Operator.EQ, (gsid,)),), limit=_FEW))
            self._found["where"] = HONOURED if found == [gsid] else IGNORED if found else UNKNOWN

    def _dates(self, records: Sequence[Record]) -> None:
        if self._found.get("where") != HONOURED:
            return
        for record in reversed(records):
            moment, gsid = _moment(record.get(self._cursor)), record.get(self._gsid)
            if moment is None or not isinstance(gsid, str):
                continue
            named = Condition(self._gsid, Operator.EQ, (gsid,))
            where = (*within_second(self._cursor, whole_second(moment)), named)
            self._found["dates"] = HONOURED if self._gsids(Query((self._gsid,), where=where, limit=1)) else IGNORED
            return

    def _offset(self) -> None:
        by_gsid: tuple[tuple[str, Any], ...] = ((self._gsid, "asc"),)
        two = self._gsids(Query((self._gsid,), order_by=by_gsid, limit=2))
        if len(two) == 2:
            second = self._gsids(Query((self._gsid,), order_by=by_gsid, limit=1, offset=1))
            self._found["offset"] = HONOURED if second == two[1:] else IGNORED

    def _largest_page(self) -> None:
        count = len(self._gsids(Query((self._gsid,), limit=MAX_LIMIT)))
        self._found["largest_page"] = count
        if 0 < count < MAX_LIMIT and self._found.get("offset") == HONOURED:
            behind = self._gsids(Query((self._gsid,), limit=1, offset=count))
            self._found["page_cap"] = count if behind else None

    def _nothing(self) -> None:
        if self._found.get("where") == IGNORED:
            return
        answer = self._ask(Query((self._gsid,), where=(Condition(self._gsid, Operator.EQ, (NOBODY,)),), limit=1))
        is_good = answer.status < 300 and answer.envelope.get("result") is True
        self._found["no_data"] = "records" if is_good else "legacy" if answer.status < 300 else "http400"

    def _expressions(self, records: Sequence[Record]) -> None:
        gsids = [one[self._gsid] for one in records if isinstance(one.get(self._gsid), str)]
        if self._found.get("where") != HONOURED or len(gsids) < 2:
            return
        conditions = [
            {"name": self._gsid, "alias": alias, "value": [gsid], "operator": "EQ"}
            for alias, gsid in zip("AB", gsids, strict=False)
        ]
        either = {"conditions": conditions, "expression": "A OR B"}
        self._found["or_conditions"] = self._accepted(either, 2)
        third = {"name": self._gsid, "alias": "C", "value": [gsids[0]], "operator": "EQ"}
        nested = {"conditions": [*conditions, third], "expression": "(A OR B) AND C"}
        self._found["parentheses"] = self._accepted(nested, 1)

    def _refusals(self) -> None:
        name = self._schema.name
        asked = {
            "unknown_field": (name, {"select": [self._gsid, NO_FIELD], "limit": 1, "offset": 0}),
            "unknown_object": (NO_OBJECT, {"select": ["Gsid"], "limit": 1, "offset": 0}),
            "limit": (name, {"select": [self._gsid], "limit": MAX_LIMIT + 1, "offset": 0}),
        }
        refusals = {}
        for what, (object_name, body) in asked.items():
            answer = self._client.ask_raw(object_name, body)
            if answer.envelope.get("result") is not True:
                refusals[what] = Refusal(answer.status, answer.code)
        self._found["refusals"] = refusals

    def _dated(self, direction: Direction, limit: int) -> Query:
        """Records by modification date, without undated ones: where those are placed isn't documented."""
        dated = Condition(self._cursor, Operator.IS_NOT_NULL)
        return Query(self._select, where=(dated,), order_by=((self._cursor, direction),), limit=limit)

    # -- asking ---------------------------------------------------------------------------------------------------

    def _ask(self, query: Query) -> RawAnswer:
        return self._client.ask_raw(self._schema.name, query.body())

    def _records(self, answer: RawAnswer) -> list[Record]:
        """The records of a successful response; an empty result, in any format, has none."""
        if answer.envelope.get("result") is True:
            return list[Record](answer.records())
        answer.raise_unless_empty()
        return []

    def _gsids(self, query: Query) -> list[str]:
        return [str(_value(one, self._gsid)) for one in self._records(self._ask(query)) if _value(one, self._gsid)]

    def _accepted(self, where: Mapping[str, Any], expected: int) -> str:
        answer = self._ask(Query((self._gsid,), raw_where=where, limit=_FEW))
        if answer.envelope.get("result") is not True:
            return UNKNOWN if answer.code == RATE_LIMIT_CODE else REFUSED
        return HONOURED if len(answer.records()) == expected else IGNORED


def _meanings(profile: TenantProfile) -> Iterable[str]:
    read_whole = "so each pull reads every object in full, which takes more calls"
    if profile.where == IGNORED:
        yield f"Conditions are ignored, {read_whole}."
    elif profile.order_by == IGNORED:
        yield f"The order of records is ignored, {read_whole}."
    elif profile.dates == IGNORED:
        yield f"Conditions on dates use another time zone than the dates shown, {read_whole}."
    elif profile.where == profile.order_by == profile.dates == HONOURED:
        yield "Conditions, order and dates are honoured: pulls read only what has changed."
    if profile.offset == IGNORED:
        yield "Offsets are ignored: a filter can't be read beyond its first page, nor an object without GSIDs."
    if profile.page_cap is not None:
        calls = -(-100_000 // profile.page_cap)
        yield f"Pages hold at most {profile.page_cap:,} records: 100,000 records take {calls:,} calls."
    if REFUSED in (profile.parentheses, profile.or_conditions):
        refused = "OR is" if profile.or_conditions == REFUSED else "Parentheses are"
        yield f"{refused} refused: write filters with AND alone."
    if not profile.delete_log:
        yield f"There is no {DELETE_LOG}: deleted records are found by comparing all ids once a week."
    if profile.case_drift or profile.missing_keys:
        yield "Keys of records differ in case or are left out; both are handled."


def _style(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return "epoch_ms"
    if isinstance(value, str) and "T" in value:
        return "iso_ms" if "." in value else "iso"
    return None


def _spelled(key: str, select: Sequence[str]) -> str:
    return next((name for name in select if name.casefold() == key.casefold()), key)


def _value(record: Record, name: str) -> Any:
    return next((value for key, value in record.items() if key.casefold() == name.casefold()), None)


def _moment(value: Any) -> Any:
    try:
        return parse_datetime(value)
    except ValueError:
        return None
