"""Failures on a run's page in the UI, retries, and runs that end as skipped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gainsight_pipelines import errors
from gainsight_pipelines.gainsight import errors as gainsight_errors
from gainsight_pipelines.orchestration.failures import as_failure, wait_before_retry
from gainsight_pipelines.orchestration.names import DOCS_VARIABLE
from gainsight_pipelines.store.connection import DATABASE_VARIABLE
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines_tests.orchestration.running import Located, failure_of

TROUBLESHOOTING = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"


def tries(result: dg.ExecuteInProcessResult) -> int:
    return 1 + len([event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"])


@pytest.mark.parametrize(
    ("switches", "settings", "name", "sentence", "section"),
    [
        ({"reject_key": True}, {}, "company", "the API key was rejected", "credentials-rejected"),
        ({"crm_down": True}, {}, "company", "Salesforce", "primary-crm-not-answering"),
        ({"crm_reject": True}, {}, "company", "refused the login", "credentials-rejected"),
        ({"crm_empty": True}, {}, "company", "no accounts", "primary-crm-without-accounts"),
        ({}, {"primary_crm": None}, "company", "No primary CRM is connected", "no-primary-crm"),
        (
            {},
            {"surveys": {"objects": [{"object": "no_such_object"}]}},
            "survey_no_such_object",
            "no_such_object",
            "unknown-object",
        ),
    ],
)
def test_a_permanent_failure_says_what_to_do_and_is_not_retried(
    located: Located, switches: dict[str, Any], settings: dict[str, Any], name: str, sentence: str, section: str
) -> None:
    located.pulling.sandbox.switch(**switches)
    located.pulling.content |= settings
    result = located.run(name)
    assert not result.success
    assert tries(result) == 1
    failure = failure_of(result)
    assert sentence in str(failure.description)
    assert "Traceback" not in str(failure.description)
    assert failure.metadata["documentation"].value == f"docs/troubleshooting.md#{section}"
    if name != "company" or "reject_key" not in switches:  # a rejected key's message has the words of requirement C3
        assert str(failure.metadata["what to do"].value) in str(failure.description)


def test_a_transient_failure_is_retried_within_the_run(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql:///nowhere?host=/nonexistent")
    result = located.run("company")
    assert not result.success
    assert tries(result) == 3
    assert "The database can't be reached" in str(failure_of(result).description)


@pytest.mark.parametrize(
    ("error", "retry_number", "wait"),
    [
        (errors.TransientError("No."), 0, 2.0),
        (errors.TransientError("No."), 1, 5.0),
        (errors.TransientError("No."), 2, None),
        (errors.RateLimited("No.", retry_after=20.0), 0, 20.0),
        (errors.RateLimited("No.", retry_after=7200.0), 0, None),
        (errors.PermanentError("No."), 0, None),
        (errors.GateClosed("No."), 0, None),
    ],
)
def test_a_transient_failure_is_retried_twice_and_long_waits_are_left_to_later_runs(
    error: errors.PipelineError, retry_number: int, wait: float | None
) -> None:
    assert wait_before_retry(error, retry_number) == wait


def test_each_error_has_a_heading_in_the_docs() -> None:
    headings = {
        re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", TROUBLESHOOTING.read_text(encoding="utf-8"), re.MULTILINE)
    }
    kinds = [errors.PipelineError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert gainsight_errors.UnknownObject in kinds
    assert {kind.section for kind in kinds} <= headings
    checks = (Path(__file__).parents[2] / "gainsight_pipelines" / "orchestration" / "checks.py").read_text()
    assert set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"(?=\)|,\s*\))', checks)) - headings == set()


def test_published_docs_become_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOCS_VARIABLE, "https://wiki.example.com/gainsight/")
    value = as_failure(errors.GateClosed("Down.")).metadata["documentation"]
    assert isinstance(value, dg.UrlMetadataValue)
    assert value.url == "https://wiki.example.com/gainsight/troubleshooting.md#primary-crm-not-answering"


def test_a_run_of_an_object_disabled_meanwhile_ends_as_skipped(located: Located) -> None:
    definitions = located.definitions
    located.pulling.content["company"] = {"enabled": False}
    assert "gainsight/company" not in {
        spec.key.to_user_string() for spec in located.definitions.resolve_all_asset_specs()
    }
    result = definitions.resolve_job_def("gainsight_pull_company").execute_in_process(instance=located.instance)
    assert result.success
    assert not result.get_asset_materialization_events()
    assert located.pulling.query("SELECT status FROM sync_run") == [("skipped",)]


def test_a_second_run_of_an_object_ends_as_skipped(located: Located) -> None:
    with object_lease(located.pulling.store, "company", "another"):
        result = located.run("company")
    assert result.success
    assert not result.get_asset_materialization_events()
