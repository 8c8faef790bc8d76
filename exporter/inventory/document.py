"""A server as the JSON that clients read and write: checked on its way in, each mistake with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from exporter.model import Limits, Maintenance, Server

_LATEST_S = 253_402_300_799  # the end of the year 9999
_Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*\Z")]
_Prose = r"^[^\x00]*\Z"  # PostgreSQL keeps every character but this one
_Percent = Annotated[float, Meta(gt=0, le=100)]
_Seconds = Annotated[float, Meta(gt=0, le=3600)]
_Moment = Annotated[datetime, Meta(tz=True)] | Annotated[float, Meta(ge=0, le=_LATEST_S)]
_RESERVED = ("server", "role", "environment", "synthetic", "instance", "job")


class _PercentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    warning: _Percent | None = None
    critical: _Percent | None = None


class _SecondsLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    warning: _Seconds | None = None
    critical: _Seconds | None = None


class _Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    cpu: _PercentLimits | UnsetType = UNSET
    memory: _PercentLimits | UnsetType = UNSET
    disk: _PercentLimits | UnsetType = UNSET
    response: _SecondsLimits | UnsetType = UNSET


class _Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: _Moment
    end: _Moment
    reason: Annotated[str, Meta(max_length=1_000, pattern=_Prose)] = ""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A server as a client may write it."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")]
    role: _Text
    environment: _Text = "production"
    cores: Annotated[int, Meta(ge=1, le=1024)] = 4
    memory_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 50)] = 16 << 30
    disk_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 60)] = 100 << 30
    mount: Annotated[str, Meta(pattern=r"^/[^\x00-\x1f]*\Z", max_length=200)] = "/"
    services: Annotated[tuple[_Text, ...], Meta(max_length=100)] = ()
    labels: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*\Z", max_length=100)], _Text], Meta(max_length=100)
    ] = {}
    thresholds: _Thresholds = _Thresholds()
    notes: Annotated[str, Meta(max_length=10_000, pattern=_Prose)] = ""
    maintenance: Annotated[tuple[_Window, ...], Meta(max_length=100)] = ()


def read_server(tree: Mapping[str, Any]) -> Server:
    """The server that a JSON object describes. Raises ValueError: place, value and rule, in one line."""
    try:
        found = msgspec.convert(tree, _Document)
    except msgspec.ValidationError as err:
        raise ValueError(_placed(str(err), tree)) from None
    for name in found.labels:
        if name in _RESERVED or name.startswith("__"):
            raise ValueError(f"labels.{name}: is a label that is set already; choose another name")
    if len(set(found.services)) < len(found.services):
        raise ValueError("services: each may be named once")
    values = {name: getattr(found, name) for name in _SAME}
    thresholds = _limits(found.thresholds)
    windows = tuple(_window(number, window) for number, window in enumerate(found.maintenance))
    return Server(name=found.id, **values, thresholds=thresholds, maintenance=windows)


_SAME = ("role", "environment", "cores", "memory_bytes", "disk_bytes", "mount", "services", "labels", "notes")


def written(server: Server) -> dict[str, Any]:
    """The JSON object of a server; `read_server` reads it back."""
    return {
        "id": server.name,
        **{name: getattr(server, name) for name in _SAME},
        "services": list(server.services),
        "labels": dict(server.labels),
        "thresholds": {
            name: {"warning": limits.warning, "critical": limits.critical} for name, limits in server.thresholds.items()
        },
        "maintenance": [
            {"start": _rfc3339(window.start_ms), "end": _rfc3339(window.end_ms), "reason": window.reason}
            for window in server.maintenance
        ],
    }


def _placed(message: str, tree: Mapping[str, Any]) -> str:
    """`thresholds.cpu.warning: 101: Expected `float` <= 100.0`."""
    reason, _, where = " ".join(message.splitlines()).partition(" - at `")
    _, key, where = where.rstrip("`").rpartition("key` in `")
    place = where.removeprefix("$").removeprefix(".")
    if key:
        return f"{place}: a name in it: {reason}"
    return ": ".join(part for part in (place, _shown(place, tree), reason) if part)


def _shown(place: str, tree: Any) -> str:
    """What stands at a place like `maintenance[0].end`; nothing for what is itself an object or a list."""
    for name, number in re.findall(r"([A-Za-z_]\w*)|\[(\d+)\]", place):
        try:
            tree = tree[name or int(number)]
        except (KeyError, IndexError, TypeError):
            return ""
    return "" if isinstance(tree, (dict, list)) else repr(tree)[:64]


def _limits(thresholds: _Thresholds) -> dict[str, Limits]:
    found = {}
    for name in ("cpu", "memory", "disk", "response"):
        limits = getattr(thresholds, name)
        if limits is UNSET:
            continue
        if None not in (limits.warning, limits.critical) and limits.warning > limits.critical:
            raise ValueError(f"thresholds.{name}: warning {limits.warning:g} must not be above {limits.critical:g}")
        found[name] = Limits(limits.warning, limits.critical)
    return found


def _window(number: int, window: _Window) -> Maintenance:
    start_ms, end_ms = _ms(window.start), _ms(window.end)
    if not (0 <= start_ms <= _LATEST_S * 1000 and 0 <= end_ms <= _LATEST_S * 1000):
        raise ValueError(f"maintenance[{number}]: must be in the years 1970 to 9999")
    if end_ms <= start_ms:
        raise ValueError(f"maintenance[{number}]: end {_rfc3339(end_ms)} must be after start {_rfc3339(start_ms)}")
    return Maintenance(start_ms, end_ms, window.reason)


def _ms(moment: datetime | float) -> int:
    return round((moment.timestamp() if isinstance(moment, datetime) else moment) * 1000)


def _rfc3339(t_ms: int) -> str:
    moment = datetime.fromtimestamp(t_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if t_ms % 1000 else "seconds").replace("+00:00", "Z")
