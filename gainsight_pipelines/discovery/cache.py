"""Names and types kept on disk for minutes, so that neither a command typed again nor a page asks the tenant twice.

Files of this user's own (0700, 0600) in the data folder. They hold names, labels, types and counts: no secret, and no
value of a record but the names of reporting categories.
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
"""Within the data folder."""

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A document that was kept, and when it was read from the tenant."""

    document: Any
    read_at: datetime


@dataclass(frozen=True, slots=True)
class DiskCache:
    """A folder of JSON documents, each with the time at which it was read. Safe for several processes and threads.

    Args:
        folder: where the files lie; made when the first one is written.
        clock: the source of time.
    """

    folder: Path
    clock: Clock

    def find(self, key: str, lasts: timedelta | None) -> CacheEntry | None:
        """What was kept under a key, if it is no older than `lasts` (None: however old)."""
        try:
            content = orjson.loads(self._file(key).read_bytes())
            kept = CacheEntry(content["document"], datetime.fromisoformat(content["read_at"]))
            is_ours = (content["key"], content["version"]) == (key, __version__)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_fresh = lasts is None or timedelta(0) <= self.clock.now() - kept.read_at < lasts
        return kept if is_ours and is_fresh else None

    def keep(self, key: str, document: Any) -> CacheEntry:
        """Keeps a document that was just read. A folder that can't be written costs only the next call."""
        kept = CacheEntry(document, self.clock.now())
        content = {"key": key, "version": __version__, "read_at": kept.read_at.isoformat(), "document": document}
        try:
            for folder in (self.folder.parent, self.folder):  # parents=True would make the former readable to all
                folder.mkdir(mode=0o700, exist_ok=True)
            # mkstemp makes it 0600; replace puts it there all at once.
            descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".new")
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(content))
            Path(name).replace(self._file(key))
        except OSError as error:
            logger.warning("%s can't be written (%s), so names are asked for each time", self.folder, error.strerror)
        return kept

    def forget(self) -> None:
        """Drops everything, after a new key or another tenant."""
        for file in self.folder.glob("*.json"):
            file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{sha256(key.encode()).hexdigest()[:24]}.json"
