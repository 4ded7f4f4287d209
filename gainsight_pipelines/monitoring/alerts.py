"""Alerts: one message when a problem starts, one when it is over, and none in between.

Any number of processes may evaluate the rules: the store records what has been sent (`store/alerts.py`). No pull waits
for alerts, and a failing target stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.monitoring.rules import RECOVERED, RULES, Finding, find, is_asked_for
from gainsight_pipelines.monitoring.targets import Target
from gainsight_pipelines.settings import AlertSettings, Secrets, Settings, validators
from gainsight_pipelines.store import alerts as store_alerts
from gainsight_pipelines.store.alerts import Message, Text
from gainsight_pipelines.store.connection import Store

UI_VARIABLE = "DAGSTER_WEBSERVER_URL"

WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""Before the second, third and fourth attempt of a message; then it is given up."""

LEASE = timedelta(minutes=5)
"""How long a message belongs to the process that sends it."""

SENDING_SECONDS = 10.0
"""Seconds during which one evaluation starts to send messages; the next one continues."""

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result of an evaluation. `problems`: of targets, a sentence each."""

    firing: tuple[Finding, ...]
    begun: int
    ended: int
    delivered: int
    problems: tuple[str, ...]


def alerts_of(settings: Settings) -> AlertSettings:
    """The section `alerts`.

    Raises:
        SettingsError: it is missing, turned off or invalid.
    """
    found = settings.alerts
    if found is None:
        raise SettingsError(
            "The settings have no section alerts, or turn it off, so nothing is watched.",
            "Add `alerts: {}`: it takes the defaults.",
        )
    return found


def ui_url(settings: Settings, secrets: Secrets) -> str | None:
    """The address of the Dagster UI for links: from the settings or else the environment; None if neither has one."""
    try:
        return alerts_of(settings).dagster_url or validators.ui_url(secrets.get(UI_VARIABLE))
    except ValueError:
        return None


def evaluate(
    store: Store, settings: Settings, targets: Sequence[Target], clock: Clock, ui: str | None = None
) -> Evaluated:
    """Records problems that started or ended, and delivers the messages that are due.

    Args:
        store: the store.
        settings: the rules, and the objects they apply to.
        targets: where messages are sent.
        clock: the source of time.
        ui: the address of the Dagster UI, for links to runs.

    Raises:
        SettingsError: the settings are unusable.
        PipelineError: the store can't be reached.
    """
    now = clock.now()
    with store.connect("alerts") as connection:
        firing, begun, ended = _change(connection, settings, ui, len(targets), now)
        delivered, problems = _deliver(connection, targets, clock)
    return Evaluated(firing, begun, ended, delivered, problems)


def firing_now(
    connection: psycopg.Connection, settings: Settings, now: datetime
) -> list[tuple[Finding, datetime | None]]:
    """The current problems, each with the time of its alert (None: not sent yet). Sends nothing.

    Raises:
        SettingsError: the settings have no alerts, or are unusable.
    """
    told = store_alerts.firing(connection)
    found = _each_once(find(connection, settings, alerts_of(settings), now, is_looking=True))
    return [
        (each, told[each.key][1] if each.key in told else None) for each in found if each.is_due or each.key in told
    ]


def _change(
    connection: psycopg.Connection, settings: Settings, ui: str | None, targets: int, now: datetime
) -> tuple[tuple[Finding, ...], int, int]:
    told = store_alerts.firing(connection)
    found = _each_once(find(connection, settings, alerts_of(settings), now))
    begun = sum(
        store_alerts.begin(connection, each.rule, each.object, each.since, beginning(each, settings, ui), targets, now)
        for each in found
        if each.is_due and each.key not in told
    )
    keys = {each.key for each in found}
    ended = 0
    for rule, name in told.keys() - keys:
        text = _ending(rule, name, told[rule, name][0], settings, now)
        ended += store_alerts.end(connection, rule, name, text, targets, now)
    firing = tuple(each for each in found if each.is_due or each.key in told)
    return firing, begun, ended


def _each_once(found: Sequence[Finding]) -> list[Finding]:
    """One finding per rule and object, preferably one that is due."""
    ordered = sorted(found, key=lambda each: each.is_due)
    return list({each.key: each for each in ordered}.values())


def _deliver(connection: psycopg.Connection, targets: Sequence[Target], clock: Clock) -> tuple[int, tuple[str, ...]]:
    """Sends the messages that are due, one by one, so that other processes can send the rest."""
    known = {target.number: target for target in targets}
    ends, delivered, problems = clock.monotonic() + SENDING_SECONDS, 0, []
    while clock.monotonic() < ends:
        message = store_alerts.claim(connection, clock.now(), LEASE)
        if message is None:
            break
        problem = _send(message, known.get(message.target))
        if problem is None:
            store_alerts.settle(connection, message, "delivered")
            delivered += 1
            continue
        problems.append(problem)
        logger.warning("Alert not delivered: %s", problem)
        if message.attempts > len(WAITS):
            store_alerts.settle(connection, message, "failed")
        else:
            store_alerts.put_off(connection, message, problem, clock.now() + WAITS[message.attempts - 1])
    return delivered, tuple(problems)


def _send(message: Message, target: Target | None) -> str | None:
    if target is None:
        return f"There is no target {message.target} any more."
    problem = target.send(message.title, message.body, is_recovery=message.is_recovery)
    return None if problem is None else f"{target}: {problem}."


def beginning(finding: Finding, settings: Settings, ui: str | None) -> Text:
    """The message for a problem that started."""
    lines = [*_head(finding.object, finding.since, settings), finding.sentence]
    if finding.todo:
        lines.append(finding.todo)
    lines.append(f"More: docs/troubleshooting.md#{finding.section}")
    if finding.run_id and ui:
        lines.append(f"Run: {ui}/runs/{finding.run_id}")
    return Text(_title(finding.rule, finding.object, settings), "\n".join(lines))


def _ending(rule: str, name: str, since: datetime, settings: Settings, now: datetime) -> Text:
    is_watched = is_asked_for(settings, alerts_of(settings), rule, name)
    sentence = RECOVERED[rule] if is_watched else "The settings no longer ask for this alert."
    lines = [*_head(name, since, settings), f"Over: {now:%Y-%m-%d %H:%M} UTC", sentence]
    return Text(f"Resolved: {_title(rule, name, settings)}", "\n".join(line for line in lines if line))


def test_message(settings: Settings, now: datetime) -> Text:
    """The message of `alerts test`."""
    host = _host(settings)
    return Text(
        f"[Gainsight {host}] test of alerts",
        f"This is a test, sent at {now:%Y-%m-%d %H:%M} UTC. Alerts of the Gainsight tenant {host} arrive here.",
    )


def _title(rule: str, name: str, settings: Settings) -> str:
    what = RULES.get(rule, rule)
    return f"[Gainsight {_host(settings)}] {f'{name}: ' if name else ''}{what}"


def _head(name: str, since: datetime, settings: Settings) -> list[str]:
    return [f"Object: {name or 'all'} (tenant {_host(settings)})", f"Since: {since:%Y-%m-%d %H:%M} UTC"]


def _host(settings: Settings) -> str:
    return settings.tenant or "tenant"
