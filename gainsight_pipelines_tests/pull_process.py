"""One pull in a process of its own, for tests that kill it: the product without Dagster, which takes seconds to import.

`python -m gainsight_pipelines_tests.pull_process NAME AHEAD` pulls with a clock that is AHEAD seconds ahead of the
machine's. It prints the outcome on one line; the exit status is 0 if the pull completed or was skipped, 1 if it failed.
"""

from __future__ import annotations

import os
import sys
import uuid
from datetime import timedelta
from pathlib import Path

from gainsight_pipelines.errors import ObjectBusy, PipelineError
from gainsight_pipelines.settings import load_settings
from gainsight_pipelines.settings.database import open_store
from gainsight_pipelines.sync import Prepared, clients, sync
from gainsight_pipelines_tests.pulling import ShiftedClock


def main(name: str, ahead: float) -> int:
    settings = load_settings(Path(os.environ["GAINSIGHT_PIPELINES_SETTINGS"]))
    secrets = clients.read_secrets(settings)
    clock = ShiftedClock(timedelta(seconds=ahead))
    run_id = uuid.uuid4().hex
    try:
        store = open_store(settings, secrets)

        def prepare() -> Prepared:
            return clients.prepare(
                settings,
                name,
                run_id,
                store,
                lambda: clients.connect_crm(settings, secrets, clock),
                lambda store: clients.connect_gainsight(settings, secrets, clock, store),
                clock,
            )

        report = sync(store, clock, name, run_id, prepare)
    except ObjectBusy as error:
        print(f"{name}: skipped, {error}")
        return 0
    except PipelineError as error:
        print(f"{name}: {type(error).__name__}, {error}")
        return 1
    print(f"{name}: completed, {report.read} read, {report.written} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
