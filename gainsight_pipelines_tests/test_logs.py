"""Log lines: text, or JSON with the tenant, object and run; neither repeats the data that an error quotes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from gainsight_pipelines.logs import VARIABLE, about, log_to_stderr
from gainsight_pipelines.sync.read_ahead import read_ahead

logger = logging.getLogger("gainsight_pipelines")


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package's logger as in a process that has just started, with JSON requested."""
    monkeypatch.setenv(VARIABLE, " JSON ")
    before, level = list(logger.handlers), logger.level
    logger.handlers.clear()
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.mark.usefixtures("as_json")
def test_a_line_is_an_object_that_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    log_to_stderr()
    logger.info("before, on\ntwo lines")
    with about(tenant="acme.example.com", object=None), about(object="activity", run_id="r1"):
        logger.warning("%s read", "1,000")
        list(read_ahead(logger.info("ahead") or number for number in range(1)))  # logs in another thread
    try:
        int("the record of Jane")
    except ValueError:
        logger.exception("A page failed.")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    times = [datetime.fromisoformat(line.pop("time")) for line in lines]
    assert all(time.utcoffset() == timedelta(0) for time in times) and times == sorted(times)
    of_run = {"tenant": "acme.example.com", "object": "activity", "run_id": "r1"}
    assert lines == [
        {"level": "INFO", "message": "before, on\ntwo lines"},
        {"level": "WARNING", **of_run, "message": "1,000 read"},
        {"level": "INFO", **of_run, "message": "ahead"},
        {"level": "ERROR", "message": "A page failed.", "error": "ValueError"},
    ]


def test_commands_say_everything_as_json_then() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GAINSIGHT", "DAGSTER"))}
    done = subprocess.run(
        [sys.executable, "-m", "gainsight_pipelines.cli", "status", "--settings", "/nowhere/gainsight.yaml"],
        env=kept | {VARIABLE: "json", "GAINSIGHT_PIPELINES_DATABASE_URL": "postgresql://127.0.0.1:1/none",
                    "DAGSTER_POSTGRES_URL": "postgresql://127.0.0.1:1/none"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[-1]["level"] == "ERROR" and lines[-1]["message"].startswith("gainsight-pipelines: ")
