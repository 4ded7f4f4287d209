"""The data tables as the bulk writer needs to know them: row types, key columns, the column that links.

The migrations make the tables; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, NewType

Json = NewType("Json", str)
"""JSON text for a jsonb column."""

LINK_COLUMNS = ("account_id", "match_method", "unmatched_reason", "match_candidates")
"""Filled by matching, the same in every data table."""


class CompanyRow(NamedTuple):
    """What a Gainsight company fills of its row."""

    gsid: str
    crm_id: str | None
    name: str | None
    attributes: Json
    modified_at: datetime | None


class ActivityRow(NamedTuple):
    """What a timeline entry or a survey response fills of its row."""

    activity_id: str
    source: str
    source_object: str
    company_gsid: str | None
    activity_type: str
    reporting_category: str | None = None
    survey_type: str | None = None
    nps_group: str | None = None
    score: Decimal | None = None
    subject: str | None = None
    body: str | None = None
    body_text: str | None = None
    occurred_at: datetime | None = None
    duration_minutes: Decimal | None = None
    author: str | None = None
    author_email: str | None = None
    internal_attendees: list[str] | None = None
    external_attendees: list[str] | None = None
    custom_fields: Json | None = None
    modified_at: datetime | None = None


class UsageRow(NamedTuple):
    """What a usage record fills of the row of one of its metrics."""

    object: str
    record_id: str
    metric: str
    company_gsid: str | None
    account_key: str | None
    product_name: str
    dimension: str | None
    value: Decimal | None
    secondary: Json
    observed_at: datetime | None
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Table:
    """A data table of schema `gainsight`.

    `row` is the type of what a record fills, its fields in the order of the columns, keys first; `objects/` makes such
    rows. `company_column` names the company, `key_column` (if any) the row's own key to its account, used in its place.
    `id_column` names the Gainsight record. `object_column` tells which pull a row belongs to, where several share the
    table. `kept_columns`: what a row leaves out (null) stays as it was stored before.
    """

    name: str
    row: type[NamedTuple]
    key: tuple[str, ...]
    company_column: str = "company_gsid"
    key_column: str | None = None
    id_column: str = "gsid"
    object_column: str | None = None
    kept_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a record fills."""
        return self.row._fields


COMPANY = Table("company", CompanyRow, key=("gsid",), company_column="gsid")

ACTIVITY = Table(
    "activity",
    ActivityRow,
    key=("activity_id",),
    id_column="activity_id",
    object_column="source_object",
    kept_columns=("custom_fields",),
)

USAGE_METRIC = Table(
    "usage_metric",
    UsageRow,
    key=("object", "record_id", "metric"),
    key_column="account_key",
    id_column="record_id",
    object_column="object",
)

DATA_TABLES = (COMPANY, ACTIVITY, USAGE_METRIC)
