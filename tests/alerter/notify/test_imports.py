"""What is loaded is only what is used: memory is a feature."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("alerter.template.template", ("numpy", "re2", "jinja2", "requests")),
        ("alerter.notify.console", ("numpy", "requests", "urllib3", "datadog_api_client")),
        ("alerter.notify.slack", ("numpy", "datadog_api_client", "charset_normalizer", "chardet")),
        ("alerter.cli", ("aiohttp", "importlib.metadata", "requests", "jinja2", "redis")),
        ("alerter.notify.datadog_events", ("numpy", "requests", "datadog_api_client")),
    ],
)
def test_a_module_loads_no_library_before_it_is_needed(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(sorted(set({absent!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
