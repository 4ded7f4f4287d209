"""Each example settings file, with only the tenant's address changed, pulls exactly what the sandbox's truth says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.settings import parse_settings
from gainsight_pipelines_tests.pulling import Pulling, pulling_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox
from gainsight_pipelines_tests.sync.test_company import ask

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
Example = Callable[[str], Any]


@pytest.fixture
def example(small_sandbox: RunningSandbox, postgres_server: EmbeddedServer) -> Example:
    """Pulls with the settings file of an example."""

    @contextmanager
    def on(name: str) -> Iterator[Pulling]:
        content = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
        small_sandbox.reset()
        with pulling_on(postgres_server, small_sandbox, content["primary_crm"]["kind"]) as pulling:
            content["gainsight"]["base_url"] = pulling.content["gainsight"]["base_url"]
            pulling.content = content
            yield pulling

    return on


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    settings = parse_settings(path.read_text(encoding="utf-8"))
    assert settings.file_error is None
    assert not settings.errors
    assert settings.object_names()


def test_flat_usage_rows_by_account_with_a_dimension(example: Example) -> None:
    with example("usage-aggregated.yaml") as pulling:
        pulling.pull("product_usage")
        accounts = pulling.account_ids()
        expected: dict[tuple[Any, ...], list[float]] = {}
        for each in pulling.truth("product_usage__gc").values():
            where = each["by_crm_id"] if each["by_crm_id"]["account"] is not None else each
            if where["reason"] is None and each["value"] is not None:
                key = (accounts[where["account"]], "Workbench", each["dimension"], each["metric"])
                expected.setdefault(key, []).append(each["value"])
        rows = pulling.query("SELECT account_id, product_name, dimension, metric, sum::float, rows FROM product_usage")
        assert expected
        assert {row[:4]: row[4:] for row in rows} == {
            key: (pytest.approx(sum(values)), len(values)) for key, values in expected.items()
        }


def responses(pulling: Pulling, name: str) -> dict[str, tuple[Any, ...]]:
    """The stored responses of a survey object, by Gsid."""
    rows = pulling.query(
        """SELECT activity_id, account_id, unmatched_reason, survey_type, score::float, nps_group, occurred_at
           FROM activity WHERE source_object = %s""",
        (name,),
    )
    return {row[0]: (*row[1:-1], row[-1].astimezone(UTC)) for row in rows}


def expected_responses(pulling: Pulling, name: str) -> dict[str, tuple[Any, ...]]:
    """What `responses` should return: the sandbox's truth, within the lookback."""
    accounts = pulling.account_ids()
    expected = {}
    for gsid, each in pulling.truth(name).items():
        if each["is_in_lookback"]:
            score = each["score"]
            group = None
            if each["survey_type"] == "NPS" and score is not None:
                group = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
            account = accounts[each["account"]] if each["reason"] is None else None
            dated_at = datetime.fromisoformat(each["dated_at"])
            expected[gsid] = (account, each["reason"], each["survey_type"], score, group, dated_at)
    return expected


def test_a_single_survey_object(example: Example) -> None:
    with example("single-survey.yaml") as pulling:
        pulling.pull("survey_survey_response")
        expected = expected_responses(pulling, "survey_response")
        assert expected
        assert responses(pulling, "survey_response") == expected


def test_three_survey_objects_with_types(example: Example) -> None:
    """Requirement S2."""
    with example("three-surveys.yaml") as pulling:
        for name in ("nps_survey__gc", "csat_survey__gc", "ces_survey__gc"):
            pulling.pull(f"survey_{name}")
            expected = expected_responses(pulling, name)
            assert expected
            assert responses(pulling, name) == expected
        asked = ask(pulling, "ces_survey__gc", "What_Was_Hard__gc")
        rows = pulling.query("""SELECT activity_id, body FROM activity WHERE source_object = 'ces_survey__gc'""")
        assert dict(rows) == {gsid: asked[gsid]["What_Was_Hard__gc"] or None for gsid, _ in rows}
        subjects = pulling.query("SELECT DISTINCT source_object, subject IS NULL FROM activity")
        assert set(subjects) == {("nps_survey__gc", True), ("csat_survey__gc", False), ("ces_survey__gc", False)}


def test_usage_in_wide_rows(example: Example) -> None:
    with example("usage-wide.yaml") as pulling:
        pulling.pull("product_usage")
        accounts = pulling.account_ids()
        expected: dict[tuple[str, str], list[float]] = {}
        for each in pulling.truth("product_usage_wide__gc").values():
            if each["reason"] is None:
                for metric, value in each["metrics"].items():
                    if value is not None:
                        expected.setdefault((accounts[each["account"]], metric), []).append(value)
        rows = pulling.query("SELECT account_id, metric, sum::float, rows FROM product_usage")
        assert expected
        assert {row[:2]: row[2:] for row in rows} == {
            key: (pytest.approx(sum(values)), len(values)) for key, values in expected.items()
        }


def test_hubspot_by_the_gsid_alone(example: Example) -> None:
    with example("hubspot-gsid.yaml") as pulling:
        pulling.pull("company")
        holders: dict[str, list[str]] = {}
        for account_id, each in pulling.sandbox.truth()["accounts"]["hubspot"].items():
            master = each["merged_into"] or account_id
            if (
                each["gsid"]
                and (each["merged_into"] or not each["deleted"])
                and master not in holders.get(each["gsid"], [])
            ):
                holders.setdefault(each["gsid"], []).append(master)
        rows = pulling.query("SELECT gsid, account_id, match_method, unmatched_reason FROM company")
        expected = {}
        for gsid in pulling.truth("company"):
            found = holders.get(gsid, [])
            expected[gsid] = (
                (found[0], "gsid_field", None)
                if len(found) == 1
                else (None, None, "ambiguous" if found else "no_account")
            )
        assert {row[0]: row[1:] for row in rows} == expected
        assert any(method == "gsid_field" for _, method, _ in expected.values())
        names = pulling.query("SELECT DISTINCT array(SELECT jsonb_object_keys(attributes) ORDER BY 1) FROM company")
        assert names == [(["Arr", "Csm", "Csm__name", "Industry", "Name", "Stage"],)]
        pulling.pull("activity")
        reasons = pulling.query("SELECT DISTINCT match_method FROM activity WHERE account_id IS NOT NULL")
        assert reasons == [("gsid_field",)]
