"""The alert sensor: its ticks evaluate the rules and deliver what is to be told."""

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.logs import about, log_to_stderr
from gainsight_pipelines.orchestration.identity import step_tags
from gainsight_pipelines.orchestration.tenant import Tenant

INTERVAL_SECONDS = 60


def alert_sensor(tenant: Tenant) -> dg.SensorDefinition | None:
    """The sensor of a tenant; None where no alerts are asked for. Broken ones are: each tick says what is wrong."""
    settings = tenant.settings
    if settings.file_error is not None or ("alerts" not in settings.errors and settings.alerts is None):
        return None
    is_running = tenant.schedules != "stopped"

    @dg.sensor(
        name=tenant.names.alerts,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if is_running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={tenant.names.resource},
        tags=step_tags("alerts"),
        description=(
            "Sends a message when something starts to be wrong, and one when it is right again: by the section `alerts`"
            " of the settings, to the targets of GAINSIGHT_PIPELINES_ALERTS_URLS. Each tick says what is firing."
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from gainsight_pipelines.monitoring.alerts import evaluate, ui_url
        from gainsight_pipelines.monitoring.targets import targets

        log_to_stderr()
        resource = tenant.of(context)
        try:
            settings = resource.settings()
            secrets = resource.secrets(settings)
            with about(tenant=settings.tenant):
                found = evaluate(
                    resource.open_store(), settings, targets(secrets), SystemClock(), ui_url(settings, secrets)
                )
        except PipelineError as error:
            return dg.SkipReason(f"Alerts can't be evaluated: {error}")
        names = ", ".join(f"{each.object or 'all objects'} ({each.rule})" for each in found.firing)
        told = f" {found.delivered} messages delivered." if found.delivered else ""
        problems = "".join(f" {problem}" for problem in found.problems)
        return dg.SkipReason(f"{f'Firing: {names}.' if names else 'Nothing is firing.'}{told}{problems}")

    return watch
