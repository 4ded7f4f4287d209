"""Tables into a warehouse, by dlt: its `sql_database` source reads ours, its destinations write.

How far a table was delivered is kept in the warehouse itself, in the load that it belongs to. Nothing is kept on this
machine: what a failed or killed delivery left is read again, and merging it twice changes nothing.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")  # it warns of what is meant: JSON as text, decimals

import dlt
import sqlalchemy as sa
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.exceptions import DestinationException
from dlt.common.exceptions import MissingDependencyException
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources import incremental
from dlt.sources.sql_database import sql_table
from sqlalchemy.dialects import postgresql

from gainsight_pipelines.errors import PermanentError

if TYPE_CHECKING:
    import psycopg

    from gainsight_pipelines.delivery.tables import Deliverable
    from gainsight_pipelines.store.connection import Store

LAG_SECONDS = 300
"""How far behind the last change that was seen a read begins: whatever writes rows commits within four minutes."""

ROWS = 5_000
PRECISION, SCALE = 38, 9
WITHOUT_MERGE = ("filesystem",)
"""Destinations that can't replace single rows: they get the whole table each time."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of it: rows that were sent, new ones or not."""

    table: str
    rows: int


def deliver(store: Store, table: Deliverable, destination: str, dataset: str, *, is_full: bool = False) -> Delivered:
    """Brings one table in the warehouse up to date.

    Args:
        store: where it is.
        table: what to deliver.
        destination: dlt's name of it; its credentials are found by dlt's own conventions.
        dataset: the schema or folder there.
        is_full: everything again, in place of what is there.

    Raises:
        PermanentError: dlt, the warehouse or its credentials refuse.
    """
    with tempfile.TemporaryDirectory(prefix="gainsight-delivery-") as folder:
        try:
            pipeline = dlt.pipeline(
                f"gainsight_pipelines_{table.name}",
                destination=destination,
                dataset_name=dataset,
                pipelines_dir=folder,
            )
            info = pipeline.run(_resource(store, table, destination, is_full=is_full))
            info.raise_on_failed_jobs()
        except (PipelineStepFailed, DestinationException, ConfigurationException, MissingDependencyException) as error:
            raise _refused(table.name, destination, error) from error
        trace = pipeline.last_trace
        assert trace is not None
        assert trace.last_normalize_info is not None
    return Delivered(table.name, trace.last_normalize_info.row_counts.get(table.name, 0))


def is_merged(table: Deliverable, destination: str, *, is_full: bool) -> bool:
    """Whether only what has changed is sent; else all rows, in place of those that are there."""
    return bool(table.key) and destination not in WITHOUT_MERGE and not is_full


def _resource(store: Store, table: Deliverable, destination: str, *, is_full: bool) -> Any:
    merges = is_merged(table, destination, is_full=is_full)
    return sql_table(
        _engine(store),
        table=table.name,
        schema=store.schema,
        backend="pyarrow",
        chunk_size=ROWS,
        reflection_level="full_with_precision",
        table_adapter_callback=_declare_numbers,
        query_adapter_callback=_exactly,
        primary_key=list(table.key),
        write_disposition="merge" if merges else "replace",
        incremental=incremental("changed_at", lag=LAG_SECONDS) if merges else None,
    )


def _engine(store: Store) -> sa.Engine:
    def connect() -> psycopg.Connection:
        connection = store.open("deliver")
        connection.autocommit = False  # rows come through a cursor, which lives in a transaction
        return connection

    return sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)


def _declare_numbers(table: sa.Table) -> None:
    """Without a precision dlt takes one of its own."""
    for column in table.columns:
        if isinstance(column.type, sa.Numeric) and column.type.precision is None:
            column.type = sa.Numeric(PRECISION, SCALE)


def _exactly(query: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    """JSON and lists as PostgreSQL writes them, which keeps all digits; numbers as the declared precision has them."""
    return query.with_only_columns(*(_shown(column) for column in table.columns))


def _shown(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    if isinstance(column.type, postgresql.ARRAY):
        return sa.cast(sa.func.to_jsonb(column), sa.Text).label(column.name)
    if isinstance(column.type, (postgresql.JSONB, postgresql.JSON)):
        return sa.cast(column, sa.Text).label(column.name)
    if isinstance(column.type, sa.Numeric) and column.type.scale is not None:
        rounded = sa.func.round(column, column.type.scale, type_=column.type)
        return sa.case((sa.func.abs(column) < sa.literal_column(f"1e{PRECISION - SCALE}::numeric"), rounded)).label(
            column.name
        )
    return column


def _refused(table: str, destination: str, error: Exception) -> PermanentError:
    """The first line of the innermost cause: dlt wraps it several times."""
    cause: BaseException = error
    while (inner := cause.__cause__ or getattr(cause, "exception", None)) is not None and inner is not cause:
        cause = inner
    if isinstance(cause, ConfigurationException):
        return PermanentError(
            f"{table} was not delivered to {destination}: dlt doesn't find its credentials.",
            f"Set DESTINATION__{destination.upper()}__CREDENTIALS, or fill .dlt/secrets.toml: see docs/delivery.md.",
        )
    return PermanentError(
        f"{table} was not delivered to {destination}: {str(cause).strip().splitlines()[0]}",
        "Correct it and deliver again: nothing is lost, the next delivery goes on from the last one.",
    )
