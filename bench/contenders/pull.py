"""This project's pull of one object: the sync loop alone, without Dagster and the command line."""

from __future__ import annotations

import json
import resource
import sys
import time
import uuid

from bench import product
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import migrate
from gainsight_pipelines.sync import sync
from gainsight_pipelines.sync.clients import prepare


def main() -> None:
    given = json.loads(sys.argv[1])
    store, clock, run_id = Store(given["database"]), SystemClock(), uuid.uuid4().hex
    migrate(store)
    settings = product.settings(given["url"])
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    report = sync(
        store,
        clock,
        given["pull"],
        run_id,
        lambda: prepare(
            settings,
            given["pull"],
            run_id,
            store,
            product.StubCRM,  # type: ignore[arg-type]
            lambda *_store: product.client(given["url"]),
            clock,
        ),
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "seconds": seconds,
        "loop_cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "read": report.read,
        "written": report.written,
        "unchanged": report.unchanged,
        "unmatched": sum(report.unmatched.values()),
        "calls": report.calls,
        "notes": report.notes,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
