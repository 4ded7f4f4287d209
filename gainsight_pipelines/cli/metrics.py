"""`metrics`: prints the store's numbers for Prometheus, or serves them while the command runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.monitoring.metrics import exposition, registry_of
from gainsight_pipelines.monitoring.serve import serving
from gainsight_pipelines.settings import Secrets, Settings, load_settings, settings_path
from gainsight_pipelines.settings.database import open_store
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store


def metrics_command(*, port: int | None, host: str, path: Path | None) -> int:
    """Prints the metrics, or serves them until Ctrl-C or SIGTERM."""
    file = settings_path(path)

    def settings() -> Settings:
        return load_settings(file)

    with _store(file) as store:
        registry = registry_of(store, settings, SystemClock())
        if port is None:
            sys.stdout.write(exposition(registry).decode())
            return 0
        ended = threading.Event()

        def end(_signal: int, _frame: FrameType | None) -> None:
            ended.set()

        def ready() -> None:
            with store.connect("ready"):
                pass

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with serving(host, port, lambda: exposition(registry), ready) as served:
                shown = f"[{host}]" if ":" in host else host
                output.say(f"Metrics: http://{shown}:{served}/metrics (also /healthz, /readyz). Ctrl-C stops it.")
                ended.wait()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SettingsError(
                f"{host} port {port} can't be listened on: {reason}.", "Choose another --serve or --host."
            ) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return 0


@contextmanager
def _store(file: Path) -> Iterator[Store]:
    """The product's database, without Dagster's, which metrics do not need."""
    secrets = Secrets.read(file, os.environ)
    if secrets.get(DATABASE_VARIABLE):
        yield open_store(load_settings(file, os.environ), secrets, is_looking=True)
        return
    with open_workspace(file, is_looking=True) as workspace:
        yield workspace.store
