"""The command line of the exporter."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from exporter import logs
from exporter.config import Config
from exporter.drills import scenario
from exporter.drills import simulate as simulation
from exporter.mcp import command as mcp
from exporter.settings import SettingsError, add_flags, load
from exporter.transfer import commands as transfer
from exporter.transfer.errors import CheckFailed, Unusable

GOOD, FAILED, UNUSABLE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 is good, 1 a check that failed, 2 input that cannot be used."""
    flags = _parser().parse_args(_with_command(sys.argv[1:] if argv is None else list(argv)))
    command: Command = flags.command
    try:
        config = load(Config, flags, os.environ)
        logs.configure(config.log.level, config.log.format, config.passwords())
        command.run(config, flags)
        return GOOD
    except (SettingsError, Unusable) as err:
        print(f"openmanager-exporter: {err}", file=sys.stderr)
        return UNUSABLE
    except CheckFailed as err:
        print(f"openmanager-exporter: {err}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
        return GOOD


def _serve(config: Config, _flags: argparse.Namespace) -> None:
    from exporter.app import serve  # the whole house: only for who serves

    serve(config)


def _check_config(config: Config, _flags: argparse.Namespace) -> None:
    print(f"The configuration is good: it would listen on {config.web.listen_address}.")


def _no_flags(_parser: argparse.ArgumentParser) -> None:
    """For commands that have only the settings."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command is for (a line, and perhaps more), what it does, and the flags that only it has."""

    help: str
    run: Callable[[Config, argparse.Namespace], None]
    add_flags: Callable[[argparse.ArgumentParser], None] = _no_flags


_COMMANDS: dict[str, Command] = {
    "serve": Command("make, keep and serve metrics (the default)", _serve),
    "export": Command(transfer.EXPORT_HELP, transfer.export, transfer.add_export_flags),
    "import": Command(transfer.IMPORT_HELP, transfer.import_, transfer.add_import_flags),
    "backfill": Command(transfer.BACKFILL_HELP, transfer.backfill, transfer.add_backfill_flags),
    "stats": Command(transfer.STATS_HELP, transfer.stats, transfer.add_stats_flags),
    "scenario": Command(scenario.HELP, scenario.run, scenario.add_flags),
    "truth": Command(simulation.TRUTH_HELP, simulation.truth, simulation.add_truth_flags),
    "simulate": Command(simulation.SIMULATE_HELP, simulation.simulate, simulation.add_simulate_flags),
    "mcp": Command(mcp.HELP, mcp.run, mcp.add_flags),
    "check-config": Command("check flags, environment and configuration file, and stop", _check_config),
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
    for name, command in _COMMANDS.items():
        line, _, more = command.help.partition("\n")
        about = f"{line[0].upper()}{line[1:]}.\n{more}".rstrip()
        one = commands.add_parser(
            name, help=line, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_flags(one)
        add_flags(one, Config)
        one.set_defaults(command=command)
    return parser


def _with_command(argv: list[str]) -> list[str]:
    """The arguments with `serve` put in front where no command is given."""
    asks_about_all = {"-h", "--help", "--version"} & set(argv[:1])
    return argv if asks_about_all or (argv and argv[0] in _COMMANDS) else ["serve", *argv]
