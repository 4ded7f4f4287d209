"""What dlt finds in the environment while it works: the warehouse's credentials, and what we ask of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gainsight_pipelines.settings import Secrets

CREDENTIALS = "DESTINATION__"
"""How dlt's variables with a destination's credentials begin."""

WITHIN = {"memory_limit": "192MB", "threads": 1, "preserve_insertion_order": False}
"""DuckDB works in our process, and would take most of the machine."""

USUAL = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # what fails is an error of ours, and it warns of what is meant
    "LOAD__WORKERS": "1",  # files of one table: more would only wait for each other, each with its memory
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
    "DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG": json.dumps(WITHIN),
}
"""Unless the environment says otherwise."""


@contextmanager
def dlt_environment(secrets: Secrets) -> Iterator[None]:
    """The environment as dlt is to find it, for the length of the block: it looks nowhere else.

    Args:
        secrets: of the tenant, which may stand in `.env` or in files alone. Another tenant's aren't to be found.

    Raises:
        SettingsError: a variable names a file that can't be read.
    """
    own = {name: value for name in secrets.names() if name.startswith(CREDENTIALS) and (value := secrets.get(name))}
    former = dict(os.environ)
    others = [name for name in former if name.startswith(CREDENTIALS) and name not in own]
    for name in others:
        del os.environ[name]
    os.environ.update(own)
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name in (*own, *USUAL, *others):
            if name in former:
                os.environ[name] = former[name]
            else:
                os.environ.pop(name, None)
