"""A pull is one loop: read a page, map its records to rows, match them to accounts, write rows and cursor together.

Dagster, the command line and the settings page only start that loop or show its result.

`run` takes a pull from its lease to its record, `reads` decides what is read, `page_writer` writes it, `day_backfill`
reads days again; `context` is shared by all, and `report` is the result.
"""

from gainsight_pipelines.sync.context import Prepared, Services
from gainsight_pipelines.sync.report import SyncReport
from gainsight_pipelines.sync.run import sync

__all__ = ["Prepared", "Services", "SyncReport", "sync"]
