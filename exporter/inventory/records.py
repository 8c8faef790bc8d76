"""Servers and incidents as rows of tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import msgspec

from exporter.model import Limits, Maintenance, Server

_JSON_COLUMNS: Mapping[str, Any] = {
    "services": tuple[str, ...],
    "labels": dict[str, str],
    "thresholds": dict[str, Limits],
    "maintenance": tuple[Maintenance, ...],
}
_COLUMNS = tuple(field.name for field in fields(Server))


@dataclass(frozen=True, slots=True)
class Kept:
    """A server as it is kept. made: only the program has written it.

    It was in the fleet in [joined_ms, left_ms), Unix ms; `left_ms` is None while it is in it.
    """

    server: Server
    made: bool = False
    joined_ms: int = 0
    left_ms: int | None = None

    @property
    def removed(self) -> bool:
        return self.left_ms is not None


def server_row(kept: Kept, position: int) -> dict[str, Any]:
    """A server as a row of its table."""
    row = {name: getattr(kept.server, name) for name in _COLUMNS}
    texts = {name: msgspec.json.encode(row[name]).decode() for name in _JSON_COLUMNS}
    stay = {"joined_ms": kept.joined_ms, "left_ms": kept.left_ms}
    return {**row, **texts, "position": position, "made": int(kept.made), **stay}


def from_server_row(row: Mapping[str, Any]) -> Kept:
    """The server in a row of the table."""
    values = {name: row[name] for name in _COLUMNS}
    values |= {name: _decoded(name, row[name]) for name in _JSON_COLUMNS}
    return Kept(Server(**values), bool(row["made"]), row["joined_ms"], row["left_ms"])


@lru_cache(maxsize=1024)  # most servers share their services, and have no labels: 100,000 of them stay small
def _decoded(column: str, text: str) -> Any:
    return msgspec.json.decode(text, type=_JSON_COLUMNS[column])


def incident_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """An incident as a row of its table."""
    return {**record, "targets": json.dumps(list(record["targets"]))}


def from_incident_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The incident in a row of the table."""
    return {**row, "targets": json.loads(row["targets"])}
