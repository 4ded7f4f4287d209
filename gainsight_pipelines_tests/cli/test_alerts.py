"""`alerts` as an operator calls it: the test message, and the alerts that are firing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.settings import ALERTS_VARIABLE
from gainsight_pipelines_tests.monitoring.inboxes import TOKEN, hook
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture
def product(tmp_path: Path, postgres_server: EmbeddedServer, small_sandbox: RunningSandbox) -> Iterator[Product]:
    with product_on(tmp_path, postgres_server, small_sandbox) as product:
        assert product.command("migrate").status == 0
        yield product


def test_a_message_to_each_target(product: Product) -> None:
    with hook() as one, hook() as other:
        other.statuses = [403]
        env = {ALERTS_VARIABLE: f"{one.url} {other.url}"}
        done = product.command("alerts", "test", **env)
        assert (done.status, done.out.splitlines()) == (
            1,
            ["Target 1 (JSON): delivered.", "Target 2 (JSON): it responded with HTTP 403."],
        )
        assert "no section `alerts` yet" in done.err
        other.statuses = []
        done = product.command("alerts", "test", "--json", **env)
        assert done.status == 0
        assert [each["delivered"] for each in done.document] == [True, True]
        assert len(one.received) == 2 and len(other.received) == 1
        assert TOKEN not in done.out + done.err
    done = product.command("alerts", "test")
    assert done.status == 1
    assert f"{ALERTS_VARIABLE} is not set" in done.err


def test_what_is_firing(product: Product) -> None:
    done = product.command("alerts", "list")
    assert done.status == 1
    assert "no section alerts, or turn it off" in done.err
    product.write_settings(product.settings() | {"alerts": {"objects": [{"object": "activities", "failed_runs": 1}]}})
    done = product.command("alerts", "list")
    assert (done.status, done.out) == (0, "Nothing is firing.\n")
    assert "alerts.objects names activities" in done.err
    now = datetime.now(UTC)
    product.query_and_commit(
        """INSERT INTO sync_run (run_id, object, status, started_at, finished_at, error, product_version)
           VALUES ('r1', 'activity', 'failed', %s, %s, 'Refused. Act.', '0')""",
        (now, now),
    )
    done = product.command("alerts", "list")
    assert done.status == 0
    assert "activity" in done.out and "pull fails" in done.out and "not yet" in done.out
    (firing,) = product.command("alerts", "list", "--json").document["firing"]
    assert (firing["rule"], firing["object"], firing["run_id"], firing["told_at"]) == (
        "failing",
        "activity",
        "r1",
        None,
    )
