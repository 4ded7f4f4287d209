"""Discovers what only the tenant knows, for people who write settings: names, types, fill rates, categories, matches.

Knows neither the command line nor Dagster, and has no database: commands and the settings page show what is returned
here. Nothing here writes to Gainsight, the CRM or the product's tables.

`interactive_clients` creates clients with short timeouts, `cache` stores names for minutes, `catalog` serves pickers,
`categories` samples the timeline, `preview` shows what a pull or a filter would bring, `accounts` finds the accounts it
would match, `validation` checks everything that the settings name.
"""

from gainsight_pipelines.discovery.cache import DiskCache
from gainsight_pipelines.discovery.catalog import (
    CATALOG_LASTS,
    AccountFields,
    Catalog,
    Described,
    Fill,
    ObjectList,
    matching_names,
)
from gainsight_pipelines.discovery.interactive_clients import InteractiveClients

__all__ = [
    "CATALOG_LASTS",
    "AccountFields",
    "Catalog",
    "Described",
    "DiskCache",
    "Fill",
    "InteractiveClients",
    "ObjectList",
    "matching_names",
]
