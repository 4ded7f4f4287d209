"""Where a command works: settings file, data folder, databases, and the environment that its child processes get."""

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
"""What HTTP libraries look up in the environment themselves; no secrets."""


def data_folder(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The data folder of a settings file: beside it."""
    return settings_path(path, environ).parent / DATA_FOLDER


def export_library_variables(secrets: Secrets, environ: MutableMapping[str, str]) -> None:
    """Puts what libraries want to find in the environment there, where only `.env` has it."""
    for name in LIBRARY_VARIABLES:
        value = secrets.get(name)
        if value and not environ.get(name):
            environ[name] = value


def say_mistakes(settings: Settings) -> None:
    """Tells of each broken or unknown section, whatever the command needs of them; a broken file is an error."""
    for section, error in settings.errors.items():
        output.say(f"{section}: {error}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything a command needs, open.

    `environ` is what child processes run with. It may hold secrets; no part of it becomes an argument of a process.
    """

    settings: Settings
    folder: Path
    store: Store
    environ: Mapping[str, str] = field(repr=False)
    server: EmbeddedServer | None

    def is_database_running(self) -> bool:
        """Whether the embedded server is still there; one of the user's own is not our concern."""
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
    """Opens databases (the embedded server where none is set) and migrates the product's.

    Where both databases are the user's own and there is no data folder yet, none is made: the command works in a
    temporary one.

    Args:
        path: the settings file; None: as the environment says.
        folder: the data folder; None: the one beside the settings file.
        environ: the environment to work in, and for child processes.
        is_looking: a database of the user's own is looked at as it is, never migrated.
        is_lasting: what runs print shall be there the next time as well, so a data folder is made where it can be.

    Raises:
        SettingsError: DAGSTER_HOME is set to what is no folder.
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
        # The settings page makes a file that isn't there yet, beside a Dagster that runs: it names no schema so far.
        named = settings if file.exists() else Settings()
        store = open_store(named, Secrets.read(file, environ), is_looking=is_looking)
        yield Workspace(settings, data, store, environ, server)
