"""What each role is like: read from YAML, checked, with the place of each mistake."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from exporter.simulation.documents import Document, DocumentError, mistakes

Percent = Annotated[float, Meta(ge=0, le=100)]
Positive = Annotated[float, Meta(gt=0)]


class RolesError(ValueError):
    """A file of roles cannot be used. One line: place, value and rule."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Size(_Strict, frozen=True):
    """One machine size that servers of a role come in."""

    cores: Annotated[int, Meta(ge=1, le=1024)]
    memory_gib: Positive
    disk_gib: Positive


class Heap(_Strict, frozen=True):
    """A garbage collector's sawtooth: rises by so many points of memory in so many hours, then falls at once."""

    points: Annotated[float, Meta(ge=0, le=40)] = 0.0
    hours: Annotated[float, Meta(ge=0.1, le=72)] = 6.0


class DiskWork(_Strict, frozen=True):
    """Reads and writes per second at demand 1, their mean size, and how much a burst multiplies the writes."""

    reads: Positive
    read_kib: Annotated[float, Meta(ge=1, le=512)]
    writes: Positive
    write_kib: Annotated[float, Meta(ge=1, le=512)]
    bursts: Annotated[float, Meta(ge=0, le=100)]


class Role(_Strict, frozen=True):
    """The profile of one role; percentages and rates are those in the middle of a working day."""

    prefix: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]
    pattern: str
    cpu: Percent
    cpu_idle: Percent
    memory: Percent
    disk: Percent
    network: tuple[Positive, Positive]
    requests: Positive
    response_ms: Positive
    growth: Annotated[float, Meta(ge=0, le=3)]
    cleanup_days: Annotated[int, Meta(ge=1, le=30)]
    disk_io: DiskWork
    sizes: Annotated[tuple[Size, ...], Meta(min_length=1)]
    services: tuple[str, ...]
    weekly: Annotated[float, Meta(ge=0, le=1)] = 1.0
    phase_h: Annotated[float, Meta(ge=-12, le=12)] = 0.0
    heap: Heap = Heap()
    jitter: Annotated[float, Meta(ge=0, le=10)] = 1.0
    steady: Annotated[float, Meta(ge=0, le=1)] = 0.1
    mount: Annotated[str, Meta(pattern="^/")] = "/"
    depends: tuple[str, ...] = ()


class Roles(_Strict, frozen=True):
    """All roles and the day patterns they name."""

    patterns: dict[str, Annotated[tuple[Positive, ...], Meta(min_length=24, max_length=24)]]
    roles: Annotated[dict[str, Role], Meta(min_length=1)]

    def __post_init__(self) -> None:
        for name, role in self.roles.items():
            if role.pattern not in self.patterns:
                raise ValueError(f"roles.{name}.pattern: {role.pattern!r}: must be one of {', '.join(self.patterns)}")
            for other in role.depends:
                if other not in self.roles:
                    raise ValueError(f"roles.{name}.depends: {other!r}: must be one of {', '.join(self.roles)}")


def load_roles(extra: Sequence[str] = (), place: str = "roles") -> Roles:
    """The shipped roles, with those of further YAML texts added or put in their place.

    Raises RolesError with a line for each mistake.
    """
    shipped = resources.files("exporter.simulation").joinpath("roles.yaml").read_text(encoding="utf-8")
    try:
        tree: dict[str, Any] = Document(shipped, "roles.yaml").tree
        for text in extra:
            tree = _added(tree, document := Document(text, place))
        return _checked(tree, document) if extra else msgspec.convert(tree, Roles)
    except DocumentError as err:
        raise RolesError("\n".join(mistake.at(place) for mistake in err.mistakes)) from None


def _checked(tree: dict[str, Any], document: Document) -> Roles:
    try:
        return msgspec.convert(tree, Roles)
    except msgspec.ValidationError as err:
        path = str(err).partition(": ")[0].split(".")
        raise DocumentError(document.place, [document.mistake(tuple(path), str(err))]) from None


def _added(tree: dict[str, Any], document: Document) -> dict[str, Any]:
    more = document.tree
    if not isinstance(more, dict):
        raise DocumentError(document.place, [document.mistake((), "must be a mapping with patterns and roles")])
    wrong = list(document.repeated)
    for part, values in more.items():
        if part not in tree or not isinstance(values, dict):
            wrong.append(document.mistake((part,), f"{part}: must be the mapping patterns or roles"))
        elif part == "roles":
            for name, role in values.items():
                wrong += [document.mistake(path, text) for path, text in mistakes(role, Role, ("roles", str(name)))]
    if wrong:
        raise DocumentError(document.place, wrong)
    return {part: {**tree[part], **more.get(part, {})} for part in tree}
