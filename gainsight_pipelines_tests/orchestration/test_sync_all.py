"""The job behind "Run all" (requirement B4) requests runs; the browser test covers the runs themselves."""

from __future__ import annotations

import time

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from gainsight_pipelines.orchestration.sync_all import SENSOR_DAEMON
from gainsight_pipelines_tests.orchestration.running import NAMES, Located, failure_of

pytestmark = pytest.mark.ticks


def sync_all(located: Located) -> dg.ExecuteInProcessResult:
    job = located.definitions.resolve_job_def(NAMES.sync_all)
    return job.execute_in_process(instance=located.instance, raise_on_error=False)


@pytest.fixture
def daemon(located: Located) -> None:
    """A daemon with a recent heartbeat."""
    located.instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), SENSOR_DAEMON, "a daemon", []))


@pytest.mark.usefixtures("daemon")
def test_sync_all_requests_one_run_per_object(located: Located) -> None:
    result = sync_all(located)
    assert result.success
    names = located.pulling.settings.object_names()
    repository = located.definitions.get_repository_def()
    with dg.build_run_status_sensor_context(
        sensor_name="gainsight_sync_all_runs",
        dagster_event=result.get_run_success_event(),
        dagster_instance=located.instance,
        dagster_run=result.dagster_run,
    ) as context:
        requests = list(repository.get_sensor_def("gainsight_sync_all_runs")(context))
    assert [request.job_name for request in requests] == [NAMES.job(name) for name in names]
    assert len({request.run_key for request in requests}) == len(names)


def test_sync_all_fails_without_a_daemon_and_names_the_alternative(located: Located) -> None:
    result = sync_all(located)
    assert not result.success
    assert "gainsight-pipelines run --all" in str(failure_of(result).description)


@pytest.mark.usefixtures("daemon")
def test_sync_all_starts_nothing_while_the_gate_is_closed(located: Located) -> None:
    located.pulling.sandbox.switch(crm_down=True)
    result = sync_all(located)
    assert not result.success
    assert str(failure_of(result).description).startswith("Nothing was started, because the gate is closed. Salesforce")
