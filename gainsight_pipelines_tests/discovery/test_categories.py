"""Samples of reporting categories on fast and slow tenants, and suggested activity types (T3 and T4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gainsight_pipelines.discovery.categories import CategorySample, sample_categories, suggested_type
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.gainsight.errors import SlowAnswer
from gainsight_pipelines.objects.activity_types import category_key
from gainsight_pipelines_tests.discovery.finding import Finding, finding_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture
def finding(small_sandbox: RunningSandbox, tmp_path: Path) -> Iterator[Finding]:
    with finding_on(small_sandbox, tmp_path) as found:
        yield found


def impatient(finding: Finding, **options: Any) -> CategorySample:
    """A sample with a time limit of one second instead of 25."""
    return sample_categories(finding.catalog, answer_seconds=1.0, **options)


def targets(finding: Finding) -> list[int]:
    """The number of activities requested by each call."""
    return [one["body"]["limit"] for one in finding.sandbox.gainsight_requests() if "/query/" in one["path"]]


def test_a_sample_gives_categories_with_types(finding: Finding) -> None:
    """Requirement T4."""
    sample = impatient(finding)
    assert (sample.sampled, sample.target, sample.smaller_target, sample.slow) == (300, 1000, 800, ())
    found = {one.name: one for one in sample.categories}
    assert found["Email"].mapped == "EMAIL"
    assert found["Email"].count >= max(one.count for one in sample.unmapped)
    assert len({category_key(name) for name in found}) == len(found)
    assert found["Onboarding Call"].suggested == "MEETING"
    assert "'call'" in found["Onboarding Call"].why
    assert not found[""].can_be_added
    truth: Counter[str] = Counter()
    for one in finding.sandbox.truth()["records"]["activity_timeline"].values():
        truth[category_key(one["category"] or "")] += 1
    assert {category_key(one.name): one.count for one in sample.categories} == dict(truth)


def test_samples_are_cached_and_mapped_by_the_current_settings(finding: Finding) -> None:
    assert "Onboarding Call" in [one.name for one in impatient(finding).unmapped]
    finding.content["activity"]["reporting_categories"] = {"onboarding  CALL": "MEETING"}
    again = impatient(finding)
    assert "Onboarding Call" not in [one.name for one in again.unmapped]
    assert "Email" in [one.name for one in again.unmapped]
    assert len(targets(finding)) == 1
    impatient(finding, is_fresh=True)
    assert len(targets(finding)) == 2


def test_a_slow_tenant_gets_smaller_samples(finding: Finding) -> None:
    """Requirement T3."""
    finding.sandbox.switch(slow_above=500)
    said: list[str] = []
    sample = impatient(finding, say=said.append)
    assert (sample.target, sample.slow, sample.smaller_target) == (500, (1000, 800), 250)
    assert targets(finding)[-1] == 500
    assert any("No response within 1 s" in sentence for sentence in said)


def test_resample_uses_smaller_samples(finding: Finding) -> None:
    """Requirement T3."""
    finding.sandbox.switch(slow_above=100)
    with pytest.raises(SlowAnswer, match=r"samples of 1,000, 800, 500 activities\. .* continues with 250"):
        impatient(finding)
    sample = impatient(finding, resample=True)
    assert (sample.target, sample.sampled, sample.slow, sample.smaller_target) == (100, 100, (250,), 50)
    assert impatient(finding, resample=True).target == 50
    assert impatient(finding, resample=True).target == 50
    finding.sandbox.switch(slow_above=None)
    assert impatient(finding, is_fresh=True).target == 1000


def test_categories_behind_a_picklist(finding: Finding) -> None:
    ids = {"1I00" + "A" * 32: "Email", "1I00" + "B" * 32: "Board Dinner"}
    options = [{"value": value, "label": label, "active": True} for value, label in ids.items()]
    field = {"fieldName": "ReportingCategory", "dataType": "PICKLIST", "options": options, "values": list(ids)}
    before = finding.sandbox.truth()
    assert before
    finding.sandbox.edit({"object": "activity_timeline", "action": "describe", "field": field})
    assert {one.name for one in impatient(finding).categories} == {"Email", "Board Dinner"}


def test_a_timeline_without_categories_is_reported(finding: Finding) -> None:
    gone = {"fieldName": "ReportingCategory", "gone": True}
    finding.sandbox.edit({"object": "activity_timeline", "action": "describe", "field": gone})
    with pytest.raises(PermanentError, match="no field ReportingCategory"):
        impatient(finding)


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("Onboarding Call", "MEETING"),
        ("EBR", "MEETING"),
        ("Executive Business Review", "MEETING"),
        ("kick-off", "MEETING"),
        ("E-Mail", "EMAIL"),
        ("Email Campaign", "EMAIL"),
        ("Newsletter", "EMAIL"),
        ("Internal Note", "TYPE_MANUAL"),
        ("Escalation", "TYPE_MANUAL"),
        ("Escalation Call", "MEETING"),
        ("Recall", "TYPE_MANUAL"),
        ("Übergabe", "TYPE_MANUAL"),
    ],
)
def test_types_are_suggested_by_name(category: str, kind: str) -> None:
    suggested, why = suggested_type(category)
    assert suggested == kind
    assert why
