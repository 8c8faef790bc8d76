"""Whether a service runs: by the name of its process, or by a TCP port that accepts connections."""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from exporter.host.readings import Psutil

PATIENCE_S = 0.2  # for all ports of a tick together; a port of this machine answers in microseconds
_INIT = 1  # the process that every process table has


@dataclass(frozen=True, slots=True)
class ProcessCheck:
    """Up while a process of this name lives that is no zombie."""

    name: str


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """Up while the port accepts connections. `host` is an IP address: no tick waits for a name server."""

    port: int
    host: str = "127.0.0.1"


ServiceCheck: TypeAlias = ProcessCheck | TcpCheck


def parse_check(text: str) -> ServiceCheck:
    """`process:NAME`, `tcp:PORT` or `tcp:ADDRESS:PORT`, as in `tcp:[::1]:6379`. Raises ValueError."""
    kind, _, rest = text.partition(":")
    if kind == "process" and rest.strip():
        return ProcessCheck(rest.strip())
    host, _, port = rest.rpartition(":")
    if kind == "tcp" and port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535:
        return TcpCheck(int(port), _address(host) if host else "127.0.0.1")
    raise ValueError(f"check {text!r}: must be process:NAME, tcp:PORT or tcp:ADDRESS:PORT with a port from 1 to 65535")


def _address(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"address {host!r}: must be an IP address or localhost") from None


class Services:
    """The configured services of a machine."""

    def __init__(self, psutil: Psutil, checks: Mapping[str, ServiceCheck]) -> None:
        self._checks = dict(checks)
        self._processes = _Processes(psutil)

    def names(self) -> list[str]:
        """The services, in the order of the settings."""
        return list(self._checks)

    def up(self) -> dict[str, bool]:
        """Whether each service runs, by its name. One of which nobody may know is left out."""
        checks = self._checks.values()
        names = self._processes.alive({check.name for check in checks if isinstance(check, ProcessCheck)})
        known: dict[ServiceCheck, bool] = {ProcessCheck(name): lives for name, lives in names.items()}
        known |= accepting({check for check in checks if isinstance(check, TcpCheck)}, PATIENCE_S)
        return {service: known[check] for service, check in self._checks.items() if check in known}


class _Processes:
    """Processes by name. One that was found is remembered; the table is read only for those that are not."""

    def __init__(self, psutil: Psutil) -> None:
        self._psutil = psutil
        self._found: dict[str, Any] = {}

    def alive(self, names: Collection[str]) -> dict[str, bool]:
        """Whether a process of each name lives; a name is left out if processes are hidden and it may be one."""
        self._found = {name: process for name, process in self._found.items() if self._lives(process, name)}
        missing = set(names) - self._found.keys()
        hidden = bool(missing) and self._search(missing)
        return {name: name in self._found for name in names if name in self._found or not hidden}

    def _search(self, names: Collection[str]) -> bool:
        """Remember a process for each name; True if there are processes that cannot be looked at."""
        processes = {process.pid: process for process in self._psutil.process_iter()}
        for process in processes.values():
            name = self._name(process)
            if name in names and self._lives(process, name):
                self._found[name] = process
        # with /proc mounted hidepid=2 others' processes are not even listed, the first among them
        return _INIT not in processes and self._psutil.POSIX

    def _name(self, process: Any) -> str:
        try:
            return str(process.name())
        except self._psutil.Error:  # it has ended, or is not ours to look at
            return ""

    def _lives(self, process: Any, name: str) -> bool:
        """Whether it is still the process it was, under this name, and no zombie."""
        try:
            with process.oneshot():
                same: bool = process.is_running() and process.name() == name
                return same and process.status() != self._psutil.STATUS_ZOMBIE
        except self._psutil.Error:
            return False


def accepting(checks: Iterable[TcpCheck], timeout_s: float) -> dict[ServiceCheck, bool]:
    """Whether each port accepts a connection, all asked at once and together given `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    out: dict[ServiceCheck, bool] = dict.fromkeys(checks, False)
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as opened:
        for check, sock in _connecting(checks, opened):
            selector.register(sock, selectors.EVENT_WRITE, check)
        # whoever answered counts, however late this thread gets to look
        while selector.get_map() and (ready := selector.select(max(deadline - time.monotonic(), 0.0))):
            for key, _ in ready:
                selector.unregister(key.fileobj)
                out[key.data] = connected(key.fileobj)
    return out


def _connecting(checks: Iterable[TcpCheck], opened: contextlib.ExitStack) -> Iterator[tuple[TcpCheck, socket.socket]]:
    for check in checks:
        with contextlib.suppress(OSError):  # a family that the machine lacks
            sock = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in check.host else socket.AF_INET))
            sock.setblocking(False)
            sock.connect_ex((check.host, check.port))
            yield check, sock


def connected(sock: Any) -> bool:
    """Whether the socket has a peer, and one other than itself: loopback lets a port call itself."""
    try:
        other: bool = sock.getpeername() != sock.getsockname()
    except OSError:
        return False
    return other
