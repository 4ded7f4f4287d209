"""The asset of each configured object, from one factory: the rows of the status banner."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.delivery.tables import ACCOUNT
from gainsight_pipelines.errors import NotEnabled, ObjectBusy, PipelineError
from gainsight_pipelines.logs import about, log_to_stderr
from gainsight_pipelines.orchestration.failures import retry_or_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags, store_id
from gainsight_pipelines.orchestration.logs import progress_in_events
from gainsight_pipelines.orchestration.metadata import column_lineage, materialization_metadata
from gainsight_pipelines.orchestration.tenant import Tenant

if TYPE_CHECKING:
    from gainsight_pipelines.sync import Prepared


class PullConfig(dg.Config):
    """The run config of a pull."""

    accept_deletions: bool = False
    """Look for deletions now, and allow any number of accounts and records to be marked deleted."""

    full_refresh: bool = False
    """Read everything again after the regular pull, like `run --full`."""


@dataclass(frozen=True, slots=True)
class GainsightPull:
    """One pull, ready to run in a step of its asset.

    Attributes:
        name: the pull's name, like `company`.
        tenant: its tenant.
        config: the run config.
        spec: of the asset.
    """

    name: str
    tenant: Tenant
    config: PullConfig
    spec: dg.AssetSpec

    def run(self, context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        """Pulls, and yields the materialization; yields nothing if another run pulls the object or it was disabled.

        Raises:
            dagster.Failure: the pull failed; the description says what to do.
            dagster.RetryRequested: it failed, and may succeed in a few seconds.
        """
        from gainsight_pipelines.store.data_versions import version_of
        from gainsight_pipelines.sync import clients, sync

        log_to_stderr()
        clock, resource, account = SystemClock(), self.tenant.of(context), self.tenant.account.key
        try:
            database = resource.open_store()
            mark_run(context.op_execution_context, database, self.name)
            prepared: Prepared | None = None

            def prepare() -> "Prepared":
                nonlocal prepared
                prepared = clients.prepare(
                    resource.settings(),
                    self.name,
                    context.run.run_id,
                    database,
                    resource.connect_crm,
                    resource.connect_gainsight,
                    clock,
                    is_vanishing_accepted=self.config.accept_deletions,
                    is_full=self.config.full_refresh,
                )
                return prepared

            tenant = resource.settings().tenant
            with about(tenant=tenant), progress_in_events(context.log, context.run.run_id, clock):
                report = sync(database, clock, self.name, context.run.run_id, prepare)
            assert prepared is not None
            # With the run's own settings: those of the load may have been invalid or different.
            table, gainsight_object = prepared.pull.table, prepared.pull.gainsight_object
            with database.connect(f"metadata {self.name}") as connection:
                metadata = materialization_metadata(report, database, connection, table, gainsight_object)
                version = f"{store_id(connection)} {version_of(connection, self.name) or 0}"
                accounts = f"{store_id(connection)} {version_of(connection, ACCOUNT) or 0}"
        except (ObjectBusy, NotEnabled) as error:
            context.log.warning("Skipped: %s", error)
            return
        except PipelineError as error:
            raise retry_or_failure(context, error) from None
        context.log_event(
            dg.AssetObservation(account, metadata={"accounts": report.accounts}, tags={DATA_VERSION_TAG: accounts})
        )
        yield dg.MaterializeResult(
            asset_key=self.spec.key,
            metadata=metadata | column_lineage(table.name, account),
            data_version=dg.DataVersion(version),
        )


Execute = Callable[[dg.AssetExecutionContext, GainsightPull], Iterator[dg.MaterializeResult]]  # type: ignore[type-arg]
"""What a step of an asset does with its pull."""


def pull_asset(tenant: Tenant, name: str, execute: Execute | None = None) -> dg.AssetsDefinition:
    """The asset of one configured object. It exists even if its settings are invalid; its run then says why."""
    spec = tenant.asset(name)
    run = execute or (lambda context, pull: pull.run(context))

    @dg.multi_asset(
        specs=[spec.replace_attributes(skippable=True)],
        name=spec.key.to_python_identifier(),
        pool=tenant.names.pool(name),
        op_tags=step_tags(name),
        required_resource_keys={tenant.names.resource},
    )
    def materialize(context: dg.AssetExecutionContext, config: PullConfig) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        yield from run(context, GainsightPull(name, tenant, config, spec))

    return materialize
