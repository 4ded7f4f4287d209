"""Deliveries to a warehouse: an asset per table, downstream of its pulls, run when those have brought changes.

A delivery has runs of its own, so one that fails never fails a pull. dlt is imported by a run alone: definitions are
the same without it.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from gainsight_pipelines.errors import NotEnabled, PipelineError, UsageError
from gainsight_pipelines.logs import log_to_stderr
from gainsight_pipelines.orchestration.failures import retry_or_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags, store_id
from gainsight_pipelines.orchestration.tenant import DELIVERY, TENANT, Tenant
from gainsight_pipelines.settings.models import DeliverySettings

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from gainsight_pipelines.delivery.warehouse import Delivered
    from gainsight_pipelines.settings import Settings

EVALUATED_EVERY_SECONDS = 30


class DeliveryConfig(dg.Config):
    """What a person can say for one run."""

    full: bool = False
    """Send all rows again, in place of what is there, as `deliver --full` does."""


def delivery_assets(tenant: Tenant) -> list[dg.AssetsDefinition]:
    """An asset for each table and typed view that is delivered; none where the settings name no warehouse."""
    return [_delivery_asset(tenant, relation) for relation in tenant.delivered]


def _delivery_asset(tenant: Tenant, relation: str) -> dg.AssetsDefinition:
    spec, pulls = tenant.delivery_spec(relation), tenant.feeding(relation)

    @dg.multi_asset(
        specs=[spec.replace_attributes(skippable=True)],
        name=spec.key.to_python_identifier(),
        pool=tenant.names.pool(DELIVERY),
        op_tags=step_tags(DELIVERY),
        required_resource_keys={tenant.names.resource},
    )
    def deliver(context: dg.AssetExecutionContext, config: DeliveryConfig) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        from gainsight_pipelines.delivery.run import Delivery
        from gainsight_pipelines.delivery.tables import deliverables
        from gainsight_pipelines.store.data_versions import version_of

        log_to_stderr()
        resource = tenant.of(context)
        try:
            settings = resource.settings()
            target = _target(settings)
            database = resource.open_store()
            mark_run(context.op_execution_context, database, DELIVERY)
            with database.connect(f"versions {relation}") as connection:
                [table] = deliverables(connection, [relation])
                versions = [version_of(connection, name) or 0 for name in pulls]
                version = " ".join([store_id(connection), *map(str, versions)])
            delivery = Delivery(database, target, resource.secrets(settings), context.run.run_id)
            done = delivery.deliver(table, is_full=config.full, say=context.log.info)
        except (NotEnabled, UsageError) as error:
            context.log.warning("Skipped: %s", error)
            return
        except PipelineError as error:
            raise retry_or_failure(context, error) from None
        yield dg.MaterializeResult(
            asset_key=spec.key, metadata=_metadata(done, target), data_version=dg.DataVersion(version)
        )

    return deliver


def _target(settings: "Settings") -> DeliverySettings:
    target = settings.of(DeliverySettings)
    if target is None:
        raise NotEnabled("The settings no longer name a warehouse.", "Reload the code location.")
    return target


def _metadata(done: "Delivered", target: DeliverySettings) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "rows_sent": done.rows,
        "bytes_sent": done.bytes,
        "sent": done.how,
        "destination": target.destination,
        "dagster/table_name": f"{target.dataset}.{done.table}",
    }
    return metadata | ({"values_inexact": dg.MetadataValue.json(dict(done.inexact))} if done.inexact else {})


def delivery_job(tenant: Tenant) -> "UnresolvedAssetJobDefinition | None":
    """The job that delivers all tables; None where the settings name no warehouse."""
    if not tenant.delivered:
        return None
    return dg.define_asset_job(
        tenant.names.deliver,
        selection=dg.AssetSelection.assets(*_keys(tenant)),
        description="Brings all tables in the warehouse up to date. Each is delivered after its pulls anyway.",
        tags=step_tags(DELIVERY),
        metadata={TENANT: tenant.names.prefix},
    )


def delivery_sensor(tenant: Tenant) -> dg.AutomationConditionSensorDefinition | None:
    """What evaluates the conditions of the delivery assets, and of no others; None where there is nothing to evaluate.

    Without schedules of ours it is the host's own sensor that does.
    """
    if not tenant.delivered or tenant.schedules == "none":
        return None
    is_running = tenant.schedules == "running"
    return dg.AutomationConditionSensorDefinition(
        name=f"{tenant.names.deliver}_changes",
        target=dg.AssetSelection.assets(*_keys(tenant)),
        default_status=dg.DefaultSensorStatus.RUNNING if is_running else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=EVALUATED_EVERY_SECONDS,
        run_tags=step_tags(DELIVERY),
        description="Delivers a table to the warehouse when its pulls have brought changes, and hourly what failed.",
    )


def _keys(tenant: Tenant) -> Sequence[dg.AssetKey]:
    return [tenant.delivery_spec(relation).key for relation in tenant.delivered]
