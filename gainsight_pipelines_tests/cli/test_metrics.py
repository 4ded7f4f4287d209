"""`metrics` as an operator calls it: printed once, served, and on a port that is taken or invalid."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture
def product(tmp_path: Path, postgres_server: EmbeddedServer, small_sandbox: RunningSandbox) -> Iterator[Product]:
    with product_on(tmp_path, postgres_server, small_sandbox) as product:
        assert product.command("migrate").status == 0
        yield product


def test_once(product: Product) -> None:
    done = product.command("metrics")
    assert done.status == 0, done.err
    names = {family.name for family in text_string_to_metric_families(done.out)}
    assert {"gainsight_pipelines_quota_limit_calls", "gainsight_pipelines_quota_used_calls"} <= names


def test_served_until_term_without_dagster_s_database(product: Product) -> None:
    command = [python(), "-m", COMMANDS, "metrics", "--serve", "0"]
    environ = {name: value for name, value in product.env.items() if not name.startswith("DAGSTER_")}
    process = subprocess.Popen(command, cwd=product.folder, env=environ, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        address = said.partition("Metrics: ")[2].split()[0]
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert b"gainsight_pipelines_quota_used_calls" in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_and_an_invalid_one_are_reported(product: Product) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = product.command("metrics", "--serve", str(taken.getsockname()[1]))
    assert done.status == 1
    assert "can't be listened on" in done.err and "Traceback" not in done.err
    assert product.command("metrics", "--serve", "70000").status == 2
