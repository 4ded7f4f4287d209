"""One asset per configured object, out of one factory: the rows of the status banner."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import NotEnabled, ObjectBusy, PipelineError, SettingsError
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.orchestration.failures import retry_or_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags, tag_value
from gainsight_pipelines.orchestration.logs import log_to_stderr
from gainsight_pipelines.orchestration.metadata import column_lineage, materialization_metadata, table_metadata
from gainsight_pipelines.orchestration.names import ACCOUNT, GROUP, asset_key, documentation, pool
from gainsight_pipelines.orchestration.resources import GainsightResource, PrimaryCRMResource, StoreResource
from gainsight_pipelines.scheduling.cadence import Cadence

if TYPE_CHECKING:
    from gainsight_pipelines.sync import Prepared


class PullConfig(dg.Config):
    """What a person can say for one run."""

    accept_deletions: bool = False
    """Look for deletions now, and let any number of accounts and records be marked deleted."""

    full_refresh: bool = False
    """Read everything again after the normal pull, as `run --full` does."""


def pull_asset(
    name: str, pull: ObjectPull | SettingsError, cadence: Cadence, owners: tuple[str, ...], schema: str
) -> dg.AssetsDefinition:
    """The asset of one configured object. One whose settings are broken is there too; its run says what is wrong."""
    shown = _shown(pull, cadence, schema)

    @dg.asset(
        key=asset_key(name),
        group_name=GROUP,
        deps=[ACCOUNT],
        kinds={"postgres"},
        owners=owners,
        pool=pool(name),
        op_tags=step_tags(name),
        freshness_policy=freshness_policy(cadence),
        output_required=False,
        description=shown.description,
        metadata=shown.metadata,
        tags=shown.tags,
    )
    def materialize(
        context: dg.AssetExecutionContext,
        config: PullConfig,
        gainsight: GainsightResource,
        primary_crm: PrimaryCRMResource,
        store: StoreResource,
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        from gainsight_pipelines.sync import connect, sync

        log_to_stderr()
        clock = SystemClock()
        try:
            database = store.open()
            mark_run(context.op_execution_context, database)
            prepared: Prepared | None = None

            def prepare() -> "Prepared":
                nonlocal prepared
                prepared = connect.prepare(
                    gainsight.settings(),
                    name,
                    context.run.run_id,
                    database,
                    primary_crm.connect,
                    gainsight.connect,
                    clock,
                    is_vanishing_accepted=config.accept_deletions,
                    is_full=config.full_refresh,
                )
                return prepared

            report = sync(database, clock, name, context.run.run_id, prepare)
            assert prepared is not None
            # As the settings are by now, which the run went by: those of the load may have been broken, or others.
            table, gainsight_object = prepared.pull.table, prepared.pull.gainsight_object
            metadata = materialization_metadata(report, database, table, gainsight_object)
        except (ObjectBusy, NotEnabled) as error:
            context.log.warning("Skipped: %s", error)
            return
        except PipelineError as error:
            raise retry_or_failure(context, error) from None
        context.log_event(dg.AssetObservation(ACCOUNT, metadata={"accounts": report.accounts}))
        yield dg.MaterializeResult(metadata=metadata | column_lineage(table.name, ACCOUNT))

    return materialize


def freshness_policy(cadence: Cadence) -> dg.FreshnessPolicy:
    """Late after a turn of the cadence and a quarter, failing after two without a completed pull."""
    longest = cadence.longest_interval
    return dg.FreshnessPolicy.time_window(warn_window=longest * 1.25, fail_window=longest * 2)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the UI shows of an asset, whether it ever ran or not."""

    description: str
    metadata: dict[str, Any]
    tags: dict[str, str]


def _shown(pull: ObjectPull | SettingsError, cadence: Cadence, schema: str) -> Shown:
    if isinstance(pull, SettingsError):
        return Shown(
            description=f"**Its settings are broken:** {pull}",
            metadata={"documentation": documentation(pull.section)},
            tags={"settings": "broken"},
        )
    return Shown(
        description=(
            f"{pull.title}: {pull.description}\n\n"
            f"Runs by itself at `{cadence.cron}` ({cadence.timezone}); Materialize runs it now."
            " Where to look when something is wrong: the metadata `documentation`."
        ),
        metadata={
            **table_metadata(schema, pull.table.name),
            "gainsight_object": pull.gainsight_object,
            "cadence": f"{cadence.cron} ({cadence.timezone})",
            "documentation": documentation("troubleshooting"),
        },
        tags={"gainsight_object": tag_value(pull.gainsight_object)},
    )
