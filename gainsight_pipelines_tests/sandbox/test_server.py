"""The sandbox listens on the loopback address, or on another address, and there with TLS only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import requests

from gainsight_pipelines_tests.sandbox_process import start_sandbox


def test_another_address_is_served_by_tls(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, host="127.0.0.2", accounts=60, activities=100) as sandbox:
        services = {name: url for name, url in sandbox.urls.items() if name != "control"}
        assert all(url.startswith("https://127.0.0.2:") for url in services.values()), services
        assert sandbox.urls["control"].startswith("http://127.0.0.1:")
        answer = requests.get(
            sandbox.urls["gainsight"] + "/v1/meta/services/objects/list",
            headers={"accesskey": sandbox.env["GAINSIGHT_API_KEY"]},
            verify=sandbox.env["REQUESTS_CA_BUNDLE"],
            timeout=20,
        )
        assert answer.json()["result"] is True


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gainsight_pipelines.sandbox", "--folder", str(tmp_path), "--host", "192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "192.0.2.1 is no address of this machine" in done.stderr and "Traceback" not in done.stderr
