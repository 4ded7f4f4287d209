"""The CRM's accounts as the upstream asset of every pull, and the gate as an asset check on them."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.delivery.tables import ACCOUNT
from gainsight_pipelines.errors import PipelineError, variables_named
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags, store_id
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.scheduling import gate

if TYPE_CHECKING:
    from gainsight_pipelines.store.gate import Gate

GATE_CHECK = "gate"


def account_asset(tenant: Tenant) -> dg.AssetsDefinition:
    """The CRM's accounts: an observable source asset. Observing it refreshes our copy; the CRM is never written to."""
    spec = tenant.account

    def observe(context: dg.OpExecutionContext) -> dg.ObserveResult:
        from gainsight_pipelines.store.data_versions import version_of
        from gainsight_pipelines.sync import clients

        resource = tenant.of(context)
        try:
            with variables_named(resource.secrets_prefix):
                crm, database = resource.connect_crm(), resource.open_store()
                mark_run(context, database, "account")
                clock = SystemClock()
                refresh = clients.account_refresh(resource.settings(), database, crm, clock, context.run_id)
                refreshed = refresh.run(since=clock.now())
                with database.connect("version of the accounts") as connection:
                    version = f"{store_id(connection)} {version_of(connection, ACCOUNT) or 0}"
        except PipelineError as error:
            raise as_failure(error) from None
        return dg.ObserveResult(
            asset_key=spec.key,
            metadata={"accounts": refreshed.live, "changed": refreshed.changed},
            data_version=dg.DataVersion(version),
        )

    observable = dg.multi_observable_source_asset(
        specs=[spec], name=spec.key.to_python_identifier(), required_resource_keys={tenant.names.resource}
    )(observe)
    assert isinstance(observable, dg.AssetsDefinition)
    return observable


def gate_check(tenant: Tenant) -> dg.AssetChecksDefinition:
    """The gate as an asset check; executing it checks the CRM."""
    key = tenant.account.key

    @dg.asset_check(
        asset=key,
        name=GATE_CHECK,
        op_tags=step_tags("account"),
        required_resource_keys={tenant.names.resource},
        description=(
            "Whether the primary CRM is available: nothing is pulled without it. The sensor checks every minute while"
            " it isn't, every five while it is, and adds an evaluation whenever that changes. Execute it to check now."
        ),
    )
    def look(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        resource = tenant.of(context)
        try:
            database = resource.open_store()
            mark_run(context.op_execution_context, database, "account")
            found = gate.check(database, resource.connect_crm, SystemClock())
        except PipelineError as error:
            raise as_failure(error) from None
        return dg.AssetCheckResult(passed=found.is_open, description=found.message, metadata=_metadata(found))

    return look


def gate_evaluation(key: dg.AssetKey, found: "Gate") -> dg.AssetCheckEvaluation:
    """The gate as an event in the check's history in the UI."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=GATE_CHECK,
        passed=found.is_open,
        description=found.message,
        metadata=_metadata(found),
    )


def _metadata(found: "Gate") -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "reason": dg.MetadataValue.text(found.reason),
        "since": dg.MetadataValue.timestamp(found.since),
    }
    if found.accounts is not None:
        metadata["accounts"] = dg.MetadataValue.int(found.accounts)
    return metadata
