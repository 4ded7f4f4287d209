"""The alert sensor, which evaluates the rules and delivers messages, and the asset check that shows what is firing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError
from gainsight_pipelines.logs import about, log_to_stderr
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.settings import ALERTS_VARIABLE

if TYPE_CHECKING:
    from gainsight_pipelines.monitoring.rules import Finding

INTERVAL_SECONDS = 60
ALERT_CHECK = "alerts"
COLUMNS = dg.TableSchema([dg.TableColumn(name) for name in ("object", "alert", "since", "what", "to do")])


def has_alerts(tenant: Tenant) -> bool:
    """Whether the settings have alerts. With invalid settings: yes, and each tick and each check says what is wrong."""
    settings = tenant.settings
    return settings.file_error is None and ("alerts" in settings.errors or settings.alerts is not None)


def alert_sensor(tenant: Tenant) -> dg.SensorDefinition | None:
    """The sensor of a tenant; None if it has no alerts."""
    if not has_alerts(tenant):
        return None
    is_running = tenant.schedules != "stopped"

    @dg.sensor(
        name=tenant.names.alerts,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if is_running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={tenant.names.resource},
        tags=step_tags("alerts"),
        description=(
            "Sends a message when a problem starts, and one when it is over: by the section `alerts`"
            f" of the settings, to the targets of {tenant.resource.secrets_prefix}{ALERTS_VARIABLE}."
            " Each tick says what is firing."
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
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
            return dg.SensorResult(skip_reason=f"Alerts can't be evaluated: {error}", cursor=context.cursor)
        names = ", ".join(f"{each.object or 'all objects'} ({each.rule})" for each in found.firing)
        told = f" {found.delivered} messages delivered." if found.delivered else ""
        problems = "".join(f" {problem}" for problem in found.problems)
        said = f"Firing: {names}." if names else "Nothing is firing."
        return dg.SensorResult(
            skip_reason=f"{said}{told}{problems}",
            # Evaluations are kept forever, so there is one per change and none per tick.
            asset_events=[_evaluation(tenant.account.key, found.firing)] if context.cursor != said else [],
            cursor=said,
        )

    return watch


def alert_check(tenant: Tenant) -> dg.AssetChecksDefinition | None:
    """Shows what is firing, beside the gate; None if the tenant has no alerts."""
    if not has_alerts(tenant):
        return None

    @dg.asset_check(
        asset=tenant.account.key,
        name=ALERT_CHECK,
        op_tags=step_tags("account"),
        required_resource_keys={tenant.names.resource},
        description=(
            "What is firing by the section `alerts` of the settings, for all objects. The alert sensor adds an"
            " evaluation whenever that changes. Execute it to check now; it sends nothing."
        ),
    )
    def look(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        from gainsight_pipelines.monitoring.alerts import firing_now

        resource = tenant.of(context)
        try:
            database = resource.open_store()
            mark_run(context.op_execution_context, database, "account")
            with database.connect("alert check") as connection:
                firing = firing_now(connection, resource.settings(), SystemClock().now())
        except PipelineError as error:
            raise as_failure(error) from None
        shown = _evaluation(tenant.account.key, [finding for finding, _ in firing])
        return dg.AssetCheckResult(
            passed=shown.passed, severity=shown.severity, description=shown.description, metadata=dict(shown.metadata)
        )

    return look


def _evaluation(key: dg.AssetKey, firing: "Sequence[Finding]") -> dg.AssetCheckEvaluation:
    """The firing alerts as an event in the check's history in the UI, one row each."""
    rows = [
        dg.TableRecord(
            {
                "object": each.object or "all",
                "alert": each.rule,
                "since": f"{each.since:%Y-%m-%d %H:%M} UTC",
                "what": each.sentence,
                "to do": each.todo or "",
            }
        )
        for each in firing
    ]
    named = ", ".join(f"{each.object or 'all objects'} ({each.rule})" for each in firing)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=ALERT_CHECK,
        passed=not firing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Firing: {named}." if firing else "Nothing is firing.",
        metadata={"firing": dg.MetadataValue.table(rows, COLUMNS)} if rows else {},
    )
