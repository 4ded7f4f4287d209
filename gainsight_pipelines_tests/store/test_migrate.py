"""Migrations: what they make, where, and that released ones never change."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.server import programs
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import upgrade

DUMPS = Path(__file__).with_name("dumps")
NOISE = ("--", "SET ", "SELECT pg_catalog.set_config", "\\")


def dump(url: str) -> str:
    """The definitions that a database holds, without what differs from one pg_dump to the next."""
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments", "--dbname", url]
    done = subprocess.run([programs() / "pg_dump", *options], check=True, capture_output=True, text=True)
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if line and not line.startswith(NOISE))


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_released_migrations_make_what_they_always_made(database_url: str, revision: str) -> None:
    """The dumps were made when the migrations still named the schema themselves."""
    upgrade(Store(database_url), revision)
    assert dump(database_url) == (DUMPS / f"{revision}.sql").read_text("utf-8")
