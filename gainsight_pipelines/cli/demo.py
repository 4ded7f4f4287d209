"""`demo`: starts the sandbox and a database, runs all pulls and shows the result. Needs no network."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.commands import print_results
from gainsight_pipelines.cli.invocation import dev_on_sandbox, program
from gainsight_pipelines.cli.pull_process import pull_process
from gainsight_pipelines.cli.runs import run_pulls
from gainsight_pipelines.cli.sandbox import sandbox_folder, start_sandbox
from gainsight_pipelines.cli.workspace import Workspace, open_workspace
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.protocol import CRM_NAMES, CRMKind
from gainsight_pipelines.embedded.processes import ProcessGroup

SAMPLE = """
SELECT name, domain, arr, renewal_date, owner_name, jsonb_array_length(companies), activities, surveys,
       usage_metrics, last_activity_at::date
FROM account_360 WHERE arr IS NOT NULL ORDER BY arr DESC, account_id LIMIT 6
"""
SAMPLE_LESS = ("usage", "companies", "owner", "renewal", "domain")
SAMPLE_COLUMNS = (
    "account", "domain", "ARR", "renewal", "owner", "companies", "activities", "responses", "usage", "last activity"
)  # fmt: skip


def demo_command(crm: CRMKind, *, as_json: bool) -> int:
    """Runs the demo. Returns 1 if a pull failed."""
    folder = sandbox_folder(crm)
    with ProcessGroup() as group, pull_process() as process:
        output.say(f"Starting a local Gainsight and {CRM_NAMES[crm]}, and PostgreSQL …")
        running, _ = start_sandbox(group, folder, crm)
        with open_workspace(running.settings_path, folder=folder, environ=running.environ) as workspace:
            output.say("Pulling …")
            results = run_pulls(process, workspace, workspace.settings.object_names(), SystemClock())
            title = f"Gainsight → PostgreSQL, accounts from {CRM_NAMES[crm]}"
            status = print_results(results, as_json=as_json, title=title)
            if not as_json:
                output.print_table("", _sample(workspace))
                output.say(_next(crm))
    return status


def _next(crm: CRMKind) -> str:
    steps = {
        dev_on_sandbox(crm): "the Dagster UI on this sandbox",
        f"{program()} init": "settings for your own tenant; then `run --all`",
    }
    return "\n".join(["\nNext:", *(f"  {command}\n      {what}" for command, what in steps.items())])


def _sample(workspace: Workspace) -> Any:
    with workspace.store.connect("sample") as connection:
        rows = connection.execute(SAMPLE).fetchall()
    numbers = ("ARR", "companies", "activities", "responses", "usage")
    texts = [
        [f"{value:,}" if isinstance(value, int | Decimal) else str(value if value is not None else "") for value in row]
        for row in rows
    ]
    return output.table_of("account_360: largest accounts", SAMPLE_COLUMNS, texts, right=numbers, less=SAMPLE_LESS)
