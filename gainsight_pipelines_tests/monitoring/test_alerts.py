"""Alerts: each rule sends one message at its start and one at its end, to real servers, from any process."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.types.json import Jsonb

from gainsight_pipelines.errors import CredentialsRejected, PermanentError, SettingsError
from gainsight_pipelines.monitoring.alerts import LEASE, WAITS, Evaluated, evaluate, firing_now
from gainsight_pipelines.monitoring.rules import CATCHING_UP, RULES
from gainsight_pipelines.monitoring.targets import targets
from gainsight_pipelines.settings import ALERTS_VARIABLE, Secrets, Settings, parse_settings
from gainsight_pipelines.store import alerts as store_alerts
from gainsight_pipelines.store import runs
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.gate import Gate, save_gate
from gainsight_pipelines_tests.monitoring.inboxes import TOKEN, Hook, hook, mailbox
from gainsight_pipelines_tests.pulling import Pulling, ShiftedClock

SETTINGS: dict[str, Any] = {
    "gainsight": {"base_url": "https://acme.gainsightcloud.com"},
    "company": {},
    "activity": {},
    "surveys": {"objects": [{"object": "nps"}]},
    "alerts": {},
}
FINAL = {"failed_as": "refused"}
PASSING = {"failed_as": "try-again", runs.WORTH_RETRYING: True}


@dataclass
class Watched:
    """A store, the targets of its alerts, and a clock that the test moves."""

    store: Store
    hook: Hook
    content: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    urls: str = ""
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    count: int = 0

    @property
    def settings(self) -> Settings:
        return parse_settings(yaml.safe_dump(self.content))

    def look(self) -> Evaluated:
        """Evaluates the rules once, as a tick in a new process does."""
        secrets = Secrets.read(Path("/nowhere/gainsight.yaml"), {ALERTS_VARIABLE: self.urls or self.hook.url})
        return evaluate(self.store, self.settings, targets(secrets), self.clock, "https://dagster.example.com")

    def later(self, **span: float) -> None:
        self.clock.ahead += timedelta(**span)

    def run(self, name: str = "activity", status: str = "completed", **columns: Any) -> str:
        """Stores a run of one second that ended now, after all earlier runs."""
        self.later(minutes=1)
        self.count += 1
        values = {"records_read": 50, "rows_matched": 50} if status == "completed" else {"error": "It failed. Act."}
        values = values | {key: Jsonb(value) if isinstance(value, dict) else value for key, value in columns.items()}
        now, run_id = self.clock.now(), f"run-{self.count}"
        with self.store.connect("test") as connection:
            runs.start_run(connection, run_id, name, now)
            runs.update_run(connection, run_id, name, {"status": status, "finished_at": now, **values})
        return run_id

    def gate(self, *, is_open: bool, reason: str = "not_answering") -> None:
        """A gate check."""
        now = self.clock.now()
        with self.store.connect("test") as connection:
            save_gate(connection, Gate(is_open, "open" if is_open else reason, "It is away.", None, now, now))


@pytest.fixture
def inbox() -> Iterator[Hook]:
    with hook() as found:
        yield found


@pytest.fixture
def watched(store: Store, inbox: Hook) -> Watched:
    return Watched(store, inbox)


def failing(watched: Watched) -> None:
    watched.run(status="failed", details=PASSING)
    assert watched.look().firing == ()
    watched.run(status="gated")
    watched.run(status="skipped")
    watched.run(status="failed", details=PASSING)


def failing_for_good(watched: Watched) -> None:
    watched.run(status="failed", details=FINAL)


def late(watched: Watched) -> None:
    watched.run("activity")
    watched.later(hours=4.9)
    assert "late" not in {each.rule for each in watched.look().firing}
    watched.later(hours=0.2)


def gate_away(watched: Watched) -> None:
    watched.gate(is_open=False)
    watched.later(minutes=10)
    watched.gate(is_open=False, reason="not_evaluated")
    assert watched.look().firing == ()
    watched.later(minutes=6)


def many(watched: Watched, number: int, name: str = "activity", **columns: Any) -> None:
    for _ in range(number):
        watched.run(name, **columns)


def matches_less(watched: Watched) -> None:
    many(watched, 3)
    for _ in range(2):
        assert watched.look().firing == ()
        watched.run(rows_matched=30, rows_unmatched={"no_account": 20})


def noted(**columns: Any) -> Callable[[Watched], None]:
    """The check shows for a week what a run recorded, so it also warns after the next run."""

    def make(watched: Watched) -> None:
        watched.run(**columns)
        assert watched.look().firing == ()
        watched.run()

    return make


def limit_reached(watched: Watched) -> None:
    watched.run("survey_nps", is_truncated=True)
    assert watched.look().firing == ()
    watched.run("survey_nps", is_truncated=True)


def a_week_on(watched: Watched) -> None:
    watched.later(days=8)
    for name in ("company", "survey_nps", "activity"):
        watched.run(name)


def mapped(watched: Watched) -> None:
    watched.content["activity"] = {"reporting_categories": {"qbr call": "MEETING"}}


CASES: list[tuple[str, str, Callable[[Watched], object], Callable[[Watched], object]]] = [
    ("failing", "activity", failing, lambda watched: watched.run()),
    ("failing", "activity", failing_for_good, lambda watched: watched.run()),
    ("late", "activity", late, lambda watched: watched.run()),
    (
        "rejected",
        "activity",
        lambda watched: watched.run(records_rejected=3),
        lambda watched: (watched.run(records_read=0), watched.look(), watched.run()),
    ),
    ("gate", "", gate_away, lambda watched: watched.gate(is_open=True)),
    (
        "rejected_key",
        "",
        lambda watched: [
            watched.run(name, status="failed", details={"failed_as": "credentials-rejected"})
            for name in ("company", "activity", "survey_nps")
        ],
        lambda watched: watched.run("company"),
    ),
    (
        "rejected_key",
        "",
        lambda watched: watched.gate(is_open=False, reason="rejected"),
        lambda watched: watched.gate(is_open=True),
    ),
    ("match_rate", "activity", matches_less, lambda watched: watched.run()),
    ("response_limit", "survey_nps", limit_reached, lambda watched: watched.run("survey_nps")),
    ("schema_drift", "activity", noted(details={"schema_drift": {"added": ["X"]}}), a_week_on),
    ("unmapped_categories", "activity", noted(details={"unmapped_categories": {"QBR Call": 4}}), mapped),
    ("unreadable_values", "activity", noted(values_unreadable=2), a_week_on),
]


@pytest.mark.parametrize(
    ("rule", "name", "break_it", "mend_it"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)]
)
def test_a_rule_alerts_once_at_its_start_and_once_at_its_end(
    watched: Watched, rule: str, name: str, break_it: Callable[[Watched], object], mend_it: Callable[[Watched], object]
) -> None:
    assert watched.look().firing == ()
    break_it(watched)
    begun = watched.look()
    assert [(each.rule, each.object) for each in begun.firing] == [(rule, name)]
    for _ in range(2):
        watched.later(minutes=1)
        watched.look()
    title = f"[Gainsight acme.gainsightcloud.com] {f'{name}: ' if name else ''}{RULES[rule]}"
    assert watched.hook.titles() == [title]
    message = watched.hook.received[0]
    assert message["type"] == "warning"
    assert f"Object: {name or 'all'} (tenant acme.gainsightcloud.com)" in message["message"]
    assert f"Since: {begun.firing[0].since:%Y-%m-%d %H:%M} UTC" in message["message"]
    assert begun.firing[0].sentence in message["message"]
    mend_it(watched)
    for _ in range(2):
        watched.look()
    assert watched.hook.titles()[:2] == [title, f"Resolved: {title}"]
    assert len(watched.hook.received) == 2
    assert watched.hook.received[1]["type"] == "success"


def test_every_rule_is_among_the_cases() -> None:
    assert {case[0] for case in CASES} == set(RULES)


def test_an_email_names_object_start_and_remedy_and_links_to_the_run(watched: Watched) -> None:
    with mailbox() as post:
        watched.urls = post.url
        run_id = watched.run(status="failed", details=FINAL)
        started = watched.clock.now()
        watched.look()
        (mail,) = post.mails
        assert mail["Subject"] == "[Gainsight acme.gainsightcloud.com] activity: pull fails"
        assert mail["To"] == "ops@example.com"
        body = mail.get_body(("plain", "html"))
        assert body is not None
        text = body.get_content()
        for part in (
            "Object: activity",
            f"Since: {started:%Y-%m-%d %H:%M} UTC",
            "It failed. Act.",
            "docs/troubleshooting.md#refused",
            f"https://dagster.example.com/runs/{run_id}",
        ):
            assert part in text


def test_concurrent_evaluations_send_one_message(watched: Watched) -> None:
    watched.run(status="failed", details=FINAL)
    together = threading.Barrier(6)

    def tick() -> None:
        together.wait(20)
        watched.look()

    threads = [threading.Thread(target=tick) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    watched.look()
    assert len(watched.hook.received) == 1


def test_a_message_of_a_killed_sender_is_sent_by_another(watched: Watched, connection: psycopg.Connection) -> None:
    watched.hook.statuses = [500, 200]
    watched.run(status="failed", details=FINAL)
    watched.look()
    assert watched.hook.received == []
    watched.later(minutes=2)
    assert store_alerts.claim(connection, watched.clock.now(), LEASE) is not None, "it dies with this in hand"
    watched.look()
    assert watched.hook.received == []
    watched.clock.ahead += LEASE + timedelta(seconds=1)
    watched.look()
    assert len(watched.hook.received) == 1


def test_a_failing_target_is_retried_then_counted_and_delays_no_other(
    watched: Watched, connection: psycopg.Connection
) -> None:
    with mailbox() as post:
        watched.urls = f"{watched.hook.url} {post.url}"
        watched.hook.statuses = [503]
        watched.run(status="failed", details=FINAL)
        found = watched.look()
        assert found.problems == ("Target 1 (JSON): it responded with HTTP 503.",)
        assert len(post.mails) == 1
        (one,) = store_alerts.waiting(connection)
        assert (one.target, one.attempts, one.problem) == (1, 1, "Target 1 (JSON): it responded with HTTP 503.")
        watched.look()
        assert len(watched.hook.paths) == 1, "not before its time"
        for number, wait in enumerate(WAITS, start=2):
            watched.clock.ahead += wait
            watched.look()
            assert len(watched.hook.paths) == number
        assert store_alerts.waiting(connection) == []
        assert store_alerts.totals(connection) == {"delivered": 1, "failed": 1}
        watched.later(hours=1)
        watched.look()
        assert len(watched.hook.paths) == 1 + len(WAITS)
        assert len(post.mails) == 1


def test_the_end_of_an_alert_is_never_sent_before_its_start(watched: Watched) -> None:
    watched.hook.statuses = [500, 500, 200]
    watched.run(status="failed", details=FINAL)
    watched.look()
    watched.run()
    watched.look()
    assert len(watched.hook.paths) == 2
    assert watched.hook.received == []
    watched.later(minutes=5)
    watched.look()
    assert [title.startswith("Resolved") for title in watched.hook.titles()] == [False, True]


@pytest.mark.parametrize("is_there", [True, False])
def test_no_secret_is_logged_stored_or_shown(
    watched: Watched, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture, *, is_there: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", "urllib3.connectionpool"):
        caplog.set_level(logging.DEBUG, logger=name)
    watched.hook.statuses = [401]
    if not is_there:
        watched.urls = f"json://user:{TOKEN}@127.0.0.1:1/{TOKEN}"
    watched.run(status="failed", details=FINAL)
    found = watched.look()
    assert found.problems
    if is_there:
        assert watched.hook.paths == [f"/{TOKEN}"]
    assert TOKEN not in caplog.text + str(found)
    kept = connection.execute("SELECT m::text FROM alert_message m").fetchall()
    assert kept and TOKEN not in str(kept)
    assert "Alert not delivered" in caplog.text
    secrets = Secrets.read(Path("/nowhere/gainsight.yaml"), {ALERTS_VARIABLE: watched.hook.url})
    assert TOKEN not in f"{secrets} {targets(secrets)}"


def test_missing_and_invalid_targets_are_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{ALERTS_VARIABLE} is not set"):
        targets(Secrets.read(tmp_path / "gainsight.yaml", {}))
    wrong = {ALERTS_VARIABLE: f"json://127.0.0.1/a nonsense://{TOKEN}"}
    with pytest.raises(SettingsError, match="Target 2 of") as caught:
        targets(Secrets.read(tmp_path / "gainsight.yaml", wrong))
    assert TOKEN not in str(caught.value)
    (tmp_path / "urls").write_text("json://127.0.0.1/a\njson://127.0.0.1/b\n")
    found = targets(Secrets.read(tmp_path / "gainsight.yaml", {f"{ALERTS_VARIABLE}_FILE": str(tmp_path / "urls")}))
    assert [str(each) for each in found] == ["Target 1 (JSON)", "Target 2 (JSON)"]


def test_without_apprise_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # as if the package were not installed
    with pytest.raises(PermanentError, match=r'pip install "gainsight_pipelines\[alerts\]"'):
        targets(Secrets.read(tmp_path / "gainsight.yaml", {ALERTS_VARIABLE: f"json://127.0.0.1/{TOKEN}"}))


def test_rules_can_differ_or_be_off_per_object_and_for_all(watched: Watched) -> None:
    watched.content["alerts"] = {
        "failed_runs": 3,
        "objects": [
            {"object": "activity", "failed_runs": 1, "rejected": False},
            {"object": "surveys", "enabled": False},
        ],
    }
    for name in ("activity", "company", "survey_nps"):
        watched.run(name, status="failed", details=PASSING, records_rejected=1)
    assert {(each.rule, each.object) for each in watched.look().firing} == {
        ("failing", "activity"),
        ("rejected", "company"),
    }
    watched.content["alerts"] = {
        "failed_runs": 0,
        "late_turns": 0,
        "gate_minutes": 0,
        "rejected_key": False,
        "rejected": False,
        "checks": [],
    }
    watched.run(status="failed", details=FINAL, records_rejected=1)
    watched.gate(is_open=False)
    watched.later(days=30)
    assert watched.look().firing == ()
    assert [title for title in watched.hook.titles() if title.startswith("Resolved")] != []


def test_no_pull_is_late_while_the_crm_is_unavailable_and_for_an_hour_after(watched: Watched) -> None:
    watched.run("activity")
    watched.look()
    watched.gate(is_open=False)
    watched.later(days=3)
    assert {each.rule for each in watched.look().firing} == {"gate"}
    watched.gate(is_open=True)
    assert watched.look().firing == ()
    watched.clock.ahead += CATCHING_UP
    assert {each.rule for each in watched.look().firing} == {"late"}


def test_a_recovery_is_sent_only_if_the_problem_is_over(watched: Watched) -> None:
    watched.gate(is_open=False)
    watched.later(minutes=16)
    watched.look()
    watched.gate(is_open=False, reason="rejected")
    assert {each.rule for each in watched.look().firing} == {"gate", "rejected_key"}
    watched.gate(is_open=False)
    watched.look()
    assert not any(title.startswith("Resolved") for title in watched.hook.titles())
    watched.gate(is_open=True)
    assert watched.look().ended == 2


def test_turning_a_rule_off_claims_no_recovery(watched: Watched) -> None:
    watched.run(status="failed", details=FINAL)
    watched.look()
    watched.content["alerts"] = {"failed_runs": 0}
    assert watched.look().ended == 1
    assert "no longer ask for this alert" in watched.hook.received[-1]["message"]


def test_an_object_with_a_stopped_schedule_is_not_late(watched: Watched, connection: psycopg.Connection) -> None:
    watched.look()
    runs.note_stopped(connection, ["activity", "company", "survey_nps"])
    watched.later(days=9)
    assert watched.look().firing == ()


def test_a_run_stopped_by_a_person_is_no_permanent_failure(watched: Watched) -> None:
    watched.run(status="failed", details={"failed_as": "stopped"})
    assert watched.look().firing == ()


def test_the_list_shows_each_problem_and_when_it_was_sent(watched: Watched, connection: psycopg.Connection) -> None:
    watched.run(status="failed", details=FINAL)
    connection.execute("SET default_transaction_read_only = on")
    ((finding, told_at),) = firing_now(connection, watched.settings, watched.clock.now())
    assert (finding.rule, told_at) == ("failing", None)
    watched.look()
    ((finding, told_at),) = firing_now(connection, watched.settings, watched.clock.now())
    assert told_at is not None
    assert watched.hook.titles() == ["[Gainsight acme.gainsightcloud.com] activity: pull fails"]


def test_an_evaluation_is_quick_on_years_of_runs(watched: Watched, connection: psycopg.Connection) -> None:
    connection.execute(
        """INSERT INTO sync_run (run_id, object, status, started_at, finished_at, product_version, details)
           SELECT 'old' || n, 'activity', 'completed', now() - n * interval '1 hour', now(), '0',
                  jsonb_build_object('notes', repeat('x', 2000))
           FROM generate_series(1, 20000) AS n"""
    )
    connection.execute("ANALYZE sync_run")
    watched.look()
    before = watched.clock.monotonic()
    watched.look()
    assert watched.clock.monotonic() - before < 1.0


def test_a_rejected_key_in_real_pulls_alerts_once(pulling: Pulling, inbox: Hook) -> None:
    watched = Watched(pulling.store, inbox, pulling.content | {"alerts": {}}, clock=pulling.clock)
    pulling.pull("company")
    assert watched.look().firing == ()
    pulling.sandbox.switch(reject_key=True)
    for name in ("company", "activity"):
        with pytest.raises(CredentialsRejected):
            pulling.pull(name)
    assert [each.rule for each in watched.look().firing] == ["rejected_key"]
    assert "rejected" in watched.hook.received[0]["message"]
    pulling.sandbox.switch(reject_key=False)
    pulling.pull("company")
    assert watched.look().firing == ()
    assert [title.partition("] ")[2] for title in watched.hook.titles()] == ["key rejected", "key rejected"]


def test_a_closed_gate_keeps_its_start_when_the_reason_changes(connection: psycopg.Connection) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for minutes, reason in ((0, "not_answering"), (5, "not_evaluated"), (10, "not_answering")):
        at = began + timedelta(minutes=minutes)
        save_gate(connection, Gate(False, reason, "Away.", None, at, at))
    assert store_alerts.gate_closed_since(connection) == began
    at = began + timedelta(minutes=15)
    save_gate(connection, Gate(True, "open", "There.", 1, at, at))
    assert store_alerts.gate_closed_since(connection) is None
