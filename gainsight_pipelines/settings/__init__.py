"""The settings file and the secrets: what other modules may know of them.

Submodules: ``models`` (names, defaults, limits), ``loading`` (file to ``Settings``), ``secrets``, ``schema``; behind
them ``document`` (YAML with line numbers), ``values`` (checks) and ``mistakes`` (error texts). Those that write are
imported by themselves: ``editing`` (the file; behind it ``roundtrip``, ``history``, ``files``) and ``dotenv_file``.
"""

from gainsight_pipelines.settings.loading import (
    DATA_FOLDER,
    DEFAULT_NAME,
    PATH_VARIABLE,
    PULLS,
    Settings,
    load_settings,
    parse_settings,
    section_of,
    settings_path,
    survey_name,
)
from gainsight_pipelines.settings.models import (
    DEFAULT_CATEGORIES,
    SECTIONS,
    AccountFields,
    ActivitySettings,
    ActivityTypeName,
    AggregateSettings,
    CommonSettings,
    CompanySettings,
    GainsightSettings,
    PrimaryCRMSettings,
    ProductUsageSettings,
    SchedulesSettings,
    SurveyObject,
    SurveysSettings,
    category_key,
)
from gainsight_pipelines.settings.schema import settings_schema
from gainsight_pipelines.settings.secrets import Secrets, with_absolute_files

__all__ = [
    "DATA_FOLDER",
    "DEFAULT_CATEGORIES",
    "DEFAULT_NAME",
    "PATH_VARIABLE",
    "PULLS",
    "SECTIONS",
    "AccountFields",
    "ActivitySettings",
    "ActivityTypeName",
    "AggregateSettings",
    "CommonSettings",
    "CompanySettings",
    "GainsightSettings",
    "PrimaryCRMSettings",
    "ProductUsageSettings",
    "SchedulesSettings",
    "Secrets",
    "Settings",
    "SurveyObject",
    "SurveysSettings",
    "category_key",
    "load_settings",
    "parse_settings",
    "section_of",
    "settings_path",
    "settings_schema",
    "survey_name",
    "with_absolute_files",
]
