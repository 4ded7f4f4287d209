"""The metadata of assets and materializations in the UI: numbers to plot, and tables for people."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from gainsight_pipelines.store.contract import LINKS_TO_ACCOUNT, RELATIONS, SCHEMA

if TYPE_CHECKING:
    import psycopg

    from gainsight_pipelines.settings import Settings
    from gainsight_pipelines.store.connection import Store
    from gainsight_pipelines.store.tables import Table
    from gainsight_pipelines.sync import SyncReport


def table_metadata(schema: str, table: str) -> dict[str, Any]:
    """The metadata about the table that an asset fills, whether or not it ever ran: its name and columns."""
    columns = [
        dg.TableColumn(name, type=kind, description=meaning)
        for name, (kind, meaning) in RELATIONS[table].columns.items()
    ]
    return {"dagster/table_name": f"{schema}.{table}", "dagster/column_schema": dg.TableSchema(columns=columns)}


def schema_of(settings: "Settings") -> str:
    """The schema of the tables, as far as the settings can be read; a run itself reports their mistakes."""
    return SCHEMA if settings.file_error or "store" in settings.errors else settings.store.schema


def column_lineage(table: str, account: dg.AssetKey) -> dict[str, Any]:
    """The columns of a data table that come from the CRM's accounts; the others come from the Gainsight object."""
    source = [dg.TableColumnDep(asset_key=account, column_name="account_id")]
    columns = {name: source for name in LINKS_TO_ACCOUNT if name in RELATIONS[table].columns}
    return {"dagster/column_lineage": dg.TableColumnLineage(columns)}


def materialization_metadata(
    report: "SyncReport", store: "Store", connection: "psycopg.Connection", table: "Table", gainsight_object: str
) -> dict[str, Any]:
    """The metadata of one pull's materialization."""
    from gainsight_pipelines.store.samples import sample_rows, unmatched_totals
    from gainsight_pipelines.store.views import typed_columns

    view = report.details.get("view", {}).get("view")
    totals = unmatched_totals(connection, gainsight_object)
    typed = typed_columns(connection, view) if view else ()
    rows = sample_rows(connection, table, gainsight_object)
    calls = sum(report.calls.values()) - report.calls.get("crm", 0)
    metadata: dict[str, Any] = {
        "rows_read": report.read,
        "rows_written": report.written,
        "rows_unchanged": report.unchanged,
        "matched": report.matched,
        "unmatched": sum(report.unmatched.values()),
        "unmatched_in_all": sum(totals.values()),
        "relinked": report.relinked,
        "rejected": report.rejected,
        "unreadable": report.unreadable,
        "gainsight_calls": calls,
        "crm_calls": report.calls.get("crm", 0),
        "seconds": round(report.seconds, 2),
        "rows_per_second": round(report.read / report.seconds, 1) if report.seconds else 0.0,
        "response_limit_reached": report.is_truncated,
        "unmatched_by_reason": _table(("reason", "rows"), sorted(totals.items())),
        "sample": _table(table.sample, rows),
        "details": dg.MetadataValue.json(report.details),
        "dagster/table_name": f"{store.schema}.{table.name}",
    }
    if view:
        columns = [dg.TableColumn(name, type=kind, description=meaning) for name, kind, meaning in typed]
        metadata |= {"view": f"{store.schema}.{view}", "dagster/column_schema": dg.TableSchema(columns=columns)}
    if report.since is not None:
        metadata["window_from"] = dg.MetadataValue.timestamp(report.since)
    if report.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in report.notes))
    return metadata


def _table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> dg.TableMetadataValue:
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in columns])
    records = [dg.TableRecord({name: _plain(value) for name, value in zip(columns, row, strict=True)}) for row in rows]
    return dg.MetadataValue.table(records=records, schema=schema)


def _plain(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
