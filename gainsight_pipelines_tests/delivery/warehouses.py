"""Real warehouses for deliveries: a DuckDB file, a second PostgreSQL database, a folder of Parquet files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import psycopg
import pytest
from psycopg.types.json import set_json_loads

from gainsight_pipelines.delivery.run import Delivery
from gainsight_pipelines.delivery.tables import deliverables
from gainsight_pipelines.delivery.warehouse import Delivered
from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.settings.models import DeliverySettings
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines_tests.databases import fresh_database

Rows = list[tuple[Any, ...]]

KINDS = ("duckdb", "postgres", "filesystem")


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A destination for deliveries, and a way to read it.

    `ask` takes columns and a table, and returns the rows.
    """

    target: DeliverySettings
    ask: Callable[[str, str], Rows]

    def deliver(self, store: Store, name: str, *, is_full: bool = False, **changed: Any) -> Delivered:
        """Delivers a table; `changed` overrides delivery settings."""
        target = self.target.model_copy(update=changed)
        with store.connect("test") as connection:
            [table] = deliverables(connection, [name])
        return Delivery(store, target, Secrets.read(), "r").deliver(table, is_full=is_full)


@contextmanager
def warehouse_of(kind: str, folder: Path, server: EmbeddedServer, patch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """An empty warehouse, with its credentials in the environment."""
    patch.chdir(folder)
    target = DeliverySettings(destination=kind, dataset="cs")
    if kind == "duckdb":
        patch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(folder / "w.duckdb"))

        def ask(columns: str, table: str) -> Rows:
            with duckdb.connect(str(folder / "w.duckdb"), read_only=True) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                return connection.execute(f"SELECT {columns} FROM cs.{table}").fetchall()

        yield Warehouse(target, ask)
    elif kind == "postgres":
        with fresh_database(server) as database:
            url = server.url(database)
            socket = f"host={urlsplit(url).query.partition('host=')[2]}"
            there = f"postgresql://postgres:unused@localhost:5432/{database}?{socket}"  # dlt requires password and host
            patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", there)

            def ask(columns: str, table: str) -> Rows:
                with psycopg.connect(url) as connection:
                    return rows_of(connection, columns, f"cs.{table}")

            yield Warehouse(target, ask)
    else:
        patch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", (folder / "files").as_uri())

        def ask(columns: str, table: str) -> Rows:
            with duckdb.connect() as connection:
                connection.execute("SET TimeZone = 'UTC'")
                files = folder / "files" / "cs" / table / "*.parquet"
                return connection.execute(
                    f"SELECT {columns} FROM read_parquet('{files}', union_by_name = true)"
                ).fetchall()

        yield Warehouse(target, ask)


def rows_of(connection: psycopg.Connection, columns: str, table: str) -> Rows:
    """Reads rows from PostgreSQL, with JSON as its text."""
    set_json_loads(bytes.decode, connection)
    return connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # type: ignore[arg-type]


def plain(rows: Rows) -> Rows:
    """Sorts the rows, and writes lists and JSON in one format that keeps all digits of their numbers."""

    def value(one: Any) -> Any:
        if isinstance(one, str) and one.startswith(("[", "{")):
            one = json.loads(one, parse_float=str)
        return json.dumps(one) if isinstance(one, (list, dict)) else one

    return sorted((tuple(value(one) for one in row) for row in rows), key=lambda row: str(row[0]))
