"""PostgreSQL, its connections or the CRM fail during a pull: the page is rolled back, the next run continues."""

from __future__ import annotations

import os
import select
import signal
import socket
import socketserver
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gainsight_pipelines.embedded.server import EmbeddedServer, embedded_server
from gainsight_pipelines.errors import CredentialsRejected, GateClosed, ObjectBusy, PermanentError, TransientError
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import LeaseLost
from gainsight_pipelines.store.migrate import check_version
from gainsight_pipelines.sync import SyncReport
from gainsight_pipelines.sync.context import PullContext
from gainsight_pipelines.sync.run import locked
from gainsight_pipelines_tests.pulling import Pulling, pulling_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.store.test_connection import full_disk, is_waiting
from gainsight_pipelines_tests.sync.test_product_usage import FACTS
from gainsight_pipelines_tests.waiting import wait_until

PAGE = 100
QUICK = {"fsync": "off"}  # these tests kill only processes, never the machine


@pytest.fixture(scope="module")
def wide_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox with enough accounts for several HubSpot pages."""
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=600, accounts=330) as sandbox:
        yield sandbox


@pytest.fixture(params=["salesforce", "hubspot"])
def wide(
    request: pytest.FixtureRequest, wide_sandbox: RunningSandbox, postgres_server: EmbeddedServer
) -> Iterator[Pulling]:
    wide_sandbox.reset()
    with pulling_on(postgres_server, wide_sandbox, request.param) as found:
        yield found


def stored(pulling: Pulling) -> set[str]:
    return {row[0] for row in pulling.query("SELECT activity_id FROM activity")}


def last_run(pulling: Pulling) -> tuple[str, str | None, int, int]:
    """Status, error, records read and rows written of the last run of `activity`."""
    (row,) = pulling.query(
        """SELECT status, error, records_read, rows_written FROM sync_run
           WHERE object = 'activity' ORDER BY started_at DESC LIMIT 1"""
    )
    return row


def goes_on(pulling: Pulling, before: int) -> SyncReport:
    """Asserts that the next run continues after the last stored page and completes."""
    pulling.sandbox.reset()
    report = pulling.pull("activity")
    truth = set(pulling.truth("activity_timeline"))
    assert report.read <= len(truth) - before + PAGE
    assert stored(pulling) == truth
    assert pulling.pull("activity").written == 0
    return report


class Slow:
    """A pull of many slow pages, running in its own thread."""

    def __init__(self, pulling: Pulling, pool: ThreadPoolExecutor, run_id: str = "first") -> None:
        self._pulling = pulling
        pulling.sandbox.switch(page_cap=PAGE, gainsight_delay=0.4)
        self.result: Future[SyncReport] = pool.submit(pulling.pull, "activity", run_id)

    def wait_for_a_page(self) -> None:
        wait_until(lambda: len(stored(self._pulling)) >= PAGE or self.result.done())
        assert not self.result.done()

    def end_connection(self, purpose: str) -> None:
        """Terminates the pull's connection, as a network failure or a DBA would."""
        ended = self._pulling.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE %s",
            (f"gainsight_pipelines {purpose} activity first%",),
        )
        assert ended == [(True,)]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as found:
        yield found


def test_a_lost_lease_ends_the_run_before_its_next_page(pulling: Pulling, pool: ThreadPoolExecutor) -> None:
    pulling.pull("company")
    slow = Slow(pulling, pool)
    slow.wait_for_a_page()
    pulling.query_and_commit("DELETE FROM lease")  # as if the run had not renewed its lease for half a minute
    with pytest.raises(LeaseLost, match="This run lost `activity`"):
        slow.result.result(30)
    before = len(stored(pulling))
    assert PAGE <= before < len(pulling.truth("activity_timeline"))
    assert last_run(pulling)[0] == "failed"
    goes_on(pulling, before)


