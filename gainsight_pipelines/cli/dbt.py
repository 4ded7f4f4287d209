"""`dbt-sources`: dbt's sources for the assets of the settings."""

from __future__ import annotations

import sys
from pathlib import Path

from gainsight_pipelines.settings import load_settings, settings_path


def dbt_sources_command(*, name: str, path: Path | None) -> int:
    """Prints the YAML; needs no database."""
    from gainsight_pipelines.orchestration.build import load_gainsight_asset_specs
    from gainsight_pipelines.orchestration.dbt_sources import dbt_sources

    file = settings_path(path)
    settings = load_settings(file)
    if settings.file_error is not None:
        raise settings.file_error
    sys.stdout.write(dbt_sources(load_gainsight_asset_specs(file), settings.store.schema, name))
    return 0
