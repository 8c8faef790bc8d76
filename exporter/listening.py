"""Where the exporter is reached: its socket, its keys and its URL."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from exporter.access import Access, WebConfigError, load
from exporter.common_settings import host_and_port
from exporter.settings import SettingsError


@contextlib.contextmanager
def bound(address: str) -> Iterator[socket.socket]:
    """A socket at the address, taken before anything is opened. Raises SettingsError."""
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(128)
        except OSError as err:
            raise SettingsError(f"web.listen_address: {address}: {err.strerror or err}") from None
        yield sock


def access(file: str) -> Access:
    """The keys in a web config file; without a file, none. Raises SettingsError."""
    if not file:
        return Access()
    try:
        return load(Path(file))
    except WebConfigError as err:
        raise SettingsError(f"web.config.file: {err}") from None


def url(address: str, access: Access) -> str:
    """What a person types into a browser."""
    host, port = host_and_port(address)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if access.ssl else 'http'}://{shown}:{port}/"
