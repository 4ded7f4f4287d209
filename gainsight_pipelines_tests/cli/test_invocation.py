"""The commands that messages suggest can be run as they are printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gainsight_pipelines.cli.invocation import dev_on_sandbox, program

ROOT = Path(__file__).parents[2]


def test_make_is_suggested_only_beside_the_products_makefile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert dev_on_sandbox("salesforce") == "make dev"
    assert dev_on_sandbox("hubspot") == 'make dev ARGS="--crm hubspot"'
    monkeypatch.chdir(tmp_path)
    assert dev_on_sandbox("hubspot") == f"{program()} dev --sandbox --crm hubspot"
    (tmp_path / "Makefile").write_text("dev:\n\techo somebody's own\n")
    assert dev_on_sandbox("salesforce") == f"{program()} dev --sandbox"


def test_the_program_is_named_as_it_can_be_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    assert program() == "gainsight-pipelines"
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(tmp_path)
    assert program() == str(scripts / "gainsight-pipelines")
    monkeypatch.chdir(scripts.parent.parent)
    assert program() == f"{scripts.parent.name}/{scripts.name}/gainsight-pipelines"
