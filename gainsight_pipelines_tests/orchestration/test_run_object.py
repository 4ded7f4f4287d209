"""The process that runs pulls, and what it is asked."""

from __future__ import annotations

import os
import subprocess

from gainsight_pipelines.orchestration.run_request import Request
from gainsight_pipelines_tests.preloaded import python


def test_without_a_request_it_ends_without_an_error() -> None:
    """So it does when the command fails while it opens its databases."""
    command = [python(), "-m", "gainsight_pipelines.orchestration.run_object"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_request_arrives_as_it_was_sent() -> None:
    odd = os.fsdecode(b"not UTF-8: \xff")
    request = Request("folder", {"A": "1\n2", "B": odd}, {"activity": "r1"}, {"full_refresh": True})
    assert Request.from_json(request.to_json()) == request
    assert odd not in repr(request), "variables may hold secrets"
