"""Prefetches one item, so that the network and the database work at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields the same items, each fetched while the previous one is being used.

    The threads are daemons, so a consumer that gives up (an error, Ctrl-C) never waits for a response. Closing the
    client ends a call in progress.
    """
    end = object()
    upcoming = _later(lambda: next(items, end))
    while (item := upcoming.result()) is not end:
        upcoming = _later(lambda: next(items, end))
        yield item  # type: ignore[misc]


def _later(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    # With its context, so that log lines there belong to the same run.
    Thread(target=copy_context().run, args=(run,), name="read-ahead", daemon=True).start()
    return future
