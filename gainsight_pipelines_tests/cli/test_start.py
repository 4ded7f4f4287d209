"""Commands that people wait for import no heavy packages that they don't need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gainsight_pipelines.orchestration.instance import STORAGE_VARIABLE
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store

HEAVY = ("alembic", "dagster", "grpc", "hubspot", "numpy", "pandas", "selectolax", "simple_salesforce", "sqlalchemy")
"""Packages that only pulls, the UI and migrations need; `import dagster` alone takes a second."""

LISTED = """
import atexit, sys
atexit.register(lambda: print("imported", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
from gainsight_pipelines.cli.app import main
sys.argv[:] = ["gainsight-pipelines", *sys.argv[1:]]
main()
"""


SETTINGS = """
gainsight: {base_url: "https://acme.gainsightcloud.com"}
primary_crm: {kind: salesforce}
company: {}
activity: {}
schedules: {timezone: Europe/Berlin, company: "0 7 * * 1-5"}
"""


def imported(folder: Path, *arguments: str, **env: str) -> set[str]:
    """The packages that a command has imported when it ends."""
    command = [sys.executable, "-c", LISTED, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("imported ")]
    assert done.returncode == 0, done.stderr
    return set(line.split()[1:])


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("status", "--help"), ("run", "--help")])
def test_help_needs_neither_settings_nor_a_database(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not {*HEAVY, "psycopg", "pydantic", "requests", "ruamel"} & imported(tmp_path, *arguments)


def test_status_needs_no_client_and_no_dagster(tmp_path: Path, store: Store) -> None:
    (tmp_path / "gainsight.yaml").write_text(SETTINGS)
    urls = {DATABASE_VARIABLE: store.url, STORAGE_VARIABLE: "postgresql://nobody@127.0.0.1:1/never_opened"}
    found = imported(tmp_path, "status", **urls)
    assert {"psycopg", "rich"} <= found
    assert not {*HEAVY, "requests"} & found


@pytest.mark.parametrize("line", [("sta",), ("run", "")])
def test_completion_needs_no_database(tmp_path: Path, line: tuple[str, ...]) -> None:
    (tmp_path / "gainsight.yaml").write_text(SETTINGS)
    assert not {*HEAVY, "requests"} & imported(tmp_path, "__complete", *line)
