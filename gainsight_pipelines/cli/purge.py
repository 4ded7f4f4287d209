"""`purge`: deletes old runs from Dagster's storage and from `sync_run`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import open_workspace, say_mistakes
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.orchestration.instance import create_storage


def purge_command(*, days: int, rejected_days: int | None, is_dry: bool, path: Path | None, as_json: bool) -> int:
    """Deletes runs older than `days`, or says how many that would be."""
    with open_workspace(path, is_looking=True) as workspace:
        say_mistakes(workspace.settings)
        create_storage(workspace.environ)
        command = [sys.executable, "-m", "gainsight_pipelines.orchestration.purge", str(days)]
        done = subprocess.run(
            [
                *command,
                *([] if rejected_days is None else ["--rejected", str(rejected_days)]),
                *(["--dry-run"] if is_dry else []),
            ],
            env=dict(workspace.environ),
            stdout=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        raise PermanentError("The runs could not be deleted.", "See the messages above.")
    counts = json.loads(done.stdout)
    if as_json:
        output.print_json(counts | {"dry_run": is_dry})
    else:
        verb = "would be deleted" if is_dry else "were deleted"
        output.say(
            f"{counts['dagster_runs']:,} Dagster runs and {counts['sync_runs']:,} rows of sync_run older than {days}"
            f" days {verb}{_of_rejected(counts, rejected_days)}. Pulled data are kept."
        )
    return 0


def _of_rejected(counts: dict[str, int], days: int | None) -> str:
    return "" if days is None else f", {counts['rejected_records']:,} rejected records last seen over {days} days ago"
