"""The dbt package on records pulled from the sandbox: in the store, and in a DuckDB file after a delivery.

The tests compare the marts with the sandbox's truth; see expected.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import DATABASE_VARIABLE
from gainsight_pipelines_tests.dbt import expected
from gainsight_pipelines_tests.dbt.environment import Dbt, of_postgres
from gainsight_pipelines_tests.dbt.generated import STAGED
from gainsight_pipelines_tests.preloaded import run_command
from gainsight_pipelines_tests.pulling import Pulling, pulling_on
from gainsight_pipelines_tests.sandbox_process import start_sandbox
from gainsight_pipelines_tests.sync.test_deletions import later

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

MARTS = {
    "gainsight__account_health": 1,
    "gainsight__nps_by_month": 2,
    "gainsight__engagement_by_month": 2,
    "gainsight__usage_trend": 6,
    "gainsight__unmatched": 2,
}
"""The number of key columns of each mart. They are its first columns."""

Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(slots=True)
class Modelled:
    """A store with all objects pulled, and the dbt package, built once on its database."""

    pulling: Pulling
    dbt: Dbt
    first: dict[str, int]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return self.pulling.query(statement)


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer) -> Iterator[Modelled]:
    folder = tmp_path_factory.mktemp("dbt")
    with (
        start_sandbox(folder / "sandbox", activities=900, accounts=60) as sandbox,
        pulling_on(postgres_server, sandbox) as pulling,
    ):
        pulling.content["objects"] = [{"object": "call_to_action"}]
        pull_all(pulling)
        dbt = Dbt(folder / "dbt", {"DBT_TARGET": "postgres", **of_postgres(pulling.store.url)})
        yield Modelled(pulling, dbt, dbt.build())


def pull_all(pulling: Pulling) -> None:
    for name in pulling.settings.object_names():
        assert pulling.pull(name).status == "completed"


def assert_marts_hold_the_truth(ask: Ask, pulling: Pulling) -> None:
    truth = expected.truth_of(pulling)

    def rows(mart: str, keys: str, values: str) -> expected.Rows:
        found = ask(f"SELECT {keys}, {values} FROM analytics.gainsight__{mart}")
        width = keys.count(",") + 1
        assert len({row[:width] for row in found}) == len(found)
        return {row[:width]: tuple(map(plain, row[width:])) for row in found}

    ((first, last),) = ask("SELECT min(as_of), max(as_of) FROM analytics.gainsight__account_health")
    assert first == last
    assert abs((datetime.now(UTC).date() - first).days) <= 1
    for mart, keys, values, meant in (
        ("account_health", "account_id", expected.HEALTH, expected.account_health(truth, first)),
        (
            "nps_by_month",
            "month, segment",
            "responses, accounts, promoters, passives, detractors, nps",
            expected.nps_by_month(truth),
        ),
        (
            "engagement_by_month",
            "account_id, month",
            "timeline_entries, meetings, emails, other_entries, survey_responses, minutes, days, authors",
            expected.engagement_by_month(truth),
        ),
        (
            "usage_trend",
            "account_id, metric, dimension, week",
            "observations, total, average, average_before, trend, is_latest",
            expected.usage_trend(truth),
        ),
        ("unmatched", "object, record_id", "reason, company_gsid, records_of_company", expected.unmatched(truth)),
    ):
        found = rows(mart, keys, values)
        assert found.keys() == meant.keys(), mart
        assert meant, mart
        for key, row in meant.items():
            assert found[key] == tuple(map(about, row)), (mart, key)


def plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def about(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


def everything(ask: Ask) -> dict[str, expected.Rows]:
    """All rows of each mart, by their key columns."""
    return {
        mart: {row[:width]: tuple(map(comparable, row[width:])) for row in ask(f"SELECT * FROM analytics.{mart}")}
        for mart, width in MARTS.items()
    }


def test_a_first_build_is_green_and_its_marts_hold_the_truth(modelled: Modelled) -> None:
    assert modelled.first.keys() == {"success", "pass"}
    assert_marts_hold_the_truth(modelled.ask, modelled.pulling)


def test_each_column_is_documented_typed_and_tested(modelled: Modelled) -> None:
    """dbt checks names and types by the enforced contract. Nullable columns of any value need no other test."""
    manifest = modelled.dbt.artifact("manifest")
    models = {each["name"]: each for each in manifest["nodes"].values() if each["resource_type"] == "model"}
    assert models.keys() == {*MARTS, "int_gainsight__account_segment", *(f"stg_gainsight__{name}" for name in STAGED)}
    for name, model in models.items():
        assert model["config"]["contract"]["enforced"], name
        assert model["description"], name
        assert all(column["description"] and column["data_type"] for column in model["columns"].values()), name
        there = modelled.ask(
            f"SELECT column_name FROM information_schema.columns WHERE table_schema = 'analytics'"
            f" AND table_name = '{name}' ORDER BY ordinal_position"
        )
        assert [column for (column,) in there] == list(model["columns"]), name
    tested = {
        (each["attached_node"].rpartition(".")[2], each["column_name"])
        for each in manifest["nodes"].values()
        if each["resource_type"] == "test"
    }
    assert {(name, column) for name, model in models.items() for column in list(model["columns"])[:1]} <= tested


def test_sources_are_as_fresh_as_the_last_completed_pull(modelled: Modelled) -> None:
    late = "UPDATE sync_run SET finished_at = finished_at - interval '{}' WHERE object = 'company'"
    modelled.pulling.query_and_commit(late.format("3 days"))
    modelled.pulling.query_and_commit(
        """INSERT INTO sync_run (run_id, object, status, started_at, finished_at, product_version)
           VALUES ('r-failed', 'company', 'failed', now(), now(), '0')"""
    )
    assert modelled.dbt.run("source", "freshness").returncode == 1
    modelled.pulling.query_and_commit(late.format("-3 days"))
    states = {
        each["unique_id"].rpartition(".")[2]: each["status"] for each in modelled.dbt.artifact("sources")["results"]
    }
    assert states == {
        "account": "pass",
        "activity": "pass",
        "company": "error",
        "survey_survey_response": "pass",
        "usage_metric": "pass",
    }


def deliver(pulling: Pulling, folder: Path, file: Path) -> None:
    """Runs the `deliver` command for the tables that the package needs, with a DuckDB file as the destination."""
    settings = pulling.content | {"delivery": {"destination": "duckdb", "dataset": "gainsight"}}
    (folder / "gainsight.yaml").write_text(yaml.safe_dump(settings))
    url = os.environ[DATABASE_VARIABLE]
    env = {**os.environ, "DAGSTER_POSTGRES_URL": url, "DESTINATION__DUCKDB__CREDENTIALS": str(file)}
    tables = ["account", "company", "activity", "usage_metric", "record"]
    done = run_command(["deliver", *tables], folder, env, seconds=200)
    assert done.returncode == 0, done.stderr


def test_a_delivered_duckdb_gives_the_same_marts_build_after_build(modelled: Modelled, tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    deliver(modelled.pulling, tmp_path, file)
    dbt = Dbt(tmp_path / "dbt", {"DBT_TARGET": "duckdb", "DBT_DUCKDB": str(file)})
    assert dbt.build().keys() == {"success", "pass"}

    def ask(statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(file), read_only=True) as there:
            there.execute("SET TimeZone = 'UTC'")
            return there.execute(statement).fetchall()

    assert_marts_hold_the_truth(ask, modelled.pulling)
    once = everything(ask)
    assert once == everything(modelled.ask)
    assert dbt.build().keys() == {"success", "pass"}
    assert everything(ask) == once


def comparable(value: Any) -> Any:
    """Converts a value so that those from psycopg and from DuckDB compare equal."""
    if isinstance(value, str) and value.startswith("["):
        return value.replace(" ", "")
    if isinstance(value, list):
        return "[" + ",".join(f'"{each}"' for each in value) + "]"
    if isinstance(value, Decimal | float):
        return pytest.approx(float(value), rel=1e-9)
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


def test_after_edits_and_further_pulls_the_next_build_is_green_and_right(modelled: Modelled) -> None:
    """The edits rematch rows and delete records."""
    pulling = modelled.pulling
    before = len(modelled.ask("SELECT 1 FROM analytics.gainsight__unmatched"))
    lost = next(gsid for gsid, each in pulling.truth("company").items() if each["reason"] == "no_account")
    gone = list(pulling.truth("activity_timeline"))[:3]
    pulling.sandbox.edit(
        {"account": None, "action": "insert", "values": {"name": "New", "gsid": lost}},
        *({"object": "activity_timeline", "action": "delete", "gsid": gsid} for gsid in gone),
    )
    later(pulling, timedelta(days=3))  # deleted records are looked for every other day
    pull_all(pulling)
    assert modelled.dbt.build().keys() == {"success", "pass"}
    assert_marts_hold_the_truth(modelled.ask, pulling)
    assert len(modelled.ask("SELECT 1 FROM analytics.gainsight__unmatched")) < before
