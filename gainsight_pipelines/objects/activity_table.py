"""The table of activities, shared by timeline entries and survey responses."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from gainsight_pipelines.store.tables import Json, Table


class ActivityRow(NamedTuple):
    """The columns that a timeline entry or a survey response fills."""

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
    unreadable: Json | None = None


ACTIVITY = Table(
    "activity",
    ActivityRow,
    key=("activity_id",),
    sample=("activity_type", "occurred_at", "account_id", "match_method", "unmatched_reason", "changed_at"),
    id_column="activity_id",
    object_column="source_object",
    date_column="occurred_at",
    kept_columns=("custom_fields",),
)
