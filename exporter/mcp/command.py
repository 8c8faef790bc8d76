"""The command `mcp`: a Model Context Protocol server in front of a running exporter."""

from __future__ import annotations

import argparse
import os

from exporter.access import is_local
from exporter.common_settings import host_and_port
from exporter.config import Config
from exporter.drills.api import running
from exporter.transfer.errors import Unusable

HELP = """let an AI agent ask a running exporter, by the Model Context Protocol

It speaks over standard input and output, as agents start it:
  {"mcpServers": {"openmanager": {"command": "openmanager-exporter", "args": ["mcp", "--url", "http://127.0.0.1:3001"]}}}
or with --http as a server of its own at http://HOST:PORT/mcp. It needs the extra: pip install 'openmanager[mcp]'.
It only reads, unless --allow-changes lets it inject and clear failures. Where the exporter needs a token,
OPENMANAGER_TOKEN holds it, or OPENMANAGER_TOKEN_FILE names a file that does."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What `mcp` may be given."""
    parser.add_argument("--url", metavar="URL", help="the running exporter (default: where it is set to listen)")
    parser.add_argument("--http", metavar="HOST:PORT", help="serve streamable HTTP there instead of standard input")
    parser.add_argument("--allow-changes", action="store_true", help="also offer to inject and clear failures")


def run(config: Config, flags: argparse.Namespace) -> None:
    """Serves until its client goes away. Raises Unusable."""
    try:
        from exporter.mcp.server import build, serve  # the SDK is an extra, and 30 MB
    except ModuleNotFoundError as err:
        raise Unusable(f"mcp: {err.name} is missing: pip install 'openmanager[mcp]'") from None
    server = build(running(config, flags.url, os.environ), changes=flags.allow_changes)
    if flags.http is None:
        serve(server)
        return
    try:
        address = host_and_port(flags.http)
    except ValueError as err:
        raise Unusable(f"--http: {err}") from None
    if not is_local(address[0]):
        raise Unusable(f"--http: {flags.http!r}: must be on loopback: who reaches it is asked for no token")
    serve(server, address)
