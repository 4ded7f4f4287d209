"""The cadences as Dagster schedules, on by default. A tick that shouldn't start a run is skipped with the reason.

What was skipped, or missed while the daemon was down, is caught up by the gate sensor: a tick that a later one has
overtaken starts nothing, so that they don't pile up.
"""

from datetime import UTC

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.orchestration.identity import STORE_TAG, store_id
from gainsight_pipelines.orchestration.names import job_name, schedule_name
from gainsight_pipelines.orchestration.resources import PrimaryCRMResource, StoreResource
from gainsight_pipelines.scheduling import gate
from gainsight_pipelines.scheduling.cadence import cadence_of
from gainsight_pipelines.settings import Settings


def pull_schedule(settings: Settings, name: str) -> dg.ScheduleDefinition:
    """The schedule of one pull; its cron and time zone as set, else the documented cadence in UTC."""
    cadence = cadence_of(settings, name)
    problem = settings.errors.get("schedules")
    told = f" This is the documented cadence, as the settings' own is broken: {problem}" if problem else ""

    @dg.schedule(
        name=schedule_name(name),
        job_name=job_name(name),
        cron_schedule=cadence.cron,
        execution_timezone=cadence.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Pulls `{name}`, unless the primary CRM isn't there or another run pulls it already.{told}",
    )
    def tick(
        context: dg.ScheduleEvaluationContext, primary_crm: PrimaryCRMResource, store: StoreResource
    ) -> dg.RunRequest | dg.SkipReason:
        from gainsight_pipelines.store.locks import is_locked

        due_at = context.scheduled_execution_time.astimezone(UTC)
        clock = SystemClock()
        if cadence.latest(clock.now()) > due_at:
            return dg.SkipReason("A later tick has taken the place of this one.")
        try:
            database = store.open()
            found = gate.current(database, primary_crm.connect, clock, gate.Pace.of())
            if not found.is_open:
                return dg.SkipReason(f"The gate is closed: {found.message}")
            with database.connect(f"schedule {name}") as connection:
                if is_locked(connection, name):
                    return dg.SkipReason(f"`{name}` is still being pulled by another run.")
                store_tag = store_id(connection)
        except PipelineError as error:
            return dg.SkipReason(f"The gate can't be evaluated, so it is closed: {error}")
        return dg.RunRequest(run_key=f"{name} {due_at:%Y-%m-%dT%H:%M:%SZ}", tags={STORE_TAG: store_tag})

    return tick
