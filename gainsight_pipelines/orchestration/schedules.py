"""The cadences as Dagster schedules. A tick that must not start a run is skipped with the reason.

The gate sensor catches up ticks that were skipped, or missed while the daemon was down. A tick with a later one after
it starts nothing, so ticks don't pile up.
"""

from datetime import UTC

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.identity import STORE_TAG, step_tags, store_id
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.scheduling import gate


def pull_schedule(tenant: Tenant, name: str) -> dg.ScheduleDefinition:
    """The schedule of one pull, with the configured cron and time zone, or the documented cadence in UTC."""
    cadence = tenant.cadence(name)
    problem = tenant.settings.errors.get("schedules")
    told = f" This is the documented cadence, as the settings' own is invalid: {problem}" if problem else ""
    is_running = tenant.schedules == "running"

    @dg.schedule(
        name=tenant.names.schedule(name),
        job_name=tenant.names.job(name),
        cron_schedule=cadence.cron,
        execution_timezone=cadence.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if is_running else dg.DefaultScheduleStatus.STOPPED,
        required_resource_keys={tenant.names.resource},
        tags=step_tags(name),
        description=f"Pulls `{name}`, unless the primary CRM is unavailable or another run already pulls it.{told}",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from gainsight_pipelines.store.leases import is_held

        due_at = context.scheduled_execution_time.astimezone(UTC)
        clock, resource = SystemClock(), tenant.of(context)
        if cadence.latest(clock.now()) > due_at:
            return dg.SkipReason("A later tick has replaced this one.")
        try:
            database = resource.open_store()
            found = gate.current(database, resource.connect_crm, clock, gate.Pace.of())
            if not found.is_open:
                return dg.SkipReason(f"The gate is closed: {found.message}")
            with database.connect(f"schedule {name}") as connection:
                if is_held(connection, name):
                    return dg.SkipReason(f"`{name}` is still being pulled by another run.")
                store = store_id(connection)
        except PipelineError as error:
            return dg.SkipReason(f"The gate can't be evaluated, so it is closed: {error}")
        tags = {**step_tags(name), STORE_TAG: store}
        return dg.RunRequest(run_key=f"{name} {due_at:%Y-%m-%dT%H:%M:%SZ}", tags=tags)

    return tick
