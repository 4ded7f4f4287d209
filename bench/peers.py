"""Environments of the tools to compare with: dlt, and a Singer tap with target-postgres.

`python -m bench.peers` makes them, as `make bench` does. A tool that can't be installed is left out, with a message.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gainsight_pipelines.embedded.server import EmbeddedServer

HOME = Path(__file__).parent / ".peers"
CONTENDERS = Path(__file__).parent / "contenders"
PACKAGES = {
    "dlt": "dlt[postgres]",
    "singer-tap": "singer-sdk",
    "singer-target": "meltanolabs-target-postgres",
}
"""The packages of each environment."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: how its first and later runs are started."""

    label: str
    version: str
    env: Mapping[str, str] = field(default_factory=dict)

    def commands(
        self,
        folder: Path,
        url: str,
        postgres: EmbeddedServer,
        database: str,
        select: list[str],
        *,
        is_second: bool,
    ) -> list[list[str]]:
        """The programs of one run, joined by pipes."""
        if self.label == "dlt":
            socket = parse_qs(urlsplit(postgres.url(database)).query)["host"][0].replace("/", "%2F")
            user = urlsplit(postgres.url(database).replace("@/", "@localhost/")).username
            given = {
                "url": url,
                "database": f"postgresql://{user}:unused@{socket}:5432/{database}",
                "select": select,
                "folder": str(folder / "pipelines"),
            }
            return [[str(HOME / "dlt/bin/python"), str(CONTENDERS / "dlt_peer.py"), json.dumps(given)]]
        (folder / "tap.json").write_text(json.dumps({"url": url, "select": select}))
        target = {
            "sqlalchemy_url": postgres.url(database, "psycopg"),
            "default_target_schema": "peer_singer",
            "use_copy": True,
        }
        (folder / "target.json").write_text(json.dumps(target))
        state = ["--state", str(folder / "state.json")] if is_second else []
        tap = [str(HOME / "singer-tap/bin/python"), str(CONTENDERS / "singer_tap.py")]
        return [
            [*tap, "--config", str(folder / "tap.json"), *state],
            [str(HOME / "singer-target/bin/target-postgres"), "--config", str(folder / "target.json")],
        ]

    def keep(self, folder: Path, said: Mapping[str, Any]) -> None:
        """Keeps the state for the next run. A Singer target prints it; dlt keeps its own."""
        (folder / "state.json").write_text(json.dumps(said))


def installed() -> dict[str, Peer]:
    """The peers that can be measured here."""
    found = {}
    if version := _version("dlt", "dlt"):
        found["dlt"] = Peer("dlt", version, {"RUNTIME__DLTHUB_TELEMETRY": "false"})
    tap, target = _version("singer-tap", "singer-sdk"), _version("singer-target", "meltanolabs-target-postgres")
    if tap and target:
        label = "Singer: tap and target-postgres"
        found[label] = Peer(label, f"singer-sdk {tap}, meltanolabs-target-postgres {target}")
    return found


def _version(environment: str, package: str) -> str | None:
    python = HOME / environment / "bin" / "python"
    if not python.exists():
        return None
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def install() -> None:
    """Creates the missing environments."""
    for name, package in PACKAGES.items():
        if _version(name, package.partition("[")[0]):
            continue
        print(f"Installing {package} into bench/.peers/{name} (once only) …", flush=True)  # noqa: T201
        python = HOME / name / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", str(HOME / name)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", package]
        if subprocess.run(pip, check=False).returncode != 0:
            print(f"{package} can't be installed here, so it is not measured.", flush=True)  # noqa: T201


if __name__ == "__main__":
    install()
