"""JSON merge patches. Source: RFC 7396."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEEPEST = 32


def merged(tree: dict[str, Any], patch: Mapping[str, Any], depth: int = 1) -> dict[str, Any]:
    """The tree after a patch: null takes a field out, objects are merged, anything else replaces.

    Raises ValueError for a patch that is nested deeper than 32 levels.
    """
    if depth > _DEEPEST:
        raise ValueError(f"the body is nested more than {_DEEPEST} levels deep")
    out = {name: value for name, value in tree.items() if patch.get(name, "") is not None}
    for name, value in patch.items():
        if isinstance(value, dict):
            before = out.get(name)
            out[name] = merged(before if isinstance(before, dict) else {}, value, depth + 1)
        elif value is not None:
            out[name] = value
    return out
