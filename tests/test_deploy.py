"""What is in deploy/ is accepted by the programs it is for, and speaks of what there is."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import binary

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
ROOT = DEPLOY.parent


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-targets.yml"])
def test_promtool_accepts_the_configuration_and_its_rules(name: str) -> None:
    ran = subprocess.run(
        [binary("promtool"), "check", "config", str(DEPLOY / name)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_prometheus_configuration_loads_every_shipped_rule_file() -> None:
    shipped = {path.name for path in (ROOT / "rules").glob("*.yml")}
    for name in ("prometheus.yml", "prometheus-targets.yml", "compose-prometheus.yml"):
        config = yaml.safe_load((DEPLOY / name).read_text())
        files = {Path(pattern).name for pattern in config["rule_files"]}
        assert files in (shipped, {"*.yml"})


def test_the_compose_file_runs_commands_and_mounts_files_that_there_are() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    assert services["exporter"]["command"][0] == "openmanager-exporter"
    assert services["alerter"]["command"][0] == "openmanager-alerter"
    mounts = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert all((DEPLOY / mount).exists() for mount in mounts if mount.startswith("."))


@pytest.mark.parametrize("service", ["exporter", "alerter"])
@pytest.mark.parametrize("file", ["compose", "systemd"])
def test_flags_in_deploy_are_flags_that_there_are(service: str, file: str) -> None:
    if file == "compose":
        flags = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"][service]["command"][1:]
    else:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
        unit.read(DEPLOY / "systemd" / f"openmanager-{service}.service")
        flags = unit["Service"]["ExecStart"].replace("'", "").split()[1:]
    command = "serve" if service == "exporter" else "run"
    shown = subprocess.run(
        [sys.executable, "-m", service, command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert flags
    assert all(re.match(r"--[a-z.-]+", flag)[0] in shown for flag in flags)  # type: ignore[index]  # None fails too


@pytest.mark.parametrize("service", ["exporter", "alerter"])
def test_systemd_accepts_the_units(service: str, tmp_path: Path) -> None:
    """But for the program itself, which is where it would be installed."""
    unit = tmp_path / f"openmanager-{service}.service"
    text = (DEPLOY / "systemd" / unit.name).read_text()
    unit.write_text(text.replace(f"/opt/openmanager/bin/openmanager-{service}", sys.executable))
    ran = subprocess.run(
        [binary("systemd-analyze"), "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    mine = [line for line in ran.stderr.splitlines() if unit.name in line]
    assert (ran.returncode, mine) == (0, []), ran.stderr


def test_whoever_changes_something_in_compose_needs_the_token_that_is_set() -> None:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    content = re.sub(r"\$\{OPENMANAGER_TOKEN:\?[^}]*\}", "0123456789abcdef", compose["configs"]["web"]["content"])
    assert yaml.safe_load(content) == {"tokens": {"compose": "0123456789abcdef"}}
    for name in ("exporter", "alerter"):
        service = compose["services"][name]
        (mounted,) = service["configs"]
        assert f"--web.config.file={mounted['target']}" in service["command"]
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_copies_what_the_package_needs() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = {name for line in text.splitlines() if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert {"pyproject.toml", "README.md", "LICENSE", "exporter", "alerter", "rules"} <= copied
    assert all((ROOT / name).exists() for name in copied if not name.startswith(("--", "/")))
