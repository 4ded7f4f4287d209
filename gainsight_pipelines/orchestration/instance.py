"""The Dagster instance: its home folder, its configuration, and the tables of its storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings.files import write_whole
from gainsight_pipelines.store import waits
from gainsight_pipelines.store.connection import open_connection, translated_errors

if TYPE_CHECKING:
    import dagster as dg

HOME_VARIABLE = "DAGSTER_HOME"
STORAGE_VARIABLE = "DAGSTER_POSTGRES_URL"
LOCATION = "gainsight_pipelines.definitions"
"""The code location, as named in workspace.yaml."""

REPOSITORY_TAG = {".dagster/repository": f"__repository__@{LOCATION}"}
"""With this tag, a job's page lists runs that were started here."""

LOCK = 7_104_202
CONFIGURATION = Path(__file__).with_name("dagster.yaml")
HELD_SECONDS = 60
"""Age at which a held connection is replaced: no firewall between us and the database has dropped it by then."""

ENVIRONMENT_STORAGE = {
    "custom": {"module": "gainsight_pipelines.orchestration.storage", "class": "EnvironmentStorage", "config": {}}
}
"""The storage of the dagster.yaml at the root and in deploy/: that of this project, by another name."""

NEEDED = ("storage", "run_monitoring", "run_retries", "concurrency")
"""The parts of the configuration that this project depends on."""


def prepare_home(folder: Path) -> Path:
    """Makes a folder Dagster's home, with this project's configuration."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file, ours = folder / "dagster.yaml", CONFIGURATION.read_text("utf-8")
    # Written atomically, since runs of a running `dev` read it when they start.
    if not file.exists() or file.read_text("utf-8", "replace") != ours:
        write_whole(file, ours)
    return folder


def has_own_storage(folder: Path) -> bool:
    """Whether a Dagster home's own dagster.yaml says where its history is stored, instead of this project's."""
    try:
        theirs, ours = _read(folder / "dagster.yaml"), _read(CONFIGURATION)
    except (OSError, UnicodeDecodeError, YAMLError):
        return False
    return "storage" in theirs and not _keeps(theirs, ours, "storage")


def _keeps(theirs: Mapping[str, Any], ours: Mapping[str, Any], name: str) -> bool:
    """Whether a configuration says in one part what this project's says, and perhaps more."""
    found, wanted = theirs.get(name), ours[name]
    if name == "storage" and found == ENVIRONMENT_STORAGE:
        return True
    return isinstance(found, dict) and wanted.items() <= found.items()


def _read(file: Path) -> dict[str, Any]:
    document = YAML(typ="safe", pure=True).load(file.read_text("utf-8"))
    return document if isinstance(document, dict) else {}


def check_home(folder: Path) -> str | None:
    """What differs from this project in a Dagster home of the user's own, which is never written to.

    Returns:
        A sentence for the user, since runs follow that home's configuration; None if nothing differs.

    Raises:
        SettingsError: not a folder that Dagster can use.
    """
    if not folder.is_absolute() or not folder.is_dir():
        raise SettingsError(
            f"{HOME_VARIABLE} is set to {folder}, which is not an absolute path of a folder.",
            f"Create the folder, or unset {HOME_VARIABLE}: then one is created beside the settings file.",
        )
    found = folder / "dagster.yaml"
    try:
        if found.read_bytes() == CONFIGURATION.read_bytes():
            return None
        theirs, ours = _read(found), _read(CONFIGURATION)
        different = [name for name in NEEDED if not _keeps(theirs, ours, name)]
        what = f"has a dagster.yaml that isn't this project's in {', '.join(different)}" if different else None
    except FileNotFoundError:
        what = "has no dagster.yaml"
    except (OSError, UnicodeDecodeError, YAMLError):
        what = "has a dagster.yaml that can't be read"
    if what is None:
        return None
    return (
        f"{HOME_VARIABLE} is set to {folder}, which {what}: run storage, one run per object at a time and retries"
        " follow that file or Dagster's defaults. Copy this project's dagster.yaml there, or unset"
        f" {HOME_VARIABLE}."
    )


def storage_url(url: str) -> str:
    """A PostgreSQL URL with the driver that dagster-postgres needs."""
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg2://{rest}" if scheme in ("postgresql", "postgres") else url


@contextmanager
def creating_storage(url: str) -> Iterator[bool]:
    """Holds a lock on creating the tables of Dagster's storage; yields whether they are missing.

    Processes that open a fresh database at the same time crash in Dagster's own migration.

    Raises:
        TransientError: the database can't be reached.
    """
    plain = "postgresql://" + url.partition("://")[2]

    def holders() -> str:
        with open_connection(plain, "locks", variable=STORAGE_VARIABLE) as connection:
            return waits.holders(connection, advisory=LOCK)

    with (
        translated_errors(STORAGE_VARIABLE, holders),
        open_connection(plain, "dagster storage", variable=STORAGE_VARIABLE) as connection,
        connection.transaction(),
    ):
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        row = connection.execute("SELECT to_regclass('event_logs') IS NULL").fetchone()
        yield row is None or row[0]


def create_storage(environ: Mapping[str, str]) -> None:
    """Creates the tables of Dagster's storage if they are missing, before the processes that use them start.

    Raises:
        TransientError: the database can't be reached.
    """
    if STORAGE_VARIABLE not in environ:
        return  # named by the home's own configuration, so not ours to create
    url = environ[STORAGE_VARIABLE]
    with creating_storage(url) as are_missing:
        if are_missing:
            from dagster_postgres import DagsterPostgresStorage

            DagsterPostgresStorage(storage_url(url))


@contextmanager
def held_connection(instance: dg.DagsterInstance) -> Iterator[None]:
    """Holds a connection to Dagster's storage, where that is in PostgreSQL, for the duration of the block.

    Otherwise Dagster connects for each of the hundred statements of a run, which takes longer than the statements. A
    connection that the database has closed meanwhile is replaced before it is used.
    """
    from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
    from dagster_postgres.utils import create_pg_engine

    events = instance.event_log_storage
    if not isinstance(events, PostgresEventLogStorage):
        yield
        return
    engine = create_pg_engine(
        events.postgres_url,
        events._token_provider,  # noqa: SLF001 - no public name, nor for the engines
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        pool_pre_ping=True,
        pool_recycle=HELD_SECONDS,
    )
    for part in (events, instance.run_storage, instance.schedule_storage):
        if (
            isinstance(part, (PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage))
            and part.postgres_url == events.postgres_url
        ):
            part._engine = engine  # noqa: SLF001
    try:
        yield
    finally:
        engine.dispose()
