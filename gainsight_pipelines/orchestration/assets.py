"""One asset per configured object, out of one factory, and the CRM's account as the source they stand on."""

from collections.abc import Iterator

import dagster as dg

from gainsight_pipelines import connect
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import ObjectBusy, PipelineError, SettingsError
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.logs import log_to_stderr
from gainsight_pipelines.orchestration.metadata import column_lineage, materialization_metadata, table_metadata
from gainsight_pipelines.orchestration.resources import GainsightResource, PrimaryCRMResource, StoreResource
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.sync import Prepared, sync

ACCOUNT = dg.AssetKey(["crm", "account"])
GROUP, CRM_GROUP = "gainsight", "primary_crm"


class PullConfig(dg.Config):
    """What a person can say for one run."""

    accept_deletions: bool = False
    """Look for deletions now, and let any number of accounts and records be marked deleted."""

    full_refresh: bool = False
    """Read everything again after the normal pull, as `run --full` does."""


def asset_key(name: str) -> dg.AssetKey:
    """The key of the asset of a pull."""
    return dg.AssetKey([GROUP, name])


def job_name(name: str) -> str:
    """The name of the job that runs one pull."""
    return f"pull_{name}"


def account_asset(settings: Settings) -> dg.SourceAsset:
    """The CRM's accounts: observed, never written. Observing refreshes our copy of them."""
    problem = settings.file_error or settings.errors.get("primary_crm")
    missing = " ".join(str(error) for error in (problem,) if error)
    description = (
        "The accounts of the primary CRM (Salesforce or HubSpot), which owns them. Every pull refreshes them first, and"
        " none runs without them." + (f"\n\n**Not ready:** {missing}" if missing else "")
    )

    @dg.observable_source_asset(
        key=ACCOUNT,
        group_name=CRM_GROUP,
        description=description,
        metadata=table_metadata("account"),
        tags={f"dagster/kind/{kind}": ""} if (kind := _kind(settings)) else {},
    )
    def account(
        context: dg.OpExecutionContext, primary_crm: PrimaryCRMResource, store: StoreResource
    ) -> dg.ObserveResult:
        try:
            crm, database = primary_crm.connect(), store.open()
            clock = SystemClock()
            refresh = connect.account_refresh(primary_crm.settings(), database, crm, clock, context.run_id)
            refreshed = refresh.run(since=clock.now())
        except PipelineError as error:
            raise as_failure(error) from None
        return dg.ObserveResult(metadata={"accounts": refreshed.live, "changed": refreshed.changed})

    assert isinstance(account, dg.SourceAsset)
    return account


def pull_asset(name: str, pull: ObjectPull | SettingsError) -> dg.AssetsDefinition:
    """The asset of one configured object. One whose settings are broken is there too; its run says what is wrong."""
    is_broken = isinstance(pull, SettingsError)
    description = f"**Its settings are broken:** {pull}" if isinstance(pull, SettingsError) else pull.description
    table = None if isinstance(pull, SettingsError) else pull.table.name

    @dg.asset(
        key=asset_key(name),
        group_name=GROUP,
        description=description,
        deps=[ACCOUNT],
        kinds={"postgres"},
        pool=f"gainsight_{name}",
        metadata=table_metadata(table) if table else {},
        tags={"settings": "broken"} if is_broken else {},
        output_required=False,
    )
    def materialize(
        context: dg.AssetExecutionContext,
        config: PullConfig,
        gainsight: GainsightResource,
        primary_crm: PrimaryCRMResource,
        store: StoreResource,
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        log_to_stderr()
        clock = SystemClock()
        try:
            database = store.open()

            def prepare() -> Prepared:
                return connect.prepare(
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

            report = sync(database, clock, name, context.run.run_id, prepare)
        except ObjectBusy as error:
            context.log.warning("Skipped: %s", error)
            return
        except PipelineError as error:
            raise as_failure(error) from None
        context.log_event(dg.AssetObservation(ACCOUNT, metadata={"accounts": report.accounts}))
        assert not isinstance(pull, SettingsError)
        yield dg.MaterializeResult(
            metadata=materialization_metadata(report, database, pull.table.name, pull.gainsight_object)
            | column_lineage(pull.table.name, ACCOUNT)
        )

    return materialize


def _kind(settings: Settings) -> str | None:
    if settings.file_error is not None or "primary_crm" in settings.errors:
        return None
    return settings.primary_crm.kind if settings.primary_crm else None