def test_a_run_that_lost_its_lease_overwrites_nothing(pulling: Pulling, pool: ThreadPoolExecutor) -> None:
    slow = Slow(pulling, pool)
    slow.wait_for_a_page()
    pulling.query_and_commit("DELETE FROM lease")
    second = pulling.pull("activity", "second")
    with pytest.raises((LeaseLost, ObjectBusy)):
        slow.result.result(30)
    assert second.status == "completed"
    assert stored(pulling) == set(pulling.truth("activity_timeline"))
    assert pulling.query("SELECT DISTINCT run_id FROM sync_cursor WHERE object = 'activity'") == [("second",)]


def test_a_connection_lost_during_a_pull(pulling: Pulling, pool: ThreadPoolExecutor) -> None:
    """As in a database failover: the run opens a new connection and continues after its last page."""
    slow = Slow(pulling, pool)
    slow.wait_for_a_page()
    slow.end_connection("sync")
    report = slow.result.result(60)
    truth = set(pulling.truth("activity_timeline"))
    assert stored(pulling) == truth
    assert report.written == len(truth), "each once"
    assert last_run(pulling)[0] == "completed"
    assert [note for note in report.notes if "connection to it was lost. The run went on from its last page" in note]


def test_a_connection_lost_after_the_last_statement_leaves_the_outcome_all_the_same(pulling: Pulling) -> None:
    def work(context: PullContext) -> None:
        pid = context.connection.info.backend_pid
        pulling.query("SELECT pg_terminate_backend(%s)", (pid,))
        wait_until(lambda: pulling.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)) == [])
        assert not context.connection.broken, "nobody has noticed"

    run = locked(pulling.store, pulling.clock, "activity", "lost", pulling.prepared("activity", "lost"), work)
    assert run.status == last_run(pulling)[0] == "completed"


NEXT_VERSION = "UPDATE schema_version SET version_num = '9999'"


def test_an_old_version_finishes_beside_tables_that_a_newer_one_has_added_to(
    pulling: Pulling, pool: ThreadPoolExecutor
) -> None:
    slow = Slow(pulling, pool)
    slow.wait_for_a_page()
    pulling.query_and_commit(f"ALTER TABLE activity ADD COLUMN mood text NOT NULL DEFAULT 'good'; {NEXT_VERSION}")
    assert slow.result.result(30).status == "completed"
    assert stored(pulling) == set(pulling.truth("activity_timeline"))
    with pytest.raises(PermanentError, match="at version 9999, newer than this program"):
        check_version(pulling.store)


@pytest.mark.parametrize(
    "change",
    ["DROP COLUMN body_text CASCADE", "ADD CHECK (run_id <> 'first') NOT VALID"],
)
def test_an_old_version_stops_where_a_newer_one_has_changed_what_it_needs(
    pulling: Pulling, pool: ThreadPoolExecutor, change: str
) -> None:
    slow = Slow(pulling, pool)
    slow.wait_for_a_page()
    before = len(stored(pulling))
    pulling.query_and_commit(f"ALTER TABLE activity {change}; {NEXT_VERSION}")
    with pytest.raises(PermanentError, match=r"at version 9999, newer than this program, which knows \d+") as caught:
        slow.result.result(30)
    assert "Install the version" in str(caught.value)
    assert len(stored(pulling)) >= before
    assert last_run(pulling)[0] == "failed"


class ForgetfulNetwork(socketserver.ThreadingTCPServer):
    """A proxy to PostgreSQL that drops one connection: after a page's commit, before the client gets the response."""

    daemon_threads = True

    def __init__(self, socket_file: str) -> None:
        super().__init__(("127.0.0.1", 0), ForgetfulConnection)
        self.socket_file = socket_file
        self.has_forgotten = False


class ForgetfulConnection(socketserver.BaseRequestHandler):
    server: ForgetfulNetwork

    def handle(self) -> None:
        is_page = False
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(self.server.socket_file)
            ends = {self.request: there, there: self.request}
            while True:
                for end in select.select([*ends], [], [])[0]:
                    said = end.recv(65536)
                    if not said:
                        return
                    is_page |= end is self.request and b"UPDATE sync_run" in said and b'"records_read"' in said
                    if is_page and end is there and b"COMMIT\0" in said and not self.server.has_forgotten:
                        self.server.has_forgotten = True
                        return
                    ends[end].sendall(said)


