"""Servers and incidents as rows of tables and as JSON, checked where they come from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from exporter.model import Server

_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_JSON_COLUMNS = ("services", "labels", "thresholds")
_RESERVED = ("server", "role", "environment", "__name__")


class ServerRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A server as a client may write it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
    role: _Text
    environment: _Text = "production"
    cores: Annotated[int, Meta(ge=1, le=1024)] = 4
    memory_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 50)] = 16 << 30
    disk_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 60)] = 100 << 30
    mount: Annotated[str, Meta(pattern="^/", max_length=200)] = "/"
    services: Annotated[tuple[_Text, ...], Meta(max_length=100)] = ()
    labels: Annotated[
        dict[Annotated[str, Meta(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)], _Text], Meta(max_length=100)
    ] = {}
    thresholds: dict[Annotated[str, Meta(pattern="^(cpu|memory|disk)$")], Annotated[float, Meta(gt=0, le=100)]] = {}
    notes: Annotated[str, Meta(max_length=10_000)] = ""


def server_from_json(tree: Mapping[str, Any], name: str) -> Server:
    """The server that a client's JSON object describes. Raises ValueError: place, value, rule, in one line."""
    if tree.get("name", name) != name:
        raise ValueError(f"name: {tree['name']!r}: must be {name!r}, as in the path")
    try:
        record = msgspec.convert({**tree, "name": name}, ServerRecord)
    except msgspec.ValidationError as err:
        reason, found, where = str(err).partition(" - at `")
        place = where.rstrip("`").removeprefix("$.")
        raise ValueError(" ".join((f"{place}: {reason}" if found else reason).splitlines())) from None
    if reserved := sorted(set(record.labels) & set(_RESERVED)):
        raise ValueError(f"labels.{reserved[0]}: is a label that every server has")
    return Server(**msgspec.structs.asdict(record))


def server_to_json(server: Server) -> dict[str, Any]:
    """The JSON object of a server; `server_from_json` reads it back."""
    return {name: _plain(getattr(server, name)) for name in Server.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def server_row(server: Server, position: int) -> dict[str, Any]:
    """A server as a row of its table."""
    row = server_to_json(server)
    return {**row, **{name: json.dumps(row[name]) for name in _JSON_COLUMNS}, "position": position}


def from_server_row(row: Mapping[Any, Any]) -> Server:
    """The server in a row of the table."""
    values = {name: row[name] for name in Server.__slots__}
    values.update({name: json.loads(row[name]) for name in _JSON_COLUMNS})
    return Server(**{**values, "services": tuple(values["services"])})


def incident_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """An incident as a row of its table."""
    return {**record, "targets": json.dumps(list(record["targets"]))}


def from_incident_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The incident in a row of the table."""
    return {**row, "targets": json.loads(row["targets"])}
