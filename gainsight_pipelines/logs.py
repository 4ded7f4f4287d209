"""Logging to stderr: lines for people, or JSON lines if GAINSIGHT_PIPELINES_LOG is json.

Each line has its context: the object, run and tenant set by ``about``. Messages are our own and contain no secrets and
no record values.
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
    """Sets the context of log lines in the block: `object`, `run_id`, `tenant`. None leaves a name unchanged."""
    token = _about.set({**_about.get(), **{name: value for name, value in what.items() if value is not None}})
    try:
        yield
    finally:
        _about.reset(token)


def subject() -> Mapping[str, str]:
    """The current context of log lines."""
    return _about.get()


def is_json() -> bool:
    """Whether log lines are JSON."""
    return os.environ.get(VARIABLE, "").strip().casefold() == "json"


def json_line(level: str, message: str, at: datetime, **more: str) -> str:
    """One line: time (UTC), level, context, message."""
    named = {"time": at.isoformat(timespec="milliseconds"), "level": level, **subject(), "message": message, **more}
    return json.dumps(named, ensure_ascii=False)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Lets the package's loggers write to stderr, once per process."""
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
