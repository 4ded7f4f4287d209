"""The embedded server with real processes: they share it, the last one ends it, and its data survive any kill -9."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy

from gainsight_pipelines.embedded import keeper
from gainsight_pipelines.embedded import server as embedded_module
from gainsight_pipelines.embedded.server import EmbeddedServer, embedded_server
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines_tests.waiting import is_alive, wait_until

ROOT = Path(__file__).parent.parent.parent

# A command that uses the server: prints the server's URL, then waits for a signal or the end of its input.
USER = """
import sys
from pathlib import Path
from gainsight_pipelines.embedded.server import embedded_server
with embedded_server(Path(sys.argv[1])) as server:
    print(server.url("gainsight"), flush=True)
    sys.stdin.read()
"""


class User:
    """A process that uses the server."""

    def __init__(self, folder: Path, *, session: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=session,
        )

    def url(self) -> str:
        """The server's URL, once this process has the server."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate(timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder for a server, not yet created. Finally, waits until no process uses it."""
    base = Path(tempfile.mkdtemp(prefix="gp-"))
    yield base / "pg"
    wait_until(lambda: not server_processes(base))
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """The folder of a server that has run once and ended."""
    with place() as folder:
        with embedded_server(folder):
            pass
        wait_until(lambda: not server_processes(folder))
        yield folder


@pytest.fixture
def new_folder() -> Iterator[Path]:
    """A folder that does not exist yet."""
    with place() as folder:
        yield folder


@pytest.fixture
def folder(new_folder: Path, initialised: Path) -> Path:
    """A copy of a folder whose server has run once: initdb takes seconds."""
    shutil.copytree(initialised, new_folder)
    return new_folder


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    users: list[User] = []

    def start(folder: Path, *, session: bool = True) -> User:
        users.append(User(folder, session=session))
        return users[-1]

    yield start
    for one in users:
        one.kill()


