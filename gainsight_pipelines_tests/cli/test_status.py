"""The status banner in the terminal: the gate, each object's last run and next tick, dead runs (B2, B5)."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from gainsight_pipelines.cli.commands import reset_command
from gainsight_pipelines.cli.metrics import metrics_command
from gainsight_pipelines.cli.purge import purge_command
from gainsight_pipelines.cli.status import banner_table
from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.scheduling.banner import NEVER, Banner, Row
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.store.migrate import NotMigrated
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import REAL_PREFIXES, Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import process_below, wait_until


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture
def product(tmp_path: Path, postgres_server: EmbeddedServer, sandbox: RunningSandbox) -> Iterator[Product]:
    sandbox.reset()
    with product_on(tmp_path, postgres_server, sandbox) as product:
        yield product


def test_what_ran_what_failed_and_what_is_next(product: Product, sandbox: RunningSandbox) -> None:
    """Requirement B2: the last run of each object, and how long ago it was."""
    assert product.run("company").status == 0
    sandbox.switch(crm_down=True)
    assert product.run("activity").status == 1
    product.query_and_commit(
        """INSERT INTO crm_gate (is_open, reason, message, since, checked_at)
           VALUES (false, 'not_answering', 'Salesforce is away.', now() - interval '3 min', now())"""
    )
    product.query_and_commit(
        "INSERT INTO watched_object (object, watched_since, is_stopped) VALUES ('product_usage', now(), true)"
    )
    done = product.command("status")
    assert done.status == 0
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "closed since 3 min ago. Salesforce is away." in lines["Gate:"]
    assert "Completed just now" in lines["company"]
    assert " in " in lines["company"]
    assert "Failed just now" in lines["activity"]
    assert "Bring it back" in lines["activity:"]
    assert "stopped" in lines["product_usage"]
    assert "Never synced" in lines["survey_survey_response:"]
    # Both databases are the user's own, so nothing is written beside the settings, which may be read-only.
    looked = product.command("status", "--json", is_read_only=True)
    assert looked.status == 0, looked.err
    assert [path.name for path in product.folder.iterdir()] == ["gainsight.yaml"]
    document = looked.document
    assert "company_attributes" in lines["Typed"]
    assert document["gate"]["reason"] == "not_answering"
    assert document["objects"][0]["views"] == ["company_attributes"]
    assert [each["status"] for each in document["objects"]] == ["completed", "failed", "never", "never"]
    assert document["objects"][3]["next_due"] is None
    assert datetime.fromisoformat(document["objects"][0]["next_due"]) > datetime.now(UTC)


def test_broken_settings_and_a_limit_that_was_reached_are_named(product: Product) -> None:
    """With invalid `schedules` the default cadences apply, so nothing else would show the mistake (S3, W1)."""
    product.write_settings(
        product.settings() | {"schedules": {"timezone": "Mars/Olympus", "company": "0 7 * * *"}, "activity": 7}
    )
    assert product.command("migrate").status == 0
    product.query_and_commit(
        """INSERT INTO sync_run (run_id, object, status, started_at, finished_at, is_truncated,
               product_version) VALUES ('1', 'survey_survey_response', 'completed', now(), now(), true, '0')"""
    )
    lines = {line.split()[0]: line for line in product.command("status").out.splitlines() if line.strip()}
    assert "timezone" in lines["schedules:"]
    assert "activity is a single value" in lines["activity:"]
    assert "limit" in lines["survey_survey_response:"]


def test_a_narrow_terminal_shows_notes_on_lines_of_their_own() -> None:
    todo = "Never synced: run `gainsight-pipelines run company`, or wait for its schedule."
    found = Banner(None, (Row("company", NEVER, None, todo, None),))
    console = Console(width=80, file=StringIO())
    console.print(banner_table(found, Settings(), datetime.now(UTC)))
    assert isinstance(console.file, StringIO)
    assert "company: Never synced: run `gainsight-pipelines run company`" in console.file.getvalue()


def test_it_reads_without_creating_tables(product: Product) -> None:
    done = product.command("status")
    assert done.status == 1
    assert "has no tables of this program yet" in done.err and "gainsight-pipelines migrate" in done.err
    path = product.settings_path
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(REAL_PREFIXES)]:
            patch.delenv(name)
        for name, value in product.env.items():
            patch.setenv(name, value)
        for look in (
            lambda: metrics_command(port=None, host="127.0.0.1", path=path),
            lambda: purge_command(days=8, rejected_days=None, is_dry=False, path=path, as_json=False),
            lambda: reset_command(is_confirmed=True, path=path),
            lambda: open_workspace(path, is_looking=True).__enter__(),
        ):
            with pytest.raises(NotMigrated, match="no tables of this program yet"):
                look()
    done = product.command("validate", "--json", GAINSIGHT_API_KEY=None)  # a missing key doesn't matter here
    (database,) = [check for check in done.document["checks"] if check["section"] == "database"]
    assert database["outcome"] == "warning"
    assert "gainsight-pipelines migrate" in database["todo"]
    assert product.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'gainsight'") == [(0,)]
    refused = product.run("company", GAINSIGHT_PIPELINES_MIGRATE="never")
    assert refused.status == 1 and "gainsight-pipelines migrate" in refused.err
    assert product.command("migrate", GAINSIGHT_PIPELINES_MIGRATE="never").status == 0
    assert "company" in product.command("status").out


def test_a_dagster_home_with_a_storage_of_its_own_starts_no_server(product: Product) -> None:
    product.command("migrate")
    home = product.folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage: {postgres: {postgres_db: {hostname: db, username: u, db_name: d}}}")
    done = product.command("status", DAGSTER_HOME=str(home), DAGSTER_POSTGRES_URL=None)
    assert done.status == 0
    assert "company" in done.out
    assert not (product.folder / ".gainsight_pipelines" / "postgres").exists()


def test_an_old_check_says_that_no_daemon_runs(product: Product) -> None:
    product.command("migrate")
    assert "the primary CRM has not been checked yet" in product.command("status").out
    product.query_and_commit(
        """INSERT INTO crm_gate (is_open, reason, message, since, checked_at)
           VALUES (true, 'open', 'Salesforce answers.', now() - interval '5 h', now() - interval '2 h')"""
    )
    out = product.command("status").out
    assert "open since 5 h ago" in out
    assert "Last checked 2 h ago: no Dagster daemon is running, or gainsight_gate is stopped." in out


def test_a_run_that_was_killed_is_failed_and_dagster_is_told(product: Product, sandbox: RunningSandbox) -> None:
    sandbox.switch(gainsight_delay=60)
    command = [python(), "-m", COMMANDS, "run", "company"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=product.folder, env=product.env, **quiet)
    wait_until(lambda: sandbox.calls()["totals"].get("gainsight"), 60)
    process_below(process.pid, "run_object").kill()
    assert process.wait(60) == 1
    assert "Running" in product.command("status").out, "a moment ago it may have been about to take its lock"
    product.query_and_commit("UPDATE sync_run SET started_at = started_at - interval '5 min'")
    with psycopg.connect(psycopg_url(product.env["DAGSTER_POSTGRES_URL"])) as dagster:
        dagster.execute("UPDATE runs SET start_time = start_time - 300")
    done = product.command("status")
    assert "Failed" in done.out
    assert "The run was killed" in done.out
    assert "Traceback" not in done.err
    with psycopg.connect(psycopg_url(product.env["DAGSTER_POSTGRES_URL"])) as dagster:
        assert dagster.execute("SELECT status FROM runs").fetchall() == [("FAILURE",)]
    assert product.query("SELECT status FROM sync_run") == [("failed",)]


def psycopg_url(url: str) -> str:
    return "postgresql://" + url.partition("://")[2]


def test_watch_goes_on_until_ctrl_c(product: Product) -> None:
    product.command("migrate")
    main, child = pty.openpty()
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "status", "--watch"],
        cwd=product.folder,
        env=product.env | {"TERM": "xterm", "COLUMNS": "160"},
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    shown = b""
    while shown.count(b"Object sync status") < 2:
        shown += os.read(main, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    os.close(main)
    assert b"Traceback" not in shown


def test_watch_and_json_do_not_go_together(product: Product) -> None:
    done = product.command("status", "--watch", "--json")
    assert done.status == 2
    assert "--watch and --json" in done.err
