"""Prometheus' own test scripts: every case without native histograms and experimental features.

Each is evaluated over series that share their times and over the same series one by one, and again as
Prometheus' runner does: in the middle of a range, and with `@` on every selector.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.promql.memory import Memory
from tests.promql.promqltest import Case, Mismatch, cases, check

# Cases that we differ on, and why.
DIFFERENCES = {
    ("histograms.test", 1081): "the two series that collide are native histograms, made by load_with_nhcb",
}


def _core_cases() -> list[tuple[str, Case, Memory]]:
    root = SHARED / "promql"
    if not root.is_dir():
        return []
    marked = json.loads((root / "cases.json").read_text())
    wanted = {(case["file"], case["line"]) for case in marked if case["core"]}
    found = []
    for path in sorted((root / "testdata").glob("*.test")):
        found += [(path.name, case, memory) for case, memory in cases(path) if (path.name, case.line) in wanted]
    return found


CORE = _core_cases()


def test_every_core_case_is_read(shared: Path) -> None:
    marked = json.loads((shared / "promql" / "cases.json").read_text())
    assert {(case["file"], case["line"]) for case in marked if case["core"]} == {
        (file, case.line) for file, case, _ in CORE
    }


def test_every_difference_is_in_the_docs() -> None:
    table = (Path(__file__).resolve().parents[2] / "docs" / "promql.md").read_text()
    assert all(f"`{file}:{line}`" in table for file, line in DIFFERENCES)


@pytest.mark.parametrize(("file", "case", "memory"), CORE, ids=[f"{file}-{case.line}" for file, case, _ in CORE])
def test_a_case_holds_over_regular_and_irregular_series(file: str, case: Case, memory: Memory) -> None:
    for together in (True, False):
        data = Memory(memory.samples, together)
        if (file, case.line) in DIFFERENCES:
            with pytest.raises(Mismatch):
                check(case, data)
        else:
            check(case, data)
