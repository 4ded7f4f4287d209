"""Definitions from a test's settings, evaluated in this process as Dagster's daemon evaluates them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.remote_origin import CodeLocationOrigin

from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.orchestration.names import Names
from gainsight_pipelines.scheduling.gate import SENSOR
from gainsight_pipelines_tests.pulling import Pulling

NAMES = Names()


class Located:
    """A code location with the test's settings and its own Dagster instance."""

    def __init__(self, pulling: Pulling, folder: Path, instance: dg.DagsterInstance) -> None:
        self.pulling, self.folder, self.instance = pulling, folder, instance
        self.cursor: str | None = None
        self.alert_cursor: str | None = None
        self.shown: list[dg.AssetCheckEvaluation] = []
        """The evaluations that the alert sensor added to the check `alerts`."""
        self.origin: CodeLocationOrigin | None = None
        """The origin of the code location, as the daemon passes it to the gate sensor."""

    @property
    def definitions(self) -> dg.Definitions:
        """The definitions, loaded from the current settings."""
        path = self.folder / "gainsight.yaml"
        path.write_text(yaml.safe_dump(self.pulling.content))
        return build_gainsight_definitions(path)

    def run(self, name: str, *, config: dict[str, Any] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        """Runs the job of a pull."""
        return self.definitions.resolve_job_def(NAMES.job(name)).execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            run_config={"ops": {f"gainsight__{name}": {"config": config}}} if config else None,
            **options,
        )

    def tick(self, name: str, at: datetime | None = None) -> dg.RunRequest | str:
        """Evaluates the schedule of a pull; returns the requested run or why the tick is skipped."""
        definitions = self.definitions
        repository = definitions.get_repository_def()
        with dg.build_schedule_context(
            instance=self.instance,
            repository_def=repository,
            resources=dict(definitions.resources or {}),
            scheduled_execution_time=at or datetime.now(UTC),
        ) as context:
            data = repository.get_schedule_def(NAMES.schedule(name)).evaluate_tick(context)
        if data.run_requests:
            return data.run_requests[0]
        return data.skip_message or ""

    def alert(self) -> str:
        """Evaluates the alert sensor with its last cursor, as the daemon does; returns the tick's message."""
        definitions = self.definitions
        repository = definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance,
            repository_def=repository,
            resources=dict(definitions.resources or {}),
            cursor=self.alert_cursor,
            sensor_name=NAMES.alerts,
        ) as context:
            data = repository.get_sensor_def(NAMES.alerts).evaluate_tick(context)
        self.alert_cursor = data.cursor
        self.shown += [event for event in data.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        return data.skip_message or ""

    def sense(self) -> dg.SensorResult:
        """Evaluates the gate sensor with its last cursor, as the daemon does."""
        definitions = self.definitions
        repository = definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance,
            repository_def=repository,
            resources=dict(definitions.resources or {}),
            cursor=self.cursor,
            sensor_name=SENSOR,
        ) as context:
            context._repository_name, context._code_location_origin = repository.name, self.origin
            data = repository.get_sensor_def(SENSOR).evaluate_tick(context)
        self.cursor = data.cursor
        return dg.SensorResult(
            run_requests=data.run_requests, skip_reason=data.skip_message or None, asset_events=data.asset_events
        )


def failure_of(result: dg.ExecuteInProcessResult) -> dg.Failure:
    """The description and metadata that the UI shows for the failed step of a run."""
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return dg.Failure(description=data.description, metadata=data.metadata)
