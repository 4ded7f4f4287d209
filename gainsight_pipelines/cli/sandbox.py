"""The sandbox as a child process, and what a command needs to work on it. Imports nothing of the sandbox itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any, cast

from gainsight_pipelines.cli import output
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.orchestration.instance import HOME_VARIABLE, STORAGE_VARIABLE
from gainsight_pipelines.processes import ProcessGroup
from gainsight_pipelines.settings import DATA_FOLDER, PATH_VARIABLE
from gainsight_pipelines.store.connection import DATABASE_VARIABLE

REAL_PREFIXES = ("GAINSIGHT_", "SALESFORCE_", "HUBSPOT_")
REAL_NAMES = (DATABASE_VARIABLE, STORAGE_VARIABLE, HOME_VARIABLE, PATH_VARIABLE)


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that answers.

    `environ` leads to it and to nothing else: of the real environment's tenants and databases nothing is left in it.
    """

    urls: Mapping[str, str]
    settings_path: Path
    environ: Mapping[str, str] = field(repr=False)


def sandbox_folder(crm: str) -> Path:
    """The data folder of `demo` and `dev --sandbox`: one per CRM, apart from that of real data."""
    return Path.cwd() / DATA_FOLDER / f"sandbox-{crm}"


def start_sandbox(
    group: ProcessGroup, folder: Path, crm: str, like: Path | None = None
) -> tuple[RunningSandbox, Popen[bytes]]:
    """Starts the sandbox and waits until it answers.

    Args:
        group: that ends it.
        folder: where its files go.
        crm: whose settings file is wanted.
        like: a report of `validate --report` to answer by.

    Raises:
        PermanentError: it did not start.
    """
    from dotenv import dotenv_values

    command = [sys.executable, "-m", "gainsight_pipelines.sandbox", "--folder", str(folder / "services")]
    process = group.start([*command, *(["--like", str(like)] if like else [])], stdout=PIPE)
    line = cast("IO[bytes]", process.stdout).readline()
    if not line:
        raise PermanentError("The sandbox did not start.", "See what it says above.")
    state: dict[str, Any] = json.loads(line)
    credentials = {key: value or "" for key, value in dotenv_values(state["files"]["env"], interpolate=False).items()}
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(REAL_PREFIXES) and key not in REAL_NAMES
    }
    path = Path(state["files"][f"settings_{crm}"])
    return RunningSandbox(state["urls"], path, {**kept, **credentials}), process


def sandbox_command(crm: str, folder: Path | None, like: Path | None) -> int:
    """Runs the sandbox until it is stopped, and says where it is."""
    with ProcessGroup() as group:
        running, process = start_sandbox(group, folder or sandbox_folder(crm), crm, like)
        for name, url in running.urls.items():
            output.say(f"{name:<12}{url}")
        output.say(f"settings    {running.settings_path}")
        output.say(f"credentials {running.settings_path.with_name('sandbox.env')}")
        output.say("Ctrl-C ends it.")
        return process.wait()
