"""The meaning of each table and column in the data contract.

PostgreSQL's comments, the column schemas of the Dagster assets and docs/data-contract.md (`objects/contract_page.py`)
all come from here. A test compares the types with the tables that the migrations create.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view. `columns`: name → (type, meaning), in the order of the database."""

    meaning: str
    columns: Mapping[str, tuple[str, str]]
    is_view: bool = False


TEXT, TIME, JSON, NUMBER, COUNT, FLAG = "text", "timestamp with time zone", "jsonb", "numeric", "bigint", "boolean"

_DELETED = (TIME, "Since when Gainsight no longer has the record; empty while it has.")
_FIRST_SEEN = (TIME, "When the row was first written.")
_CHANGED = {
    "first_seen_at": _FIRST_SEEN,
    "changed_at": (TIME, "When the row last changed; for incremental downstream models."),
    "run_id": (TEXT, "The run that changed it, as in `sync_run`."),
}
_UNREADABLE = {
    "unreadable": (JSON, "Unreadable values, unchanged, by Gainsight's field; their columns are empty."),
}
_ACCOUNT_ID = (TEXT, "The account (`account.account_id`); empty: none was found.")
_LINK = {
    "account_id": _ACCOUNT_ID,
    "match_method": (
        TEXT,
        "How the account was found: `direct` (CRM id), `gsid_field` (GSID on the CRM account), `domain`.",
    ),
    "unmatched_reason": (
        TEXT,
        "Why there is no account: `no_company` (none is named), `no_account`, `ambiguous` (several).",
    ),
    "match_candidates": ("text[]", "The accounts in question, if ambiguous."),
}
SCHEMA = "gainsight"
"""The schema of the tables unless the settings name another one."""

LINKS_TO_ACCOUNT = ("account_id", "match_candidates")
"""Columns of the data tables whose values are taken from `account.account_id`."""

_MODIFIED = (TIME, "When Gainsight last changed the record.")
_COMPANY_GSID = (TEXT, "The Gainsight company that the record names, in upper case.")
_ROLLED_UP = {
    "last": (NUMBER, "The value observed last."),
    "sum": (NUMBER, "Sum of the values."),
    "average": (NUMBER, "Average of the values."),
    "min": (NUMBER, "Smallest value."),
    "max": (NUMBER, "Largest value."),
    "rows": (COUNT, "How many values there are."),
}
_METRIC = {
    "account_id": (TEXT, "The account."),
    "product_name": (TEXT, "The product, as the settings name it."),
    "dimension": (TEXT, "The dimension that splits the metric; empty without one."),
    "metric": (TEXT, "Name of the metric."),
}
_CURRENCY = (TEXT, "ISO code of the currency of `arr`, where the CRM has several; empty: it has one, or doesn't say.")
_OWNED = {
    "name": (TEXT, "Name of the account."),
    "domain": (TEXT, "Domain of its website: lower case, without scheme, www, port and path."),
    "parent_account_id": (TEXT, "The account that it belongs to."),
    "arr": (NUMBER, "Annual recurring revenue, from the CRM field that the settings name."),
    "renewal_date": ("date", "Date of the next renewal, from the CRM field that the settings name."),
    "owner_id": (TEXT, "The CRM user who owns it."),
    "owner_name": (TEXT, "Name of that user."),
}

