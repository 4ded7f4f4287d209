"""An hour of a company's edits in minutes, with faults and kills throughout: the tables end up equal to the truth.

`make soak` (ARGS="--minutes 10 --seed 3") runs it; the tests run a short one. Everything is real: the sandbox and
each pull are processes, PostgreSQL is the embedded server with all its safety on, kills are SIGKILL.

At the end the rows are compared with what the tenant itself returns, and every live row with those that an undisturbed
pull stores in a second database.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.sandbox.switches import Switches
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store
from gainsight_pipelines_tests.preloaded import python
from gainsight_pipelines_tests.product import REAL_PREFIXES
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

NAMES = ("company", "activity", "survey_survey_response", "product_usage")
SPEED = 15.0
"""How many seconds the tenant's clock moves in one of ours."""

PAGE = 100
"""The most records in a page: few, so that a small tenant has many pages."""

EDITS_A_SECOND = 12.0
RUNNERS = 2
WEEK_AND_A_DAY = 8 * 86_400.0
"""After this time, in seconds, every check for deletions is due."""

PULL_SECONDS = 60.0
UNDER_WAY = "soak"
UNDISTURBED = "undisturbed"

FAULTS: tuple[dict[str, Any], ...] = (
    {"server_errors_next": 2, "server_error_kind": "502"},
    {"server_errors_next": 3, "server_error_kind": "html"},
    {"server_errors_next": 6, "server_error_kind": "503"},
    {"rate_limit_next": 2},
    {"rate_limit_next": 1, "rate_limit_status": 200, "rate_limit_retry_after": "3"},
    {"truncate_next": 2},
    {"result_false_next": 1},
    {"gainsight_delay": 0.3},
    {"gainsight_down": True},
    {"reject_key": True},
    {"edit_while_reading": 4},
    {"case_drift": True},
    {"data_shape": "list", "date_format": "iso_ms"},
    {"date_format": "epoch_ms"},
    {"no_data": "legacy"},
    {"crm_down": True},
    {"crm_delay": 0.2},
    {"crm_down_after": 2, "crm_down_calls": 2},
    {"token_lifetime_calls": 3},
)
"""Switches of the sandbox that each last a second or so."""

BEHAVIOURS: tuple[dict[str, Any], ...] = ({}, {"delete_log": False}, {"order_by_ignored": True})
"""Switches that hold for a whole soak: one of these is chosen."""

COLUMNS = {
    # Without lookup names: when a name changes in another object, the record that shows it doesn't change.
    "company": """gsid, crm_id, name, account_id, match_method, unmatched_reason, match_candidates,
        (SELECT jsonb_object_agg(key, value) FROM jsonb_each(attributes) WHERE right(key, 6) <> '__name')""",
    "activity": """activity_id, source, source_object, company_gsid, activity_type, reporting_category, survey_type,
        nps_group, score, subject, body, body_text, occurred_at, duration_minutes, author, author_email,
        internal_attendees, external_attendees, custom_fields, account_id, match_method, unmatched_reason,
        match_candidates""",
    "usage_metric": """record_id, metric, company_gsid, product_name, dimension, value, secondary, observed_at,
        account_id, match_method, unmatched_reason, match_candidates""",
    "account": """account_id, name, domain, parent_account_id, arr, renewal_date, owner_id, owner_name, gsids""",
}
"""By table: the columns that must be equal in both databases, the key first."""


class Different(AssertionError):
    """The soak failed: the tables differ, or a part of it hangs or fails."""


