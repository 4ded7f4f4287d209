"""`deliver`: tables into the warehouse that the settings name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.extras import require
from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.delivery.tables import deliverables
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.settings import Secrets, settings_path
from gainsight_pipelines.settings.models import DeliverySettings

CREDENTIALS = "DESTINATION__"
"""How dlt's variables with a destination's credentials begin."""


def deliver_command(names: Sequence[str], *, is_full: bool, is_dry: bool, path: Path | None, as_json: bool) -> int:
    """Delivers one table after the other; 1 if one was refused, which leaves the others alone."""
    require("warehouse", "`deliver`")
    from gainsight_pipelines.delivery.warehouse import deliver, is_merged

    _export_credentials(path)
    with open_workspace(path, is_looking=True) as workspace:
        target = workspace.settings.of(DeliverySettings)
        if target is None:
            raise SettingsError(
                "The settings name no warehouse.", "Add a section `delivery` with a destination, like snowflake."
            )
        with workspace.store.connect("deliver") as connection:
            tables = deliverables(connection, names or target.tables or ())
        results: list[dict[str, Any]] = []
        for table in tables:
            how = "changes" if is_merged(table, target.destination, is_full=is_full) else "whole"
            result: dict[str, Any] = {"table": table.name, "how": how, "rows": None, "error": None}
            results.append(result)
            if is_dry:
                continue
            try:
                done = deliver(workspace.store, table, target.destination, target.dataset, is_full=is_full)
            except PipelineError as error:
                result["error"] = str(error)
                output.say(str(error))
            else:
                result["rows"] = done.rows
                output.say(f"{table.name}: {done.rows:,} rows sent ({how})")
    if as_json:
        output.print_json({"destination": target.destination, "dataset": target.dataset, "tables": results})
    elif is_dry:
        rows = [(each["table"], each["how"]) for each in results]
        output.print_table(
            output.table_of(f"To {target.destination}, dataset {target.dataset}", ("table", "how"), rows)
        )
    return 1 if any(each["error"] for each in results) else 0


def _export_credentials(path: Path | None) -> None:
    """Puts what dlt looks for in the environment there, where only `.env` has it."""
    secrets = Secrets.read(settings_path(path))
    for name in secrets.names():
        value = secrets.get(name)
        if name.startswith(CREDENTIALS) and value and not os.environ.get(name):
            os.environ[name] = value
