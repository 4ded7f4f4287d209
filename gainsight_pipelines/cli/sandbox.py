"""Starts the sandbox as a child process and finds running ones. Imports nothing from the sandbox package."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any, cast

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.invocation import program
from gainsight_pipelines.crm.protocol import CRM_NAMES
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.extras import require
from gainsight_pipelines.orchestration.instance import HOME_VARIABLE, STORAGE_VARIABLE
from gainsight_pipelines.settings import DATA_FOLDER, PATH_VARIABLE
from gainsight_pipelines.store.connection import DATABASE_VARIABLE

REAL_PREFIXES = ("GAINSIGHT_", "SALESFORCE_", "HUBSPOT_")
REAL_NAMES = (DATABASE_VARIABLE, STORAGE_VARIABLE, HOME_VARIABLE, PATH_VARIABLE)
OURS = "GAINSIGHT_PIPELINES_"
"""Begins what says how to work, unless it is one of the names above."""


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that accepts requests.

    `environ` points to it alone: the real tenants and databases of the environment are removed.
    """

    urls: Mapping[str, str]
    settings_path: Path
    environ: Mapping[str, str] = field(repr=False)


def sandbox_folder(crm: str) -> Path:
    """The data folder of `demo` and `dev --sandbox`: one per CRM, separate from real data."""
    return Path.cwd() / DATA_FOLDER / f"sandbox-{crm}"


def start_sandbox(
    group: ProcessGroup, folder: Path, crm: str, like: Path | None = None
) -> tuple[RunningSandbox, Popen[bytes]]:
    """Starts the sandbox and waits until it accepts requests.

    Args:
        group: process group that stops it.
        folder: folder for its files.
        crm: the CRM that the settings file names.
        like: report from `validate --report`, whose API behaviour it copies.

    Raises:
        PermanentError: the sandbox did not start.
    """
    from dotenv import dotenv_values

    require("sandbox", "The sandbox")
    command = [sys.executable, "-m", "gainsight_pipelines.sandbox", "--folder", str(folder / "services")]
    process = group.start([*command, *(["--like", str(like)] if like else [])], stdout=PIPE)
    line = cast("IO[bytes]", process.stdout).readline()
    if not line:
        raise PermanentError("The sandbox did not start.", "See its messages above.")
    state: dict[str, Any] = json.loads(line)
    credentials = {key: value or "" for key, value in dotenv_values(state["files"]["env"], interpolate=False).items()}
    path = Path(state["files"][f"settings_{crm}"])
    return RunningSandbox(state["urls"], path, {**without_tenants(os.environ), **credentials}), process


def without_tenants(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables of real tenants and databases."""
    return {
        key: value
        for key, value in environ.items()
        if key.removesuffix("_FILE") not in REAL_NAMES and (key.startswith(OURS) or not key.startswith(REAL_PREFIXES))
    }


@dataclass(frozen=True, slots=True)
class KnownSandbox:
    """A running sandbox that another command has started."""

    crm: str
    urls: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)


def find_sandbox(folder: Path | None = None) -> KnownSandbox | None:
    """A running sandbox: of this folder, of the working directory, or the last one that this user started.

    Args:
        folder: folder with its sandbox.json.

    Raises:
        PermanentError: a folder was given, and no sandbox runs there.
    """
    if folder is not None:
        found = _known_sandbox(folder)
        if found is None:
            raise PermanentError(f"No sandbox runs in {folder}.", f"Start one: {program()} sandbox.")
        return found
    candidates = [*sorted((Path.cwd() / DATA_FOLDER).glob("sandbox-*/services")), *_announced()]
    return next((found for each in candidates if (found := _known_sandbox(each)) is not None), None)


def _known_sandbox(folder: Path) -> KnownSandbox | None:
    import requests
    from dotenv import dotenv_values

    try:
        state = json.loads((folder / "sandbox.json").read_bytes())
        with requests.Session() as session:
            session.trust_env = False
            is_there = session.get(f"{state['urls']['control']}/health", timeout=2).ok
        values = dotenv_values(folder / "sandbox.env", interpolate=False)
    except (OSError, ValueError, KeyError, TypeError):  # requests' errors are OSErrors
        return None
    # Leave REQUESTS_CA_BUNDLE alone: the sandbox's Salesforce certificate has a variable of its own.
    kept = {name: value for name, value in values.items() if value and name.startswith(REAL_PREFIXES)}
    crm = folder.parent.name.removeprefix("sandbox-")
    return KnownSandbox(crm if crm in CRM_NAMES else "salesforce", state["urls"], kept) if is_there else None


def _announcements() -> Path:
    """The folder with one file per sandbox of this user; each holds the sandbox's folder."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"gainsight_pipelines-{os.getuid()}"


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Lets `init` find this sandbox from any working directory while it runs."""
    file = _announcements() / f"sandbox-{os.getpid()}"
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if _is_ours(file.parent):
            file.write_text(str(folder.absolute()))
    except OSError:
        pass  # `init --sandbox` still finds it
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _announced() -> list[Path]:
    """The folders of announced sandboxes, newest first; some may no longer exist."""
    try:
        if not _is_ours(_announcements()):
            return []
        files = sorted(_announcements().glob("sandbox-*"), key=lambda file: file.stat().st_mtime, reverse=True)
        return [Path(file.read_text()) for file in files]
    except (OSError, ValueError):
        return []


def _is_ours(folder: Path) -> bool:
    """Whether only this user can write there."""
    found = folder.lstat()
    return found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077


def sandbox_command(crm: str, folder: Path | None, like: Path | None) -> int:
    """Runs the sandbox until it is stopped, and prints its addresses."""
    with ProcessGroup() as group:
        folder = folder or sandbox_folder(crm)
        running, process = start_sandbox(group, folder, crm, like)
        for name, url in running.urls.items():
            output.say(f"{name:<12}{url}")
        output.say(f"settings    {running.settings_path}")
        output.say(f"credentials {running.settings_path.with_name('sandbox.env')}")
        output.say(f"`{program()} init` writes settings for it. Ctrl-C stops it.")
        with announced(folder / "services"):
            return process.wait()
