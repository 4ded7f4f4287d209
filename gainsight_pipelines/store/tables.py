"""The data tables as the bulk writer needs to know them: key columns, columns a pull fills, the column that links.

The migrations make them; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

LINK_COLUMNS = ("account_id", "match_method", "unmatched_reason", "match_candidates")
"""Filled by matching, the same in every data table."""


@dataclass(frozen=True, slots=True)
class Table:
    """A data table of schema `gainsight`.

    `columns` are those that a record fills, in the order of the rows that `objects/` makes, keys first.
    `company_column` names the company, `key_column` (if any) the row's own key to its account, used in its place.
    `id_column` names the Gainsight record. `object_column` tells which pull a row belongs to, where several share the
    table. `kept_columns`: what a row leaves out (null) stays as it was stored before.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    company_column: str = "company_gsid"
    key_column: str | None = None
    id_column: str = "gsid"
    object_column: str | None = None
    kept_columns: tuple[str, ...] = ()

    def position(self, column: str) -> int:
        """Index of a column in the rows."""
        return self.columns.index(column)


COMPANY = Table(
    "company",
    key=("gsid",),
    columns=("gsid", "crm_id", "name", "attributes", "modified_at"),
    company_column="gsid",
)

ACTIVITY = Table(
    "activity",
    key=("activity_id",),
    columns=(
        "activity_id",
        "source",
        "source_object",
        "company_gsid",
        "activity_type",
        "reporting_category",
        "survey_type",
        "nps_group",
        "score",
        "subject",
        "body",
        "body_text",
        "occurred_at",
        "duration_minutes",
        "author",
        "author_email",
        "internal_attendees",
        "external_attendees",
        "custom_fields",
        "modified_at",
    ),
    id_column="activity_id",
    object_column="source_object",
    kept_columns=("custom_fields",),
)

USAGE_METRIC = Table(
    "usage_metric",
    key=("object", "record_id", "metric"),
    columns=(
        "object",
        "record_id",
        "metric",
        "company_gsid",
        "account_key",
        "product_name",
        "dimension",
        "value",
        "secondary",
        "observed_at",
        "modified_at",
    ),
    key_column="account_key",
    id_column="record_id",
    object_column="object",
)

DATA_TABLES = (COMPANY, ACTIVITY, USAGE_METRIC)
