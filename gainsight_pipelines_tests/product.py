"""The product as its users run it: the command line in processes of its own, on a sandbox and databases of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.preloaded import run_command
from gainsight_pipelines_tests.read_only import on_read_only
from gainsight_pipelines_tests.sandbox_process import RunningSandbox

REAL_PREFIXES = ("GAINSIGHT_", "SALESFORCE_", "HUBSPOT_", "DAGSTER_")
RUN_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.out)

    def object(self, name: str) -> dict[str, Any]:
        """The result of one pull."""
        found: dict[str, Any] = next(each for each in self.document["objects"] if each["object"] == name)
        return found


@dataclass(slots=True)
class Product:
    """An installation: a folder with settings, databases, and the sandbox's credentials in the environment."""

    folder: Path
    database_url: str
    env: dict[str, str] = field(repr=False)

    @property
    def settings_path(self) -> Path:
        return self.folder / "gainsight.yaml"

    def settings(self) -> dict[str, Any]:
        """The settings file's content."""
        content: dict[str, Any] = yaml.safe_load(self.settings_path.read_text())
        return content

    def write_settings(self, content: Mapping[str, Any]) -> None:
        """Replaces the settings file."""
        self.settings_path.write_text(yaml.safe_dump(dict(content)))

    def command(self, *arguments: str, is_read_only: bool = False, **env: str | None) -> Finished:
        """Runs `gainsight-pipelines` and waits for its end; `env` changes variables, None removes one.

        `is_read_only`: the command finds the folder on a read-only file system.
        """
        kept = {key: value for key, value in {**self.env, **env}.items() if value is not None}
        if is_read_only:
            command = on_read_only(self.folder, [sys.executable, "-m", "gainsight_pipelines.cli", *arguments])
            done = subprocess.run(
                command, cwd=self.folder, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=RUN_SECONDS, check=False,
            )  # fmt: skip
        else:
            done = run_command(arguments, self.folder, kept)
        return Finished(done.returncode, done.stdout, done.stderr)

    def run(self, *names: str, **env: str | None) -> Finished:
        """Pulls these objects, or all."""
        return self.command("run", *(names or ("--all",)), "--json", **env)

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Queries the product's database."""
        with Store(self.database_url).connect("test") as connection:
            return connection.execute(statement, parameters).fetchall()  # type: ignore[arg-type]

    def query_and_commit(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Changes the product's database behind its back."""
        with Store(self.database_url).connect("test") as connection, connection.transaction():
            connection.execute(statement, parameters)  # type: ignore[arg-type]


@contextmanager
def product_on(
    folder: Path, server: EmbeddedServer, sandbox: RunningSandbox, kind: str = "salesforce"
) -> Iterator[Product]:
    """The product with the sandbox's settings for that CRM, and databases of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gainsight.yaml").write_text(sandbox.settings_file(kind).read_text())
    with fresh_database(server) as data, dagster_database(server) as dagster:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(REAL_PREFIXES)}
        env = {
            **kept,
            **sandbox.env,
            "GAINSIGHT_PIPELINES_DATABASE_URL": server.url(data),
            "DAGSTER_POSTGRES_URL": server.url(dagster),
        }
        yield Product(folder, server.url(data), env)
