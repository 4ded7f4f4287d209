"""The settings file and the secrets: loading, validation and editing.

For readers: ``models`` (names, defaults, limits), ``loading`` (file to ``Settings``), ``secrets``, ``schema``, with
``yaml_document`` (YAML with line numbers), ``validators`` and ``mistakes`` (error texts) behind them. For writers,
imported separately: ``editing`` (with ``yaml_edit``, ``history``, ``files``) and ``dotenv_file``.
"""

from gainsight_pipelines.settings.loading import (
    DATA_FOLDER,
    DEFAULT_NAME,
    PATH_VARIABLE,
    Settings,
    load_settings,
    parse_settings,
    settings_of,
    settings_path,
)
from gainsight_pipelines.settings.models import (
    ALERTS_VARIABLE,
    SECTIONS,
    AccountFields,
    AlertSettings,
    CommonSettings,
    GainsightSettings,
    PrimaryCRMSettings,
    SchedulesSettings,
)
from gainsight_pipelines.settings.schema import settings_schema
from gainsight_pipelines.settings.secrets import Secrets, with_absolute_files

__all__ = [
    "ALERTS_VARIABLE",
    "DATA_FOLDER",
    "DEFAULT_NAME",
    "PATH_VARIABLE",
    "SECTIONS",
    "AccountFields",
    "AlertSettings",
    "CommonSettings",
    "GainsightSettings",
    "PrimaryCRMSettings",
    "SchedulesSettings",
    "Secrets",
    "Settings",
    "load_settings",
    "parse_settings",
    "settings_of",
    "settings_path",
    "settings_schema",
    "with_absolute_files",
]
