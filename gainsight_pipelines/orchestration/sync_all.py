"""Run all: a job that starts one run per object, so that an object that fails does not stop the others."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PermanentError, PipelineError
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import STORE_TAG, mark_run, step_tags
from gainsight_pipelines.orchestration.names import SYNC_ALL_TAG
from gainsight_pipelines.orchestration.tenant import TENANT, Tenant
from gainsight_pipelines.scheduling import gate

SYNC_ALL = "sync_all"
SENSOR_SECONDS = 5
SENSOR_DAEMON = "SENSOR"


def sync_all_job(tenant: Tenant) -> dg.JobDefinition:
    """The job: checks whether pulls can run, and logs what will start and which settings nothing reads."""
    names, prefix = list(tenant.pulls), tenant.names.prefix

    @dg.op(
        name=f"{prefix}_start_all",
        description="Checks that the primary CRM is available and that a daemon will start the pulls.",
        tags=step_tags(SYNC_ALL),
        required_resource_keys={tenant.names.resource},
    )
    def start_all(context: dg.OpExecutionContext) -> None:
        resource = tenant.of(context)
        try:
            database = resource.open_store()
            mark_run(context, database, SYNC_ALL)
            found = gate.current(database, resource.connect_crm, SystemClock(), gate.Pace.of())
            if not found.is_open:
                raise PermanentError(f"Nothing was started, because the gate is closed. {found.message}")
            status = context.instance.get_daemon_statuses([SENSOR_DAEMON])[SENSOR_DAEMON]
            if not status.healthy:
                raise PermanentError(
                    "Nothing was started, because no Dagster daemon is running.",
                    "Start one (`dagster-daemon run`), or call `gainsight-pipelines run --all`, which needs none.",
                )
        except PipelineError as error:
            raise as_failure(error) from None
        for message in tenant.unread:
            context.log.warning("%s", message)
        context.log.info("Starting a run of each object, the last within half a minute: %s", ", ".join(names))
        context.add_output_metadata({"objects": dg.MetadataValue.json(names)})

    @dg.job(
        name=tenant.names.sync_all,
        description="Pulls every configured object, each in its own run; the last starts within half a minute.",
        tags=step_tags(SYNC_ALL),
        metadata={TENANT: prefix},
    )
    def sync_all() -> None:
        start_all()

    return sync_all


def sync_all_sensor(
    tenant: Tenant, sync_all: dg.JobDefinition, jobs: Sequence[UnresolvedAssetJobDefinition]
) -> dg.SensorDefinition:
    """Starts the pulls when `sync_all` has succeeded, regardless of the schedules, since a person asked for it."""

    @dg.run_status_sensor(
        name=f"{tenant.names.sync_all}_runs",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[sync_all],
        request_jobs=list(jobs),
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts one run per object after the job {tenant.names.sync_all}.",
        tags=step_tags(SYNC_ALL),
    )
    def sync_all_runs(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest]:
        run_id = context.dagster_run.run_id
        tags = {SYNC_ALL_TAG: run_id}
        if store := context.dagster_run.tags.get(STORE_TAG):
            tags[STORE_TAG] = store
        for name in tenant.pulls:
            yield dg.RunRequest(
                job_name=tenant.names.job(name), run_key=f"{run_id} {name}", tags={**step_tags(name), **tags}
            )

    return sync_all_runs
