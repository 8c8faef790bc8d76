"""Our own scripts in Prometheus' test language: one for each part of the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promql.memory import Memory
from tests.promql.promqltest import Case, cases, check

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.test"))
CASES = [(path, case, memory) for path in SCRIPTS for case, memory in cases(path)]


@pytest.mark.parametrize("together", [True, False], ids=["regular", "irregular"])
@pytest.mark.parametrize(("path", "case", "memory"), CASES, ids=[f"{path.stem}-{case.line}" for path, case, _ in CASES])
def test_a_case_of_ours_holds(path: Path, case: Case, memory: Memory, together: bool) -> None:
    check(case, Memory(memory.samples, together))
