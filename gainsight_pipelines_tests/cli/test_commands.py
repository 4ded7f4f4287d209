"""The smaller commands: what they print and do, and that `reset` and `run` need explicit arguments."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import start_sandbox

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("commands")
    with (
        start_sandbox(folder / "sandbox", activities=300, accounts=60) as sandbox,
        product_on(folder / "project", postgres_server, sandbox) as product,
    ):
        yield product


@pytest.mark.parametrize(
    "command",
    ["", "run", "status", "demo", "dev", "sandbox", "migrate", "reset", "schema",
     "init", "validate", "objects", "fields", "crm-fields", "categories", "preview", "purge", "unmatched",
     "export", "deliver",
     "settings", "settings show", "settings set", "settings unset", "settings edit", "settings diff",
     "settings history", "settings restore", "settings-page"],
)  # fmt: skip
def test_help_says_what_a_command_does(product: Product, command: str) -> None:
    done = product.command(*command.split(), "--help")
    assert done.status == 0
    assert done.out.startswith("Usage: gainsight-pipelines")
    assert "False]" not in done.out and "\nExample" in done.out
    assert len(done.out.splitlines()[2]) > 30
    assert not done.err


def test_schema_is_a_json_schema_of_the_settings(product: Product) -> None:
    done = product.command("schema")
    assert set(product.settings()) <= set(json.loads(done.out)["properties"])


def test_settings_show_fills_in_defaults(product: Product) -> None:
    shown = json.loads(product.command("settings", "show", "surveys").out)
    assert shown["mode"] == "single"
    assert shown["objects"][0]["object"] == "survey_response"
    unknown = product.command("settings", "show", "survey")
    assert unknown.status == 1
    assert "surveys" in unknown.err


def test_never_synced_says_what_to_do(product: Product) -> None:
    """Requirement B5. `status` creates no tables in a database of the user's own, so `migrate` runs first."""
    assert product.command("migrate").status == 0
    done = product.command("status")
    assert done.status == 0
    assert "Never synced" in done.out
    assert "gainsight-pipelines run company" in done.out


def test_reset_needs_to_be_meant_and_empties_everything(product: Product) -> None:
    assert product.run("company").status == 0
    refused = product.command("reset")
    assert refused.status == 1
    assert "--all" in refused.err
    assert product.query("SELECT count(*) > 0 FROM company") == [(True,)]
    assert product.command("reset", "--all").status == 0
    assert product.query("SELECT count(*) FROM company") == [(0,)]
    assert product.query("SELECT count(*) FROM tenant") == [(0,)]
    assert product.run("company").status == 0


def test_a_newer_database_is_refused(product: Product) -> None:
    assert product.command("migrate").status == 0
    version = product.query("SELECT version_num FROM schema_version")
    product.query_and_commit("UPDATE schema_version SET version_num = '9999'")
    done = product.command("status")
    product.query_and_commit("UPDATE schema_version SET version_num = %s", version[0])
    assert done.status == 1
    assert "9999" in done.err
    assert "newer" in done.err


def test_run_needs_objects_or_all(product: Product) -> None:
    done = product.command("run")
    assert done.status == 2
    assert "--all" in done.err


def test_the_sandbox_command_prints_its_addresses(product: Product) -> None:
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "sandbox"],
        cwd=product.folder,
        env=product.env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert any(line.startswith("gainsight ") and "http://127.0.0.1" in line for line in lines)
    assert "Traceback" not in rest


def test_migrate_waits_for_a_database_that_starts(product: Product, tmp_path: Path) -> None:
    """An init container runs `migrate --wait` while PostgreSQL is still starting."""
    there = Path(str(conninfo_to_dict(product.database_url)["host"]))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket's path has at most some 100 bytes
        url = make_conninfo(product.database_url, host=short)
        env = product.env | {"GAINSIGHT_PIPELINES_DATABASE_URL": url}
        command = [python(), "-m", COMMANDS, "migrate", "--wait", "60"]
        process = subprocess.Popen(command, cwd=product.folder, env=env, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        told = process.stderr.readline()
        assert "can't be reached" in told and "Waiting for it, 60 s at most." in told
        for socket in there.glob(".s.PGSQL.*[0-9]"):
            (Path(short) / socket.name).symlink_to(socket)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "at the program's version" in err
        away = product.command("migrate", "--wait", "0.1", GAINSIGHT_PIPELINES_DATABASE_URL=f"host={tmp_path} dbname=x")
        assert away.status == 1 and "can't be reached" in away.err and "Traceback" not in away.err
