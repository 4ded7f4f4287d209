"""Pulls in the test's own process: quicker than the command line, and the test controls settings, clock and database.

Everything still goes over sockets to a sandbox and into a real PostgreSQL. What the commands and Dagster add is tested
through `product`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.settings import Settings, parse_settings
from gainsight_pipelines.settings.database import open_store
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines.sync import Prepared, SyncReport, clients, sync
from gainsight_pipelines_tests.databases import product_database
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox


@dataclass(slots=True)
class ShiftedClock:
    """The machine's clock, moved ahead by as much as the test says; it never waits."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass(slots=True)
class Pulling:
    """An installation whose pulls run in this process. `content` is the settings file; change it as you like."""

    sandbox: RunningSandbox
    store: Store
    content: dict[str, Any]
    clock: ShiftedClock = field(default_factory=ShiftedClock)

    @property
    def settings(self) -> Settings:
        """The settings as the product reads them."""
        return parse_settings(yaml.safe_dump(self.content))

    def prepared(self, name: str, run_id: str, **options: bool) -> Callable[[], Prepared]:
        """Returns the function that prepares a pull, as the product builds it; `options` go to `clients.prepare`."""
        settings = self.settings
        secrets = clients.read_secrets(settings)
        return lambda: clients.prepare(
            settings,
            name,
            run_id,
            self.store,
            lambda: clients.connect_crm(settings, secrets, self.clock),
            lambda store: clients.connect_gainsight(settings, secrets, self.clock, store),
            self.clock,
            **options,
        )

    def pull(self, name: str, run_id: str | None = None, **options: bool) -> SyncReport:
        """Pulls one object; raises what the pull raises."""
        run = run_id or uuid.uuid4().hex
        return sync(self.store, self.clock, name, run, self.prepared(name, run, **options))

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Queries the product's database."""
        with self.store.connect("test") as connection:
            return connection.execute(statement, parameters).fetchall()  # type: ignore[arg-type]

    def query_and_commit(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Changes the product's database behind its back."""
        with self.store.connect("test") as connection, connection.transaction():
            connection.execute(statement, parameters)  # type: ignore[arg-type]

    def truth(self, object_name: str) -> dict[str, dict[str, Any]]:
        """The sandbox's truth about the records of an object, by Gsid."""
        records: dict[str, dict[str, Any]] = self.sandbox.truth()["records"][object_name]
        return records

    def account_ids(self, kind: str = "salesforce") -> dict[int, str]:
        """The CRM's account ids, by the numbers of the accounts in the sandbox's truth."""
        return {each["key"]: account_id for account_id, each in self.sandbox.truth()["accounts"][kind].items()}


def until_noon() -> timedelta:
    """The time until noon (UTC) tomorrow: on a clock moved ahead by that much, no day ends during the test."""
    now = datetime.now(UTC)
    return datetime.combine(now.date() + timedelta(days=1), time_of_day(12), UTC) - now


def own_cadences(names: Sequence[str]) -> dict[str, str]:
    """`schedules` for tests of what is due: each of these last ticked twelve hours ago and next ticks in twelve.

    With the documented cadences the outcome would depend on the hour: just after a tick nothing is due yet.
    """
    tick = datetime.now(UTC) - timedelta(hours=12)
    return dict.fromkeys(names, f"{tick.minute} {tick.hour} * * *")


@contextmanager
def pulling_on(server: EmbeddedServer, sandbox: RunningSandbox, kind: str = "salesforce") -> Iterator[Pulling]:
    """Pulls with the sandbox's settings for that CRM into an empty database; sets the credentials in `os.environ`."""
    with product_database(server) as database, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(REAL_PREFIXES)]:
            patch.delenv(name)
        for name, value in {**sandbox.env, DATABASE_VARIABLE: server.url(database)}.items():
            patch.setenv(name, value)
        content: dict[str, Any] = yaml.safe_load(Path(sandbox.settings_file(kind)).read_text())
        settings = parse_settings(yaml.safe_dump(content))
        store = open_store(settings, clients.read_secrets(settings))
        yield Pulling(sandbox, store, content)


@pytest.fixture(scope="module")
def small_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A small sandbox, which the tests of a module share; their edits stay."""
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture
def pulling(small_sandbox: RunningSandbox, postgres_server: EmbeddedServer) -> Iterator[Pulling]:
    """Pulls from the small sandbox, free of faults, with Salesforce and an empty database."""
    small_sandbox.reset()
    with pulling_on(postgres_server, small_sandbox) as found:
        yield found
