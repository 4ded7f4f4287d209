"""The keeper: a small process that starts an embedded PostgreSQL server and stops it after its last user.

``server.py`` runs this file as a script that needs only the standard library. The keeper is the server's parent: it
creates the data folder if it is missing, starts the server, reports the result on its standard output, and stops the
server once no process uses it, even if those processes were killed. Three lock files (flock) make this safe, because
the kernel releases a lock when its process ends:

* ``users.lock``, shared: held by each process that uses the server. The keeper waits for the exclusive lock, gets it
  when no user is left, and holds it until the server has stopped. A new user waits until then, so the server never
  stops under a user.
* ``keeper.lock``, exclusive: held by the keeper. A process that gets it starts a keeper and hands the lock over.
* ``server.lock``, exclusive: inherited by the server and all its processes. A keeper that gets it knows that none of
  them is left, so ``postmaster.pid`` is stale even if another process has that number now.

Connections, databases and error messages are in ``server.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import NoReturn, cast

USERS_LOCK = "users.lock"
KEEPER_LOCK = "keeper.lock"
SERVER_LOCK = "server.lock"
SERVER_LOG = "server.log"
DATA_FOLDER = "data"
SOCKET_NAME = ".s.PGSQL.5432"
SUPERUSER = "postgres"

# How long the processes of a server may take to end after its keeper was killed.
_OLD_SERVER_SECONDS = 30.0
# A fast stop writes a checkpoint. After this time we stop without one: safe, but the next start takes longer.
_FAST_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.01
_LOG_BYTES = 5_000_000
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1

_INITDB = (
    f"--username={SUPERUSER}",
    "--auth-local=trust",  # only our user can enter the socket's folder
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # the same sort order on all machines
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
)

# Set on the command line, so that no configuration file overrides them.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "fsync": "on",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "client_connection_check_interval": "1000",  # the query and locks of a killed client end within a second
    "autovacuum_naptime": "10s",  # the server may run for one command only, less than the default minute
    "logging_collector": "off",
    "log_error_verbosity": "terse",  # details and statements of errors can contain record values
    "log_min_error_statement": "panic",
    "cluster_name": "gainsight-pipelines",
}


class _StartFailed(Exception):
    """The server could not be started. `report` goes to the process that started the keeper."""

    def __init__(self, step: str, detail: str = "") -> None:
        super().__init__(step, detail)
        self.report: dict[str, object] = {"failed": step, "detail": detail}


def main(spec: dict[str, object]) -> None:
    """Runs the keeper.

    Args:
        spec: `folder`, `socket_folder` and `bin` (paths); `isolation` ("none", "namespace" or "system user") and
            `system_user`; `settings` of the server; `temporary` (remove the folder at the end); `keeper_lock`, the
            inherited file descriptor of that lock.
    """
    if os.fork():
        # The keeper leaves the process tree of the command, because other commands use the server too.
        os._exit(0)
    keeper = _Keeper(spec)
    try:
        keeper.start()
    except _StartFailed as error:
        _send_report(error.report)
    except OSError as error:
        _send_report(_StartFailed("files", f"{error.strerror}: {error.filename}").report)
    except Exception as error:  # noqa: BLE001  # the report is the only way to tell
        _send_report(_StartFailed("start", repr(error)).report)
    else:
        _send_report({"ready": keeper.postmaster})
        keeper.wait()
    finally:
        keeper.clean_up()
        os._exit(0)  # releases the locks, without waiting for the thread


class _Keeper:
    def __init__(self, spec: dict[str, object]) -> None:
        self.folder = str(spec["folder"])
        self.data = os.path.join(self.folder, DATA_FOLDER)
        self.socket_folder = str(spec["socket_folder"])
        self.bin = str(spec["bin"])
        self.isolation = str(spec["isolation"])
        self.system_user = str(spec["system_user"])
        self.temporary = bool(spec["temporary"])
        self.settings = {**_SETTINGS, **cast("dict[str, str]", spec["settings"])}
        os.set_inheritable(int(str(spec["keeper_lock"])), False)  # not inherited by the server
        self.postmaster = 0
        self.exit_status: int | None = None
        self.stopping = False
        self.has_no_users = False

    def start(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        server_lock = self._take_server_lock()
        self._give_files_to_server_user()
        self._start_log()
        if not os.path.exists(self.data):
            self._init()
        self._remove_stale_files()
        self.postmaster = self._spawn_server(server_lock)
        os.close(server_lock)  # from now on only the server's processes hold it
        threading.Thread(target=self._stop_after_last_user, daemon=True).start()
        self._wait_until_ready()

    def wait(self) -> None:
        """Returns when the server has ended."""
        while not self._has_ended(block=True):
            pass

    def stop(self) -> None:
        """Stops the server: fast, then immediately if that takes too long. Called by the thread and on SIGTERM."""
        if self.stopping or not self.postmaster:
            self.stopping = True
            return
        self.stopping = True
        _kill(self.postmaster, signal.SIGINT)
        timer = threading.Timer(_FAST_STOP_SECONDS, _kill, (self.postmaster, signal.SIGQUIT))
        timer.daemon = True
        timer.start()

    def clean_up(self) -> None:
        """Removes the private socket folder, if any, and a temporary data folder."""
        if self.socket_folder != self.folder and self.exit_status is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self.socket_folder)
        if self.temporary and self.has_no_users:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _take_server_lock(self) -> int:
        lock = os.open(os.path.join(self.folder, SERVER_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _OLD_SERVER_SECONDS
        asked_to_stop = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _StartFailed("old server") from None
                if sys.platform != "linux" and not asked_to_stop:  # on Linux, see _die_with_parent
                    asked_to_stop = True
                    self._run("pg_ctl", "stop", "--mode=fast", "--no-wait", f"--pgdata={self.data}")
                time.sleep(_POLL_SECONDS)

    def _start_log(self) -> None:
        path = os.path.join(self.folder, SERVER_LOG)
        if os.path.exists(path) and os.path.getsize(path) > _LOG_BYTES:
            os.replace(path, path + ".1")
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.close(log)

    def _init(self) -> None:
        """Creates the data folder under another name and renames it, so that a killed initdb leaves no partial one."""
        new = self.data + ".new"
        shutil.rmtree(new, ignore_errors=True)
        if self._run("initdb", *_INITDB, f"--pgdata={new}"):
            shutil.rmtree(new, ignore_errors=True)
            raise _StartFailed("initdb")
        os.rename(new, self.data)

    def _remove_stale_files(self) -> None:
        # We hold server.lock, so no process of our server is left. PostgreSQL itself detects a server that was started
        # by hand on this folder, by its shared memory block.
        for path in (
            os.path.join(self.data, "postmaster.pid"),
            os.path.join(self.socket_folder, SOCKET_NAME),
            os.path.join(self.socket_folder, SOCKET_NAME + ".lock"),
        ):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _spawn_server(self, server_lock: int) -> int:
        arguments = ["-D", self.data, "-k", self.socket_folder]
        for name, value in self.settings.items():
            arguments += ["-c", f"{name}={value}"]
        return self._spawn("postgres", *arguments, inherit=server_lock)

    def _run(self, program: str, *arguments: str) -> int:
        return os.waitpid(self._spawn(program, *arguments), 0)[1]

    def _spawn(self, program: str, *arguments: str, inherit: int | None = None) -> int:
        keeper = os.getpid()
        child = os.fork()  # safe: no thread has been started yet
        if child:
            return child
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.dup2(2, 1)
            if inherit is not None:
                os.set_inheritable(inherit, True)
            self._drop_root()
            _die_with_parent(keeper)
            path = os.path.join(self.bin, program)
            os.execve(path, [path, *arguments], environment())  # noqa: S606  # full: it finds its files by it
        except BaseException as error:  # noqa: BLE001  # this process must never continue as a second keeper
            os.write(2, f"{program}: {error}\n".encode())
        finally:
            os._exit(127)

    def _drop_root(self) -> None:
        """Gives up root's powers, since PostgreSQL refuses to run as root: see ``server.py``."""
        if self.isolation == "namespace":
            enter_user_namespace()
        elif self.isolation == "system user":
            entry = pwd.getpwnam(self.system_user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            _check_access(self.folder, os.path.join(self.bin, "postgres"))

    def _give_files_to_server_user(self) -> None:
        """If we are root: gives the files to the user that the server runs as, which may have changed."""
        if self.isolation == "none":
            return
        user, group = 0, 0
        if self.isolation == "system user":
            entry = pwd.getpwnam(self.system_user)
            user, group = entry.pw_uid, entry.pw_gid
        for path in (self.folder, self.socket_folder):
            os.chown(path, user, group)
        if os.path.exists(self.data) and os.stat(self.data).st_uid != user:
            for parent, _, files in os.walk(self.data):
                for name in (".", *files):
                    os.chown(os.path.join(parent, name), user, group, follow_symlinks=False)

    def _wait_until_ready(self) -> None:
        """Waits until the server writes "ready" into ``postmaster.pid``, its last step."""
        while not self._has_ended(block=False):
            if self.stopping:
                _kill(self.postmaster, signal.SIGINT)  # the stop was requested before the server ran
            if read_socket_folder(self.folder) is not None:
                return
            time.sleep(_POLL_SECONDS)
        raise _StartFailed("start")

    def _has_ended(self, *, block: bool) -> bool:
        if self.exit_status is None:
            pid, status = os.waitpid(self.postmaster, 0 if block else os.WNOHANG)
            if pid:
                self.exit_status = status
        return self.exit_status is not None

    def _stop_after_last_user(self) -> None:
        lock = os.open(os.path.join(self.folder, USERS_LOCK), os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)  # kept until the keeper ends; new users wait for that
        self.has_no_users = True
        self.stop()


def read_socket_folder(folder: str) -> str | None:
    """The socket folder that the last server in ``folder`` recorded; None if it never got ready. It may have ended."""
    try:
        with open(os.path.join(folder, DATA_FOLDER, "postmaster.pid"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return lines[4] if len(lines) >= 8 and lines[7].strip() == "ready" else None


def enter_user_namespace() -> None:
    """Moves this process to a user namespace where it is an ordinary user with access to root's files.

    Raises:
        OSError: the machine doesn't allow it (many containers).
    """
    user, group = os.geteuid(), os.getegid()
    ordinary = next(entry for entry in pwd.getpwall() if entry.pw_uid)  # initdb needs a user id that has a name
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{ordinary.pw_uid} {user} 1"),
        ("gid_map", f"{ordinary.pw_gid} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _die_with_parent(parent: int) -> None:
    """Stops the server (fast) if its keeper is killed. Linux only; elsewhere the next keeper stops it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _check_access(*paths: str) -> None:
    for path in paths:
        if not os.access(path, os.X_OK):
            raise PermissionError(f"the user {pwd.getpwuid(os.getuid()).pw_name} can't reach {path}")


def environment() -> dict[str, str]:
    """The environment without PG* variables and secrets."""
    wanted = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH")
    return {"LC_ALL": "C", **{name: os.environ[name] for name in wanted if name in os.environ}}


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _send_report(report: dict[str, object]) -> None:
    """Sends the report to the process that started the keeper, which may have ended."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(report).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def probe_user_namespace() -> bool:
    """Whether ``enter_user_namespace`` works on this machine. A child process tries it."""
    command = [sys.executable, "-I", "-S", __file__, "probe"]
    return not subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def _probe() -> NoReturn:
    try:
        enter_user_namespace()
    except (OSError, StopIteration):
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        _probe()
    main(json.loads(sys.argv[1]))
