"""The alert rules of the section `alerts`: evaluated from the store alone, in milliseconds.

A finding that is not `is_due` neither starts nor ends an alert: it is too recent, or follows from a finding that has
its own alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

import psycopg

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.objects.activity_types import NO_CATEGORY, category_key
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.scheduling.cadence import cadence_of
from gainsight_pipelines.settings import AlertSettings, Settings
from gainsight_pipelines.settings.pulls import configured_pulls
from gainsight_pipelines.store import runs
from gainsight_pipelines.store.alerts import (
    TENANT,
    EndedRun,
    Noted,
    gate_closed_since,
    noted_since,
    recent_runs,
)
from gainsight_pipelines.store.gate import Gate, find_gate
from gainsight_pipelines.store.history import REMEMBERED, TRAILING_RUNS, MatchRates
from gainsight_pipelines.text import name_key

CREDENTIALS = "credentials-rejected"
"""The value in `sync_run.details` for a run whose key was rejected."""

STOPPED = "stopped"

CATCHING_UP = timedelta(hours=1)
"""After the primary CRM is back, missed pulls have this long to complete."""

RULES: Mapping[str, str] = {
    "failing": "pull fails",
    "late": "no recent pull",
    "rejected": "records rejected",
    "gate": "primary CRM unavailable",
    "rejected_key": "key rejected",
    "match_rate": "fewer matches",
    "response_limit": "response limit reached",
    "schema_drift": "fields changed",
    "unmapped_categories": "unmapped categories",
    "unreadable_values": "unreadable values",
}
"""Each rule in words."""

RECOVERED: Mapping[str, str] = {
    "failing": "The last pull completed.",
    "late": "A pull has completed, or the schedule was stopped.",
    "rejected": "The last pull could store all that it read. Records rejected before stay in `rejected_record`.",
    "gate": "The primary CRM is available again; missed pulls run now.",
    "rejected_key": "The credentials are accepted again.",
    "match_rate": "The last pull matched as well as those before it.",
    "response_limit": "The last pull read everything within its window.",
    "schema_drift": "The fields have not changed again.",
    "unmapped_categories": "Every category is mapped, or no longer occurs.",
    "unreadable_values": "No further unreadable values have come.",
}
"""Each rule's recovery in a sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem.

    `object`: the pull; empty if it concerns all of them. `section`: the heading of docs/troubleshooting.md.
    """

    rule: str
    object: str
    since: datetime
    sentence: str
    todo: str
    section: str
    run_id: str | None = None
    is_due: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """Its identity: rule and object."""
        return self.rule, self.object


def rules_for(alerts: AlertSettings, name: str, section: str) -> AlertSettings:
    """The rules for one pull: its own row wins over its section's row, which wins over the general settings."""
    rows = {name_key(row.object): row for row in alerts.objects}
    row = rows.get(name) or rows.get(section)
    if row is None:
        return alerts
    if not row.enabled:
        return alerts.model_copy(update={"failed_runs": 0, "late_turns": 0.0, "rejected": False, "checks": ()})
    own = row.model_dump(exclude={"object", "enabled"}, exclude_none=True)
    return alerts.model_copy(update=own)


def unknown_objects(settings: Settings, alerts: AlertSettings) -> list[str]:
    """Objects in rows that are neither a pull nor a section: nothing uses those rows."""
    names = settings.object_names()
    known = {*names, *map(settings.section_of, names)}
    return [row.object for row in alerts.objects if name_key(row.object) not in known]


def is_asked_for(settings: Settings, alerts: AlertSettings, rule: str, name: str) -> bool:
    """Whether the settings have this rule for this object."""
    if name != TENANT and name not in settings.object_names():
        return False
    rules = rules_for(alerts, name, settings.section_of(name))
    thresholds = {
        "failing": rules.failed_runs,
        "late": rules.late_turns,
        "rejected": rules.rejected,
        "gate": rules.gate_minutes,
        "rejected_key": rules.rejected_key,
    }
    return bool(thresholds.get(rule, rules.warned_runs and rule in rules.checks))


def find(
    connection: psycopg.Connection,
    settings: Settings,
    alerts: AlertSettings,
    now: datetime,
    *,
    is_looking: bool = False,
) -> list[Finding]:
    """The current problems.

    Args:
        connection: to the store.
        settings: what is pulled, and when.
        alerts: the rules.
        now: the current time.
        is_looking: write nothing: don't start to watch objects that are new.
    """
    names = list(settings.object_names())
    recent = recent_runs(connection, names)
    found = [*_gate(connection, alerts, now), *_rejected_key(recent, alerts)]
    is_away = any(each.object == TENANT for each in found)
    cadences = {name: cadence_of(settings, name) for name in names}
    watched = runs.watched_since(connection) if is_looking else runs.watch_objects(connection, names, now)
    late = _Late(connection, watched, now, is_away=is_away)
    remembered = {name: max(REMEMBERED, 2 * cadence.longest_interval) for name, cadence in cadences.items()}
    noted = noted_since(connection, names, now - max(remembered.values(), default=REMEMBERED))
    pulls = configured_pulls(settings)
    for name in names:
        rules = rules_for(alerts, name, settings.section_of(name))
        found += _failing(name, recent[name], rules)
        found += late.of(name, rules.late_turns * cadences[name].longest_interval)
        found += _rejected(name, recent[name], rules)
        pull, since = pulls[name], now - remembered[name]
        known = [each for each in noted if each.object == name and each.started_at >= since]
        completed = [run for run in recent[name] if run.status == "completed"]
        if not rules.warned_runs:
            continue
        if isinstance(pull, SettingsError) or not completed:
            found += [_undecided(check, name, now) for check in rules.checks]
        else:
            for check in rules.checks:
                found += CHECKS[check](ObjectHistory(pull, completed, known, rules.warned_runs))
    return found


