"""What only the tenant knows, found out for people who write settings: names, types, fill, categories, matches.

Knows neither the command line nor Dagster nor a database of its own: commands and the settings page show what is
returned here. Nothing here writes to Gainsight, to the CRM or to the product's tables.

`connections` makes clients for somebody who is waiting, `cache` keeps names for minutes, `catalog` is what pickers ask,
`categories` samples the timeline, `preview` shows what a pull or a filter would bring, `accounts` whom it would match,
`validation` looks at everything that the settings name.
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
