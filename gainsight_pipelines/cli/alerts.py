"""`alerts`: lists firing alerts, and sends a test message to each target."""

from __future__ import annotations

import os
from pathlib import Path

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import export_library_variables, open_workspace
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.monitoring.alerts import alerts_of, firing_now, test_message
from gainsight_pipelines.monitoring.rules import RULES, unknown_objects
from gainsight_pipelines.monitoring.targets import targets
from gainsight_pipelines.scheduling.wording import ago
from gainsight_pipelines.settings import Secrets, load_settings, settings_path
from gainsight_pipelines.store import alerts as store_alerts

COLUMNS = ("object", "alert", "since", "sent", "what")


def list_command(*, path: Path | None, as_json: bool) -> int:
    """Prints the firing alerts and the messages that could not be delivered yet."""
    with open_workspace(path, is_looking=True) as workspace, workspace.store.connect("alerts list") as connection:
        settings, now = workspace.settings, SystemClock().now()
        unknown = unknown_objects(settings, alerts_of(settings))
        firing = firing_now(connection, settings, now)
        waiting, totals = store_alerts.waiting(connection), store_alerts.totals(connection)
    if as_json:
        document = {
            "firing": [
                {
                    "rule": each.rule,
                    "object": each.object or None,
                    "since": each.since,
                    "told_at": told_at,
                    "sentence": each.sentence,
                    "todo": each.todo or None,
                    "run_id": each.run_id,
                }
                for each, told_at in firing
            ],
            "waiting": [
                {
                    "rule": each.rule,
                    "object": each.object or None,
                    "target": each.target,
                    "made_at": each.made_at,
                    "attempts": each.attempts,
                    "problem": each.problem,
                }
                for each in waiting
            ],
            "messages": totals,
        }
        output.print_json(document)
        return 0
    for name in unknown:
        output.say(f"alerts.objects names {name}, which is not in the settings.")
    if not firing:
        output.print_line("Nothing is firing.")
    else:
        rows = [
            (
                each.object or "all",
                RULES[each.rule],
                ago(each.since, now),
                ago(told_at, now) if told_at else "not yet",
                f"{each.sentence} {each.todo}".strip(),
            )
            for each, told_at in firing
        ]
        output.print_table(output.table_of("Firing", COLUMNS, rows, whole=("object",)))
    for one in waiting:
        if one.problem:
            output.say(f"A message about {one.object or 'all objects'} will be sent again. {one.problem}")
    if totals["failed"]:
        output.say(f"{totals['failed']:,} messages could not be delivered and were dropped.")
    return 0


def test_command(*, path: Path | None, as_json: bool) -> int:
    """Sends a message to each target. Returns 1 if one failed."""
    file = settings_path(path)
    settings, secrets = load_settings(file), Secrets.read(file)
    export_library_variables(secrets, os.environ)
    if settings.file_error is not None:
        raise settings.file_error
    text = test_message(settings, SystemClock().now())
    results = [(target, target.send(text.title, text.body, is_recovery=True)) for target in targets(secrets)]
    if as_json:
        output.print_json(
            [
                {"target": target.number, "kind": target.kind, "delivered": problem is None, "problem": problem}
                for target, problem in results
            ]
        )
    else:
        for target, problem in results:
            output.print_line(f"{target}: {problem or 'delivered'}.")
        if "alerts" not in settings.errors and settings.alerts is None:
            output.say("The settings have no section `alerts` yet, so no alerts are sent: add `alerts: {}`.")
    return 1 if any(problem for _, problem in results) else 0
