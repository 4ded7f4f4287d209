"""The asset checks of a pull: one step after the pull evaluates them from the store."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from gainsight_pipelines_tests.orchestration.running import Located


def checked(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """For each check, whether it passed and its description."""
    return {each.check_name: (each.passed, each.description or "") for each in result.get_asset_check_evaluations()}


def run_checks(located: Located, name: str, *only: str) -> dict[str, tuple[bool, str]]:
    """Executes all or some of an object's checks without a pull."""
    key = dg.AssetKey(["gainsight", name])
    some = dg.AssetSelection.checks(*(dg.AssetCheckKey(key, check) for check in only))
    selection = some if only else dg.AssetSelection.checks_for_assets(key)
    job = dg.define_asset_job("checks", selection=selection)
    definitions = dg.Definitions.merge(located.definitions, dg.Definitions(jobs=[job]))
    return checked(definitions.resolve_job_def("checks").execute_in_process(instance=located.instance))


def test_each_object_has_the_checks_that_apply_to_it(located: Located) -> None:
    every = {"match_rate", "schema_drift", "data_age", "unreadable_values"}
    company, activity = checked(located.run("company")), checked(located.run("activity"))
    assert set(company) == every
    assert set(activity) == every | {"unmapped_categories"}
    assert set(checked(located.run("survey_survey_response"))) == every | {"response_limit"}
    assert all(passed for passed, _ in company.values())
    assert "rows have an account" in company["match_rate"][1]


def test_each_check_can_be_executed_alone(located: Located) -> None:
    """If a check could only run with the pull, the UI would disable its Execute button."""
    assert set(run_checks(located, "company", "data_age")) == {"data_age"}


def test_unmapped_categories_are_named_until_they_are_mapped(located: Located) -> None:
    """Requirement T4: unmapped categories are counted, and the check warns."""
    passed, sentence = checked(located.run("activity"))["unmapped_categories"]
    assert not passed
    assert "Onboarding Call" in sentence
    assert "(none)" not in sentence
    seen = located.pulling.query(
        "SELECT jsonb_object_keys(details -> 'categories') FROM sync_run WHERE object = 'activity'"
    )
    categories = {"".join(name.split()).casefold(): "TYPE_MANUAL" for (name,) in seen if name != "(none)"}
    located.pulling.content["activity"]["reporting_categories"] = categories
    assert run_checks(located, "activity")["unmapped_categories"] == (True, "Every category of the week is mapped.")


def test_unreadable_values_are_named_until_they_are_corrected(located: Located) -> None:
    gsid = next(iter(located.pulling.truth("activity_timeline")))
    edit = {"object": "activity_timeline", "gsid": gsid}
    located.pulling.sandbox.edit(edit | {"values": {"Duration": "45 min"}})
    result = located.run("activity")
    assert checked(result)["unreadable_values"] == (
        False,
        "1 field holds values that can't be read: Duration (1). They are kept in `activity.unreadable`.",
    )
    (event,) = result.asset_materializations_for_node("gainsight__activity")
    assert event.metadata["unreadable"].value == 1
    assert event.metadata["details"].value["unreadable"] == {"Duration": 1}
    located.pulling.sandbox.edit(edit | {"values": {"Duration": 45}})
    assert checked(located.run("activity"))["unreadable_values"][0]


def test_a_reached_response_limit_says_how_far_the_run_read(located: Located) -> None:
    """Requirement S3: no response limit is reached silently."""
    located.pulling.content["surveys"]["response_limit"] = 7
    passed, sentence = checked(located.run("survey_survey_response"))["response_limit"]
    assert not passed
    assert "limit of 7 responses" in sentence
    assert "It read to 20" in sentence
    located.pulling.content["surveys"]["response_limit"] = 5000
    assert checked(located.run("survey_survey_response"))["response_limit"][0]


def test_a_match_rate_far_below_the_trailing_runs_warns(located: Located) -> None:
    assert checked(located.run("activity"))["match_rate"][0]
    located.pulling.query_and_commit(
        """INSERT INTO sync_run (run_id, object, status, started_at, rows_matched, rows_unmatched,
                                           product_version)
           VALUES ('bad', 'activity', 'completed', now(), 20, '{"no_account": 80}', '0')"""
    )
    passed, sentence = run_checks(located, "activity")["match_rate"]
    assert not passed
    assert sentence.startswith("20.0% of 100 rows have an account, ")


def test_schema_drift_is_shown_for_a_week(located: Located) -> None:
    assert checked(located.run("company"))["schema_drift"][0]
    located.pulling.query_and_commit(
        """UPDATE sync_run SET details = details || '{"schema_drift": {"new": ["Region__gc"]}}'"""
    )
    passed, sentence = run_checks(located, "company")["schema_drift"]
    assert not passed
    assert "`company` changed within the week" in sentence
    located.pulling.query_and_commit("UPDATE sync_run SET started_at = started_at - interval '8 days'")
    assert run_checks(located, "company")["schema_drift"][0]


def test_data_that_stopped_changing_are_distinguished_from_a_stopped_pull(located: Located) -> None:
    assert checked(located.run("activity"))["data_age"][0]
    located.pulling.query_and_commit(
        "UPDATE sync_cursor SET modified_at = now() - %s WHERE object = 'activity' AND scope = 'pull'",
        (timedelta(hours=30),),
    )
    passed, sentence = run_checks(located, "activity")["data_age"]
    assert not passed
    assert sentence == "The newest change in Gainsight is 30 h old; up to 28 h is usual for this cadence."


def test_a_failed_pull_runs_no_checks(located: Located) -> None:
    located.pulling.sandbox.switch(crm_down=True)
    result = located.run("company")
    assert not result.success
    assert checked(result) == {}