def _gate(connection: psycopg.Connection, alerts: AlertSettings, now: datetime) -> Iterator[Finding]:
    gate, closed_since = find_gate(connection), gate_closed_since(connection)
    if gate is None or closed_since is None:
        return
    if gate.reason == "rejected" and alerts.rejected_key:
        yield _key_rejected(TENANT, gate.since, gate.message, None)
        yield _undecided("gate", TENANT, closed_since)
        return
    yield _undecided("rejected_key", TENANT, closed_since)
    if alerts.gate_minutes:
        is_due = now - closed_since >= timedelta(minutes=alerts.gate_minutes)
        sentence = f"Nothing is pulled, as the primary CRM is unavailable: {gate.message}"
        yield Finding("gate", TENANT, closed_since, sentence, "", "primary-crm-not-answering", is_due=is_due)


def _undecided(rule: str, name: str, now: datetime) -> Finding:
    """An undecidable problem: its alert neither starts nor ends."""
    return Finding(rule, name, now, "Nothing new is known of it.", "", "troubleshooting", is_due=False)


def _rejected_key(recent: Mapping[str, Sequence[EndedRun]], alerts: AlertSettings) -> Iterator[Finding]:
    """One finding for all objects, since they share the key. The first completed run proves that it is accepted."""
    if not alerts.rejected_key:
        return
    telling = [
        run
        for of_object in recent.values()
        for run in of_object
        if run.status == "completed" or run.failed_as == CREDENTIALS
    ]
    telling.sort(key=lambda run: run.started_at, reverse=True)
    rejected = list(takewhile(lambda run: run.status == "failed", telling))
    if rejected:
        yield _key_rejected(TENANT, rejected[-1].started_at, rejected[0].error or "", rejected[0].run_id)


def _key_rejected(name: str, since: datetime, sentence: str, run_id: str | None) -> Finding:
    return Finding("rejected_key", name, since, sentence, "", CREDENTIALS, run_id)


def _failing(name: str, recent: Sequence[EndedRun], rules: AlertSettings) -> Iterator[Finding]:
    failed = list(takewhile(lambda run: run.status == "failed", recent))
    if rules.rejected_key:  # that rule reports them, once for all objects
        failed = [run for run in failed if run.failed_as != CREDENTIALS]
    if not failed or not rules.failed_runs:
        return
    last, count = failed[0], len(failed)
    is_final = not last.is_worth_retrying and last.failed_as != STOPPED
    how = f"The last {count} pulls failed" if count > 1 else "The last pull failed"
    what = f"{how}: {last.error}" if last.error else f"{how}."
    todo = "" if not is_final else "A retry won't help: somebody has to act."
    section = last.failed_as if last.failed_as not in (None, STOPPED, "unforeseen") else "try-again"
    assert section is not None
    is_due = is_final or count >= rules.failed_runs
    yield Finding("failing", name, failed[-1].started_at, what, todo, section, last.run_id, is_due)


class _Late:
    """When each object last completed, and what keeps all of them from completing."""

    def __init__(
        self, connection: psycopg.Connection, watched: Mapping[str, datetime], now: datetime, *, is_away: bool
    ) -> None:
        self._now = now
        self._completed = runs.last_completed(connection)
        self._watched = watched
        self._stopped = runs.stopped_objects(connection)
        gate: Gate | None = find_gate(connection)
        self._is_waiting = is_away or (gate is not None and (not gate.is_open or now - gate.since < CATCHING_UP))

    def of(self, name: str, allowed: timedelta) -> Iterator[Finding]:
        """A finding if the object's last completed pull is older than `allowed`; 0: no limit."""
        if not allowed or name in self._stopped:
            return
        completed = self._completed.get(name)
        since = (completed or self._watched.get(name, self._now)) + allowed
        if self._now <= since:
            return
        last = f"The last one that did began {completed:%Y-%m-%d %H:%M} UTC" if completed else "None ever did"
        yield Finding(
            "late",
            name,
            since,
            f"No pull has completed for longer than its cadence allows. {last}.",
            "Check that Dagster's daemon runs and the schedule is on; `gainsight-pipelines status` says what happened.",
            "troubleshooting",
            is_due=not self._is_waiting,
        )


