"""Discovery in this process on a sandbox, with settings as a mapping and a clock that tests can move."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from gainsight_pipelines.discovery import Catalog, DiskCache, InteractiveClients
from gainsight_pipelines.settings import Settings, parse_settings
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.pulling import ShiftedClock
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@dataclass(slots=True)
class Finding:
    """The services that discovery calls. `content` (settings file) and `environ` (environment) can be changed."""

    sandbox: RunningSandbox
    folder: Path
    content: dict[str, Any]
    environ: dict[str, str] = field(repr=False)
    clock: ShiftedClock = field(default_factory=ShiftedClock)

    @property
    def settings(self) -> Settings:
        return parse_settings(yaml.safe_dump(self.content), self.folder / "gainsight.yaml")

    @property
    def connections(self) -> InteractiveClients:
        return InteractiveClients(self.settings, self.clock, self.environ)

    @property
    def catalog(self) -> Catalog:
        """A new catalog, as in another process: only the disk cache is shared."""
        return Catalog(self.connections, DiskCache(self.folder / "discovery", self.clock))

    def gainsight_calls(self) -> dict[str, int]:
        """The number of Gainsight calls by kind, such as list, describe, query, query:company."""
        calls: dict[str, int] = self.sandbox.calls()["calls"].get("gainsight", {})
        return calls


@contextmanager
def finding_on(sandbox: RunningSandbox, folder: Path, kind: str = "salesforce") -> Iterator[Finding]:
    """Has the sandbox's settings for that CRM; this process trusts the sandbox's certificate authority."""
    sandbox.reset()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(REAL_PREFIXES)}
    content: dict[str, Any] = yaml.safe_load(sandbox.settings_file(kind).read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", sandbox.env["REQUESTS_CA_BUNDLE"])
        yield Finding(sandbox, folder, content, {**kept, **sandbox.env})
