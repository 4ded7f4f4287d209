"""A time limit on a whole HTTP exchange, and a way to abort the current one.

Socket timeouts restart with every byte, headers included, so a slow drip never times out. Here a timer shuts the socket
down, which ends every wait on it. The client decides what that means.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class Deadline:
    """The time limit, in seconds, for one exchange after the other."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.has_passed = False
        self._socket: socket.socket | None = None
        self._lock = Lock()

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Times one exchange. At the limit its connection is shut down and `has_passed` becomes true."""
        self.has_passed = False
        timer = Timer(self.seconds, self._pass)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._socket = None

    def watch(self, connection: socket.socket | None) -> None:
        """Remembers the connection of the current exchange."""
        with self._lock:
            self._socket = connection
            if self.has_passed:
                self._shut()

    def cut(self) -> None:
        """Aborts the current exchange, if there is one."""
        with self._lock:
            self._shut()

    def _pass(self) -> None:
        with self._lock:
            self.has_passed = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # The plain socket's method: TLS's would drop the session while another thread still reads from it.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class DeadlineAdapter(HTTPAdapter):
    """An adapter with one connection at a time, watched by a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._pools = _pools(deadline)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **more: Any) -> PoolManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    class Connection(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            deadline.watch(self.sock)
            return super().getresponse()

    class SecureConnection(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            deadline.watch(self.sock)
            return super().getresponse()

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}
