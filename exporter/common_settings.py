"""Settings that both processes have: where to listen, whom to ask, how to log."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta

from exporter.settings import Section

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")


def host_and_port(address: str) -> tuple[str, int]:
    """`127.0.0.1:3001` as its two parts; `:3001` listens everywhere. Raises ValueError."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(f"listen address {address!r}: must be HOST:PORT with a port up to 65535")
    return match["host"].strip("[]") or "0.0.0.0", int(match["port"])  # noqa: S104 (asked for by the user)


def known_scheme(url: str, *schemes: str) -> None:
    """Raises ValueError, without user or password, for a URL that begins with none of these."""
    if not url.startswith(schemes):
        raise ValueError(f"URL {url.split('@')[-1]!r}: must start with {' or '.join(schemes)}")


def passwords_in(*urls: str) -> tuple[str, ...]:
    """The passwords in URLs: what stands between the first colon and the last @ of their authority."""
    users = (url.partition("//")[2].rpartition("@")[0] for url in urls)
    return tuple(password for user in users if (password := user.partition(":")[2]))


class Log(Section, frozen=True):
    """How it logs, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="debug, info, warning or error")
    ] = "info"
    format: Annotated[Literal["logfmt", "json"], Meta(description="logfmt or json")] = "logfmt"
