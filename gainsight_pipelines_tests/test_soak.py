"""A short soak (see `soak`). `make soak` runs one for minutes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gainsight_pipelines_tests.soak import soaking

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]


def has_happened(outcomes: Counter[str]) -> tuple[bool, bool, bool]:
    return (
        outcomes["pulls: completed"] > 0,
        outcomes["pulls killed"] > 0,
        outcomes["PostgreSQL killed"] + outcomes["connections cut"] > 0,
    )


def test_edits_faults_and_kills_leave_the_tables_equal_to_the_truth(tmp_path: Path) -> None:
    with soaking(tmp_path, seed=7, activities=500, accounts=60) as soak:
        soak.run(12, lambda: all(has_happened(soak.outcomes)))
        soak.settle()
        assert soak.tracebacks == []
        assert soak.differences() == []
        assert all(has_happened(soak.outcomes)), soak.outcomes
        assert soak.outcomes["pulls that hang"] == 0
