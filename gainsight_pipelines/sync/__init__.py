"""One pull is one loop: read a page, map its records to rows, match them to accounts, write rows and cursor together.

Everything else (Dagster, the command line, the settings page) only starts that loop or shows its result.

`run` takes a pull from its lease to its record, `reads` decides what is read, `pages` writes it, `days` reads days
again; `context` is what they share and `report` what comes of it.
"""

from gainsight_pipelines.sync.context import Prepared, Services
from gainsight_pipelines.sync.report import SyncReport
from gainsight_pipelines.sync.run import sync

__all__ = ["Prepared", "Services", "SyncReport", "sync"]
