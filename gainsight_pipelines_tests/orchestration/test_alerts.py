"""The alert sensor: when it exists, what its ticks send, and their messages."""

from __future__ import annotations

import dagster as dg
import pytest

from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.orchestration.tenant import Running
from gainsight_pipelines.settings import ALERTS_VARIABLE
from gainsight_pipelines_tests.monitoring.inboxes import TOKEN, hook
from gainsight_pipelines_tests.orchestration.running import Located

SETTINGS = {"gainsight": {"base_url": "https://tenant.gainsightcloud.com"}, "company": {}}


@pytest.mark.parametrize("alerts", [None, {}, {"failed_runs": "many"}])
@pytest.mark.parametrize("schedules", ["running", "stopped", "none"])
def test_the_alert_sensor_exists_if_the_settings_have_alerts(alerts: object, schedules: Running) -> None:
    settings = SETTINGS if alerts is None else SETTINGS | {"alerts": alerts}
    definitions = build_gainsight_definitions(settings, prefix="acme", schedules=schedules)
    checks = {key.name for each in definitions.asset_checks or () for key in each.check_keys}  # type: ignore[union-attr]
    assert ("alerts" in checks) == (alerts is not None)
    repository = definitions.get_repository_def()
    assert repository.has_sensor_def("acme_alerts") == (alerts is not None)
    if alerts is not None:
        sensor = repository.get_sensor_def("acme_alerts")
        assert sensor.minimum_interval_seconds == 60
        assert sensor.default_status == repository.get_sensor_def("acme_gate").default_status


def test_a_tick_reports_started_and_ended_problems(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    located.pulling.content["alerts"] = {"dagster_url": "https://dagster.example.com"}
    with hook() as inbox:
        monkeypatch.setenv(ALERTS_VARIABLE, inbox.url)
        assert located.alert() == "Nothing is firing."
        located.pulling.sandbox.switch(reject_key=True)
        done = located.run("company")
        assert not done.success
        assert located.alert() == "Firing: all objects (rejected_key). 1 messages delivered."
        assert located.alert() == "Firing: all objects (rejected_key)."
        (message,) = inbox.received
        assert f"Run: https://dagster.example.com/runs/{done.run_id}" in message["message"]
        located.pulling.sandbox.switch(reject_key=False)
        assert located.run("company").success
        assert located.alert() == "Nothing is firing. 1 messages delivered."
        assert [title.startswith("Resolved") for title in inbox.titles()] == [False, True]
    # A tick adds an evaluation of the check in the UI only if the alerts have changed.
    assert [each.passed for each in located.shown] == [True, False, True]
    assert located.shown[1].description == "Firing: all objects (rejected_key)."
    (row,) = located.shown[1].metadata["firing"].value.records  # type: ignore[union-attr]
    assert row.data["object"] == "all" and "rejected" in str(row.data["what"])


def test_the_alert_check_sends_nothing(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    located.pulling.content["alerts"] = {}
    with hook() as inbox:
        monkeypatch.setenv(ALERTS_VARIABLE, inbox.url)
        located.pulling.sandbox.switch(reject_key=True)
        assert not located.run("company").success
        key = dg.AssetCheckKey(dg.AssetKey(["crm", "account"]), "alerts")
        job = dg.define_asset_job("look", selection=dg.AssetSelection.checks(key))
        looking = dg.Definitions.merge(located.definitions, dg.Definitions(jobs=[job]))
        done = looking.resolve_job_def("look").execute_in_process(instance=located.instance)
        (found,) = done.get_asset_check_evaluations()
        assert (found.passed, found.description) == (False, "Firing: all objects (rejected_key).")
        assert inbox.received == []


def test_a_tick_reports_missing_and_invalid_settings(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    located.pulling.content["alerts"] = {}
    assert f"{ALERTS_VARIABLE} is not set" in located.alert()
    with hook() as inbox:
        inbox.statuses = [500]
        monkeypatch.setenv(ALERTS_VARIABLE, inbox.url)
        located.pulling.sandbox.switch(reject_key=True)
        assert not located.run("company").success
        assert "Target 1 (JSON): it responded with HTTP 500" in located.alert()
        located.pulling.content["alerts"] = {"dagster_url": f"https://user:{TOKEN}@dagster.example.com"}
        said = located.alert()
        assert "alerts.dagster_url holds a user name" in said
        assert TOKEN not in said
        assert isinstance(located.definitions, dg.Definitions)
