"""The definitions as a whole, out of the settings: the one way they are built, for Dagster, commands and tests."""

import warnings

import dagster as dg

from gainsight_pipelines.objects.catalog import configured_pulls
from gainsight_pipelines.objects.survey import SurveyPull
from gainsight_pipelines.orchestration.assets import account_asset, asset_key, job_name, pull_asset
from gainsight_pipelines.orchestration.backfills import backfill_asset
from gainsight_pipelines.orchestration.resources import GainsightResource, PrimaryCRMResource, StoreResource
from gainsight_pipelines.orchestration.schedules import pull_schedule
from gainsight_pipelines.settings import Settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Assets, jobs, schedules and resources for the configured objects. Calls nobody and reads no secret.

    With settings that can't be used only `crm/account` is there, and its description says what is missing.
    """
    pulls = configured_pulls(settings)
    path = str(settings.path) if settings.path else None
    with warnings.catch_warnings():
        # Observable source assets and backfill policies are called beta by this version of Dagster; the project's range
        # of versions holds both to what was tried.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets: list[dg.AssetsDefinition | dg.SourceAsset] = [
            account_asset(settings),
            *(pull_asset(name, pull) for name, pull in pulls.items()),
            *(backfill_asset(pull) for pull in pulls.values() if isinstance(pull, SurveyPull)),
        ]
    return dg.Definitions(
        assets=assets,
        jobs=[
            dg.define_asset_job(
                job_name(name), selection=dg.AssetSelection.assets(asset_key(name)), description=f"Pulls `{name}`."
            )
            for name in pulls
        ],
        schedules=[pull_schedule(settings, name) for name in pulls],
        resources={
            "gainsight": GainsightResource(settings_path=path),
            "primary_crm": PrimaryCRMResource(settings_path=path),
            "store": StoreResource(settings_path=path),
        },
        executor=dg.in_process_executor,
    )
