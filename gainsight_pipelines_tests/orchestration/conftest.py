"""Fixtures: a code location, and cadences without a tick during the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from gainsight_pipelines_tests.orchestration.running import Located
from gainsight_pipelines_tests.pulling import Pulling, own_cadences

SECTIONS = ("company", "activity", "surveys", "product_usage")


@pytest.fixture
def located(pulling: Pulling, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Located]:
    """A code location on the small sandbox, with its own Dagster instance.

    The instance is in memory, except for tests marked `ticks`: only one on disk stores ticks and their state, and
    making its databases takes half a second.
    """
    stores_ticks = request.node.get_closest_marker("ticks") is not None
    with dg.instance_for_test() if stores_ticks else dg.DagsterInstance.ephemeral() as instance:
        yield Located(pulling, tmp_path, instance)


@pytest.fixture
def hours_from_a_tick(pulling: Pulling) -> None:
    """Sets cadences that don't tick during the test or just before it."""
    pulling.content["schedules"] = own_cadences(SECTIONS)
