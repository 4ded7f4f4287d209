"""Survey pulls over sockets and in PostgreSQL, held against the sandbox's truth (requirements S1 to S7)."""

from __future__ import annotations

from gainsight_pipelines_tests.pulling import Pulling

NAME = "survey_survey_response"


def test_s4_responses_within_the_lookback_alone(pulling: Pulling) -> None:
    """S4: what was given within the look-back window, undated responses by the time they were created."""
    report = pulling.pull(NAME)
    stored = {row[0] for row in pulling.query("SELECT activity_id FROM gainsight.activity")}
    assert stored == {gsid for gsid, each in pulling.truth("survey_response").items() if each["is_in_lookback"]}
    assert report.is_truncated is False