def _rejected(name: str, recent: Sequence[EndedRun], rules: AlertSettings) -> Iterator[Finding]:
    if not rules.rejected:
        return
    # A pull that read nothing proves nothing, and neither does one that failed before reaching the same record again.
    telling = [run for run in recent if run.records_rejected or (run.status == "completed" and run.records_read)]
    bad = list(takewhile(lambda run: run.records_rejected, telling))
    if bad:
        yield Finding(
            "rejected",
            name,
            bad[-1].started_at,
            f"{_records(bad[0].records_rejected)} of the last pull could not be stored. They are kept in"
            " `rejected_record`, with the reason.",
            "The reasons are stored there. Correct the records in Gainsight; the next pull then stores them.",
            "rejected-records",
            bad[0].run_id,
        )


@dataclass(frozen=True, slots=True)
class ObjectHistory:
    """The input of a check: completed runs, newest first, and what recent runs noted, oldest first."""

    pull: ObjectPull
    completed: Sequence[EndedRun]
    noted: Sequence[Noted]
    runs: int

    def finding(self, check: str, bad: Sequence[EndedRun], sentence: str, todo: str, section: str) -> Iterator[Finding]:
        """The finding of a check that has warned for these runs, newest first."""
        if bad:
            yield Finding(
                check,
                self.pull.name,
                bad[-1].started_at,
                sentence,
                todo,
                section,
                bad[0].run_id,
                is_due=len(bad) >= self.runs,
            )

    def since_noted(self, is_bad: Callable[[Noted], object]) -> list[EndedRun]:
        """The runs during which something noted was within the check's window."""
        first = next((each.started_at for each in self.noted if is_bad(each)), None)
        return [] if first is None else [run for run in self.completed if run.started_at >= first]


def _match_rate(history: ObjectHistory) -> Iterator[Finding]:
    counted = [run for run in history.completed if run.rows]
    rates = [_rates(counted[number : number + TRAILING_RUNS + 1]) for number in range(history.runs)]
    bad = list(takewhile(lambda pair: not pair[1].is_good, zip(counted, rates, strict=False)))
    if bad:
        rate = bad[0][1]
        yield from history.finding(
            "match_rate",
            [run for run, _ in bad],
            f"The last pull found an account for {rate.matched / rate.rows:.0%} of its rows, those before it for"
            f" {rate.matched_before / rate.rows_before:.0%}.",
            f"`gainsight-pipelines unmatched {history.pull.name}` lists what has no account, and why.",
            "unmatched",
        )


def _rates(of: Sequence[EndedRun]) -> MatchRates:
    last, before = of[:1], of[1:]
    return MatchRates(
        sum(run.rows_matched for run in last),
        sum(run.rows for run in last),
        sum(run.rows_matched for run in before),
        sum(run.rows for run in before),
    )


def _response_limit(history: ObjectHistory) -> Iterator[Finding]:
    cut = list(takewhile(lambda run: run.is_truncated, history.completed))
    yield from history.finding(
        "response_limit",
        cut,
        f"The last pull was cut off at the limit of {history.pull.limit or 0:,} responses; the next one goes on.",
        f"Raise `{history.pull.section}.response_limit` if it stays so.",
        "response-limit",
    )


def _schema_drift(history: ObjectHistory) -> Iterator[Finding]:
    yield from history.finding(
        "schema_drift",
        history.since_noted(lambda each: each.schema_drift),
        f"Fields of `{history.pull.gainsight_object}` were added, removed or changed their type in Gainsight recently.",
        "Check that no setting names a removed field, and that downstream code can handle the change.",
        "schema-changed",
    )


def _unmapped_categories(history: ObjectHistory) -> Iterator[Finding]:
    if history.pull.categories is None:
        return
    mapped = {category_key(name) for name in (*history.pull.categories, NO_CATEGORY)}
    names = {
        name for each in history.noted for name in each.unmapped_categories or () if category_key(name) not in mapped
    }
    yield from history.finding(
        "unmapped_categories",
        history.since_noted(lambda each: names & set(each.unmapped_categories or ())),
        f"{len(names)} reporting {'category is' if len(names) == 1 else 'categories are'} not mapped; their entries are"
        " kept as TYPE_MANUAL.",
        f"`gainsight-pipelines categories` lists them; add them to `{history.pull.section}.reporting_categories`.",
        "unmapped-categories",
    )


def _unreadable_values(history: ObjectHistory) -> Iterator[Finding]:
    count = sum(each.values_unreadable for each in history.noted)
    yield from history.finding(
        "unreadable_values",
        history.since_noted(lambda each: each.values_unreadable),
        f"{_records(count, 'value')} of recent pulls could not be read; the columns are NULL.",
        f"They are kept in `{history.pull.table.name}.unreadable`: correct them in Gainsight, or the field's type.",
        "unreadable-values",
    )


def _records(count: int, what: str = "record") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


CHECKS: Mapping[str, Callable[[ObjectHistory], Iterator[Finding]]] = {
    "match_rate": _match_rate,
    "response_limit": _response_limit,
    "schema_drift": _schema_drift,
    "unmapped_categories": _unmapped_categories,
    "unreadable_values": _unreadable_values,
}
"""Each check that the settings can name."""
