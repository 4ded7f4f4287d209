"""Runs dbt from its own environment, which `make dbt` installs, on the tests' databases."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gainsight_pipelines_tests.dbt.generated import PACKAGE, ROOT
from gainsight_pipelines_tests.preloaded import DBT_PYTHON, python

STAMP = DBT_PYTHON.parents[1] / "installed.stamp"
NO_LOG_FILE = {"DBT_LOG_LEVEL_FILE": "none"}
"""Nobody reads dbt's log file, which takes a tenth of its CPU time."""


@functools.cache
def dbt_program() -> Path:
    """The path of a dbt with its imports already made (see `preloaded`).

    Installs dbt if it is missing; a file lock lets only one pytest worker do so.
    """
    with (ROOT / ".venv" / "dbt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON"))}
        subprocess.run(["make", "--silent", str(STAMP.relative_to(ROOT))], cwd=ROOT, env=environ, check=True)
    prepared = Path(python(str(DBT_PYTHON)))
    program = prepared.parent / "bin" / "dbt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {prepared} {shlex.quote(str(DBT_PYTHON.with_name("dbt")))} "$@"\n')
    program.chmod(0o700)
    return program


def of_postgres(url: str) -> dict[str, str]:
    """Converts a libpq URL to libpq's environment variables, which the dbt profiles read."""
    parts = urlsplit(url.replace("@/", "@socket/"))
    query = parse_qs(parts.query)
    return {
        "PGHOST": query["host"][0],
        "PGPORT": query.get("port", ["5432"])[0],
        "PGUSER": parts.username or "",
        "PGDATABASE": parts.path.removeprefix("/"),
    }


@dataclass(slots=True)
class Dbt:
    """The dbt package's own project on one database. dbt writes its artifacts and logs to `folder`."""

    folder: Path
    env: dict[str, str]
    project: Path = PACKAGE
    vars: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a dbt command and waits for its end."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "PG", "PYTHON"))}
        env = {
            **kept,
            **self.env,
            **NO_LOG_FILE,
            "DBT_LOG_LEVEL": "warn",
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_USE_COLORS": "false",
        }
        return subprocess.run(
            [dbt_program(), *arguments, *(["--vars", json.dumps(self.vars)] if self.vars else [])],
            cwd=self.project,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def build(self, *arguments: str) -> dict[str, int]:
        """Runs `dbt build`, and returns the number of nodes by status.

        Raises:
            AssertionError: dbt's exit status isn't 0.
        """
        done = self.run("build", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, int] = {}
        for result in self.artifact("run_results")["results"]:
            found[result["status"]] = found.get(result["status"], 0) + 1
        return found

    def artifact(self, name: str) -> dict[str, Any]:
        """Reads an artifact of dbt's, such as the manifest."""
        content: dict[str, Any] = json.loads((self.folder / "target" / f"{name}.json").read_text("utf-8"))
        return content
