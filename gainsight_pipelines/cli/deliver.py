"""`deliver`: copies tables to the warehouse in the settings."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.delivery.run import Delivery
from gainsight_pipelines.delivery.tables import Deliverable, deliverables
from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.extras import require
from gainsight_pipelines.settings import Secrets, settings_path
from gainsight_pipelines.settings.models import DeliverySettings

HOW = {"changes": "changes, merged", "whole": "all rows"}


def deliver_command(names: Sequence[str], *, is_full: bool, is_dry: bool, path: Path | None, as_json: bool) -> int:
    """Delivers one table after the other. Returns 1 if one failed; the others are still delivered."""
    require("warehouse", "`deliver`")
    with ProcessGroup(), open_workspace(path, is_looking=True) as workspace:  # TERM raises as well, as Ctrl-C does
        target = workspace.settings.of(DeliverySettings)
        if target is None:
            raise SettingsError(
                "The settings name no warehouse.", "Add a section `delivery` with a destination, like snowflake."
            )
        with workspace.store.connect("deliver") as connection:
            tables = deliverables(connection, names or target.tables or ())
        delivery = Delivery(workspace.store, target, Secrets.read(settings_path(path)), uuid.uuid4().hex)
        results: list[dict[str, Any]] = []
        try:
            results.extend(_deliver_table(delivery, table, is_full=is_full, is_dry=is_dry) for table in tables)
        except KeyboardInterrupt:
            output.say("Stopped. Nothing is lost: the next delivery continues from the last one of each table.")
            raise
    if as_json:
        output.print_json({"destination": target.destination, "dataset": target.dataset, "tables": results})
    elif is_dry:
        rows = [(each["table"], HOW.get(each["how"], ""), _count(each["rows"])) for each in results]
        title = f"To {target.destination}, dataset {target.dataset}"
        output.print_table(output.table_of(title, ("table", "sent", "rows"), rows, right=("rows",)))
    return 1 if any(each["error"] for each in results) else 0


def _deliver_table(delivery: Delivery, table: Deliverable, *, is_full: bool, is_dry: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"table": table.name, "how": None, "rows": None, "bytes": None, "error": None}
    try:
        if is_dry:
            plan = delivery.plan(table, is_full=is_full)
            return result | {"how": plan.how, "rows": plan.rows} | _inexact(table, plan.inexact)
        done = delivery.deliver(table, is_full=is_full, say=output.say)
    except PipelineError as error:
        output.say(str(error))
        return result | {"error": str(error)}
    output.say(f"{table.name}: {_count(done.rows)} rows sent ({HOW[done.how]})")
    return result | {"how": done.how, "rows": done.rows, "bytes": done.bytes} | _inexact(table, done.inexact)


def _inexact(table: Deliverable, inexact: Mapping[str, int]) -> dict[str, Any]:
    """Warns of values that the warehouse's types can't hold."""
    for column, number in inexact.items():
        values = "1 value is" if number == 1 else f"{number:,} values are"
        output.say(
            f"{table.name}.{column}: {values} rounded or empty in the warehouse, and exact in _exact_values"
            " (docs/delivery.md)"
        )
    return {"inexact": dict(inexact)} if inexact else {}


def _count(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"
