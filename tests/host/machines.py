"""Machines that are this one, but for what a test says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

from exporter.model import Snapshot

T_MS = 1_795_392_000_000
Values = dict[tuple[str, ...], float]


class Machine:
    """psutil with some of its functions and flags replaced. The tests' way to other platforms and bad days."""

    def __init__(self, **said: Any) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return self._said[name] if name in self._said else getattr(psutil, name)


def machine(**said: Any) -> Any:
    """A machine that is this one but for these functions and flags of psutil."""
    return Machine(**said)


def raising(error: Exception) -> Callable[..., Any]:
    """A function that raises whatever it is called with."""

    def call(*_: object, **__: object) -> Any:
        raise error

    return call


def answering(*answers: Any) -> Callable[..., Any]:
    """A function that gives these answers in turn, the last one for ever."""
    left = list(answers)

    def call(*_: object, **__: object) -> Any:
        return left.pop(0) if len(left) > 1 else left[0]

    return call


def values(snapshot: Snapshot) -> dict[str, Values]:
    """Values by metric, then by the labels beyond `server`."""
    return {
        column.index.metric.removeprefix("openmanager_"): {
            row[1:]: float(value) for row, value in zip(column.index.rows, column.values, strict=True)
        }
        for column in snapshot.columns
    }
