"""Runs the sandbox as a process of its own, for any test that needs one."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import requests

from gainsight_pipelines_tests.preloaded import python

START_SECONDS = 30.0
SECRET_NAMES = ("GAINSIGHT_API_KEY", "GAINSIGHT_CLIENT_SECRET", "SALESFORCE_CLIENT_SECRET", "HUBSPOT_ACCESS_TOKEN")


@dataclass(slots=True)
class RunningSandbox:
    """A running sandbox: its addresses and its control endpoint. Use it as a context manager, or call stop()."""

    folder: Path
    process: subprocess.Popen[bytes]
    urls: dict[str, str]
    """By service: gainsight, salesforce, hubspot, control."""
    env: dict[str, str] = field(repr=False)
    """Variables of sandbox.env: credentials and addresses (Salesforce by client credentials)."""
    session: requests.Session = field(default_factory=requests.Session, repr=False)

    def settings_file(self, kind: str = "salesforce") -> Path:
        """The settings file that the sandbox made for that CRM."""
        return self.folder / f"gainsight.{kind}.yaml"

    def env_of(self, login: str) -> dict[str, str]:
        """Variables of another way to log in: jwt or password (Salesforce), m2m (Gainsight)."""
        return read_env(self.folder / f"sandbox.{login}.env")

    @property
    def secrets(self) -> list[str]:
        """Values that must not appear anywhere."""
        every = {**self.env_of("password"), **self.env_of("m2m"), **self.env}
        names = {*SECRET_NAMES, "SALESFORCE_PASSWORD", "SALESFORCE_SECURITY_TOKEN"}
        return [value for name, value in every.items() if name in names]

    def calls(self) -> dict[str, Any]:
        """{"totals": {service: n}, "calls": {service: {kind: n}}, "crm_writes": n}; kinds such as query:company."""
        answer: dict[str, Any] = self._get("/calls")
        return answer

    def gainsight_requests(self, last: int = 200) -> list[dict[str, Any]]:
        """The last Gainsight requests: method, path, query, body, status."""
        answer: list[dict[str, Any]] = self._get("/requests", last=last)
        return answer

    def truth(self, part: str | None = None) -> dict[str, Any]:
        """The truth, or a part of it: "accounts" or the name of an object."""
        answer: dict[str, Any] = self._get("/truth", **({"part": part} if part else {}))
        return answer

    def switches(self) -> dict[str, Any]:
        """All switches with their values."""
        answer: dict[str, Any] = self._get("/switches")
        return answer

    def switch(self, **values: Any) -> dict[str, Any]:
        """Sets switches by name; see gainsight_pipelines/sandbox/switches.py."""
        answer: dict[str, Any] = self._post("/switch", values)
        return answer

    def reset(self) -> None:
        """Resets the switches and counters; edits of the data stay."""
        self._post("/reset", {})

    def edit(self, *edits: dict[str, Any]) -> list[dict[str, Any]]:
        """Applies edits (see gainsight_pipelines/sandbox/edits.py); returns what each one changed."""
        done: list[dict[str, Any]] = self._post("/edit", {"edits": list(edits)})["done"]
        return done

    def stop(self) -> None:
        """Ends the process, by force if it does not end on SIGTERM."""
        self.session.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._checked(self.session.get(self.urls["control"] + path, params=parameters, timeout=30))

    def _post(self, path: str, body: Any) -> Any:
        return self._checked(self.session.post(self.urls["control"] + path, json=body, timeout=30))

    def _checked(self, response: requests.Response) -> Any:
        content = response.json()
        if response.status_code != 200:
            raise ValueError(content.get("error", content))
        return content


def start_sandbox(folder: Path, **options: Any) -> RunningSandbox:
    """Starts a sandbox and waits until it is ready.

    Args:
        folder: where it writes its files; created if missing.
        options: command-line options without dashes, for example activities=300, accounts=60, seed=2, now="2026-…".
    """
    arguments = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [python(), "-m", "gainsight_pipelines.sandbox", "--folder", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    started = time.monotonic()
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        status = process.wait(START_SECONDS)
        raise RuntimeError(f"the sandbox ended with {status} after {time.monotonic() - started:.1f} s")
    session = requests.Session()
    session.trust_env = False
    state = json.loads(line)
    return RunningSandbox(folder, process, state["urls"], read_env(folder / "sandbox.env"), session)


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file of NAME=value lines."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
