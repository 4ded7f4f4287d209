"""Deliveries to a warehouse: an asset per table, downstream of its pulls, run when those have brought changes.

A delivery has a run of its own, so that it never fails a pull. Only runs import dlt: the definitions are the same
without it, and loading them needs neither credentials nor a database. That rules out dagster-dlt, whose decorator takes
a built dlt source; ours depends on the cursor in the warehouse.
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
    """The config of one run."""

    full: bool = False
    """Replace the table with all rows, as `deliver --full` does."""


def delivery_assets(tenant: Tenant) -> list[dg.AssetsDefinition]:
    """An asset for each delivered table and typed view; none if the settings name no warehouse."""
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
    """The job that delivers all tables; None if the settings name no warehouse."""
    if not tenant.delivered:
        return None
    return dg.define_asset_job(
        tenant.names.deliver,
        selection=dg.AssetSelection.assets(*_keys(tenant)),
        description="Updates all tables in the warehouse. Each is also delivered after its pulls.",
        tags=step_tags(DELIVERY),
        metadata={TENANT: tenant.names.prefix},
    )


def delivery_sensor(tenant: Tenant) -> dg.AutomationConditionSensorDefinition | None:
    """The sensor that evaluates the conditions of the delivery assets only.

    None if there are none, or with `schedules: none`, where the host's own sensor does it.
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
        description="Delivers a table when its pulls have brought changes, and again an hour after a failure.",
    )


def _keys(tenant: Tenant) -> Sequence[dg.AssetKey]:
    return [tenant.delivery_spec(relation).key for relation in tenant.delivered]
