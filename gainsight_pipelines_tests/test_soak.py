"""The soak, a short one: see `soak`. `make soak` runs it for minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainsight_pipelines_tests.soak import soaking

pytestmark = pytest.mark.long


def test_edits_faults_and_kills_leave_the_tables_equal_to_the_truth(tmp_path: Path) -> None:
    with soaking(tmp_path, seed=7, activities=500, accounts=60) as soak:
        soak.run(12)
        soak.settle()
        assert soak.tracebacks == []
        assert soak.differences() == []
        assert soak.outcomes["pulls: completed"] > 0
        assert soak.outcomes["pulls killed"] > 0
        assert soak.outcomes["PostgreSQL killed"] + soak.outcomes["connections cut"] > 0
        assert soak.outcomes["pulls that hang"] == 0