def pull_over_a_forgetful_network(pulling: Pulling, name: str) -> SyncReport:
    direct = pulling.store
    with psycopg.connect(direct.url) as connection:
        socket_file = f"{connection.info.host}/.s.PGSQL.{connection.info.port}"
    with ForgetfulNetwork(socket_file) as network:
        Thread(target=network.serve_forever, daemon=True).start()
        pulling.store = Store(make_conninfo(direct.url, host="127.0.0.1", port=network.server_address[1]))
        report = pulling.pull(name)
        pulling.store = direct
        network.shutdown()
    assert network.has_forgotten
    assert any("The run went on from its last page" in note for note in report.notes)
    return report


def test_a_commit_whose_answer_is_lost_counts_once(pulling: Pulling) -> None:
    """The page was committed, but the response was lost: the run checks the database before it continues."""
    pulling.pull("company")
    pulling.sandbox.switch(page_cap=PAGE)
    report = pull_over_a_forgetful_network(pulling, "activity")
    truth = pulling.truth("activity_timeline")
    assert stored(pulling) == set(truth)
    assert report.written == len(truth)
    assert last_run(pulling)[3] == len(truth)


def test_a_full_read_restarts_after_a_lost_connection(pulling: Pulling) -> None:
    """The staged rows are lost with the connection; after the restart each is counted once."""
    pulling.content["product_usage"] = FACTS
    report = pull_over_a_forgetful_network(pulling, "product_usage")
    assert report.read == report.written == 40
    assert report.matched + sum(report.unmatched.values()) == 40
    assert pulling.query("SELECT count(*) FROM usage_metric WHERE deleted_at IS NULL") == [(40,)]


