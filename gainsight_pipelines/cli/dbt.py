"""`dbt-sources`: dbt's sources for the assets of the settings, and staging models of the typed views."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gainsight_pipelines.cli import output
from gainsight_pipelines.errors import SettingsError, UsageError
from gainsight_pipelines.settings import load_settings, settings_path
from gainsight_pipelines.settings.models import DeliverySettings

if TYPE_CHECKING:
    from gainsight_pipelines.store.views import ViewOfObject

SOURCES = "gainsight_sources.yml"


def dbt_sources_command(
    *, name: str, prefix: str | None, key_prefix: str, into: Path | None, path: Path | None, is_delivered: bool = False
) -> int:
    """Prints the sources, which needs no database; or writes them, with models of the typed views, to a folder.

    Args:
        name: the name of the source.
        prefix: the prefix of the tenant's definitions, if it is not the default.
        key_prefix: the prefix of the assets' keys in the user's project, with slashes between its parts.
        is_delivered: the sources are the tables in the warehouse, downstream of their deliveries.
        into: the folder; None: print.
        path: the settings file.

    Raises:
        SettingsError: the settings can't be read, or name no warehouse to deliver to.
        UsageError: the prefix is not a valid name, or this command did not write a file in the folder.
    """
    from gainsight_pipelines.orchestration.build import load_gainsight_asset_specs
    from gainsight_pipelines.orchestration.dbt_models import view_files
    from gainsight_pipelines.orchestration.dbt_sources import dbt_sources, prefixed
    from gainsight_pipelines.orchestration.names import DEFAULT_PREFIX

    file = settings_path(path)
    settings = load_settings(file)
    if settings.file_error is not None:
        raise settings.file_error
    schema = settings.store.schema
    if is_delivered:
        target = settings.of(DeliverySettings)
        if target is None:
            raise SettingsError("The settings name no warehouse.", "Add a section `delivery` with a destination.")
        schema = target.dataset
    try:
        specs = load_gainsight_asset_specs(file, prefix=prefix or DEFAULT_PREFIX)
    except ValueError as error:
        raise UsageError(f"--{error}.") from None
    specs = prefixed(specs, [part for part in key_prefix.split("/") if part])
    sources = dbt_sources(specs, schema, name, is_delivered=is_delivered)
    if into is None:
        sys.stdout.write(sources)
        return 0
    files = {SOURCES: sources, **view_files(specs, _views(path), name, is_delivered=is_delivered)}
    _write(into, files)
    output.say(f"{len(files)} files are in {into}: the sources, and a staging model for each typed view.")
    return 0


def _views(path: Path | None) -> list[ViewOfObject]:
    from gainsight_pipelines.cli.workspace import open_workspace
    from gainsight_pipelines.store.views import typed_views

    with open_workspace(path, is_looking=True) as workspace, workspace.store.connect("dbt-sources") as connection:
        return typed_views(connection)


def _write(folder: Path, files: dict[str, str]) -> None:
    """Writes all files or none. Replaces only files that this command wrote."""
    for name in files:
        there = folder / name
        if there.exists() and "gainsight-pipelines dbt-sources" not in there.read_text("utf-8", "replace"):
            raise UsageError(f"This command did not write {there}.", "Move it, or name another folder with --into.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
