"""The project's own files: they agree with each other and with the code, and name nothing machine-specific."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
FOR_DEVELOPERS = [needed for extra in EXTRAS.values() for needed in extra]
PRODUCT, EVERYTHING = "requirements.lock", "requirements-dev.lock"
"""What `make demo` and `make dev` install, and what `make test` and `make check` install."""

OF_THE_PRODUCT = ("page", "sandbox", "embedded", "install")


def pinned(name: str) -> dict[str, Version]:
    """The versions that a lock file pins."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


@pytest.mark.parametrize("lock", [PRODUCT, EVERYTHING])
def test_the_lock_has_what_the_project_asks_for(lock: str) -> None:
    pins = pinned(lock)
    extras = OF_THE_PRODUCT if lock == PRODUCT else EXTRAS
    for needed in (*NEEDED, *(each for extra in extras for each in EXTRAS[extra])):
        version = pins.get(canonicalize_name(needed.name))
        assert version is not None, f"{needed} is missing in {lock}: make lock"
        assert version in needed.specifier, f"{lock} is older than pyproject.toml ({needed}): make lock"


def test_the_product_has_the_versions_that_are_tested_and_no_tools() -> None:
    product, everything = pinned(PRODUCT), pinned(EVERYTHING)
    assert {name: everything.get(name) for name in product} == product
    assert not {"pytest", "mypy", "ruff", "playwright", "hypothesis"} & product.keys()


@pytest.mark.parametrize("lock", [PRODUCT, EVERYTHING])
def test_the_lock_holds_no_address_and_no_path(lock: str) -> None:
    for line in (ROOT / lock).read_text("utf-8").splitlines():
        assert re.fullmatch(r"#.*| +# .*|[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+( ; .*)?|", line), line
        assert "://" not in line, line


def test_whatever_the_package_imports_is_declared() -> None:
    of_extras = [each for name, extra in EXTRAS.items() if name not in ("dev", "install") for each in extra]
    declared = {canonicalize_name(needed.name) for needed in [*NEEDED, *of_extras]}
    distributions = packages_distributions()
    missing = set()
    for path in (ROOT / "gainsight_pipelines").rglob("*.py"):
        for name in imported(ast.parse(path.read_text("utf-8"))):
            owners = {canonicalize_name(owner) for owner in distributions.get(name, ())}
            known = name == "gainsight_pipelines" or name in sys.stdlib_module_names
            if not known and not owners & declared:
                missing.add(f"{name} ({path.relative_to(ROOT)})")
    assert missing == set()


SANDBOX_OR_PAGE = ("sandbox", "page")
FORMATS = ("parquet_file.py", "xlsx_file.py", "warehouse.py")
"""Modules of `export` and `deliver` that are imported only to write such a file, or to a warehouse."""
ONCE_ASKED_FOR = {"apprise (monitoring/targets.py)"}
"""Imported by the function that needs it, which says so if it is missing: see monitoring/test_alerts.py."""


def test_the_core_imports_nothing_that_only_an_extra_brings() -> None:
    """A run pod installs only the core: no web server of ours, no sandbox, no PostgreSQL server."""
    core = {canonicalize_name(needed.name) for needed in NEEDED}
    distributions = packages_distributions()
    found = set()
    for path in (ROOT / "gainsight_pipelines").rglob("*.py"):
        if path.relative_to(ROOT / "gainsight_pipelines").parts[0] in SANDBOX_OR_PAGE or path.name in FORMATS:
            continue
        for name in imported(ast.parse(path.read_text("utf-8"))):
            owners = {canonicalize_name(owner) for owner in distributions.get(name, ())}
            if owners and not owners & core and name != "gainsight_pipelines":
                found.add(f"{name} ({path.relative_to(ROOT / 'gainsight_pipelines')})")
    assert found == ONCE_ASKED_FOR


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_each_dependency_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    listed = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    lines = re.findall(r'^    "[A-Za-z].*', listed, re.MULTILINE)
    assert len(lines) == len(NEEDED) + len(FOR_DEVELOPERS)
    assert [line for line in lines if not re.search(r'", +# \S', line)] == []


def test_every_file_of_the_package_is_in_the_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = ["pyproject.toml", "setup.cfg", "README.md", "LICENSE"]
    source.mkdir()
    for name in files:
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "gainsight_pipelines", source / "gainsight_pipelines", ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('..')"]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    paths = (source / "gainsight_pipelines").rglob("*")
    assert packed == {str(path.relative_to(source)) for path in paths if path.is_file()}


def test_make_alone_shows_the_help() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(["make"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {line.split()[1] for line in shown.splitlines()} == targets
    assert targets >= {"help", "demo", "dev", "test", "check", "lock", "clean"}


def test_the_example_environment_is_empty_where_a_secret_belongs() -> None:
    for line in (ROOT / ".env.example").read_text("utf-8").splitlines():
        name, _, value = line.removeprefix("#").partition("=")
        if re.search(r"KEY$|SECRET$|TOKEN$|PASSWORD$", name):
            assert value == "", line
