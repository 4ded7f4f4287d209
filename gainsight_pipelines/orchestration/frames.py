"""An IO manager that loads tables as DataFrames for downstream assets. Read only: pulls write the tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.tenant import OBJECT, OBJECT_COLUMN, TABLE, TIME_COLUMN, VIEW

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

    from gainsight_pipelines.store.frames import Wanted

NARROWED_BY = ("columns", "since", "until", "time_column", "decimals", "expand", "with_deleted")
"""The metadata keys of an input that narrow it."""


class GainsightFramesIOManager(dg.ConfigurableIOManager):
    """Loads the rows of a pull as a DataFrame.

    ```python
    @dg.asset(ins={"activity": dg.AssetIn(["gainsight", "activity"], metadata={"columns": ["account_id", "subject"]})})
    def meetings(activity: pd.DataFrame): ...
    ```

    The input's metadata narrow it: `columns`, `since` and `until` (ISO times) of `time_column`, `decimals` (`float` or
    `decimal` for numeric columns), `expand` (jsonb columns whose keys become columns), `with_deleted` (rows whose
    record no longer exists in Gainsight). An object without its own table is loaded from its typed view. In a
    partitioned asset, the default window is the partition's.
    """

    settings_path: str | None = Field(default=None, description="As in `GainsightResource`, like the other two.")
    inline_settings: str | None = None
    secrets_prefix: str = ""

    @classmethod
    def of(cls, tenant: GainsightResource) -> "GainsightFramesIOManager":
        """An IO manager for this tenant's store."""
        # Not a nested resource: Dagster would call a method that it has deprecated.
        return cls(
            settings_path=tenant.settings_path,
            inline_settings=tenant.inline_settings,
            secrets_prefix=tenant.secrets_prefix,
        )

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Pulls return no value, so this is only called by mistake."""
        raise dg.DagsterInvariantViolationError("GainsightFramesIOManager only reads: nothing is written through it.")

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """The DataFrame.

        Raises:
            dagster.Failure: the input's metadata ask for something that doesn't exist, or the store can't be reached.
        """
        from gainsight_pipelines.store.frames import read_frame

        try:
            store = self._tenant().open_store(is_looking=True)
            with store.connect(f"frame {context.asset_key.path[-1]}") as connection:
                frame = read_frame(connection, _wanted(context, connection))
        except PipelineError as error:
            raise as_failure(error) from None
        context.add_input_metadata({"rows": len(frame), "bytes": int(frame.memory_usage(deep=True).sum())})
        return frame

    def _tenant(self) -> GainsightResource:
        return GainsightResource(
            settings_path=self.settings_path, inline_settings=self.inline_settings, secrets_prefix=self.secrets_prefix
        )


def _wanted(context: dg.InputContext, connection: "psycopg.Connection") -> "Wanted":
    from gainsight_pipelines.store.frames import Wanted
    from gainsight_pipelines.store.views import view_name

    upstream: Mapping[str, Any] = (
        context.upstream_output.definition_metadata if context.upstream_output else None
    ) or {}
    if TABLE not in upstream:
        raise SettingsError(
            f"The asset {context.asset_key.to_user_string()} has no table of this package.",
            "Take its spec from build_gainsight_definitions or load_gainsight_asset_specs.",
        )
    table, view = _plain(upstream[TABLE]), view_name(connection, _plain(upstream.get(VIEW)))
    said = {name: _plain(value) for name, value in (context.definition_metadata or {}).items() if name in NARROWED_BY}
    since, until = _time(said.get("since")), _time(said.get("until"))
    step = context.step_context
    is_by_time = step.has_partitions and isinstance(step.run_partitions_def, dg.TimeWindowPartitionsDefinition)
    if is_by_time and since is None and until is None:
        since, until = step.partition_time_window
    time_column = said.get("time_column") or _plain(upstream.get(TIME_COLUMN))
    if time_column is None and {"since", "until"} & said.keys():
        raise SettingsError(
            f"{view or table} has no usual time column for `since` and `until`.",
            "Name its time column in `time_column`.",
        )
    mine = [(_plain(upstream[OBJECT_COLUMN]), _plain(upstream[OBJECT]))] if OBJECT_COLUMN in upstream else []
    return Wanted(
        table=view or table,
        columns=said.get("columns"),
        where=() if view else mine,
        time_column=time_column,
        since=since,
        until=until,
        decimals=said.get("decimals", "float"),
        expand=said.get("expand", ()),
        with_deleted=said.get("with_deleted", False),
    )


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _time(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise SettingsError(f"{value!r} is not a time.", "Write it like 2026-01-31 or 2026-01-31T10:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