def server_processes(folder: Path) -> list[psutil.Process]:
    """The keeper and all processes of the server, whose working directory is the data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            at_work = Path(process.cwd()).is_relative_to(folder)
            if at_work or (
                any(keeper.__file__ in part for part in process.cmdline()) and str(folder) in process.cmdline()[-1]
            ):
                found.append(process)
        except (psutil.Error, OSError, IndexError):
            continue
    return found


def commands(folder: Path) -> list[str]:
    """The command lines of the keeper and the server; a backend may end in the meantime."""
    found = []
    for process in server_processes(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(process.cmdline()))
    return found


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def value(url: str, query: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def count(url: str) -> object:
    return value(url, "SELECT count(*) FROM kept")


def keep_a_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")


def test_the_server_has_the_expected_version_and_settings(new_folder: Path) -> None:
    with embedded_server(new_folder) as server:
        url = server.url("gainsight")
        shown = {
            name: value(url, f"SHOW {name}")
            for name in (
                "server_version_num", "listen_addresses", "data_checksums", "fsync", "full_page_writes", "timezone",
                "server_encoding", "max_connections", "client_connection_check_interval", "unix_socket_permissions",
            )
        }  # fmt: skip
        assert str(shown.pop("server_version_num")).startswith("18")
        assert shown == {
            "listen_addresses": "",
            "data_checksums": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "timezone": "UTC",
            "server_encoding": "UTF8",
            "max_connections": "100",
            "client_connection_check_interval": "1s",
            "unix_socket_permissions": "0700",
        }
        assert value(url, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
        assert value(server.url("dagster"), "SELECT current_database()") == "dagster"
        engine = sqlalchemy.create_engine(server.url("dagster", "psycopg2"))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "dagster"
        engine.dispose()


def test_other_users_have_no_access(new_folder: Path) -> None:
    with embedded_server(new_folder):
        assert stat.S_IMODE(new_folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((new_folder / "data").stat().st_mode) == 0o700
        socket = new_folder / keeper.SOCKET_NAME
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        listening = []
        for process in server_processes(new_folder):
            with contextlib.suppress(psutil.NoSuchProcess):  # backends come and go
                listening += process.net_connections("inet")
        assert listening == []


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="about root on Linux")
def test_under_root_the_server_has_no_root_powers(folder: Path) -> None:
    with embedded_server(folder):
        status = Path(f"/proc/{postmaster(folder)}/status").read_text()
        own = Path("/proc/self/ns/user").readlink()
        theirs = Path(f"/proc/{postmaster(folder)}/ns/user").readlink()
        assert own != theirs or "CapEff:\t0000000000000000" in status


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="about root on Linux")
def test_under_root_without_namespaces_it_runs_as_a_system_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.chmod(0o711)
    with embedded_server(folder) as server:
        keep_a_row(server.url("gainsight"))
    wait_until(lambda: not server_processes(folder))
    with monkeypatch.context() as changed:
        changed.setattr(keeper, "probe_user_namespace", lambda: False)
        changed.setattr(embedded_module, "_SYSTEM_USER", "nobody")  # a user that needn't be created first
        try:
            with embedded_server(folder) as server:
                assert count(server.url("gainsight")) == 1
                assert psutil.Process(postmaster(folder)).username() == "nobody"
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        except PermanentError as error:
            assert "can't reach" in error.message  # noqa: PT017  # this checkout is in a folder that only root can enter
    wait_until(lambda: not server_processes(folder))
    with embedded_server(folder) as server:  # back to root's ownership
        assert count(server.url("gainsight")) == 1
        assert folder.stat().st_uid == 0


def test_two_processes_share_the_server_and_the_last_one_ends_it(folder: Path, user: Callable[..., User]) -> None:
    first, second = user(folder), user(folder)
    url = first.url()
    assert second.url() == url
    pid = postmaster(folder)
    first.leave()
    assert value(url, "SELECT 1") == 1
    assert postmaster(folder) == pid
    second.leave()
    assert wait_until(lambda: not server_processes(folder)) < 3
    assert not (folder / "data" / "postmaster.pid").exists()


def test_data_survive_a_restart(folder: Path) -> None:
    with embedded_server(folder) as server:
        keep_a_row(server.url("gainsight"))
    with embedded_server(folder) as server:
        assert count(server.url("gainsight")) == 1


def test_one_process_may_use_the_server_twice(folder: Path) -> None:
    outer = EmbeddedServer(folder)
    outer.open()
    with embedded_server(folder) as inner:
        assert inner.url("gainsight") == outer.url("gainsight")
    assert value(outer.url("gainsight"), "SELECT 1") == 1
    outer.close()
    with pytest.raises(RuntimeError):
        outer.url("gainsight")


def test_quick_successive_users_get_a_server(folder: Path) -> None:
    """Each user starts while the previous user's server is stopping."""
    for _ in range(8):
        with embedded_server(folder) as server:
            assert value(server.url("gainsight"), "SELECT 1") == 1


def test_the_server_ends_when_all_users_are_killed(folder: Path, user: Callable[..., User]) -> None:
    users = [user(folder) for _ in range(3)]
    for one in users:
        one.url()
    for one in users:
        one.process.kill()
    assert wait_until(lambda: not server_processes(folder)) < 3


def test_six_concurrent_first_users_share_one_server(new_folder: Path, user: Callable[..., User]) -> None:
    users = [user(new_folder) for _ in range(6)]
    urls = {one.url() for one in users}
    assert len(urls) == 1
    assert value(urls.pop(), "SELECT count(*) FROM pg_database WHERE datname IN ('gainsight', 'dagster')") == 2
    assert len([command for command in commands(new_folder) if "keeper.py" in command]) == 1


