"""The temporary folder of a delivery. The next delivery removes the folders of those that were killed."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

logger = logging.getLogger("gainsight_pipelines")

PREFIX = "gainsight-delivery-"
LOCK = "lock"
"""A file in each folder. Its delivery has it locked (flock); the kernel unlocks it once that process is gone."""


@contextmanager
def work_folder() -> Iterator[str]:
    """Creates a folder in TMPDIR and removes it at the end; removes those of killed deliveries first."""
    _remove_abandoned()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with (folder / LOCK).open("x") as lock:
            if not _has_locked(lock):
                continue  # another delivery has found it without a lock, and removes it
            try:
                yield str(folder)
            finally:
                shutil.rmtree(folder)
            return


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        try:
            lock = path.open("r+")
        except (FileNotFoundError, PermissionError):
            continue  # removed meanwhile, or another user's
        with lock:
            if os.fstat(lock.fileno()).st_uid == os.geteuid() and _has_locked(lock):
                try:
                    shutil.rmtree(path.parent)
                except OSError as error:
                    logger.warning("The folder of a killed delivery can't be removed: %s", error)


def _has_locked(lock: IO[str]) -> bool:
    """Whether the file could be locked and still exists."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock.fileno()), Path(lock.name).stat())
    except (BlockingIOError, FileNotFoundError):
        return False
