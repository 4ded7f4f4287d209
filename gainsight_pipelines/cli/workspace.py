"""The workspace of a command: settings file, data folder, databases, and the environment of child processes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gainsight_pipelines.cli import output
from gainsight_pipelines.orchestration.instance import (
    HOME_VARIABLE,
    STORAGE_VARIABLE,
    check_home,
    has_own_storage,
    prepare_home,
    storage_url,
)
from gainsight_pipelines.settings import (
    DATA_FOLDER,
    PATH_VARIABLE,
    Secrets,
    Settings,
    load_settings,
    settings_path,
    with_absolute_files,
)
from gainsight_pipelines.settings.database import open_store
from gainsight_pipelines.settings.files import check_writable, why_read_only
from gainsight_pipelines.store.connection import DATABASE_VARIABLE, Store

if TYPE_CHECKING:
    from gainsight_pipelines.embedded.server import EmbeddedServer


LIBRARY_VARIABLES = ("REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
"""Variables that HTTP libraries read from the environment; no secrets."""


def data_folder(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The data folder, beside the settings file."""
    return settings_path(path, environ).parent / DATA_FOLDER


def export_library_variables(secrets: Secrets, environ: MutableMapping[str, str]) -> None:
    """Copies variables that libraries read from `.env` to the environment."""
    for name in LIBRARY_VARIABLES:
        value = secrets.get(name)
        if value and not environ.get(name):
            environ[name] = value


def say_mistakes(settings: Settings) -> None:
    """Prints an error for each invalid or unknown section."""
    for section, error in settings.errors.items():
        output.say(f"{section}: {error}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The open workspace of a command.

    `environ` is the environment of child processes. It may hold secrets, which never become process arguments.
    """

    settings: Settings
    folder: Path
    store: Store
    environ: Mapping[str, str] = field(repr=False)
    server: EmbeddedServer | None

    def is_database_running(self) -> bool:
        """Whether the embedded server still runs; True for a server of the user's."""
        return self.server is None or self.server.is_running()


@contextmanager
def open_workspace(
    path: Path | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    is_looking: bool = False,
    is_lasting: bool = False,
) -> Iterator[Workspace]:
    """Opens the databases, starts the embedded server if none is set, and migrates our tables.

    If both databases are the user's own and there is no data folder yet, the command uses a temporary one.

    Args:
        path: settings file; None: from the environment.
        folder: data folder; None: beside the settings file.
        environ: environment for this command and its child processes.
        is_looking: the command only reads or deletes, so it never migrates a database of the user's.
        is_lasting: keep the output of runs, in a data folder that is created if possible.

    Raises:
        SettingsError: DAGSTER_HOME is not a folder.
        PipelineError: a database can't be started, reached or migrated.
    """
    environ = with_absolute_files(environ)
    file = settings_path(path, environ)
    secrets = Secrets.read(file, environ)
    export_library_variables(secrets, environ)
    data = folder or file.parent / DATA_FOLDER
    server: EmbeddedServer | None = None
    with ExitStack() as stack:
        product, dagster = secrets.get(DATABASE_VARIABLE), secrets.get(STORAGE_VARIABLE)
        is_looking = is_looking and product is not None
        home = environ.get(HOME_VARIABLE)
        is_theirs = dagster is None and home is not None and has_own_storage(Path(home))
        if product is None or (dagster is None and not is_theirs):
            from gainsight_pipelines.embedded.server import embedded_server

            check_writable(data, f"Name databases of your own by {DATABASE_VARIABLE} and {STORAGE_VARIABLE}.")
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            server = stack.enter_context(embedded_server(data / "postgres"))
            product = product or server.url("gainsight")
            dagster = dagster or (None if is_theirs else server.url("dagster", "psycopg2"))
        elif why_read_only(data / "dagster") is not None or not (is_lasting or data.is_dir()):
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gainsight_pipelines-")))
        environ = environ | {PATH_VARIABLE: str(file), DATABASE_VARIABLE: product}
        if dagster is not None:
            environ[STORAGE_VARIABLE] = storage_url(dagster)
        if home:
            if foreign := check_home(Path(home)):
                output.say(foreign)
        else:
            environ[HOME_VARIABLE] = str(prepare_home(data / "dagster"))
        settings = load_settings(file, environ)
        # The settings page may run before the file exists; there is no schema to name yet.
        named = settings if file.exists() else Settings()
        store = open_store(named, Secrets.read(file, environ), is_looking=is_looking)
        yield Workspace(settings, data, store, environ, server)
