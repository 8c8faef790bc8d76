"""`openmanager-alerter`: its commands. Exit 0 good, 1 a check failed, 2 unusable input."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alerter.config import Config
from exporter import heap, logs, settings
from exporter.settings import SettingsError

GOOD, FAILED, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    logging.getLogger("alerter").addHandler(logging.NullHandler())  # tools say what is wrong in their own words
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0] not in COMMANDS and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, "run")
    flags = _parser().parse_args(given)
    try:
        config = settings.load(Config, flags, os.environ)
        command: Callable[[argparse.Namespace, Config, Mapping[str, str]], int] = COMMANDS[flags.command]
        return command(flags, config, os.environ)
    except SettingsError as err:
        return complain(str(err))
    except BrokenPipeError:
        sys.stderr.close()
        return GOOD


def complain(message: str) -> int:
    """One line on standard error; the exit code for unusable input."""
    print(f"openmanager-alerter: {' '.join(message.splitlines())}", file=sys.stderr)
    return UNUSABLE


def _run(_: argparse.Namespace, config: Config, environ: Mapping[str, str]) -> int:
    from alerter.app import App
    from alerter.secrets import read_secrets
    from alerter.wiring import StartError

    heap.share()

    secrets = read_secrets(environ, config)
    logs.configure(config.log.level, config.log.format, (*secrets.all, *config.passwords()))
    try:
        while not asyncio.run(App(config, secrets).run(lambda: _announce(config))):
            pass  # another one leads: stand by again
        return GOOD
    except StartError as err:
        return complain(str(err))
    except KeyboardInterrupt:
        return GOOD


def _announce(config: Config) -> None:
    print(f"openmanager-alerter: listening on http://{config.web.listen_address}", flush=True)


def _check(flags: argparse.Namespace, config: Config, _: Mapping[str, str]) -> int:
    from alerter.datasource.querier import QueryError
    from alerter.rules.rulepaths import rule_paths
    from alerter.rules.rules import RuleFileError
    from alerter.tools.check import check, metrics_of

    asked = getattr(flags, "--datasource.url") is not None  # else the files are checked by themselves
    if absent := [path for path in flags.files if not os.path.exists(path)]:  # noqa: PTH110 (as they are given)
        return complain(f"{absent[0]}: no such file")
    try:
        files = flags.files or rule_paths(config.rules)
        metrics = asyncio.run(metrics_of(config)) if asked else None
    except (RuleFileError, QueryError) as err:
        return complain(str(err))
    return check(files, config, sys.stdout, metrics)


def _test(flags: argparse.Namespace, _: Config, __: Mapping[str, str]) -> int:
    from alerter.tools.ruletest import test

    return test(flags.files, sys.stdout)


def _send_test(_: argparse.Namespace, config: Config, environ: Mapping[str, str]) -> int:
    from alerter.receivers import ReceiverError
    from alerter.secrets import read_secrets
    from alerter.tools.sendtest import send_test

    try:
        return send_test(config, read_secrets(environ, config), sys.stdout)
    except ReceiverError as err:
        return complain(str(err))


def _backtest(flags: argparse.Namespace, config: Config, _: Mapping[str, str]) -> int:
    from alerter.datasource.querier import QueryError
    from alerter.rules.rules import RuleFileError
    from alerter.tools.past import backtest

    try:
        start, end = (instant(text, name) for text, name in ((flags.start, "--start"), (flags.end, "--end")))
        return asyncio.run(backtest(config, start, end, flags.format, sys.stdout, sys.stderr))
    except (RuleFileError, QueryError, ValueError) as err:
        return complain(str(err))


def _lab(flags: argparse.Namespace, config: Config, _: Mapping[str, str]) -> int:
    from alerter.rules.rules import RuleFileError
    from alerter.tools.lab import LabError, Plan, lab

    plan = Plan(flags.servers, flags.seed, flags.interval, flags.rounds, tuple(flags.scenario or ()))
    try:
        return asyncio.run(lab(config, plan, flags.format, sys.stdout, sys.stderr))
    except (RuleFileError, LabError) as err:
        return complain(str(err))


def instant(text: str, flag: str) -> float:
    """A time in Unix seconds, written so or as RFC 3339. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{flag} {text!r}: neither Unix seconds nor RFC 3339") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Config, Mapping[str, str]], int]] = {
    "run": _run,
    "check": _check,
    "test": _test,
    "backtest": _backtest,
    "lab": _lab,
    "send-test": _send_test,
}


