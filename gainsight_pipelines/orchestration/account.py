"""The CRM's accounts as the source that every pull stands on, and the gate as a check on them."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags
from gainsight_pipelines.orchestration.metadata import schema_of, table_metadata
from gainsight_pipelines.orchestration.names import ACCOUNT, CRM_GROUP
from gainsight_pipelines.orchestration.resources import PrimaryCRMResource, StoreResource
from gainsight_pipelines.scheduling import gate
from gainsight_pipelines.settings import Settings

if TYPE_CHECKING:
    from gainsight_pipelines.store.gate import Gate

GATE_CHECK = "gate"


def crm_kind(settings: Settings) -> str | None:
    """The CRM's kind as the settings name it; None where the settings don't say, or not rightly."""
    if settings.file_error is not None or "primary_crm" in settings.errors:
        return None
    return settings.primary_crm.kind if settings.primary_crm else None


def account_asset(settings: Settings) -> dg.SourceAsset:
    """The CRM's accounts: observed, never written. Observing refreshes our copy of them."""
    problem = settings.file_error or settings.errors.get("primary_crm")
    missing = "\n\n".join(str(error) for error in (problem, *settings.unread()) if error)
    description = (
        "The accounts of the primary CRM (Salesforce or HubSpot), which owns them. Every pull refreshes them first, and"
        " none runs without them." + (f"\n\n**Not ready:** {missing}" if missing else "")
    )

    @dg.observable_source_asset(
        key=ACCOUNT,
        group_name=CRM_GROUP,
        description=description,
        metadata=table_metadata(schema_of(settings), "account"),
        tags={f"dagster/kind/{kind}": ""} if (kind := crm_kind(settings)) else {},
        op_tags=step_tags("account"),
    )
    def account(
        context: dg.OpExecutionContext, primary_crm: PrimaryCRMResource, store: StoreResource
    ) -> dg.ObserveResult:
        from gainsight_pipelines.sync import connect

        try:
            crm, database = primary_crm.connect(), store.open()
            mark_run(context, database)
            clock = SystemClock()
            refresh = connect.account_refresh(primary_crm.settings(), database, crm, clock, context.run_id)
            refreshed = refresh.run(since=clock.now())
        except PipelineError as error:
            raise as_failure(error) from None
        return dg.ObserveResult(metadata={"accounts": refreshed.live, "changed": refreshed.changed})

    assert isinstance(account, dg.SourceAsset)
    return account


@dg.asset_check(
    asset=ACCOUNT,
    name=GATE_CHECK,
    op_tags=step_tags("account"),
    description=(
        "Whether the primary CRM is there: nothing is pulled without it. The sensor looks every minute while it isn't,"
        " every five while it is, and leaves an evaluation whenever that changes. Execute it to look now."
    ),
)
def gate_check(
    context: dg.AssetCheckExecutionContext, primary_crm: PrimaryCRMResource, store: StoreResource
) -> dg.AssetCheckResult:
    """Looks at the CRM when a person asks for it."""
    try:
        database = store.open()
        mark_run(context.op_execution_context, database)
        found = gate.look(database, primary_crm.connect, SystemClock())
    except PipelineError as error:
        raise as_failure(error) from None
    return dg.AssetCheckResult(passed=found.is_open, description=found.message, metadata=_metadata(found))


def gate_evaluation(found: "Gate") -> dg.AssetCheckEvaluation:
    """The gate as an event that the UI shows in the check's history."""
    return dg.AssetCheckEvaluation(
        asset_key=ACCOUNT,
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
