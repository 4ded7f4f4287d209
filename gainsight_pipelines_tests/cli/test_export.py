"""`export` and `deliver` as a user calls them: output, refused arguments, and no partial file after Ctrl-C."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from collections.abc import Iterator

import duckdb
import psycopg
import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines_tests.databases import product_database
from gainsight_pipelines_tests.delivery.rows import add_activities
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import REAL_PREFIXES, Product

COUNT = 5_000


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer) -> Iterator[Product]:
    """A database with rows. There is no settings file, as exports need none."""
    with product_database(postgres_server) as database:
        url = postgres_server.url(database)
        with Store(url).connect("test") as connection:
            add_activities(connection, COUNT)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(REAL_PREFIXES)}
        env = {**kept, "GAINSIGHT_PIPELINES_DATABASE_URL": url, "DAGSTER_POSTGRES_URL": url}
        yield Product(tmp_path_factory.mktemp("project"), url, env)


def test_a_file_and_a_document(product: Product) -> None:
    arguments = ["--to", "few.csv", "--columns", "activity_id,subject", "--where", "source=survey", "--json"]
    done = product.command("export", "activity", *arguments, "--since", "2026-02-01T01:00")
    assert done.status == 0, done.err
    file = product.folder / "few.csv"
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    [(count,)] = product.query(
        """SELECT count(*) FROM activity
           WHERE source = 'survey' AND deleted_at IS NULL AND changed_at >= '2026-02-01 01:00Z'"""
    )
    assert done.document == {"table": "activity", "file": "few.csv", "rows": count, "bytes": file.stat().st_size}
    assert len(rows) == count > 0 and list(rows[0]) == ["activity_id", "subject"]
    assert f"Wrote {count:,} rows of activity to few.csv." in done.err
    everything = product.command("export", "activity", "--to", "all.parquet", "--with-deleted")
    assert everything.status == 0, everything.err
    assert "Wrote 5,000 rows of activity to all.parquet." in everything.err and not everything.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["activty", "--to", "a.csv"], "Did you mean activity"),
        (["activity", "--to", "a.txt"], ".parquet, .csv or .xlsx"),
        (["activity"], "--to"),
        (["activity", "--to", "a.csv", "--columns", "subjct"], "Did you mean subject"),
        (["activity", "--to", "a.csv", "--where", "source"], "COLUMN=VALUE"),
        (["activity", "--to", "a.csv", "--since", "yesterday"], "2026-01-31"),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(product: Product, arguments: list[str], words: str) -> None:
    done = product.command("export", *arguments)
    assert done.status == 2
    assert words in done.err and len(done.err.splitlines()) == 1 and not done.out
    assert not (product.folder / "a.csv").exists()


def stopped(product: Product, number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Exit status and stderr of a command that gets this signal while it waits for rows."""
    with psycopg.connect(product.database_url) as blocker:
        blocker.execute("LOCK TABLE gainsight.activity")  # so the command waits before it reads a row
        process = subprocess.Popen(
            [python(), "-m", COMMANDS, *arguments],
            cwd=product.folder,
            env=product.env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        waits = f"""SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%{arguments[0]}%'
                    AND wait_event_type = 'Lock' AND datname = current_database()"""
        with psycopg.connect(product.database_url, autocommit=True) as watcher:
            while watcher.execute(waits).fetchone() != (1,):  # type: ignore[arg-type]
                assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_export_leaves_nothing(product: Product, number: signal.Signals, status: int) -> None:
    assert stopped(product, number, "export", "activity", "--to", "cut.csv")[0] == status
    assert not [path.name for path in product.folder.iterdir() if "cut" in path.name]


def test_deliver_brings_a_warehouse_up_to_date(product: Product) -> None:
    product.write_settings({"store": {"schema": "gainsight"}})
    missing = product.command("deliver")
    assert missing.status == 1 and "delivery" in missing.err
    product.write_settings({"delivery": {"destination": "duckdb", "dataset": "cs", "tables": ["activity"]}})
    (product.folder / ".env").write_text(f"DESTINATION__DUCKDB__CREDENTIALS={product.folder / 'w.duckdb'}\n")
    planned = product.command("deliver", "activity", "account_360", "--dry-run").out
    assert [line.split() for line in planned.splitlines()[-2:]] == [
        ["activity", "all", "rows", f"{COUNT:,}"],
        ["account_360", "all", "rows", "0"],
    ]
    status, err = stopped(product, signal.SIGINT, "deliver")
    assert status == 130 and "Nothing is lost" in err
    done = product.command("deliver", "--json")
    assert done.status == 0, done.err
    [found] = done.document["tables"]
    assert found.pop("bytes") > 0
    assert found == {"table": "activity", "how": "whole", "rows": COUNT, "error": None, "inexact": {"score": 1}}
    assert "activity.score: 1 value is rounded or empty in the warehouse" in done.err
    with duckdb.connect(str(product.folder / "w.duckdb")) as there:
        assert there.execute("SELECT count(*) FROM cs.activity").fetchone() == (COUNT,)
    shown = product.command("status")
    assert "Deliveries to duckdb, dataset cs" in shown.out
    [line] = [line for line in shown.out.splitlines() if line.strip().startswith("activity")]
    assert "ompleted" in line and f"{COUNT:,}" in line
