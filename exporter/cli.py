"""The command line of the exporter."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from exporter import logs
from exporter.config import Config
from exporter.settings import SettingsError, add_flags, load

GOOD, FAILED, UNUSABLE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 is good, 1 a check that failed, 2 input that cannot be used."""
    flags = _parser().parse_args(_with_command(sys.argv[1:] if argv is None else list(argv)))
    command: Callable[[Config], int] = flags.command
    try:
        config = load(Config, flags, os.environ)
        logs.configure(config.log.level, config.log.format, config.passwords())
        return command(config)
    except SettingsError as err:
        print(f"openmanager-exporter: {err}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
        return GOOD


def _serve(config: Config) -> int:
    from exporter.app import serve  # the whole house: only for who serves

    serve(config)
    return GOOD


def _check_config(config: Config) -> int:
    print(f"The configuration is good: it would listen on {config.web.listen_address}.")
    return GOOD


_COMMANDS: dict[str, tuple[str, Callable[[Config], int]]] = {
    "serve": ("make, keep and serve metrics (the default)", _serve),
    "check-config": ("check flags, environment and configuration file, and stop", _check_config),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openmanager-exporter",
        description="A fleet you can break on purpose: makes, keeps, answers and serves its metrics.",
        epilog="Without a command it serves. Every flag is also a variable (--web.listen-address is"
        " OPENMANAGER_WEB_LISTEN_ADDRESS) and a key of the configuration file (web: {listen_address: …}).",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('openmanager')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (text, run) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add_flags(command, Config)
        command.set_defaults(command=run)
    return parser


def _with_command(argv: list[str]) -> list[str]:
    """The arguments with `serve` put in front where no command is given."""
    asks_about_all = {"-h", "--help", "--version"} & set(argv[:1])
    return argv if asks_about_all or (argv and argv[0] in _COMMANDS) else ["serve", *argv]