@dataclass(slots=True)
class Soak:
    """A tenant that is edited, pulls that are killed, and their outcomes."""

    sandbox: RunningSandbox
    postgres: EmbeddedServer
    env: dict[str, str] = field(repr=False)
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    tracebacks: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    extra: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _calls: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ahead(self) -> float:
        """How far the tenant's clock is ahead of ours, in seconds."""
        return (time.monotonic() - self.started) * (SPEED - 1) + self.extra

    def run(self, seconds: float, is_enough: Callable[[], bool] = lambda: True) -> None:
        """Edits, injects faults, pulls and kills for this long; on a busy machine longer, until `is_enough`."""
        self._switch(page_cap=PAGE, **random.Random(self.seed).choice(BEHAVIOURS))
        works: list[Callable[[random.Random], None]] = [self._edit, self._disturb, self._kill_postgres]
        works += [self._pull] * RUNNERS
        threads = [
            threading.Thread(target=self._repeat, args=(work, random.Random(f"{self.seed} {number}")), daemon=True)
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        self._over.wait(seconds)
        last = time.monotonic() + PULL_SECONDS
        while not is_enough() and time.monotonic() < last:
            self._over.wait(0.1)
        self._over.set()
        for thread in threads:
            thread.join(PULL_SECONDS)
        if any(thread.is_alive() for thread in threads):
            raise Different("a part of the soak hangs")

    def settle(self) -> None:
        """Ends the faults, then pulls all objects into both databases, deletions included."""
        self._ask(self.sandbox.reset)
        self.extra += WEEK_AND_A_DAY
        # Companies come first: their new CRM ids reach the other objects' rows with those objects' next run.
        for database in (UNDER_WAY, UNDISTURBED):
            for name in NAMES:
                self._must_complete(name, database)

    def differences(self) -> list[str]:
        """The differences between the tables and what they should hold."""
        found = []
        for table, columns in COLUMNS.items():
            ours, theirs = (self._rows(database, table, columns) for database in (UNDER_WAY, UNDISTURBED))
            for row_key in sorted(ours.keys() | theirs.keys()):
                mine, right = ours.get(row_key), theirs.get(row_key)
                if mine != right and not (right is None and self._is_out_of_sight(table, row_key)):
                    found.append(f"{table} {row_key}: {mine} in the place of {right}")
        for object_name, table, fields, sql in (
            ("company", "company", ("Name",), "gsid, name"),
            ("activity_timeline", "activity", ("Subject", "Duration"), "activity_id, subject, duration_minutes::int"),
            ("product_usage__gc", "usage_metric", ("MetricValue__gc",), "record_id, value::float"),
        ):
            where = "source = 'timeline' AND " if table == "activity" else ""
            stored = self._query(UNDER_WAY, f"SELECT {sql} FROM {table} WHERE {where} deleted_at IS NULL")
            has = {row[0]: row[1:] for row in stored}
            right = {gsid: tuple(record[name] for name in fields) for gsid, record in self._tenant(object_name, fields)}
            found += [
                f"{object_name} {gsid}: {has.get(gsid)} in the place of {right.get(gsid)}"
                for gsid in sorted(has.keys() | right.keys())
                if has.get(gsid) != right.get(gsid)
            ]
        return found

    # -- the threads -----------------------------------------------------------------------------------------------

    def _repeat(self, work: Callable[[random.Random], None], chance: random.Random) -> None:
        while not self._over.is_set():
            work(chance)

    def _edit(self, chance: random.Random) -> None:
        with suppress(ValueError):  # the record or account may be deleted by now
            self._ask(lambda: self.sandbox.edit(*self._edits(chance)))
        self._over.wait(chance.expovariate(EDITS_A_SECOND))

    def _edits(self, chance: random.Random) -> list[dict[str, Any]]:
        truth = self.sandbox.truth()
        records = {name: sorted(truth["records"][name]) for name in truth["records"]}
        accounts = [each["key"] for each in truth["accounts"]["salesforce"].values() if not each["deleted"]]
        ids = {each["key"]: account_id for account_id, each in truth["accounts"]["salesforce"].items()}
        company, account = chance.choice(records["company"]), chance.choice(accounts)
        entry, usage = chance.choice(records["activity_timeline"]), chance.choice(records["product_usage__gc"])
        response, number = chance.choice(records["survey_response"]), chance.randrange(10**6)
        timeline = {"object": "activity_timeline"}
        kinds: list[tuple[int, dict[str, Any]]] = [
            (8, timeline | {"gsid": entry, "values": {"Subject": f"subject {number}", "Duration": number % 90}}),
            (3, timeline | {"gsid": entry, "values": {"ReportingCategory": chance.choice(["Call", "EMAIL", "Odd"])}}),
            (3, timeline | {"gsid": entry, "values": {"GsCompanyId": company}}),
            (6, timeline | {"action": "insert", "values": {"Subject": f"new {number}", "GsCompanyId": company}}),
            (2, timeline | {"action": "delete", "gsid": entry}),
            (1, timeline | {"action": "touch", "count": 400}),
            (3, {"object": "company", "gsid": company, "values": {"Name": f"company {number}"}}),
            (2, {"object": "company", "gsid": company, "values": {"SfdcAccountId": ids[account]}}),
            (1, {"object": "company", "gsid": company, "values": {"SfdcAccountId": None}}),
            (3, {"object": "survey_response", "gsid": response, "values": {"NPSScore": number % 11}}),
            (3, {"object": "product_usage__gc", "gsid": usage, "values": {"MetricValue__gc": number}}),
            (1, {"object": "product_usage__gc", "action": "delete", "gsid": usage}),
            (3, {"account": account, "values": {"name": f"account {number}"}}),
            (2, {"account": account, "values": {"gsid": company}}),
            (1, {"account": None, "action": "insert", "values": {"name": f"new {number}", "gsid": company}}),
        ]
        if len(accounts) > 30:
            kinds += [
                (1, {"account": account, "action": "delete"}),
                (1, {"account": account, "action": "merge", "into": chance.choice(sorted(set(accounts) - {account}))}),
            ]
        weights, edits = zip(*kinds, strict=True)
        return chance.choices(edits, weights)

    def _disturb(self, chance: random.Random) -> None:
        fault = chance.choice(FAULTS)
        self._switch(**fault)
        self.outcomes["faults"] += 1
        self._over.wait(chance.uniform(0.3, 1.5))
        healthy = Switches()  # a reset of the sandbox would set its clock back for a moment
        self._switch(**{name: getattr(healthy, name) for name in fault})
        self._over.wait(chance.uniform(0.2, 1.0))

    def _pull(self, chance: random.Random) -> None:
        name = chance.choice(NAMES)
        process = self._start(name, UNDER_WAY)
        seconds = chance.choice([chance.uniform(0.4, 3.0), PULL_SECONDS])
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.outcomes["pulls killed" if seconds < PULL_SECONDS else "pulls that hang"] += 1
        else:
            word = out.partition(": ")[2].partition(",")[0] or f"exit status {process.returncode}"
            self.outcomes[f"pulls: {word}"] += 1
        if "Traceback" in err:
            self.tracebacks.append(f"{name}\n{err[-3000:]}")

    def _kill_postgres(self, chance: random.Random) -> None:
        self._over.wait(chance.uniform(1.5, 5.0))
        if self._over.is_set():
            return
        if chance.random() < 0.5:
            with suppress(psycopg.OperationalError):
                self._query(
                    UNDER_WAY,
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name LIKE 'gainsight_pipelines%%'
                         AND pid <> pg_backend_pid()
                       ORDER BY random() LIMIT 1""",
                )
                self.outcomes["connections cut"] += 1
            return
        pid = int((self.postgres.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        self.outcomes["PostgreSQL killed"] += 1
        while self.postgres.is_running():
            time.sleep(0.01)
        again = EmbeddedServer(self.postgres.folder)
        again.open()
        self.postgres.close()
        self.postgres = again

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _ask(self, call: Callable[[], Any]) -> Any:
        """Calls the control endpoint, one thread at a time: the session isn't thread-safe."""
        with self._calls:
            return call()

    def _switch(self, **values: Any) -> None:
        self._ask(lambda: self.sandbox.switch(now_offset_seconds=self.ahead, **values))

    def _start(self, name: str, database: str) -> subprocess.Popen[str]:
        self._switch()
        return subprocess.Popen(
            [python(), "-m", "gainsight_pipelines_tests.pull_process", name, str(self.ahead)],
            env=self.env | {DATABASE_VARIABLE: self.postgres.url(database)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _must_complete(self, name: str, database: str) -> None:
        out, err = self._start(name, database).communicate(timeout=PULL_SECONDS)
        if ": completed" not in out:
            raise Different(f"a pull that nothing disturbs fails: {out}{err[-3000:]}")

    def _query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        with Store(self.postgres.url(database)).connect("soak") as connection:
            return connection.execute(statement.encode()).fetchall()

    def _rows(self, database: str, table: str, columns: str) -> dict[str, tuple[Any, ...]]:
        rows = self._query(database, f"SELECT {columns} FROM {table} WHERE deleted_at IS NULL")
        return {row[0]: row[1:] for row in rows}

    def _is_out_of_sight(self, table: str, key: str) -> bool:
        """Whether this is a survey response that has left the lookback: its row stays stored, as it should."""
        if table != "activity":
            return False
        rows = self._query(
            UNDER_WAY,
            f"SELECT 1 FROM activity WHERE activity_id = '{key}' AND source = 'survey'"
            f" AND occurred_at < now() + interval '{self.ahead} seconds' - interval '29 days'",
        )
        return bool(rows) and key in self.sandbox.truth("survey_response")

    def _tenant(self, object_name: str, fields: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The records that the tenant returns for a plain query, without any code of the product."""
        answer = self.sandbox.session.post(
            f"{self.sandbox.urls['gainsight']}/v1/data/objects/query/{object_name}",
            json={"select": ["Gsid", *fields], "limit": 5000, "offset": 0},
            headers={"accesskey": self.sandbox.env["GAINSIGHT_API_KEY"]},
            timeout=30,
            verify=self.sandbox.env.get("REQUESTS_CA_BUNDLE", True),
        )
        for record in answer.json()["data"]["records"]:
            yield record["Gsid"], record


@contextmanager
def soaking(folder: Path, seed: int, *, activities: int, accounts: int) -> Iterator[Soak]:
    """A sandbox and an embedded PostgreSQL with two databases, for the length of the block."""
    # The path has to be short: PostgreSQL's socket is in it.
    with (
        start_sandbox(folder / "sandbox", activities=activities, accounts=accounts, seed=seed) as sandbox,
        tempfile.TemporaryDirectory(prefix="soak-") as short,
    ):
        postgres = EmbeddedServer(Path(short) / "pg", temporary=True)
        postgres.open()
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            for name in (UNDER_WAY, UNDISTURBED):
                connection.execute(f"CREATE DATABASE {name}".encode())
        kept = {name: value for name, value in os.environ.items() if not name.startswith(REAL_PREFIXES)}
        settings = {"GAINSIGHT_PIPELINES_SETTINGS": str(sandbox.settings_file())}
        soak = Soak(sandbox, postgres, kept | sandbox.env | settings, seed)
        try:
            yield soak
        finally:
            soak.postgres.close()
            while (soak.postgres.folder / "data").exists() and soak.postgres.is_running():
                time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0, help=f"of ours; the tenant's are {SPEED:g} times as many")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of edits, faults and kills")
    parser.add_argument("--activities", type=int, default=1500)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} min", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        soaking(Path(folder), options.seed, activities=options.activities, accounts=80) as soak,
    ):
        soak.run(options.minutes * 60)
        for what, count in sorted(soak.outcomes.items()):
            print(f"{count:6} {what}")
        soak.settle()
        found = soak.differences()
    for line in [*soak.tracebacks, *found[:20]]:
        print(line)
    print(f"{len(found)} differences, {len(soak.tracebacks)} tracebacks")
    return 1 if found or soak.tracebacks else 0


if __name__ == "__main__":
    sys.exit(main())