def _add_lab(commands: Any, common: argparse.ArgumentParser) -> None:
    trial = commands.add_parser(
        "lab", parents=[common], help="run rule files over simulated days and say which failures they catch"
    )
    trial.usage = "%(prog)s [--rules GLOB] [--scenario NAME] [--rounds N] [--servers N] [--format FORMAT] [SETTINGS]"
    trial.epilog = (
        "Every failure the simulator knows happens once to a fleet, one after the other. Printed are for each: caught "
        "or missed, the time to the first page and from its end to the last resolve, pages and flaps; then the pages "
        "that no failure explains. Exit code 0: nothing missed that its scenario expects to be caught and no false "
        "page, 1 otherwise, 2: unusable input."
    )
    trial.add_argument("--scenario", action="append", metavar="NAME", help="only this failure (repeatable)")
    trial.add_argument("--rounds", type=_positive, default=1, metavar="N", help="how often each happens (default: 1)")
    trial.add_argument("--servers", type=_positive, default=20, metavar="N", help="size of the fleet (default: 20)")
    trial.add_argument("--seed", type=int, default=1, help="another seed, other values and targets (default: 1)")
    trial.add_argument(
        "--interval", type=_positive, default=15, metavar="S", help="seconds between ticks (default: 15)"
    )
    trial.add_argument("--format", choices=("text", "json"), default="text", help="a table, or JSON")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes a megabyte of modules."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"{parser.prog} {version('openmanager')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openmanager-alerter",
        description="Evaluates Prometheus rule files and tells Slack and Datadog, once.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    settings.add_flags(common, Config)
    common.add_argument("--datasource-url", dest="--datasource.url", metavar="URL", help=argparse.SUPPRESS)  # an alias
    commands.add_parser("run", parents=[common], help="evaluate rules and tell receivers (the default)")
    check = commands.add_parser(
        "check",
        parents=[common],
        help="say every mistake of rule files; with --datasource.url, metrics it does not have too",
    )
    check.usage = "%(prog)s [FILE ...] [--datasource.url URL] [SETTINGS]"
    check.epilog = "Exit code 0: no mistake (warnings may be said), 1: mistakes, 2: a file that is not there."
    check.add_argument("files", nargs="*", metavar="FILE", help="rule files (default: those of --rules)")
    test = commands.add_parser("test", parents=[common], help="run unit tests of rules, in promtool's format")
    test.usage = "%(prog)s FILE ..."
    test.epilog = "Exit code 0: all tests passed, 1: a test failed, or its file cannot be used."
    test.add_argument("files", nargs="+", metavar="FILE", help="files of tests")
    past = commands.add_parser("backtest", parents=[common], help="run rule files over a Prometheus' past")
    past.usage = "%(prog)s --start T --end T [--rules GLOB] [--datasource.url URL] [--format FORMAT] [SETTINGS]"
    past.epilog = (
        "Rules see what earlier ones of the file record, as if it had been there all the time. Example: "
        "openmanager-alerter backtest --rules 'rules/*.yml' --datasource.url http://localhost:9090 "
        "--start 2026-01-01T00:00:00Z --end 2026-01-08T00:00:00Z"
    )
    past.add_argument("--start", required=True, help="RFC 3339 or Unix seconds")
    past.add_argument("--end", required=True, help="RFC 3339 or Unix seconds")
    formats = "text: a table of how loud each rule was; json: the same; jsonl: one line for each evaluation"
    past.add_argument("--format", choices=("text", "json", "jsonl"), default="text", help=formats)
    _add_lab(commands, common)
    commands.add_parser("send-test", parents=[common], help="send a test message through every receiver")
    return parser
