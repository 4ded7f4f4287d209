"""Run all (requirement B4): a job whose success starts a run per object, so that a failure leaves the others alone."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PermanentError, PipelineError, SettingsError
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import STORE_TAG, mark_run, step_tags
from gainsight_pipelines.orchestration.names import SYNC_ALL_TAG, job_name
from gainsight_pipelines.orchestration.resources import PrimaryCRMResource, StoreResource
from gainsight_pipelines.scheduling import gate

SYNC_ALL = "sync_all"
SENSOR_SECONDS = 5
SENSOR_DAEMON = "SENSOR"


def sync_all_job(names: Sequence[str], unread: Sequence[SettingsError] = ()) -> dg.JobDefinition:
    """The job: looks whether pulls can run, and says what will start, and what of the settings nothing reads."""

    @dg.op(
        name="start_all",
        description="Sees that the primary CRM is there and that a daemon will start the pulls.",
        tags=step_tags(SYNC_ALL),
    )
    def start_all(context: dg.OpExecutionContext, primary_crm: PrimaryCRMResource, store: StoreResource) -> None:
        try:
            database = store.open()
            mark_run(context, database)
            found = gate.current(database, primary_crm.connect, SystemClock(), gate.Pace.of())
            if not found.is_open:
                raise PermanentError(f"Nothing was started, as the gate is closed. {found.message}")
            status = context.instance.get_daemon_statuses([SENSOR_DAEMON])[SENSOR_DAEMON]
            if not status.healthy:
                raise PermanentError(
                    "Nothing was started, as no Dagster daemon is alive to do it.",
                    "Start one (`dagster-daemon run`), or call `gainsight-pipelines run --all`, which needs none.",
                )
        except PipelineError as error:
            raise as_failure(error) from None
        for mistake in unread:
            context.log.warning("%s", mistake)
        context.log.info("One run each is being started, the last within half a minute: %s", ", ".join(names))
        context.add_output_metadata({"objects": dg.MetadataValue.json(list(names))})

    @dg.job(
        name=SYNC_ALL,
        description="Pulls every configured object, each in a run of its own; the last starts within half a minute.",
        tags=step_tags(SYNC_ALL),
    )
    def sync_all() -> None:
        start_all()

    return sync_all


def sync_all_sensor(
    sync_all: dg.JobDefinition, jobs: Sequence[UnresolvedAssetJobDefinition], names: Sequence[str]
) -> dg.SensorDefinition:
    """Starts the pulls when `sync_all` has succeeded."""

    @dg.run_status_sensor(
        name="sync_all_runs",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[sync_all],
        request_jobs=list(jobs),
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts one run per object after the job sync_all.",
    )
    def sync_all_runs(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest]:
        run_id = context.dagster_run.run_id
        tags = {SYNC_ALL_TAG: run_id}
        if store := context.dagster_run.tags.get(STORE_TAG):
            tags[STORE_TAG] = store
        for name in names:
            yield dg.RunRequest(job_name=job_name(name), run_key=f"{run_id} {name}", tags=tags)

    return sync_all_runs
