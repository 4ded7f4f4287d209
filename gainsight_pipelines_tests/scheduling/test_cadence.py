"""Cadences: the documented defaults, cron expressions from the settings, time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim, CronSimError
from dagster._utils.schedules import is_valid_cron_schedule, schedule_execution_time_iterator
from hypothesis import example, given
from hypothesis import strategies as st

from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.scheduling.cadence import Cadence, cadence_of
from gainsight_pipelines.settings import parse_settings
from gainsight_pipelines.settings.validators import PLAIN_CRON
from gainsight_pipelines_tests.scheduling.ticking import assert_ticks_of_dagster

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)  # the day before clocks go forward in Europe


def test_the_documented_cadences() -> None:
    """Company daily, activity every 4 hours, surveys daily, product usage weekly."""
    settings = parse_settings("company: {}\nactivity: {}\nsurveys: {}\nproduct_usage: {}")
    hours = {
        name: cadence_of(settings, name).longest_interval.total_seconds() / 3600 for name in settings.object_names()
    }
    assert hours == {"company": 24, "activity": 4, "survey_survey_response": 24, "product_usage": 168}


def test_no_two_objects_start_in_the_same_minute() -> None:
    rows = ", ".join(f"{{object: survey_{number}__gc}}" for number in range(4))
    text = f"company: {{}}\nactivity: {{}}\nsurveys: {{mode: multiple, objects: [{rows}]}}\nproduct_usage: {{}}"
    settings = parse_settings(text)
    minutes = [cadence_of(settings, name).cron.split()[0] for name in settings.object_names()]
    assert len(set(minutes)) >= len(minutes) - 1  # chosen by name: two survey objects may share a minute, but not all
    assert len({each.cron.split()[0] for each in DEFINITIONS.values()}) == len(DEFINITIONS)


def test_no_two_sections_tick_at_the_same_time() -> None:
    """Whatever minutes a section's objects are spread over, so that sections don't compete for the API quota."""
    ticks: dict[tuple[str, str], str] = {}
    for name, definition in DEFINITIONS.items():
        minute, hours, rest = definition.cron.split(" ", 2)
        last = int(minute) + max(definition.spread_minutes - 1, 0)
        assert last < 60, name
        for hour in range(0, 24, 4) if hours == "*/4" else [int(hours)]:
            for each in range(int(minute), last + 1):
                assert ticks.setdefault((str(hour), str(each)), name) == name, (name, rest)


def field(least: int, most: int) -> st.SearchStrategy[str]:
    """A field of a cron expression without names such as `mon`, often slightly out of range."""
    number = st.integers(max(0, least - 1), most + 1).map(str)
    base = st.one_of(st.just("*"), number, st.tuples(number, number).map("-".join))
    step = st.sampled_from(["", "", "/0", "/1", "/5", "/13", "/59", "/60", "/90"])
    return st.lists(st.tuples(base, step).map("".join), min_size=1, max_size=3).map(",".join)


@given(st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)).map(" ".join))
@example("0 0 31 2 *")
@example("5 5 * * 7")
def test_dagster_and_cronsim_accept_the_same_plain_expressions(cron: str) -> None:
    """The settings are validated with cronsim, so that checking an expression doesn't import Dagster."""
    assert PLAIN_CRON.fullmatch(cron)
    try:
        CronSim(cron, NOW)
    except CronSimError:
        return
    assert is_valid_cron_schedule(cron)


def test_settings_override_the_documented_cadences_unless_invalid() -> None:
    settings = parse_settings("company: {}\nschedules: {timezone: Europe/Berlin, company: '0 7 * * *'}")
    assert cadence_of(settings, "company") == Cadence("0 7 * * *", "Europe/Berlin")
    broken = parse_settings("company: {}\nschedules: {timezone: Mars}")
    assert cadence_of(broken, "company") == Cadence(DEFINITIONS["company"].cron, "UTC")


@pytest.mark.parametrize("cron", ["5 5 * * *", "20 */4 * * *", "50 5 * * 1", "0 7 * * 1-5", "*/7 3,4 1 * *"])
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York"])
def test_ticks_equal_those_of_dagster(cron: str, timezone: str) -> None:
    cadence = Cadence(cron, timezone)
    dagster = schedule_execution_time_iterator(NOW.timestamp(), cron, timezone)
    at = NOW
    for _ in range(20):
        at = cadence.next(at)
        assert at == next(dagster).astimezone(UTC)
        assert cadence.latest(at) == at
        assert cadence.latest(at + timedelta(seconds=1)) == at
        assert cadence.latest(at - timedelta(seconds=1)) < at


@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "0 * * * *", "*/20 * * * *", "30 1-3 * * *", "15 1,2 * * 0", "5 5 * * *"]
)
@pytest.mark.parametrize(
    ("timezone", "change"),
    [
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        ("Pacific/Auckland", datetime(2026, 4, 4, 14, tzinfo=UTC)),
    ],
)
def test_ticks_equal_those_of_dagster_at_clock_changes(cron: str, timezone: str, change: datetime) -> None:
    """If Dagster's scheduler and ours disagreed about a tick, it would count as missed and the pull would run twice."""
    assert_ticks_of_dagster(Cadence(cron, timezone), cron, timezone, change)


@pytest.mark.parametrize(
    ("cron", "longest"),
    [
        ("0 7 * * 1-5", timedelta(days=3)),
        ("*/5 9-17 * * 1-5", timedelta(days=2, hours=15, minutes=5)),
        ("* * * * 1-5", timedelta(days=2, minutes=1)),
        ("0 5 1 1 *", timedelta(days=366)),
    ],
)
def test_the_longest_interval_includes_the_days_without_ticks(cron: str, longest: timedelta) -> None:
    assert Cadence(cron, "UTC").longest_interval == longest
