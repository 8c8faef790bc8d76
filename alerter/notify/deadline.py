"""A limit on the whole of an HTTP exchange: urllib3's own timeouts start anew with every byte that arrives."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, SSLError

_local = threading.local()


class Deadline:
    """A block in which this thread's exchanges are cut when the time is up.

    `passed` says afterwards whether that happened. What was cut raises urllib3's or the socket's own errors.
    """

    def __init__(self, limit_s: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(limit_s, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()

    def __enter__(self) -> Deadline:
        _local.deadline = self
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        _local.deadline = None

    def watch(self, connected: socket.socket) -> None:
        """This is the socket to cut."""
        with self._lock:
            self._socket = connected
            if self.passed:
                _shut(connected)

    def _cut(self) -> None:
        with self._lock:
            self.passed = True
            if self._socket is not None:
                _shut(self._socket)


def never_left(err: BaseException | None) -> bool:
    """Whether an exchange failed before its request was sent: no connection, or none that is trusted."""
    for _ in range(8):
        if err is None:
            return False
        if isinstance(err, (NewConnectionError, ConnectTimeoutError, ProxyError, SSLError)):
            return True
        inner = next((arg for arg in (*err.args, getattr(err, "reason", None)) if isinstance(arg, BaseException)), None)
        err = inner or err.__cause__
    return False


def _shut(connected: socket.socket) -> None:
    """End a socket that another thread waits on; what is read from it then is its end."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Watched:
    """A connection that shows its socket to the thread's deadline before it waits for an answer."""

    sock: socket.socket | None

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        deadline: Deadline | None = getattr(_local, "deadline", None)
        if deadline is not None and self.sock is not None:
            deadline.watch(self.sock)
        return super().getresponse(*args, **kwargs)  # type: ignore[misc]  # the other base class has it


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


def obey_deadlines(manager: PoolManager) -> None:
    """Make every connection of this manager obey the deadline of the thread that uses it."""
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
