"""Backfills of survey windows: an asset by day beside each survey pull, for ranges that a person picks in the UI.

Apart from the banner, because the UI shows counts of partitions where a row should show its last run.
"""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import ObjectBusy, PipelineError
from gainsight_pipelines.objects.pull import ByDay, ObjectPull
from gainsight_pipelines.orchestration.failures import as_failure, retry_or_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags
from gainsight_pipelines.orchestration.logs import log_to_stderr
from gainsight_pipelines.orchestration.metadata import table_metadata
from gainsight_pipelines.orchestration.names import ACCOUNT, BACKFILL_GROUP, backfill_key, by_day, pool
from gainsight_pipelines.orchestration.resources import GainsightResource, PrimaryCRMResource, StoreResource

if TYPE_CHECKING:
    from gainsight_pipelines.sync import Prepared
    from gainsight_pipelines.sync.days import DayRead

DAYS_PER_RUN = 30
FIRST_DAY = date(2020, 1, 1)
"""Where the settings name none. Not by the clock: a code server and its run workers load on different days."""


class BackfillConfig(dg.Config):
    """What a person can say for one run."""

    response_limit: int | None = Field(default=None, ge=1)
    """The most responses of this run; empty: surveys.response_limit."""


def backfill_asset(pull: ObjectPull, days: ByDay, owners: tuple[str, ...], schema: str) -> dg.AssetsDefinition:
    """The by-day asset of one survey object: each run reads exactly its days, by the responses' own dates in UTC."""
    name = pull.name
    key = backfill_key(name)
    first_day = days.first_day or FIRST_DAY
    partitions = dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), end_offset=1)

    @dg.asset(
        key=key,
        group_name=BACKFILL_GROUP,
        description=(
            f"Survey responses of `{pull.gainsight_object}` by the day they were given (UTC), for backfills: pick any"
            f" range of days; runs hold at most {DAYS_PER_RUN} days each. The regular pull goes on undisturbed."
        ),
        deps=[ACCOUNT],
        kinds={"postgres"},
        owners=owners,
        pool=pool(name),
        op_tags=step_tags(by_day(name)),
        metadata=table_metadata(schema, pull.table.name),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(DAYS_PER_RUN),
        output_required=False,
    )
    def materialize_days(
        context: dg.AssetExecutionContext,
        config: BackfillConfig,
        gainsight: GainsightResource,
        primary_crm: PrimaryCRMResource,
        store: StoreResource,
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        from gainsight_pipelines.sync import connect
        from gainsight_pipelines.sync.days import sync_days

        log_to_stderr()
        clock = SystemClock()

        def report(read: "DayRead") -> None:
            # One materialization per day: a single result would mark all days of the run with the same numbers.
            metadata = {
                "rows_read": read.read,
                "rows_written": read.written,
                "rows_unchanged": read.unchanged,
                "matched": read.matched,
                "unmatched": read.unmatched,
            }
            context.log_event(dg.AssetMaterialization(key, partition=read.day.isoformat(), metadata=metadata))

        try:
            database = store.open()
            mark_run(context.op_execution_context, database)

            def prepare() -> "Prepared":
                settings = gainsight.settings()
                return connect.prepare(
                    settings, name, context.run.run_id, database, primary_crm.connect, gainsight.connect, clock
                )

            done = _days_done(context) if context.retry_number else set()
            days = [date.fromisoformat(day) for day in context.partition_keys if day not in done]
            sync_days(database, clock, name, context.run.run_id, prepare, days, report, limit=config.response_limit)
        except ObjectBusy as error:
            raise as_failure(error) from None
        except PipelineError as error:
            raise retry_or_failure(context, error) from None
        yield from ()

    return materialize_days


def _days_done(context: dg.AssetExecutionContext) -> set[str]:
    """The days that this run has read to their end before a retry."""
    entries = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {str(each.dagster_event.partition) for each in entries if each.dagster_event is not None}
