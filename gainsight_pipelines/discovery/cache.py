"""A disk cache of names and types, valid for minutes, so that commands and the page ask the tenant only once.

The files are private (0700, 0600) and in the data folder. They contain names, labels, types and counts: no secret, and
no record value except the names of reporting categories.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from gainsight_pipelines import __version__
from gainsight_pipelines.clock import Clock

FOLDER = "discovery"
"""In the data folder."""

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A cached document, and when it was read from the tenant."""

    document: Any
    read_at: datetime


@dataclass(frozen=True, slots=True)
class DiskCache:
    """A folder of JSON documents, each with the time at which it was read. Safe for several processes and threads.

    Args:
        folder: the cache's folder; created on the first write.
        clock: the source of time.
    """

    folder: Path
    clock: Clock

    def find(self, key: str, lasts: timedelta | None) -> CacheEntry | None:
        """The entry of a key, if it is no older than `lasts` (None: of any age)."""
        try:
            content = orjson.loads(self._file(key).read_bytes())
            kept = CacheEntry(content["document"], datetime.fromisoformat(content["read_at"]))
            is_ours = (content["key"], content["version"]) == (key, __version__)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_fresh = lasts is None or timedelta(0) <= self.clock.now() - kept.read_at < lasts
        return kept if is_ours and is_fresh else None

    def keep(self, key: str, document: Any) -> CacheEntry:
        """Caches a document that was just read. If the folder isn't writable, the next lookup makes a call again."""
        kept = CacheEntry(document, self.clock.now())
        content = {"key": key, "version": __version__, "read_at": kept.read_at.isoformat(), "document": document}
        try:
            for folder in (self.folder.parent, self.folder):  # parents=True would make the parent readable by all
                folder.mkdir(mode=0o700, exist_ok=True)
            # mkstemp creates it with mode 0600; replace is atomic.
            descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".new")
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(content))
            Path(name).replace(self._file(key))
        except OSError as error:
            logger.warning("%s can't be written (%s), so names are not cached", self.folder, error.strerror)
        return kept

    def forget(self) -> None:
        """Drops everything, after a new key or for another tenant."""
        for file in self.folder.glob("*.json"):
            file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{sha256(key.encode()).hexdigest()[:24]}.json"
