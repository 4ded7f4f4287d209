"""What the package logs on stderr: lines for people, or JSON lines where GAINSIGHT_PIPELINES_LOG is json.

A line says what it is about: the object, the run and the tenant that were named by ``about``. Messages are sentences of
ours, which hold no secret and no value of a record.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

VARIABLE = "GAINSIGHT_PIPELINES_LOG"
TEXT = "%(asctime)s %(levelname)s %(message)s"

_about: ContextVar[Mapping[str, str]] = ContextVar("gainsight_pipelines_log", default={})  # noqa: B039 - never changed


@contextmanager
def about(**what: str | None) -> Iterator[None]:
    """Names what the lines in the block are about: `object`, `run_id`, `tenant`. None leaves a name as it was."""
    token = _about.set({**_about.get(), **{name: value for name, value in what.items() if value is not None}})
    try:
        yield
    finally:
        _about.reset(token)


def subject() -> Mapping[str, str]:
    """What lines are about at the moment."""
    return _about.get()


def is_json() -> bool:
    """Whether lines are JSON."""
    return os.environ.get(VARIABLE, "").strip().casefold() == "json"


def json_line(level: str, message: str, at: datetime, **more: str) -> str:
    """One line: time (UTC), level, what it is about, message."""
    named = {"time": at.isoformat(timespec="milliseconds"), "level": level, **subject(), "message": message, **more}
    return json.dumps(named, ensure_ascii=False)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Lets the package's loggers write to stderr, once in a process."""
    logger = logging.getLogger("gainsight_pipelines")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_JsonFormatter() if is_json() else logging.Formatter(TEXT))
        logger.addHandler(handler)
        logger.setLevel(level)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        more = {"error": type(error).__name__} if error is not None else {}  # its text may quote what it found
        at = datetime.fromtimestamp(record.created, UTC)
        return json_line(record.levelname, record.getMessage(), at, **more)
