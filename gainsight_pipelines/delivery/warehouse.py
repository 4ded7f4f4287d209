"""Loads tables into a warehouse with dlt: its `sql_database` source reads them, its destinations write them.

The cursor of a table is in the warehouse, loaded together with the rows, and nothing is kept on this machine. After a
failed or killed delivery, the rows are read again; merging them twice changes nothing. dlt reads the warehouse's
credentials from the environment (environment.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import dlt
import psycopg
import sqlalchemy as sa
from dlt.common.configuration.exceptions import ConfigFieldMissingException, LookupTraces
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import DestinationTransientException, UnknownDestinationModule
from dlt.common.exceptions import DltException, MissingDependencyException
from dlt.common.schema.exceptions import DataValidationError
from dlt.sources.sql_database import sql_table
from dlt.sources.sql_database.arrow_helpers import row_tuples_to_arrow
from psycopg import sql
from sqlalchemy.dialects import postgresql

from gainsight_pipelines.delivery.exact_values import EXACT_VALUES, PRECISION, SCALE, exact_values, is_inexact, sent
from gainsight_pipelines.delivery.work_folder import work_folder
from gainsight_pipelines.errors import PermanentError, PipelineError, SettingsError, TransientError
from gainsight_pipelines.store.frames import columns_of
from gainsight_pipelines.store.tenant import store_id

if TYPE_CHECKING:
    from dlt.common.schema.typing import TSchemaContract
    from dlt.pipeline.pipeline import Pipeline

    from gainsight_pipelines.delivery.tables import Deliverable
    from gainsight_pipelines.settings.models import DeliverySettings
    from gainsight_pipelines.store.connection import Store

LAG = timedelta(minutes=5)
"""A read starts this long before the previous read began. Whatever writes rows commits within four minutes."""

ROWS = 1_000
"""Rows in memory at once as Python objects: the body of an activity can have 100,000 characters."""

READ_AT, STORE_ID = "read_at", "store"
"""The cursor in dlt's state of a table, loaded with its rows: when the last read began, and the id of the store."""

FILES = "filesystem"
"""dlt's destination for files in a folder or bucket."""

DUCKDB = "DESTINATION__DUCKDB__CREDENTIALS"
HOW_TO_SET = "Set it in the environment or in .env, or fill .dlt/secrets.toml"

