"""The command `scenario`: list, inject and clear failures of a running exporter, and check scenario files."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from exporter.config import Config
from exporter.drills.api import Exporter, Refused, running
from exporter.source import configured_roles
from exporter.transfer.errors import CheckFailed, Unusable

HELP = """list, inject and clear failures, and check scenario files

  scenario list                                  what can go wrong, and what does
  scenario inject cpu-saturation --target web-01 --duration 8m
  scenario inject disk-full --ttl 10m --id mine  until it is cleared, or 10 minutes after it was last asked for
  scenario clear ID…                             end failures at the next tick
  scenario validate FILE…                        every mistake with file, line, column and rule; folders too
  scenario schema                                the JSON schema of a scenario file, for editors

All but the last two talk to a running exporter, at --url. Where it needs a token, OPENMANAGER_TOKEN holds it, or
OPENMANAGER_TOKEN_FILE names a file that does. The same --id asked for again is still one failure."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What `scenario` may be given."""
    parser.add_argument("action", choices=list(_ACTIONS), metavar="ACTION", help=", ".join(_ACTIONS))
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a scenario to inject, ids to clear, files to validate"
    )
    parser.add_argument("--url", metavar="URL", help="the running exporter (default: where it is set to listen)")
    parser.add_argument(
        "--target", action="append", metavar="SERVER", help="a server to break; may be given repeatedly"
    )
    parser.add_argument("--duration", metavar="D", help="how long it lasts (default: as its scenario says)")
    parser.add_argument(
        "--ttl", metavar="D", help="instead: until it is cleared, or so long after it was last asked for"
    )
    parser.add_argument("--intensity", type=float, metavar="X", help="how strong, above 0 up to 1 (default: 1)")
    parser.add_argument("--id", metavar="ID", help="its name, to clear it by or to ask for it again")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(config: Config, flags: argparse.Namespace) -> None:
    """Raises CheckFailed and Unusable."""
    try:
        _ACTIONS[flags.action](config, flags)
    except Refused as err:
        raise CheckFailed(str(err)) from None


def _list(config: Config, flags: argparse.Namespace) -> None:
    _named(flags, 0)
    found = _exporter(config, flags).get("/api/scenarios")
    if flags.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    rows = [(of["type"], of.get("duration", ""), of.get("role") or "any", of["description"]) for of in found["types"]]
    _table(("scenario", "lasts", "role", "what happens"), rows)
    print()
    going_on = [(of["id"], of["type"], ", ".join(of["targets"][:4]), _clock(of["end"])) for of in found["active"]]
    _table(("id", "goes on", "on", "until"), going_on) if going_on else print("Nothing is broken.")


def _inject(config: Config, flags: argparse.Namespace) -> None:
    (name,) = _named(flags, 1)
    given = {
        "id": flags.id,
        "targets": flags.target,
        "duration": flags.duration,
        "ttl": flags.ttl,
        "intensity": flags.intensity,
    }
    wish = {"type": name, **{key: value for key, value in given.items() if value is not None}}
    made = _exporter(config, flags).post("/api/scenarios", wish)
    if flags.json:
        print(json.dumps(made, indent=2, ensure_ascii=False))
    else:
        where = ", ".join(made["targets"][:4]) + (", …" if len(made["targets"]) > 4 else "")
        print(f"{made['id']}: {made['type']} on {where} from {_clock(made['start'])} until {_clock(made['end'])}")


def _clear(config: Config, flags: argparse.Namespace) -> None:
    exporter = _exporter(config, flags)
    for name in _named(flags):
        exporter.delete(f"/api/scenarios/{quote(name, safe='')}")
        print(f"{name}: ends at the next tick")


def _validate(config: Config, flags: argparse.Namespace) -> None:
    from exporter.simulation.scenarios import ScenarioError, read_scenario

    roles = configured_roles(config).roles
    bad = 0
    for file in _files(_named(flags)):
        try:
            scenario = read_scenario(file, roles)
        except ScenarioError as err:
            bad += 1
            print(err, file=sys.stderr)
        else:
            print(f"{file}: {scenario.name} is good")
    if bad:
        raise CheckFailed(f"{bad} {'file has' if bad == 1 else 'files have'} mistakes")


def _schema(_config: Config, flags: argparse.Namespace) -> None:
    from exporter.simulation.scenarios import schema

    _named(flags, 0)
    print(json.dumps(schema(), indent=2, ensure_ascii=False))


def _files(names: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.exists():
            raise Unusable(f"{name}: No such file or directory")
        inside = (
            sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
        )
        found += inside
    return found


_ACTIONS: Mapping[str, Callable[[Config, argparse.Namespace], None]] = {
    "list": _list,
    "inject": _inject,
    "clear": _clear,
    "validate": _validate,
    "schema": _schema,
}


def _named(flags: argparse.Namespace, count: int | None = None) -> list[str]:
    names: list[str] = flags.names
    if count is None and not names:
        raise Unusable(f"scenario {flags.action}: at least one name is needed")
    if count is not None and len(names) != count:
        wanted = "one scenario is to be named" if count else "takes no names"
        raise Unusable(f"scenario {flags.action}: {wanted}, not {len(names)}")
    return names


def _exporter(config: Config, flags: argparse.Namespace) -> Exporter:
    return running(config, flags.url, os.environ)


def _clock(t_s: float) -> str:
    return dt.datetime.fromtimestamp(t_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    widths = [max(len(str(row[column])) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
