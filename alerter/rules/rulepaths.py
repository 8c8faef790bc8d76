"""Which files the rules are in."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from alerter.rules.rules import Mistake, RuleFileError

DEFAULT_PATTERN = "rules/*.yml"
_SHIPPED = Path(__file__).resolve().parents[2] / "rules"


def rule_paths(patterns: Sequence[str]) -> list[str]:
    """The rule files that the globs name, as absolute paths; the shipped ones where the default finds none.

    Raises RuleFileError for a pattern that names none.
    """
    paths: list[str] = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (patterns may be absolute)
        if not found and pattern == DEFAULT_PATTERN:
            found = sorted(map(str, _SHIPPED.glob("*.yml")))
        if not found:
            raise RuleFileError([Mistake(pattern, 0, 0, "no such rule file")])
        paths += [str(Path(path).resolve()) for path in found]
    return list(dict.fromkeys(paths))