REPLACED = "insert-from-staging"
"""dlt's strategy that replaces a table in a single transaction."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the delivery of a table does.

    Attributes:
        since: send and merge the rows that changed after this time; None: replace the table with all rows.
        rows: the number of rows to send.
        kinds: the PostgreSQL type of each column.
        inexact: by column, the number of values that the warehouse's type can't hold (exact_values.py), if any.
        read_at: when the read began, by the database's clock.
        store_id: id of the store.
        is_first: the table was never delivered.
    """

    since: datetime | None
    rows: int
    kinds: Mapping[str, str]
    inexact: Mapping[str, int]
    read_at: datetime
    store_id: str
    is_first: bool

    @property
    def how(self) -> str:
        """`changes` or `whole`."""
        return "whole" if self.since is None else "changes"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result.

    Attributes:
        table: the table or view.
        rows: rows sent, new or not.
        bytes: size of the files that dlt loaded.
        how: `changes` or `whole`.
        inexact: as in `Plan`.
    """

    table: str
    rows: int
    bytes: int
    how: str
    inexact: Mapping[str, int]


def deliver(store: Store, table: Deliverable, target: DeliverySettings, *, is_full: bool = False) -> Delivered:
    """Updates one table in the warehouse.

    Args:
        store: the store to read.
        table: the table or view.
        target: the warehouse.
        is_full: replace the table with all rows.

    Raises:
        PermanentError: the credentials are missing or wrong, or dlt or the warehouse refuses the data.
        SettingsError: the destination is unknown, or the dataset belongs to another store.
        TransientError: the warehouse doesn't answer.
    """
    with _working(table, target) as folder:
        plan = _plan(store, table, target, folder, is_full=is_full)
        if not plan.rows and not plan.is_first and table.key:
            return Delivered(table.name, 0, 0, plan.how, plan.inexact)
        pipeline = _pipeline(table, target, folder, **_replace_strategy(target, plan))
        info = pipeline.run(
            _resource(store, table, target, plan), schema_contract=cast("TSchemaContract", target.contract)
        )
        info.raise_on_failed_jobs()
        jobs = [job for package in info.load_packages for job in package.jobs["completed_jobs"]]
        trace = pipeline.last_trace
        assert trace is not None
        assert trace.last_normalize_info is not None
        return Delivered(
            table.name,
            trace.last_normalize_info.row_counts.get(table.name, 0),
            sum(job.file_size for job in jobs if job.job_file_info.table_name == table.name),
            plan.how,
            plan.inexact,
        )


def plan_of(store: Store, table: Deliverable, target: DeliverySettings, *, is_full: bool = False) -> Plan:
    """What `deliver` would do now. Writes nothing. Arguments as in `deliver`.

    Raises:
        PermanentError: the credentials are missing or wrong.
        SettingsError: the destination is unknown, or the dataset belongs to another store.
        TransientError: the warehouse doesn't answer.
    """
    with _working(table, target) as folder:
        return _plan(store, table, target, folder, is_full=is_full)


@contextmanager
def _working(table: Deliverable, target: DeliverySettings) -> Iterator[str]:
    """Yields a folder for dlt's working files, and turns dlt's errors into ours."""
    with work_folder() as folder:
        try:
            yield folder
        except (DltException, OSError, sa.exc.SQLAlchemyError, psycopg.Error) as error:
            raise refused(table.name, target.destination, error) from error


def _pipeline(table: Deliverable, target: DeliverySettings, folder: str, **options: Any) -> Pipeline:
    return dlt.pipeline(
        f"gainsight_pipelines_{table.name}",
        destination=Destination.from_reference(target.destination, **options),
        dataset_name=target.dataset,
        pipelines_dir=folder,
    )


def _plan(store: Store, table: Deliverable, target: DeliverySettings, folder: str, *, is_full: bool) -> Plan:
    if target.destination == "duckdb" and not dlt.secrets.get("destination.duckdb.credentials"):
        # dlt would create a file per table in the current directory.
        raise PermanentError(f"{table.name} was not delivered to duckdb: {DUCKDB} isn't set.", f"{HOW_TO_SET}: a path.")
    pipeline = _pipeline(table, target, folder)
    pipeline.sync_destination()
    sources = pipeline.state.get("sources", {}).values()
    state: dict[str, str] = next(
        (found for each in sources if (found := each.get("resources", {}).get(table.name))), {}
    )
    with store.connect(f"deliver {table.name}") as connection:
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        own = store_id(connection)
        if state.get(STORE_ID, own) != own:
            raise SettingsError(
                f"The dataset {target.dataset} of {target.destination} has {table.name} of another store.",
                "Set `delivery.dataset` to a name of its own for each store.",
            )
        is_known = READ_AT in state and bool(table.key) and not is_full
        since = datetime.fromisoformat(state[READ_AT]) - LAG if is_known else None
        kinds = columns_of(connection, table.name)
        count, inexact = _count(connection, table, kinds, since)
        if count and since is not None and not is_merged(table, target):
            since = None
            count, inexact = _count(connection, table, kinds, since)
    return Plan(since, count, kinds, inexact, row[0], own, is_first=READ_AT not in state)


def is_merged(table: Deliverable, target: DeliverySettings) -> bool:
    """Whether changed rows can be merged; otherwise one changed row sends all rows again."""
    return bool(table.key) and target.destination != FILES


def _count(
    connection: psycopg.Connection, table: Deliverable, kinds: Mapping[str, str], since: datetime | None
) -> tuple[int, dict[str, int]]:
    """The number of rows that changed since then and, by column, of their values that are sent inexactly."""
    tests = {name: test for name, kind in kinds.items() if (test := is_inexact(name, kind))}
    counts = [sql.SQL("count(*) FILTER (WHERE {})").format(sql.SQL(test)) for test in tests.values()]
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join([sql.SQL("count(*)"), *counts]),
        sql.Identifier(table.name),
        sql.SQL("changed_at > {}").format(since) if since is not None else sql.SQL("true"),
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0], {name: number for name, number in zip(tests, row[1:], strict=True) if number}


def _replace_strategy(target: DeliverySettings, plan: Plan) -> dict[str, str]:
    """Replaces a table in one transaction if the warehouse can do that, so that no reader finds it empty."""
    if plan.is_first or target.destination == FILES:
        return {}
    destination = Destination.from_reference(target.destination)
    assert destination is not None
    known = destination.capabilities().supported_replace_strategies or ()
    return {"replace_strategy": REPLACED} if REPLACED in known else {}


def _resource(store: Store, table: Deliverable, target: DeliverySettings, plan: Plan) -> Any:
    def remember() -> None:
        # Called while dlt extracts the rows, so the cursor is loaded with them or not at all.
        dlt.current.resource_state(table.name).update({READ_AT: plan.read_at.isoformat(), STORE_ID: plan.store_id})

    def query(query: sa.Select[Any], reflected: sa.Table) -> sa.Select[Any]:
        remember()
        columns = (_sent(column, plan.kinds) for column in reflected.columns)
        shown = query.with_only_columns(*columns).select_from(reflected)
        return shown if plan.since is None else shown.where(reflected.c.changed_at > plan.since)

    resource = sql_table(
        _engine(store),
        table=table.name,
        schema=store.schema,
        backend="pyarrow",
        chunk_size=ROWS,
        reflection_level="full_with_precision",
        table_adapter_callback=_prepare,
        query_adapter_callback=query,
        primary_key=list(table.key),
        write_disposition=_disposition(plan),
    )
    if not plan.rows:

        def nothing() -> Iterator[Any]:
            remember()
            yield row_tuples_to_arrow([], columns, tz="UTC")  # dlt creates an empty table

        columns = resource.compute_table_schema()["columns"]
        resource = dlt.resource(
            nothing, table.name, columns=columns, primary_key=table.key, write_disposition=_disposition(plan)
        )
    if target.destination == "postgres":
        # In dlt's CSV, an empty text would become NULL.
        resource.apply_hints(file_format="insert_values")
    if target.destination == FILES:
        resource.apply_hints(file_format="parquet")
    return resource


def _disposition(plan: Plan) -> Any:
    if plan.since is None:
        return "replace"
    # Each key is read once, so dlt need not remove duplicates.
    return {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}


def _engine(store: Store) -> sa.Engine:
    def connect() -> psycopg.Connection:
        connection = store.open("deliver")
        connection.autocommit = False  # a server-side cursor needs a transaction
        return connection

    return sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)


def _prepare(table: sa.Table) -> None:
    """Adapts the columns for a warehouse, and adds `_exact_values`.

    A number without a precision would get one of dlt's. A column that is NOT NULL couldn't be added to a table that
    has rows, so only keys are.
    """
    for column in table.columns:
        column.nullable = not column.primary_key
        if isinstance(column.type, sa.Numeric) and column.type.precision is None:
            column.type = sa.Numeric(PRECISION, SCALE)
    table.append_column(sa.Column(EXACT_VALUES, postgresql.JSONB))


def _sent(column: sa.Column[Any], kinds: Mapping[str, str]) -> sa.ColumnElement[Any]:
    """A column as it is sent: JSON and lists as PostgreSQL writes them, with all digits."""
    if column.name == EXACT_VALUES:
        return sa.literal_column(exact_values(kinds), sa.Text).label(column.name)
    if isinstance(column.type, postgresql.ARRAY):
        return sa.cast(sa.func.to_jsonb(column), sa.Text).label(column.name)
    if isinstance(column.type, (postgresql.JSONB, postgresql.JSON)):
        return sa.cast(column, sa.Text).label(column.name)
    expression = sent(column.name, kinds.get(column.name))
    return column if expression is None else sa.literal_column(expression, column.type).label(column.name)


def refused(table: str, destination: str, error: BaseException) -> PipelineError:
    """Our error for one of dlt, the warehouse or its driver, which dlt may have wrapped several times."""
    causes = list(_causes(error))
    what = f"{table} was not delivered to {destination}"
    again = "the next delivery continues from the last one."
    for cause in reversed(causes):
        if isinstance(cause, PipelineError):
            return cause
        if isinstance(cause, ConfigFieldMissingException):
            missing = ", ".join(_variables(f"DESTINATION__{destination.upper()}", cause.traces))
            return PermanentError(f"{what}: {missing} isn't set.", f"{HOW_TO_SET}: see docs/delivery.md.")
        if isinstance(cause, UnknownDestinationModule):
            return SettingsError(f"{what}: dlt has no such destination.", "Correct `delivery.destination`.")
        if isinstance(cause, DataValidationError):
            changed = f"column {cause.column_name}" if cause.column_name else "table"
            return PermanentError(
                f"{what}: `delivery.schema_contract` is freeze for {cause.schema_entity}, and the {changed} is new, or"
                " of another type.",
                "Set it to evolve, or change the table there.",
            )
    missing_driver = next((each for each in causes if isinstance(each, MissingDependencyException)), None)
    if missing_driver is not None:
        return PermanentError(f"{what}: a driver isn't installed.", f'Run: pip install "dlt[{destination}]".')
    lines = str(causes[-1]).strip().splitlines() or [type(causes[-1]).__name__]
    told = f"{what}: {lines[0].rstrip('.')}."
    if any(isinstance(each, DestinationTransientException) for each in causes):
        return TransientError(told, f"Deliver again: {again}")
    return PermanentError(told, f"Correct it and deliver again: {again}")


def _variables(start: str, traces: Mapping[str, Any]) -> Iterator[str]:
    """The names of the variables that dlt looked for."""
    for name, found in traces.items():
        inner = next((each for each in found if isinstance(each, LookupTraces)), None)
        if inner is None:
            yield f"{start}__{name.upper()}"
        else:
            yield from _variables(f"{start}__{name.upper()}", inner.traces)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or getattr(cause, "exception", None) or cause.__context__
