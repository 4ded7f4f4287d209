"""`python -m bench`: measures everything in one run, and writes the results as JSON and to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests

from bench import peers, product, report
from bench.measure import Cost, Failed, ServerCPU, run
from bench.server import running_server
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.embedded.server import EmbeddedServer, embedded_server
from gainsight_pipelines.orchestration.instance import (
    HOME_VARIABLE,
    STORAGE_VARIABLE,
    create_storage,
    prepare_home,
    storage_url,
)
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines.sync.clients import account_refresh
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results.json"
MEMORY_ROWS = (20_000, 400_000)


@dataclass(slots=True)
class Bench:
    """The servers of a benchmark, and its results so far."""

    url: str
    postgres: EmbeddedServer
    database_cpu: ServerCPU
    folder: Path
    results: list[dict[str, Any]]
    select: list[str]
    databases: int = 0

    def build(self, pull: str, rows: int) -> None:
        """Makes the server build a data set."""
        self.select = product.selection(pull)
        asked = {"object": product.OBJECTS[pull], "rows": rows, "select": self.select}
        answer = requests.post(f"{self.url}/bench/build", json=asked, timeout=600)
        answer.raise_for_status()

    def database(self, *, is_seeded: bool = False) -> str:
        """Creates a database, with our tables and accounts if `is_seeded`. Writes a checkpoint. Returns its name."""
        self.databases += 1
        name = f"bench_{self.databases}"
        self._administer(f"CREATE DATABASE {name}")
        if is_seeded:
            store = Store(self.postgres.url(name))
            migrate(store)
            clock = SystemClock()
            account_refresh(product.settings(self.url), store, product.StubCRM(), clock, "bench").run(clock.now())
        self._administer("CHECKPOINT")
        return name

    def drop(self, name: str) -> None:
        """Drops a database, to free disk space."""
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def script(self, rows: int, *, ahead: bool) -> Cost:
        """The plain script."""
        name = self.database(is_seeded=True)
        given = {"url": self.url, "database": self.postgres.url(name), "select": self.select, "ahead": ahead}
        command = [sys.executable, "-m", "bench.contenders.script", json.dumps(given)]
        cost = self.measured(report.AHEAD if ahead else report.SCRIPT, rows, "first", [command])
        self.drop(name)
        return cost

    def command(self, sandbox: RunningSandbox, rows: int) -> list[Cost]:
        """`gainsight-pipelines run activity`, with Dagster and a CRM."""
        product_database, dagster = self.database(), self.database()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "gainsight.yaml").write_text(product.SETTINGS.format(url=self.url))
        env = sandbox.env | {
            "GAINSIGHT_API_KEY": "bench",
            DATABASE_VARIABLE: self.postgres.url(product_database),
            STORAGE_VARIABLE: storage_url(self.postgres.url(dagster)),
            HOME_VARIABLE: str(prepare_home(folder / "dagster")),
        }
        env.pop("GAINSIGHT_BASE_URL", None)
        create_storage(os.environ | env)
        command = [sys.executable, "-m", "gainsight_pipelines.cli", "run", "activity"]
        runs = ("first", "nothing new")
        costs = [self.measured(report.COMMAND, rows, which, [command], env=env, folder=folder) for which in runs]
        self.drop(product_database)
        self.drop(dagster)
        return costs

    def pull(self, pull: str, rows: int, *, runs: tuple[str, ...] = ("first", "nothing new")) -> list[Cost]:
        """This project's pull of an object: all runs into the same database, which has the accounts already."""
        name = self.database(is_seeded=True)
        given = json.dumps({"url": self.url, "database": self.postgres.url(name), "pull": pull})
        costs = []
        for which in runs:
            if which == "one changed":
                asked = {"object": product.OBJECTS[pull], "number": rows // 2}
                requests.post(f"{self.url}/bench/touch", json=asked, timeout=60).raise_for_status()
            label = "gainsight_pipelines" if pull == "activity" else f"gainsight_pipelines: {pull}"
            costs.append(self.measured(label, rows, which, [[sys.executable, "-m", "bench.contenders.pull", given]]))
        self.drop(name)
        return costs

    def peer(self, peer: peers.Peer, rows: int) -> None:
        """A peer's first load, and a second run."""
        name = self.database()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for which in ("first", "nothing new"):
            commands = peer.commands(folder, self.url, self.postgres, name, self.select, is_second=which != "first")
            cost = self.measured(peer.label, rows, which, commands, env=peer.env, folder=folder)
            peer.keep(folder, cost.said)
        self.drop(name)

    def measured(self, label: str, rows: int, which: str, commands: list[list[str]], **how: Any) -> Cost:
        """Runs a program, records its cost and prints it."""
        requests.get(f"{self.url}/bench/counts", timeout=60)
        cost = run(commands, self.database_cpu, **how)
        counts = requests.get(f"{self.url}/bench/counts", timeout=60).json()
        load = os.getloadavg()[0]
        self.results.append(asdict(cost) | {"label": label, "rows": rows, "run": which, "counts": counts, "load": load})
        seconds = cost.said.get("seconds", cost.wall)
        say(
            f"{label:42} {rows:>9,} {which:12} {seconds:7.1f} s, its CPU {cost.cpu:6.1f} s, database's"
            f" {cost.database_cpu:5.1f} s, {cost.peak_mb:4.0f} MB, {counts.get('query', 0)} queries (load {load:.1f})"
        )
        return cost


def say(text: str) -> None:
    """Prints progress immediately."""
    print(text, flush=True)  # noqa: T201 - a program for a terminal


@contextmanager
def bench() -> Iterator[Bench]:
    """Runs the Gainsight server and a PostgreSQL with default (safe) settings; removes both at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        running_server() as url,
        embedded_server(Path(folder) / "pg") as postgres,
    ):
        yield Bench(url, postgres, ServerCPU(Path(folder) / "pg"), Path(folder), [], [])


def measure_activities(running: Bench, rows: int, rounds: int, sandbox: RunningSandbox) -> None:
    """Script and pull alternate, so that other load affects both."""
    running.build("activity", rows)
    for number in range(rounds):
        running.script(rows, ahead=False)
        running.script(rows, ahead=True)
        first = number == 0
        running.pull("activity", rows, runs=("first", "nothing new", "one changed") if first else ("first",))
        if first:
            running.build("activity", rows)  # removes the change of the third run
    running.command(sandbox, rows)


def main() -> None:
    options = _options()
    found = peers.installed() if options.peers else {}
    with bench() as running, start_sandbox(running.folder / "sandbox", activities=60, accounts=40) as sandbox:
        for rows in options.rows:
            measure_activities(running, rows, options.rounds, sandbox)
            if rows <= options.peers:
                for peer in found.values():
                    try:
                        running.peer(peer, rows)
                    except Failed as error:
                        say(f"{peer.label} failed: {error}")
        for pull in product.OBJECTS if options.memory else ():
            for rows in options.memory_rows:
                running.build(pull, rows)
                running.pull(pull, rows, runs=("first",))
    document = {
        "command": "make bench" + (f' ARGS="{options.shown}"' if options.shown else ""),
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": _machine(),
        "versions": _versions() | {name: peer.version for name, peer in found.items()},
        "results": running.results,
    }
    if options.keep:
        document = _merged(json.loads(options.keep.read_text()), document)
    RESULTS.write_text(json.dumps(document, indent=1))
    target = ROOT / "docs" / "benchmarks.md" if options.write else RESULTS.with_suffix(".md")
    report.write(document, target)
    say(f"written: {target.relative_to(ROOT)}")


def _merged(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return now | {
        "results": before["results"] + now["results"],
        "command": f"{before['command']}, then {now['command']}",
        "versions": before["versions"] | now["versions"],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 activities only, one round")
    parser.add_argument("--rows", type=int, nargs="*", help="numbers of activities (20000 200000); try 1000000")
    parser.add_argument(
        "--peers", type=int, default=20_000, help="measure dlt and Singer up to so many rows (0: never)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="rounds in which script and product alternate")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="without the table of memory")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md, not bench/results.md")
    parser.add_argument("--keep", type=Path, help="add to the results of an earlier run (bench/results.json)")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds, options.memory = options.rows or [20_000], 1, False
    if options.rows is None:
        options.rows = [20_000, 200_000]
    options.memory_rows = MEMORY_ROWS
    options.shown = " ".join(word for word in sys.argv[1:] if word != "--write")
    return options


def _machine() -> str:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {gigabytes:.0f} GB, {platform.system()} {platform.machine()}"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    from gainsight_pipelines import __version__

    names = ("psycopg", "orjson", "requests", "dagster")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the developer's own git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "gainsight_pipelines": f"{__version__} ({commit or 'no git'})",
        "Python": platform.python_version(),
        "PostgreSQL": "18, embedded, as it comes: fsync and synchronous_commit on",
        **{name: version(name) for name in names},
    }


if __name__ == "__main__":
    main()
