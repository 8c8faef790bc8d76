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


class Log(Section, frozen=True):
    """How it logs, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="debug, info, warning or error")
    ] = "info"
    format: Annotated[Literal["logfmt", "json"], Meta(description="logfmt or json")] = "logfmt"
