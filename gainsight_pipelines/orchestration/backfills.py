"""Backfills of survey windows: an asset partitioned by day beside each survey pull, for ranges picked in the UI.

A separate asset because for a partitioned one the UI shows partition counts instead of the last run.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import ObjectBusy, PipelineError, SettingsError, TransientError
from gainsight_pipelines.logs import about, log_to_stderr
from gainsight_pipelines.orchestration.failures import as_failure, retry_or_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags
from gainsight_pipelines.orchestration.logs import progress_in_events
from gainsight_pipelines.orchestration.names import by_day
from gainsight_pipelines.orchestration.tenant import DAYS_PER_RUN, Tenant

if TYPE_CHECKING:
    from gainsight_pipelines.store.connection import Store
    from gainsight_pipelines.sync import Prepared
    from gainsight_pipelines.sync.day_backfill import DayRead

FIRST_DAY = date(2020, 1, 1)
"""The default first day. Not relative to today: code server and run workers may load on different days."""

LOOK_SECONDS = 2.0
"""Interval of checks whether the object is free."""


class BackfillConfig(dg.Config):
    """The run config of a backfill."""

    response_limit: int | None = Field(default=None, ge=1)
    """The maximum number of responses in this run; empty: surveys.response_limit."""

    wait_minutes: float = Field(default=60, ge=0)
    """How long to wait while another run pulls the object; after that the run fails and can be retried."""


def backfill_asset(tenant: Tenant, name: str) -> dg.AssetsDefinition | None:
    """The by-day asset of one survey object: each run reads exactly its days, by the responses' own dates in UTC.

    None for objects without backfills.
    """
    pull, spec = tenant.pulls[name], tenant.days(name)
    if spec is None or isinstance(pull, SettingsError) or pull.by_day is None:
        return None
    first_day = pull.by_day.first_day or FIRST_DAY
    key = spec.key

    @dg.multi_asset(
        specs=[spec.replace_attributes(skippable=True)],
        name=key.to_python_identifier(),
        pool=tenant.names.pool(name),
        op_tags=step_tags(by_day(name)),
        required_resource_keys={tenant.names.resource},
        partitions_def=dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), end_offset=1),
        backfill_policy=dg.BackfillPolicy.multi_run(DAYS_PER_RUN),
    )
    def materialize_days(context: dg.AssetExecutionContext, config: BackfillConfig) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        from gainsight_pipelines.sync import clients
        from gainsight_pipelines.sync.day_backfill import sync_days

        log_to_stderr()
        clock, resource = SystemClock(), tenant.of(context)

        def report(read: "DayRead") -> None:
            # One materialization per day: a single result would give all days of the run the same numbers.
            metadata = {
                "rows_read": read.read,
                "rows_written": read.written,
                "rows_unchanged": read.unchanged,
                "matched": read.matched,
                "unmatched": read.unmatched,
            }
            context.log_event(dg.AssetMaterialization(key, partition=read.day.isoformat(), metadata=metadata))

        def prepare() -> "Prepared":
            return clients.prepare(
                resource.settings(),
                name,
                context.run.run_id,
                database,
                resource.connect_crm,
                resource.connect_gainsight,
                clock,
            )

        try:
            database = resource.open_store()
            mark_run(context.op_execution_context, database, by_day(name))
            done = _days_done(context) if context.retry_number else set()
            days = [date.fromisoformat(day) for day in context.partition_keys if day not in done]
            run_id, limit = context.run.run_id, config.response_limit
            with about(tenant=resource.settings().tenant), progress_in_events(context.log, run_id, clock):
                _in_turn(
                    lambda: sync_days(database, clock, name, run_id, prepare, days, report, limit=limit),
                    lambda: _is_free(database, name),
                    clock,
                    timedelta(minutes=config.wait_minutes),
                    context.log.info,
                )
        except OutOfPatience as error:
            raise as_failure(error) from None
        except PipelineError as error:
            raise retry_or_failure(context, error) from None
        yield from ()

    return materialize_days


class OutOfPatience(TransientError):
    """Another run was still pulling the object when the wait ended."""


def _in_turn(
    work: Callable[[], object],
    is_free: Callable[[], bool],
    clock: SystemClock,
    patience: timedelta,
    say: Callable[[str], None],
) -> None:
    """Does the work once no other run pulls the object.

    Raises:
        OutOfPatience: another run still does after `patience`.
    """
    deadline, is_told = clock.monotonic() + patience.total_seconds(), False
    while True:
        try:
            work()
            return
        except ObjectBusy as error:
            if not is_told:
                say(f"{error} The run waits for its turn, up to {patience}.")
                is_told = True
        while not is_free():
            if clock.monotonic() >= deadline:
                raise OutOfPatience(
                    f"Another run has pulled the object for {patience}.",
                    "Start these days again, or let the run wait longer: `wait_minutes` of its configuration.",
                )
            clock.sleep(LOOK_SECONDS)


def _is_free(store: "Store", name: str) -> bool:
    from gainsight_pipelines.store.leases import is_held

    with store.connect(f"waiting {name}") as connection:
        return not is_held(connection, name)


def _days_done(context: dg.AssetExecutionContext) -> set[str]:
    """The days that this run completed before a retry."""
    entries = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {str(each.dagster_event.partition) for each in entries if each.dagster_event is not None}
