"""The README's tables tell the truth about the settings that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

import alerter.config
import exporter.config
from exporter.settings import Section, Setting, settings

README = Path(__file__).resolve().parents[1] / "README.md"


def row(setting: Setting) -> str:
    """A setting as the README's table has it."""
    name = f"`{'.'.join(setting.path)}` (file only)" if setting.file_only else f"`{setting.flag}`"
    if isinstance(setting.default, dict):
        entries = [f"{key}: {value}" for key, value in setting.default.items()]
        shown = ", ".join(entries if len(entries) == 1 else setting.default)
    elif isinstance(setting.default, tuple):
        shown = ", ".join(map(str, setting.default))
    else:
        shown = "" if setting.default is None else str(setting.default)
    return f"| {name} | {f'`{shown}`' if shown else ''} | {setting.help} |"


@pytest.mark.parametrize("config", [exporter.config.Config, alerter.config.Config])
def test_every_setting_has_its_row_with_default_and_help(config: type[Section]) -> None:
    lines = README.read_text().splitlines()
    missing = [row(setting) for setting in settings(config) if row(setting) not in lines]
    assert not missing, "\n" + "\n".join(missing)


def test_no_row_tells_of_a_setting_that_is_gone() -> None:
    known = {row(setting) for config in (exporter.config.Config, alerter.config.Config) for setting in settings(config)}
    rows = [line for line in README.read_text().splitlines() if line.startswith(("| `--", "| `")) and "|" in line[3:]]
    told = [line for line in rows if line.startswith("| `--") or "(file only)" in line]
    assert [line for line in told if line not in known] == []
