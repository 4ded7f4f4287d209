"""Settings on a read-only file system: each command that would write says so before it asks or changes anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gainsight_pipelines_tests.read_only import on_read_only

ROOT = Path(__file__).parents[2]
RUN_EACH = """
import contextlib, io, json, sys
from gainsight_pipelines.cli import app
found = []
for command in json.loads(sys.argv[1]):
    sys.argv = ["gainsight-pipelines", *command]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        found.append([app._status(), said.getvalue()])
print(json.dumps(found))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gainsight.yaml").write_text((ROOT / "gainsight.example.yaml").read_text("utf-8"))
    return tmp_path


def run_each(folder: Path, *commands: str) -> list[tuple[int, str]]:
    """Exit status and stderr of each command in a read-only folder, without databases of the user's own."""
    split = json.dumps([command.split() for command in commands])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GAINSIGHT", "DAGSTER"))}
    done = subprocess.run(
        on_read_only(folder, [sys.executable, "-c", RUN_EACH, split]),
        env=kept | {"EDITOR": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(status, said) for status, said in json.loads(done.stdout)]


def test_what_would_write_says_that_the_settings_are_read_only(folder: Path) -> None:
    commands = (
        "settings set surveys.lookback_days 7",
        "settings unset surveys.lookback_days",
        "settings edit surveys",
        "settings restore 1",
        "categories --add",
        "init --base-url http://127.0.0.1:1",
    )
    words = (
        f"gainsight-pipelines: gainsight.yaml is read-only: {folder} is on a read-only file system."
        " Change it where it comes from.\n"
    )
    for command, (status, said) in zip(commands, run_each(folder, *commands), strict=True):
        assert (status, said) == (1, words), command
    assert [path.name for path in folder.iterdir()] == ["gainsight.yaml"]


def test_what_looks_works_and_a_server_of_its_own_does_not(folder: Path) -> None:
    show, history, dry, status = run_each(
        folder, "settings show", "settings history", "settings set surveys.lookback_days 7 --dry-run", "status"
    )
    assert [each[0] for each in (show, history, dry)] == [0, 0, 0]
    assert "no earlier versions yet" in history[1] and "Dry run" in dry[1]
    assert status[0] == 1
    assert "is on a read-only file system. Name databases of your own by GAINSIGHT_PIPELINES_DATABASE_URL" in status[1]


def test_secrets_that_cannot_be_written_are_reported(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings.dotenv_file import write_secrets
try:
    write_secrets(Path("gainsight.yaml"), {"GAINSIGHT_API_KEY": "hidden"})
except SettingsError as error:
    print(error)
"""
    (tmp_path / ".env").write_text("GAINSIGHT_API_KEY=old\n")
    done = subprocess.run(
        on_read_only(tmp_path, [sys.executable, "-c", script]), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(f".env is read-only: {tmp_path} is on a read-only file system. Set the variables")
    assert "NAME_FILE" in done.stdout and "hidden" not in done.stdout
    assert (tmp_path / ".env").read_text() == "GAINSIGHT_API_KEY=old\n"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
