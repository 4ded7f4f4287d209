"""A backfill killed between two days (requirement S8): completed days are kept, the rest can be run again."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.instance import create_storage, prepare_home, storage_url
from gainsight_pipelines_tests.preloaded import python
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import kill, wait_until

pytestmark = pytest.mark.long

DAYS = 8
RUN = """import dagster as dg
import sys
from gainsight_pipelines.definitions import defs

with dg.DagsterInstance.get() as instance:
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(["gainsight", "survey_survey_response_by_day"])],
        tags={f"dagster/asset_partition_range_{end}": day for end, day in zip(("start", "end"), sys.argv[1:])},
        raise_on_error=False,
    )
sys.exit(not result.success)
"""
"""What a run that Dagster's daemon launches for a range of days does."""

STORED = """
SELECT activity_id, account_id, match_method, unmatched_reason, survey_type, score, nps_group, occurred_at, body_text
FROM activity ORDER BY activity_id
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as running:
        yield running


@contextmanager
def installed(folder: Path, server: EmbeddedServer, sandbox: RunningSandbox) -> Iterator[Product]:
    with product_on(folder, server, sandbox) as product:
        product.env |= {
            "DAGSTER_HOME": str(prepare_home(folder / "dagster")),
            "DAGSTER_POSTGRES_URL": storage_url(product.env["DAGSTER_POSTGRES_URL"]),
            "GAINSIGHT_PIPELINES_SETTINGS": str(product.settings_path),
        }
        create_storage(product.env)
        yield product


def start(product: Product, days: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [python(), "-c", RUN, days[0], days[-1]],
        cwd=product.folder,
        env=product.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def done_days(product: Product) -> list[str]:
    """The materialized days, in order of materialization."""
    url = "postgresql://" + product.env["DAGSTER_POSTGRES_URL"].partition("://")[2]
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT partition FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY id"
        ).fetchall()
    return [row[0] for row in rows]


def by_day(rows: list[tuple[Any, ...]]) -> Counter[str]:
    return Counter(row[7].astimezone(UTC).date().isoformat() for row in rows)


def test_a_killed_backfill_keeps_completed_days_and_can_be_run_again(
    tmp_path: Path, postgres_server: EmbeddedServer, sandbox: RunningSandbox
) -> None:
    truth = Counter(
        datetime.fromisoformat(each["dated_at"]).astimezone(UTC).date().isoformat()
        for each in sandbox.truth("survey_response").values()
    )
    days = sorted(truth)[-DAYS:]
    with installed(tmp_path / "killed", postgres_server, sandbox) as product:
        sandbox.switch(gainsight_delay=0.6)
        process = start(product, days)
        wait_until(lambda: len(done_days(product)) >= 2 or process.poll() is not None, 60)
        assert kill(process) == -9
        done = done_days(product)
        assert done == sorted(done)
        assert len(done) >= 2 and done[-1] < days[-1]
        stored = by_day(product.query(STORED))
        assert all(stored[day] == truth[day] for day in done)
        assert set(stored) - set(done) <= {day for day in days if day > done[-1]}

        sandbox.reset()
        assert start(product, days).wait(60) == 0
        assert set(days) <= set(done_days(product))
        assert by_day(product.query(STORED)) == Counter({day: truth[day] for day in days})
        runs = product.query("SELECT status, error FROM sync_run ORDER BY started_at")
        assert [status for status, _ in runs] == ["failed", "completed"]
        assert "killed" in runs[0][1]
        after = product.query(STORED)
    with installed(tmp_path / "undisturbed", postgres_server, sandbox) as product:
        assert start(product, days).wait(60) == 0
        assert product.query(STORED) == after
