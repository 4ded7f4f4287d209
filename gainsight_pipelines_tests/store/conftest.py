"""A migrated database and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate


@pytest.fixture
def store(database_url: str) -> Store:
    found = Store(database_url)
    migrate(found)
    return found


@pytest.fixture
def connection(store: Store) -> Iterator[psycopg.Connection]:
    with store.connect("test") as connection:
        yield connection
