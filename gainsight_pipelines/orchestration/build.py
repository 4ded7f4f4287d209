"""The definitions as a whole, out of the settings: the one way they are built, for Dagster, commands and tests."""

import warnings

import dagster as dg

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.orchestration.account import account_asset, gate_check
from gainsight_pipelines.orchestration.assets import pull_asset
from gainsight_pipelines.orchestration.backfills import backfill_asset
from gainsight_pipelines.orchestration.checks import pull_checks
from gainsight_pipelines.orchestration.identity import step_tags
from gainsight_pipelines.orchestration.metadata import schema_of
from gainsight_pipelines.orchestration.names import asset_key, job_name
from gainsight_pipelines.orchestration.resources import GainsightResource, PrimaryCRMResource, StoreResource
from gainsight_pipelines.orchestration.schedules import pull_schedule
from gainsight_pipelines.orchestration.sensors import gate_sensor
from gainsight_pipelines.orchestration.sync_all import sync_all_job, sync_all_sensor
from gainsight_pipelines.scheduling.cadence import cadence_of
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.settings.pulls import configured_pulls


def build_definitions(settings: Settings) -> dg.Definitions:
    """Assets, checks, jobs, schedules, sensors and resources for the configured objects. Calls nobody, reads no secret.

    With settings that can't be used only `crm/account` is there, and its description says what is missing.
    """
    pulls = configured_pulls(settings)
    cadences = {name: cadence_of(settings, name) for name in pulls}
    path = str(settings.path) if settings.path else None
    owners = () if settings.file_error or "common" in settings.errors else settings.common.owners
    schema = schema_of(settings)
    jobs = [
        dg.define_asset_job(
            job_name(name),
            selection=dg.AssetSelection.assets(asset_key(name)),
            description=f"Pulls `{name}`.",
            tags=step_tags(name),
        )
        for name in pulls
    ]
    sync_all = sync_all_job(list(pulls), settings.unread())
    with warnings.catch_warnings():
        # Observable source assets, backfill policies and owners of assets are called beta or preview by this version of
        # Dagster; the project's range of versions holds them to what was tried.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.Definitions(
            assets=[
                account_asset(settings),
                *(pull_asset(name, pull, cadences[name], owners, schema) for name, pull in pulls.items()),
                *(
                    backfill_asset(pull, pull.by_day, owners, schema)
                    for pull in pulls.values()
                    if not isinstance(pull, SettingsError) and pull.by_day is not None
                ),
            ],
            asset_checks=[
                gate_check,
                *(
                    pull_checks(name, pull, cadences[name])
                    for name, pull in pulls.items()
                    if not isinstance(pull, SettingsError)
                ),
            ],
            jobs=[*jobs, *([sync_all] if pulls else [])],
            schedules=[pull_schedule(settings, name) for name in pulls],
            sensors=[
                gate_sensor(settings, pulls, jobs),
                *([sync_all_sensor(sync_all, jobs, list(pulls))] if pulls else []),
            ],
            resources={
                "gainsight": GainsightResource(settings_path=path),
                "primary_crm": PrimaryCRMResource(settings_path=path),
                "store": StoreResource(settings_path=path),
            },
            executor=dg.in_process_executor,
        )
