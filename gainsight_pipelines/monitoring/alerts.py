"""Alerts: a message when something starts to be wrong, one when it is right again, and none between.

Whatever evaluates them, however often and in how many processes: the store says what has been told (`store/alerts.py`).
Nothing here is waited for by a pull, and no target that fails stops anything.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.monitoring.rules import HEALED, RULES, Finding, find, is_asked_for
from gainsight_pipelines.monitoring.targets import Target
from gainsight_pipelines.settings import AlertSettings, Secrets, Settings, validators
from gainsight_pipelines.store import alerts as store_alerts
from gainsight_pipelines.store.alerts import Message, Text
from gainsight_pipelines.store.connection import Store

UI_VARIABLE = "DAGSTER_WEBSERVER_URL"

WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""Before the second, third and fourth try of a message; then it is given up."""

LEASE = timedelta(minutes=5)
"""How long a message belongs to whoever sends it."""

SENDING_SECONDS = 10.0
"""How long one evaluation begins to send messages; the next one goes on."""

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation found and did. `problems`: of targets, a sentence each."""

    firing: tuple[Finding, ...]
    begun: int
    ended: int
    delivered: int
    problems: tuple[str, ...]


def alerts_of(settings: Settings) -> AlertSettings:
    """The section `alerts`.

    Raises:
        SettingsError: there is none, it is turned off, or it is broken.
    """
    found = settings.alerts
    if found is None:
        raise SettingsError(
            "The settings have no section alerts, or turn it off, so nothing is watched.",
            "Add `alerts: {}`: it takes the defaults.",
        )
    return found


def ui_url(settings: Settings, secrets: Secrets) -> str | None:
    """The address of the Dagster UI for links: of the settings, else of the environment; None where neither has one."""
    try:
        return alerts_of(settings).dagster_url or validators.ui_url(secrets.get(UI_VARIABLE))
    except ValueError:
        return None


def evaluate(
    store: Store, settings: Settings, targets: Sequence[Target], clock: Clock, ui: str | None = None
) -> Evaluated:
    """Notes what began and what is over, and delivers the messages that are due.

    Args:
        store: the store.
        settings: the rules, and what they are about.
        targets: where messages go.
        clock: the source of time.
        ui: the address of the Dagster UI, for links to runs.

    Raises:
        SettingsError: the settings can't be used.
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
    """What is wrong, with when it was told; None: not yet. Tells nobody.

    Raises:
        SettingsError: the settings have no alerts, or can't be used.
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
    """One finding for each rule and object, one that is due over others."""
    ordered = sorted(found, key=lambda each: each.is_due)
    return list({each.key: each for each in ordered}.values())


def _deliver(connection: psycopg.Connection, targets: Sequence[Target], clock: Clock) -> tuple[int, tuple[str, ...]]:
    """Sends what is due, a message at a time, so that others can send the rest."""
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
    """The message of something that is wrong."""
    lines = [*_head(finding.object, finding.since, settings), finding.sentence]
    if finding.todo:
        lines.append(finding.todo)
    lines.append(f"More: docs/troubleshooting.md#{finding.section}")
    if finding.run_id and ui:
        lines.append(f"Run: {ui}/runs/{finding.run_id}")
    return Text(_title(finding.rule, finding.object, settings), "\n".join(lines))


def _ending(rule: str, name: str, since: datetime, settings: Settings, now: datetime) -> Text:
    is_watched = is_asked_for(settings, alerts_of(settings), rule, name)
    sentence = HEALED[rule] if is_watched else "The settings no longer ask for this alert."
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
