"""The budget of CPU time: a module that uses more than twice its budget fails, one that waits doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainsight_pipelines_tests.budget import check

ROOT = Path(__file__).parents[1]


def test_only_more_than_twice_the_budget_fails() -> None:
    check("a.py", used=20.0, budget=10.0)
    with pytest.raises(pytest.fail.Exception, match=r"a\.py has used 21 s of CPU; its budget is 10 s"):
        check("a.py", used=21.0, budget=10.0)


def test_a_module_that_exceeds_it_fails_at_its_end(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers =\n    long: long\n    budget(seconds): budget")
    pytester.makepyfile(
        test_busy="""
        import subprocess, sys, time, pytest
        pytestmark = pytest.mark.budget(0.05)
        BURN = "import time; [0 for _ in iter(lambda: time.process_time() < 0.3, False)]"
        def test_starts_what_burns(): subprocess.run([sys.executable, "-c", BURN], check=True)
        def test_last(): pass
        """,
        test_idle="""
        import threading, pytest
        pytestmark = pytest.mark.budget(0.4)
        def test_waits(): threading.Event().wait(1)
        """,
    )
    result = pytester.runpytest_subprocess("-p", "gainsight_pipelines_tests.budget", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_last*", "*test_busy.py has used * s of CPU*"])