RELATIONS: Mapping[str, Relation] = {
    "account": Relation(
        "The accounts of the primary CRM, which owns them. Only the CRM reader writes here.",
        {
            "account_id": (TEXT, "The CRM's id of the account: 18 characters with Salesforce, a number with HubSpot."),
            "crm": (TEXT, "`salesforce` or `hubspot`."),
            **_OWNED,
            "gsids": (JSON, "GSIDs by the CRM field that holds them."),
            "crm_modified_at": (TIME, "When the CRM last changed the account."),
            "deleted_at": (TIME, "Since when the CRM no longer has it; merged accounts are deleted too."),
            "merged_into": (TEXT, "The account it was merged into."),
            **_CHANGED,
            "currency": _CURRENCY,
        },
    ),
    "company": Relation(
        "Gainsight's companies with their attributes, at the account they belong to. An account may have several.",
        {
            "gsid": (TEXT, "Gainsight's id of the company."),
            "crm_id": (TEXT, "The CRM id that Gainsight has for it, unchanged."),
            "name": (TEXT, "Name of the company."),
            "attributes": (
                JSON,
                (
                    "Its fields by API name, typed: picklists as labels, multi-selects as lists, dates as ISO text;"
                    " beside the id of a lookup `X`, `X__name` is what the lookup shows."
                ),
            ),
            **_LINK,
            "modified_at": _MODIFIED,
            "deleted_at": _DELETED,
            **_CHANGED,
            **_UNREADABLE,
        },
    ),
    "activity": Relation(
        "Timeline entries and survey responses as activities of the account.",
        {
            "activity_id": (TEXT, "Gainsight's id of the entry or response."),
            "source": (TEXT, "`timeline` or `survey`."),
            "source_object": (TEXT, "The Gainsight object that it comes from."),
            "company_gsid": _COMPANY_GSID,
            "activity_type": (TEXT, "`EMAIL`, `MEETING`, `TYPE_MANUAL` or `SURVEY`."),
            "reporting_category": (TEXT, "The timeline entry's category, as Gainsight writes it."),
            "survey_type": (TEXT, "`NPS`, `CSAT`, `CES` or another type of survey."),
            "nps_group": (TEXT, "`promoter`, `passive` or `detractor`."),
            "score": (NUMBER, "The score of the response."),
            "subject": (TEXT, "Subject, or the survey's name."),
            "body": (TEXT, "Notes as HTML, or the response's comment."),
            "body_text": (TEXT, "The same as plain text."),
            "occurred_at": (TIME, "When it took place, or was answered."),
            "duration_minutes": (NUMBER, "How long it took."),
            "author": (TEXT, "Who wrote it, or responded."),
            "author_email": (TEXT, "Email address of that person."),
            "internal_attendees": ("text[]", "Attendees of one's own company."),
            "external_attendees": ("text[]", "Attendees of the customer."),
            "custom_fields": (
                JSON,
                "Custom fields by API name, typed; registered in `custom_field`; null: never kept.",
            ),
            **_LINK,
            "modified_at": _MODIFIED,
            "deleted_at": _DELETED,
            **_CHANGED,
            **_UNREADABLE,
        },
    ),
    "usage_metric": Relation(
        "Product usage: one row for each metric of each usage record.",
        {
            "object": (TEXT, "The Gainsight object that it comes from."),
            "record_id": (TEXT, "Gainsight's id of the record; a hash of its content if it has none."),
            "metric": (TEXT, "Name of the metric."),
            "company_gsid": _COMPANY_GSID,
            "account_key": (
                TEXT,
                "The record's own key to its account (CRM id or domain), if rows are grouped by one.",
            ),
            "product_name": (TEXT, "The product, as the settings name it."),
            "dimension": (TEXT, "The dimension that splits the metric; empty without one."),
            "value": (NUMBER, "The value; empty if it is blank."),
            "secondary": (JSON, "Secondary values by field."),
            "observed_at": (TIME, "When it was observed."),
            **_LINK,
            "modified_at": _MODIFIED,
            "deleted_at": _DELETED,
            **_CHANGED,
            **_UNREADABLE,
        },
    ),
    "record": Relation(
        "Records of further objects, as configured under `objects`. The view of an object has its fields as columns.",
        {
            "object": (TEXT, "The Gainsight object, in lower case."),
            "gsid": (TEXT, "Gainsight's id of the record; its own id or a hash if it has none."),
            "company_gsid": _COMPANY_GSID,
            "attributes": (
                JSON,
                (
                    "Its fields by API name, typed: picklists as labels, multi-selects as lists, dates as ISO text;"
                    " beside the id of a lookup `X`, `X__name` is what the lookup shows."
                ),
            ),
            "unreadable": (JSON, "Unreadable values, unchanged, by field."),
            **_LINK,
            "modified_at": _MODIFIED,
            "deleted_at": _DELETED,
            **_CHANGED,
        },
    ),
    "custom_field": Relation(
        "The custom fields whose values are kept.",
        {
            "entity": (TEXT, "The table that keeps the values."),
            "source_object": (TEXT, "The Gainsight object of the field."),
            "name": (TEXT, "API name of the field."),
            "label": (TEXT, "Its label."),
            "data_type": (TEXT, "Its type in Gainsight."),
            "first_seen_at": (TIME, "When it was registered."),
            "last_seen_at": (TIME, "When a pull last found it."),
        },
    ),
    "rejected_record": Relation(
        "Rejected records: they can't be stored as rows, and are kept in full with the reason.",
        {
            "object": (TEXT, "The pull that read it."),
            "payload_hash": (TEXT, "Hash of the payload, by which it is stored once."),
            "payload": (JSON, "The record, unchanged."),
            "reason": (TEXT, "Why it can't be stored."),
            "first_seen_at": (TIME, "When it was first read."),
            "last_seen_at": (TIME, "When it was last read."),
            "run_id": (TEXT, "The run that last read it."),
        },
    ),
    "sync_run": Relation(
        "Every run of every object, including gated and skipped ones.",
        {
            "run_id": (TEXT, "The same as Dagster's."),
            "object": (TEXT, "The pull."),
            "status": (TEXT, "`running`, `completed`, `failed`, `gated` or `skipped`."),
            "started_at": (TIME, "When it began."),
            "finished_at": (TIME, "When it ended."),
            "window_from": (TIME, "The earliest date that it covers."),
            "records_read": (COUNT, "Records read from Gainsight."),
            "rows_written": (COUNT, "New and changed rows."),
            "rows_unchanged": (COUNT, "Rows that were already stored unchanged."),
            "rows_matched": (COUNT, "Rows with an account."),
            "rows_unmatched": (JSON, "Rows without, by reason."),
            "records_rejected": (COUNT, "Records that went into `rejected_record`."),
            "rows_relinked": (COUNT, "Stored rows that were rematched to another account, or to their first."),
            "is_truncated": (FLAG, "Whether the limit was reached and there is more."),
            "calls": (JSON, "API calls by kind."),
            "bytes_received": (COUNT, "What Gainsight sent."),
            "details": (JSON, "Further facts: notes, categories, schema drift, examples."),
            "error": (TEXT, "Why it failed, and what to do."),
            "product_version": (TEXT, "The version that ran."),
            "cursor_before": (JSON, "Where the read began."),
            "cursor_after": (JSON, "Where the read ended."),
            "values_unreadable": (COUNT, "Unreadable values, kept in the column `unreadable` of their rows."),
        },
    ),
    "sync_cursor": Relation(
        "How far each object has been read.",
        {
            "object": (TEXT, "The pull."),
            "scope": (
                TEXT,
                "Which of its reads: `pull`, `reread`, `settings`, `links`, `deletions`, `strategy` and others.",
            ),
            "modified_at": (TIME, "The last change read."),
            "gsid": (TEXT, "The record within that second, if it is being read record by record."),
            "window_from": (TIME, "The start of what it covers."),
            "read_started_at": (TIME, "When the last read began, by the server's clock."),
            "completed_at": (TIME, "When it was last read completely."),
            "is_whole": (FLAG, "No longer written: scope `strategy` has it."),
            "fingerprint": (TEXT, "What it was read or matched with."),
            "run_id": (TEXT, "The run that owns it."),
            "updated_at": (TIME, "When it last moved."),
        },
    ),
    "crm_gate": Relation(
        "Whether the primary CRM is available, without which nothing is pulled: one row, after the first check.",
        {
            "only_row": (FLAG, "Always true: there is one row."),
            "is_open": (FLAG, "Whether pulls may run."),
            "reason": (
                TEXT,
                "`open`, `not_configured`, `settings`, `rejected`, `not_answering`, `no_accounts` or `not_evaluated`.",
            ),
            "message": (TEXT, "The same as a sentence, with what to do."),
            "accounts": (COUNT, "Live accounts after the last refresh, if the CRM responded."),
            "since": (TIME, "Since when this reason holds."),
            "checked_at": (TIME, "When it was last checked."),
            "closed_since": (TIME, "Since when it is closed, whatever the reasons were; empty while it is open."),
        },
    ),
    "unmatched_record": Relation(
        "Live records without an account, of all tables. They are matched automatically once there is one.",
        {
            "object": (TEXT, "The Gainsight object."),
            "record_id": (TEXT, "Gainsight's id of the record."),
            "company_gsid": _COMPANY_GSID,
            "reason": _LINK["unmatched_reason"],
            "candidates": _LINK["match_candidates"],
            "first_seen_at": _FIRST_SEEN,
        },
        is_view=True,
    ),
    "product_usage": Relation(
        "The roll-up of usage: per account, product, dimension and metric, over all time.",
        {**_METRIC, **_ROLLED_UP, "observed_at": (TIME, "When it was observed last.")},
        is_view=True,
    ),
    "product_usage_weekly": Relation(
        "The weekly trend of usage: per account, product, dimension, metric and week.",
        {**_METRIC, "week": ("date", "The Monday (UTC) that the week begins with."), **_ROLLED_UP},
        is_view=True,
    ),
    "account_360": Relation(
        "One row for each live account: the CRM's columns as they are, and what Gainsight adds.",
        {
            "account_id": (TEXT, "The CRM's id of the account."),
            "crm": (TEXT, "`salesforce` or `hubspot`."),
            **_OWNED,
            "companies": (JSON, "Its Gainsight companies: an array of gsid, name and attributes."),
            "has_several_companies": (FLAG, "Whether Gainsight has more than one company for the account."),
            "activities": (COUNT, "Timeline entries."),
            "last_activity_at": (TIME, "When the latest of them took place."),
            "surveys": (COUNT, "Survey responses."),
            "last_survey_at": (TIME, "When the latest was given."),
            "usage_metrics": (COUNT, "Rows of usage."),
            "last_usage_at": (TIME, "When usage was observed last."),
            "objects": (JSON, "Records of further objects: by object, how many, and when the latest changed."),
            "currency": _CURRENCY,
        },
        is_view=True,
    ),
}


def comment(connection: psycopg.Connection) -> None:
    """Writes the meanings into the database, where every client shows them."""
    from psycopg import sql

    for name, relation in RELATIONS.items():
        kind = sql.SQL("VIEW" if relation.is_view else "TABLE")
        target = sql.Identifier(name)
        connection.execute(sql.SQL("COMMENT ON {} {} IS {}").format(kind, target, sql.Literal(relation.meaning)))
        for column, (_, meaning) in relation.columns.items():
            connection.execute(
                sql.SQL("COMMENT ON COLUMN {} IS {}").format(sql.Identifier(name, column), sql.Literal(meaning))
            )