@pytest.mark.parametrize("victim", ["postmaster", "keeper", "both", "everything"])
def test_a_killed_server_restarts_cleanly(folder: Path, user: Callable[..., User], victim: str) -> None:
    left = user(folder)
    keep_a_row(left.url())
    with embedded_server(folder) as server:
        pid = postmaster(folder)
        guard = psutil.Process(pid).ppid()
        assert server.is_running()
        victims = {"postmaster": [pid], "keeper": [guard], "both": [guard, pid]}.get(victim)
        for number in victims or [p.pid for p in server_processes(folder)]:
            with contextlib.suppress(ProcessLookupError):  # killing the first may have ended another
                os.kill(number, signal.SIGKILL)
        wait_until(lambda: not server.is_running())
        with embedded_server(folder) as again:  # while others still use the old one
            assert count(again.url("gainsight")) == 1
            assert postmaster(folder) != pid
        assert server.is_running()


def test_a_killed_keeper_takes_its_server_along(folder: Path, user: Callable[..., User]) -> None:
    one = user(folder)
    one.url()
    pid = postmaster(folder)
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize("owner", ["sleep", "us"])
def test_a_stale_pid_file_of_another_process_is_ignored(folder: Path, owner: str) -> None:
    with embedded_server(folder) as server:
        keep_a_row(server.url("gainsight"))
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    wait_until(lambda: not server_processes(folder))
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        lines[0] = str(stranger.pid if owner == "sleep" else os.getpid())
        (folder / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        (folder / (keeper.SOCKET_NAME + ".lock")).write_text("\n".join(lines) + "\n")
        with embedded_server(folder) as server:
            assert count(server.url("gainsight")) == 1
            assert postmaster(folder) != int(lines[0])
        wait_until(lambda: not server_processes(folder))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_started_by_hand_is_left_alone(folder: Path) -> None:
    with embedded_server(folder):
        command = psutil.Process(postmaster(folder)).cmdline()
    wait_until(lambda: not server_processes(folder))
    keeper_of_their_own = (
        "import keeper, os, sys; os.geteuid() or keeper.enter_user_namespace(); os.execv(sys.argv[1], sys.argv[1:])"
    )
    by_hand = subprocess.Popen(
        [sys.executable, "-c", keeper_of_their_own, *command],
        stderr=subprocess.DEVNULL,
        cwd=Path(keeper.__file__).parent,
    )
    try:
        wait_until(lambda: keeper.read_socket_folder(str(folder)))
        with pytest.raises(PermanentError, match="Another PostgreSQL server runs"):
            EmbeddedServer(folder).open()
        assert by_hand.poll() is None
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait(timeout=20)


@pytest.mark.parametrize("name", ["with blanks in it", "a" * 150, "комма, 'quote' & \"more\"", "per%20cent"])
def test_unusual_paths_work(new_folder: Path, name: str) -> None:
    with embedded_server(new_folder / name) as server:
        url = server.url("gainsight")
        keep_a_row(url)
        place = Path(str(value(url, "SHOW unix_socket_directories")))
        assert place != new_folder / name
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        with embedded_server(new_folder / name) as same:
            assert same.url("gainsight") == url
        engine = sqlalchemy.create_engine(server.url("gainsight", "psycopg2"))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT one FROM kept")) == 1
        engine.dispose()
    wait_until(lambda: not place.exists())


def test_a_socket_folder_prepared_by_another_user_is_not_used(new_folder: Path, tmp_path: Path) -> None:
    link, open_to_all, file = (new_folder.parent / name for name in ("link", "open", "file"))
    link.symlink_to(tmp_path)
    open_to_all.mkdir(mode=0o755)
    file.touch()
    assert not any(embedded_module._make_private(path) for path in (link, open_to_all, file))
    assert embedded_module._make_private(new_folder.parent / "fresh")


def test_ctrl_c_in_one_terminal_does_not_end_the_server(folder: Path, user: Callable[..., User]) -> None:
    starter = user(folder)
    url = starter.url()
    other = user(folder)
    other.url()
    os.killpg(starter.process.pid, signal.SIGINT)
    starter.process.wait(timeout=10)
    assert value(url, "SELECT 1") == 1


def test_a_term_to_the_keeper_stops_the_server_cleanly(folder: Path) -> None:
    with embedded_server(folder) as server:
        pid = postmaster(folder)
        os.kill(psutil.Process(pid).ppid(), signal.SIGTERM)
        wait_until(lambda: not server.is_running())
        assert "database system is shut down" in (folder / keeper.SERVER_LOG).read_text()


def test_the_server_outlives_a_command_killed_with_its_process_tree(folder: Path, user: Callable[..., User]) -> None:
    starter = user(folder)
    url = starter.url()
    other = user(folder)
    other.url()
    children = psutil.Process(starter.process.pid).children(recursive=True)
    assert children == []
    starter.kill()
    assert value(url, "SELECT 1") == 1


def test_a_temporary_folder_is_removed_with_its_server(new_folder: Path) -> None:
    with embedded_server(new_folder, {"fsync": "off"}, temporary=True) as server:
        assert value(server.url("gainsight"), "SHOW fsync") == "off"
    wait_until(lambda: not new_folder.exists())
    with embedded_server(new_folder, temporary=True) as server:
        assert value(server.url("gainsight"), "SHOW fsync") == "on"


def test_a_killed_initdb_leaves_no_partial_folder(new_folder: Path) -> None:
    (new_folder / "data.new" / "base").mkdir(parents=True)
    (new_folder / keeper.USERS_LOCK).touch()
    with embedded_server(new_folder) as server:
        assert value(server.url("gainsight"), "SELECT 1") == 1
    assert not (new_folder / "data.new").exists()


def test_data_of_another_version_is_refused(new_folder: Path) -> None:
    (new_folder / "data").mkdir(parents=True)
    (new_folder / keeper.USERS_LOCK).touch()
    (new_folder / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(PermanentError, match="created by PostgreSQL 16") as caught:
        EmbeddedServer(new_folder).open()
    assert "Dump" in caught.value.todo


def test_a_folder_with_other_files_is_refused_and_left_alone(new_folder: Path) -> None:
    new_folder.mkdir(mode=0o755)
    (new_folder / "thesis.txt").touch()
    with pytest.raises(PermanentError, match="contains other files"):
        EmbeddedServer(new_folder).open()
    assert stat.S_IMODE(new_folder.stat().st_mode) == 0o755


def test_a_file_in_place_of_the_folder_is_reported(new_folder: Path) -> None:
    new_folder.touch()
    with pytest.raises(PermanentError, match="can't be used"):
        EmbeddedServer(new_folder).open()


def test_a_failed_start_says_why_and_releases_its_locks(folder: Path) -> None:
    with embedded_server(folder):
        pass
    wait_until(lambda: not server_processes(folder))
    control = folder / "data" / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    with pytest.raises(PermanentError, match="pg_control") as caught:
        EmbeddedServer(folder).open()
    assert "server.log" in caught.value.todo
    control.with_suffix(".away").rename(control)
    with embedded_server(folder) as server:
        assert value(server.url("gainsight"), "SELECT 1") == 1


def test_a_full_disk_is_reported_as_such() -> None:
    error = embedded_module._start_error(
        Path("/d"), {"failed": "initdb", "detail": "initdb: No space left on device"}, 0
    )
    assert "disk" in error.message
    assert isinstance(error, PermanentError)


def test_the_keeper_has_no_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAINSIGHT_API_KEY", "sesame-open")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    with embedded_server(folder):
        looked_at = 0
        for process in server_processes(folder):
            try:
                environ = process.environ()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue  # a backend that has just ended
            looked_at += 1
            assert "sesame-open" not in str(environ)
            assert "PGOPTIONS" not in environ
        assert looked_at >= 2


def test_a_port_in_the_environment_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "5999")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    with embedded_server(folder) as server:
        assert value(server.url("gainsight"), "SELECT 1") == 1


def test_children_do_not_inherit_the_lock_files(folder: Path) -> None:
    """Otherwise a forgotten child would keep the server alive."""
    with embedded_server(folder):
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        wait_until(lambda: not server_processes(folder))
        with (folder / keeper.USERS_LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.wait()