def test_postgresql_killed_during_a_pull(small_sandbox: RunningSandbox, pool: ThreadPoolExecutor) -> None:
    """Committed pages are still stored after the server restarts."""
    small_sandbox.reset()
    folder = Path(tempfile.mkdtemp(prefix="gp-")) / "pg"
    with embedded_server(folder, QUICK, temporary=True) as server, pulling_on(server, small_sandbox) as pulling:
        slow = Slow(pulling, pool)
        slow.wait_for_a_page()
        os.kill(int((folder / "data" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        with pytest.raises(TransientError, match="can't be reached"):
            slow.result.result(30)
        wait_until(lambda: not server.is_running())
        with embedded_server(folder, QUICK, temporary=True):
            before = len(stored(pulling))
            assert before >= PAGE
            assert pulling.query("SELECT status FROM sync_run") == [("running",)]
            goes_on(pulling, before)
            statuses = pulling.query("SELECT status FROM sync_run ORDER BY started_at")
            assert statuses[:2] == [("failed",), ("completed",)]
    wait_until(lambda: not folder.exists())
    folder.parent.rmdir()


def test_a_full_disk_rolls_the_page_back(pulling: Pulling) -> None:
    # A page's transaction writes to this table too; it is empty, so it grows block by block.
    with pulling.store.connect("test") as connection, full_disk(connection, "company_link"):
        with pytest.raises(PermanentError, match="is full"):
            pulling.pull("activity")
        # The whole page is rolled back: no records counted as read, and the cursor hasn't moved.
        status, error, read, written = last_run(pulling)
        assert (status, read, written) == ("failed", 0, 0)
        assert error == "The database is full: the page was rolled back. Free disk space, then run again."
        cursors = connection.execute(
            "SELECT modified_at FROM sync_cursor WHERE object = 'activity' AND scope = 'pull'"
        ).fetchall()
        assert cursors == [(None,)]
    goes_on(pulling, 0)


def test_a_deadlock_repeats_the_page(pulling: Pulling, pool: ThreadPoolExecutor) -> None:
    """Another transaction and the page's wait for each other; PostgreSQL aborts the page's, and it is retried."""
    pulling.pull("company")
    (first,), (last,) = pulling.query(
        "SELECT min(company_gsid) FROM company_link UNION ALL SELECT max(company_gsid) FROM company_link"
    )
    with pulling.store.connect("other") as other:
        other.autocommit = False
        other.execute("SET deadlock_timeout = '1min'")  # so that PostgreSQL aborts the page's transaction
        other.execute("SELECT 1 FROM company_link WHERE company_gsid = %s FOR UPDATE", (last,))
        run = pool.submit(pulling.pull, "company")
        pulling.sandbox.edit(
            *({"object": "company", "gsid": gsid, "values": {"Name": "New"}} for gsid in (first, last))
        )
        wait_until(lambda: is_waiting(pulling.store, "sync company") or run.done())
        assert not run.done()
        other.execute("SELECT 1 FROM company_link WHERE company_gsid = %s FOR UPDATE", (first,))
        other.rollback()
    report = run.result(30)
    assert report.status == "completed"


def lose_the_crm(pulling: Pulling, calls: int | None = None) -> None:
    """Takes the CRM down after the first page of accounts; login, organisation, fields, HubSpot's owners precede it."""
    before = {"salesforce": 4, "hubspot": 5}[pulling.content["primary_crm"]["kind"]]
    pulling.sandbox.switch(crm_page_cap=PAGE, crm_down_after=before, crm_down_calls=calls)


def test_a_crm_that_goes_down_during_a_refresh_and_comes_back(wide: Pulling) -> None:
    """The calls are retried for about half a minute, so a short outage only delays the run."""
    lose_the_crm(wide, calls=6)
    start = wide.clock.now()
    report = wide.pull("activity")
    assert report.status == "completed"
    assert timedelta(seconds=20) < wide.clock.now() - start < timedelta(seconds=90)


def test_a_blip_at_the_first_call_is_retried(wide: Pulling) -> None:
    """Two quick retries: a run that starts at that moment completes, and doesn't wait for the next tick."""
    wide.sandbox.switch(crm_down_after=0, crm_down_calls=2)
    assert wide.pull("company").status == "completed"
    assert timedelta(seconds=2) < wide.clock.ahead < timedelta(seconds=5)


def test_a_crm_that_goes_down_during_a_refresh_and_stays_down(wide: Pulling) -> None:
    """The run raises `GateClosed` without calling Gainsight or storing records; a later run reads everything."""
    lose_the_crm(wide)
    with pytest.raises(GateClosed, match="not available"):
        wide.pull("activity")
    assert last_run(wide)[0] == "gated"
    assert wide.sandbox.calls()["totals"].get("gainsight", 0) == 0
    assert stored(wide) == set()
    assert 0 < wide.query("SELECT count(*) FROM account")[0][0] < 330
    wide.sandbox.reset()
    wide.pull("activity")
    ((live,),) = wide.query("SELECT count(*) FROM account WHERE deleted_at IS NULL")
    kind = wide.content["primary_crm"]["kind"]
    accounts = wide.sandbox.truth()["accounts"][kind].values()
    assert live == sum(not each["deleted"] and not each["merged_into"] for each in accounts)
    assert stored(wide) == set(wide.truth("activity_timeline"))


def test_a_crm_token_that_expires_during_a_refresh(wide: Pulling) -> None:
    """A Salesforce token is renewed automatically; a HubSpot token can't be: the user has to replace it."""
    if wide.content["primary_crm"]["kind"] == "salesforce":
        wide.sandbox.switch(token_lifetime_calls=2)
        assert wide.pull("activity").status == "completed"
    else:
        wide.sandbox.switch(token_lifetime_calls=3)
        with pytest.raises(CredentialsRejected, match="HUBSPOT_ACCESS_TOKEN"):
            wide.pull("activity")
        assert wide.sandbox.calls()["totals"].get("gainsight", 0) == 0
        wide.sandbox.reset()
        wide.pull("activity")
    assert stored(wide) == set(wide.truth("activity_timeline"))
