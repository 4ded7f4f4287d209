"""The environment variables for dlt during a delivery: the warehouse's credentials and our defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gainsight_pipelines.settings import Secrets

CREDENTIALS = "DESTINATION__"
"""Prefix of dlt's variables for a destination."""

WITHIN = {"memory_limit": "192MB", "threads": 1, "preserve_insertion_order": False}
"""DuckDB runs in this process, and would otherwise use most of the machine's memory."""

USUAL = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # failures become our errors, and the warnings are about what we do on purpose
    "LOAD__WORKERS": "1",  # the files of one table wait for each other; more workers would only use memory
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
    "DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG": json.dumps(WITHIN),
}
"""Defaults; the environment overrides them."""


@contextmanager
def dlt_environment(secrets: Secrets) -> Iterator[None]:
    """Sets the variables for dlt, and restores the environment at the end.

    Variables of a destination that are not this tenant's are unset meanwhile.

    Args:
        secrets: of the tenant, from the environment, `.env` or files.

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
