"""The shipped rules: as specified, and accepted by Prometheus' own tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from alerter import rulefile
from alerter.expansion import LANGUAGE
from tests.servers import binary

FOLDER = Path(__file__).parents[2] / "rules"
FILES = sorted(FOLDER.glob("*.yml"))
CPU_TEXT = "CPU usage is {{ $value }}% on server {{ $labels.server }}"
MEMORY_TEXT = "Memory usage is {{ $value }}% on server {{ $labels.server }}"
SPECIFIED = {
    "HighCPUUsage": ("openmanager_cpu_usage_percent > 80", "5m", "warning", "High CPU usage", CPU_TEXT),
    "CriticalCPUUsage": ("openmanager_cpu_usage_percent > 95", "2m", "critical", "Critical CPU usage", CPU_TEXT),
    "HighMemoryUsage": ("openmanager_memory_usage_percent > 85", "5m", "warning", "High memory usage", MEMORY_TEXT),
}


def test_promtool_and_the_alerter_accept_them() -> None:
    done = subprocess.run([binary("promtool"), "check", "rules", *map(str, FILES)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert [file.mistakes for file in (rulefile.read(str(path), LANGUAGE, 15.0) for path in FILES)] == [()] * len(FILES)


def test_cpu_and_memory_are_exactly_as_specified() -> None:
    groups = [group for path in FILES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    for name, (expr, wait, severity, summary, description) in SPECIFIED.items():
        assert rules[name] == {
            "alert": name,
            "expr": expr,
            "for": wait,
            "labels": {"severity": severity},
            "annotations": {"summary": f"{summary} on {{{{ $labels.server }}}}", "description": description},
        }
    assert {"HighDiskUsage", "CriticalDiskUsage", "DiskWillFill"} <= set(rules)
