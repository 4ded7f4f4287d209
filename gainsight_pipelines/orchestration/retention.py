"""Automatic purging, if the settings have it (section `retention`): a job and its schedule."""

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import LOCATION_TAG, mark_run, step_tags
from gainsight_pipelines.orchestration.purge import Limits, Origin, purge
from gainsight_pipelines.orchestration.tenant import TENANT, Tenant

if TYPE_CHECKING:
    from gainsight_pipelines.settings.models import RetentionSettings

RETENTION = "retention"


def has_retention(tenant: Tenant) -> bool:
    """Whether the settings have it. With an invalid section: yes, and its run says what is wrong."""
    settings = tenant.settings
    return settings.file_error is None and (RETENTION in settings.errors or settings.retention is not None)


def retention_job(tenant: Tenant) -> dg.JobDefinition | None:
    """The job of a tenant; None if nothing is purged automatically."""
    if not has_retention(tenant):
        return None
    names = tenant.names

    @dg.op(
        name=f"{names.prefix}_delete_old",
        description="Deletes what is older than the settings say, of this tenant only; pulled data are kept.",
        tags=step_tags(RETENTION),
        required_resource_keys={names.resource},
        config_schema={"dry_run": dg.Field(bool, default_value=False, description="Only count.")},
    )
    def delete_old(context: dg.OpExecutionContext) -> None:
        try:
            resource = tenant.of(context)
            wanted = resource.settings().retention
            if wanted is None:
                context.log.info("The settings no longer have a section `retention`: nothing is deleted.")
                return
            database = resource.open_store()
            mark_run(context, database, RETENTION)
            is_dry = wanted.dry_run or bool(context.op_config["dry_run"])
            origin = Origin.of(tenant, context.run.tags.get(LOCATION_TAG))
            done = purge(context.instance, database, limits_of(wanted), is_dry=is_dry, origin=origin)
        except PipelineError as error:
            raise as_failure(error) from None
        context.log.info("%s", done.summary(is_dry=is_dry))
        context.add_output_metadata({**asdict(done), "dry_run": is_dry})

    @dg.job(
        name=names.retention,
        description="Deletes this tenant's old runs, their events, and old rejected records.",
        tags=step_tags(RETENTION),
        metadata={TENANT: names.prefix},
    )
    def delete() -> None:
        delete_old()

    return delete


def retention_schedule(tenant: Tenant, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Once a day, in the time zone of the other schedules."""
    from gainsight_pipelines.settings.models import RetentionSettings

    settings = tenant.settings
    is_running = tenant.schedules == "running"
    broken = RETENTION in settings.errors
    wanted = None if broken else settings.retention
    return dg.ScheduleDefinition(
        name=f"{tenant.names.retention}_schedule",
        job=job,
        cron_schedule=(wanted or RetentionSettings()).cron,
        execution_timezone="UTC" if "schedules" in settings.errors else settings.schedules.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if is_running else dg.DefaultScheduleStatus.STOPPED,
        tags=step_tags(RETENTION),
        description="Deletes what is older than the section `retention` of the settings says.",
    )


def limits_of(wanted: "RetentionSettings") -> Limits:
    """The current age limits."""
    now = SystemClock().now()
    rejected = wanted.rejected_days
    return Limits(
        runs=now - timedelta(days=wanted.runs_days),
        rejected=None if rejected is None else now - timedelta(days=rejected),
    )
