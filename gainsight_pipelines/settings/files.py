"""Atomic writes of small files (the settings file, `.env`), and a lock for their writers."""

from __future__ import annotations

import codecs
import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from gainsight_pipelines.errors import SettingsError


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Holds a named lock in a private folder, which is created if missing: one writer at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"{folder} can't be written: {error.strerror}.", "Let this user write there.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def why_read_only(path: Path) -> str | None:
    """Why a file can't be written here, as a sentence; None if it can, whether or not it exists.

    Examples: a mounted ConfigMap, or a file in another user's folder. Writing replaces the file, so its folder must be
    writable.
    """
    for one in dict.fromkeys((path.absolute(), path.resolve())):
        folder = next(parent for parent in one.parents if parent.exists())
        for place in (folder, one):
            if place.exists() and not os.access(place, os.W_OK):
                is_mounted_so = os.statvfs(place).f_flag & os.ST_RDONLY
                why = "is on a read-only file system" if is_mounted_so else "can't be written by this user"
                return f"{place} {why}."
    return None


def check_writable(path: Path, todo: str = "Change it where it comes from.") -> None:
    """Refuses to change a read-only file, before anything is asked, shown or written.

    Raises:
        SettingsError: says why.
    """
    if (why := why_read_only(path)) is not None:
        raise SettingsError(f"{path.name} is read-only: {why}", todo)


def write_whole(path: Path, text: str, *, mode: int | None = None) -> None:
    """Replaces a file's content atomically. A byte order mark at its beginning is kept.

    Args:
        path: symbolic links are followed.
        text: the new content.
        mode: its permissions; None: unchanged, or the default for a new file.

    Raises:
        SettingsError: the folder isn't writable, or the disk is full.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        before = path.stat() if path.exists() else None
        mark = codecs.BOM_UTF8 if before is not None and _begins_with(path, codecs.BOM_UTF8) else b""
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if mode is not None else 0o666)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(mark + text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            if before is not None:
                with contextlib.suppress(OSError):  # only root may change a file's owner
                    os.chown(beside, before.st_uid, before.st_gid)
                beside.chmod(before.st_mode & 0o7777)
            if mode is not None:
                beside.chmod(mode)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        todo = "Let this user write there."
        if error.errno == errno.EBUSY:
            todo = "A single mounted file can't be replaced: mount its folder."
        raise SettingsError(f"{path} can't be written: {error.strerror}.", todo) from None


def _begins_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark
